//! Time between two samples.

use std::time::Duration;

use kepler_service::duration;

/// Time between two samples: from 100 ms to 1 h, or 0 for the default.
pub(crate) fn interval(text: &str) -> Result<Duration, String> {
    let interval = match text {
        "0" => Duration::ZERO,
        text => duration(text)?,
    };
    let fits = (Duration::from_millis(100)..=Duration::from_secs(3600)).contains(&interval);
    if fits || interval.is_zero() {
        Ok(interval)
    } else {
        Err("must be from 100ms to 1h".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_has_bounds() {
        assert_eq!(interval("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(interval("0"), Ok(Duration::ZERO));
        for wrong in ["99ms", "61m", "5"] {
            assert!(interval(wrong).is_err(), "{wrong}");
        }
    }
}

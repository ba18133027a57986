//! Spans of time with bounds.

use std::time::Duration;

use kepler_service::duration;

/// Time between two samples: from 100 ms to 1 h, or 0 for the default.
pub(crate) fn interval(text: &str) -> Result<Duration, String> {
    match text {
        "0" | "0s" | "0ms" => Ok(Duration::ZERO),
        text => bounded(text, 1),
    }
}

/// Time between two questions to somebody else, or for an answer: from 100 ms to a day. Never 0, which would be without a pause.
pub(crate) fn period(text: &str) -> Result<Duration, String> {
    bounded(text, 24)
}

fn bounded(text: &str, hours: u32) -> Result<Duration, String> {
    let time = duration(text)?;
    let most = Duration::from_secs(3600) * hours;
    if (Duration::from_millis(100)..=most).contains(&time) {
        Ok(time)
    } else {
        Err(format!("must be from 100ms to {hours}h"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_has_bounds() {
        assert_eq!(interval("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(interval("0"), Ok(Duration::ZERO));
        assert_eq!(interval("0s"), Ok(Duration::ZERO));
        assert_eq!(period("24h"), Ok(Duration::from_secs(86_400)));
        for wrong in ["99ms", "61m", "5"] {
            assert!(interval(wrong).is_err(), "{wrong}");
        }
        for wrong in ["0", "0s", "99ms", "25h"] {
            assert!(period(wrong).is_err(), "{wrong}");
        }
    }
}

//! Spans of time as people write them.

use std::time::Duration;

/// Longer than anything that a server waits for, and short enough to be added to any moment: ten years.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// A duration as Go spells it: one number with `ms`, `s`, `m` or `h`, or several of them after another;
/// ten years at most.
///
/// ```
/// use std::time::Duration;
///
/// assert_eq!(kepler_service::duration("1m30s"), Ok(Duration::from_secs(90)));
/// ```
/// # Errors
/// What was expected.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a duration such as 500ms, 5s or 1m30s".to_owned();
    let (mut rest, mut sum) = (text, Duration::ZERO);
    while !rest.is_empty() || text.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or_else(wrong)?;
        let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        let units = &rest[digits..];
        let end = units
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(units.len());
        let unit = match &units[..end] {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(wrong()),
        };
        let part = Duration::try_from_secs_f64(number * unit).map_err(|_| wrong())?;
        sum = sum
            .checked_add(part)
            .filter(|&sum| sum <= LONGEST)
            .ok_or_else(|| {
                format!(
                    "expected a duration of at most {} h",
                    LONGEST.as_secs() / 3600
                )
            })?;
        rest = &units[end..];
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_spelt_as_in_go() {
        assert_eq!(duration("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        for wrong in [
            "",
            "5",
            "s",
            "5x",
            "-5s",
            "5s5",
            "1e400h",
            "9999999999999999999h",
            "18446744073709551615s1s",
            "18446744073709549568s18446744073709549568s",
            "100000h",
        ] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}

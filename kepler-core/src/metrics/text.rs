//! The two text formats: headers, escaping and numbers.

use std::io::Write;
use std::time::Duration;

use super::family::{Family, Kind};
use crate::units::micro;

/// A text format of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text, version 0.0.4.
    Text,
    /// OpenMetrics text, version 1.0.0.
    OpenMetrics,
}

impl Format {
    /// The content type of an answer in this format.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// The format that a reader prefers, by the `Accept` header of its request: the one of the higher quality, and
    /// Prometheus text where both are equal or neither is named.
    ///
    /// ```
    /// use kepler_core::metrics::Format;
    ///
    /// let accept = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3,*/*;q=0.1";
    /// assert_eq!(Format::negotiate(accept), Format::OpenMetrics);
    /// assert_eq!(Format::negotiate("*/*"), Format::Text);
    /// ```
    pub fn negotiate(accept: &str) -> Self {
        let (mut text, mut open) = (0.0_f64, 0.0_f64);
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default();
            let (mut quality, mut version) = (1.0, "");
            for (key, value) in parts.filter_map(|p| p.split_once('=')) {
                match key.trim() {
                    "q" => quality = value.trim().parse().unwrap_or(0.0),
                    "version" => version = value.trim().trim_matches('"'),
                    _ => {}
                }
            }
            match media.to_ascii_lowercase().as_str() {
                "application/openmetrics-text" if matches!(version, "" | "1.0.0") => {
                    open = open.max(quality);
                }
                "text/plain" if matches!(version, "" | "0.0.4") => text = text.max(quality),
                "text/*" | "*/*" => text = text.max(quality),
                _ => {}
            }
        }
        if open > text {
            Self::OpenMetrics
        } else {
            Self::Text
        }
    }
}

/// A number to write.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value {
    /// Joules or watts: to the microjoule or microwatt, while the totals stay exact inside.
    Energy(f64),
    /// A whole number with the decimal point moved so many places to the left: nanoseconds as seconds are `Fixed(ns, 9)`.
    Fixed(u64, u32),
    /// Anything else, at full precision.
    Float(f64),
}

impl Value {
    /// A count.
    pub(super) fn count(count: u64) -> Self {
        Self::Fixed(count, 0)
    }

    /// Nanoseconds, as seconds.
    pub(super) fn seconds(ns: u64) -> Self {
        Self::Fixed(ns, 9)
    }

    /// A time, as seconds.
    pub(super) fn time(time: Duration) -> Self {
        Self::Fixed(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), 9)
    }

    /// 1 or 0.
    pub(super) fn flag(flag: bool) -> Self {
        Self::Fixed(flag.into(), 0)
    }

    /// Whether it can be shown: a figure that is no number is left out.
    pub(super) fn is_finite(self) -> bool {
        match self {
            Self::Energy(value) | Self::Float(value) => value.is_finite(),
            Self::Fixed(..) => true,
        }
    }

    /// Writes it and ends the line.
    pub(super) fn write(self, out: &mut Vec<u8>) {
        match self {
            Self::Energy(value) => match micro(value) {
                Some(scaled) => decimal(out, scaled, 6),
                None => float(out, value),
            },
            Self::Fixed(value, places) => decimal(out, value, places),
            Self::Float(value) => float(out, value),
        }
        out.push(b'\n');
    }
}

/// The lines before the first series of a family.
pub(super) fn header(out: &mut Vec<u8>, family: &Family, format: Format) {
    let (name, kind) = match (format, family.name.strip_suffix("_total")) {
        (Format::OpenMetrics, Some(name)) if family.kind == Kind::Counter => (name, "counter"),
        // Its counters must end in `_total`; a few older names do not.
        (Format::OpenMetrics, None) if family.kind == Kind::Counter => (family.name, "unknown"),
        _ => (family.name, family.kind.as_str()),
    };
    line(out, &["# HELP ", name, " ", family.help]);
    line(out, &["# TYPE ", name, " ", kind]);
    if format == Format::OpenMetrics
        && let Some(unit) = unit(name)
    {
        line(out, &["# UNIT ", name, " ", unit]);
    }
}

/// The unit that a name ends in, where it is one.
fn unit(name: &str) -> Option<&'static str> {
    let last = name.rsplit('_').next()?;
    ["joules", "watts", "seconds", "bytes", "ratio"]
        .into_iter()
        .find(|unit| *unit == last)
}

/// Adds `name="value"`, after a comma where something stands before it.
pub(super) fn label(out: &mut String, name: &str, value: &str) {
    if !out.is_empty() {
        out.push(',');
    }
    out.push_str(name);
    out.push_str("=\"");
    for part in value.split_inclusive(['\\', '"', '\n']) {
        let (plain, special) = match part.as_bytes().last() {
            Some(b'\\') => (&part[..part.len() - 1], "\\\\"),
            Some(b'"') => (&part[..part.len() - 1], "\\\""),
            Some(b'\n') => (&part[..part.len() - 1], "\\n"),
            _ => (part, ""),
        };
        out.push_str(plain);
        out.push_str(special);
    }
    out.push('"');
}

fn line(out: &mut Vec<u8>, parts: &[&str]) {
    for part in parts {
        out.extend_from_slice(part.as_bytes());
    }
    out.push(b'\n');
}

fn float(out: &mut Vec<u8>, value: f64) {
    let written = write!(out, "{value}");
    debug_assert!(written.is_ok(), "a Vec takes everything");
}

/// Writes `value / 10^places`, without zeros at the end.
fn decimal(out: &mut Vec<u8>, value: u64, places: u32) {
    let scale = 10_u64.pow(places);
    digits(out, value / scale, 1);
    let (mut fraction, mut width) = (value % scale, places as usize);
    if fraction == 0 {
        return;
    }
    while fraction.is_multiple_of(10) {
        fraction /= 10;
        width -= 1;
    }
    out.push(b'.');
    digits(out, fraction, width);
}

/// Writes `value` with zeros before it up to `width` digits.
fn digits(out: &mut Vec<u8>, mut value: u64, width: usize) {
    let mut buffer = [b'0'; 20];
    let mut at = buffer.len();
    while value > 0 {
        at -= 1;
        buffer[at] = b'0' + (value % 10).to_le_bytes()[0];
        value /= 10;
    }
    out.extend_from_slice(&buffer[at.min(buffer.len() - width)..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: Value) -> String {
        let mut out = Vec::new();
        value.write(&mut out);
        String::from_utf8(out).unwrap().trim_end().to_owned()
    }

    #[test]
    fn numbers_are_exact_and_short() {
        assert_eq!(written(Value::Energy(0.0)), "0");
        assert_eq!(written(Value::Energy(12.0)), "12");
        assert_eq!(written(Value::Energy(1200.5)), "1200.5");
        assert_eq!(written(Value::Energy(0.000_001_2)), "0.000001");
        assert_eq!(written(Value::Energy(-0.5)), "-0.5");
        assert_eq!(written(Value::Energy(1e17)), "100000000000000000");
        assert_eq!(written(Value::seconds(1_000_000_001)), "1.000000001");
        assert_eq!(written(Value::seconds(20_000_000)), "0.02");
        assert_eq!(written(Value::count(0)), "0");
        assert_eq!(written(Value::count(100)), "100");
        assert_eq!(written(Value::count(u64::MAX)), "18446744073709551615");
        assert_eq!(written(Value::seconds(u64::MAX)), "18446744073.709551615");
        assert_eq!(written(Value::Float(0.25)), "0.25");
    }

    #[test]
    fn hostile_label_values_stay_inside_their_quotes() {
        let mut out = String::new();
        label(&mut out, "comm", "a\"b\\c\nd");
        label(&mut out, "exe", "");
        assert_eq!(out, r#"comm="a\"b\\c\nd",exe="""#);
    }

    #[test]
    fn the_reader_chooses_the_format() {
        let prometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
            application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;q=0.4,\
            text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for (accept, format) in [
            (prometheus, Format::OpenMetrics),
            ("", Format::Text),
            ("text/html", Format::Text),
            ("application/openmetrics-text;q=0", Format::Text),
            (
                "application/openmetrics-text;q=0.2, text/plain;q=0.8",
                Format::Text,
            ),
            (
                "application/openmetrics-text; version=\"1.0.0\"",
                Format::OpenMetrics,
            ),
            ("application/openmetrics-text;version=0.0.1", Format::Text),
            (
                "text/*;q=0.9,application/OpenMetrics-text",
                Format::OpenMetrics,
            ),
            (";;,q=,=;q=x", Format::Text),
        ] {
            assert_eq!(Format::negotiate(accept), format, "{accept}");
        }
    }
}

//! JSON as the older server, a Python program, sees it: objects keep their order, values are true or false, and errors
//! show the request in Python's spelling.

use std::fmt::{self, Write};

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};

/// A JSON value whose objects keep the order of the text; of a name that is twice, the last value holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Self>),
    Dict(Vec<(String, Self)>),
}

impl Json {
    /// Whether Python takes it for true.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Bool(truth) => *truth,
            Self::Number(number) => number.as_f64() != Some(0.0),
            Self::Text(text) => !text.is_empty(),
            Self::List(items) => !items.is_empty(),
            Self::Dict(items) => !items.is_empty(),
        }
    }

    /// What Python's `int()` makes of it, as far as 64 bits go.
    pub(super) fn to_int(&self) -> Option<i64> {
        match self {
            Self::Bool(truth) => Some((*truth).into()),
            Self::Text(text) => int(text),
            Self::Number(number) => number
                .as_i64()
                .or_else(|| Some(truncated(number.as_f64()?))),
            _ => None,
        }
    }
}

/// What Python's `int()` makes of a text: spaces around, a sign, and underscores between digits are fine.
pub(super) fn int(text: &str) -> Option<i64> {
    let text = text.trim();
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let apart = digits.split('_');
    let whole = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !apart.clone().all(whole) {
        return None;
    }
    let number = apart.flat_map(str::chars).fold(0i64, |number, digit| {
        let digit = i64::from(digit.to_digit(10).unwrap_or(0));
        number.saturating_mul(10).saturating_add(digit)
    });
    Some(if text.starts_with('-') {
        -number
    } else {
        number
    })
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "to whole numbers, as int() does; beyond 64 bits is held at their end"
)]
fn truncated(number: f64) -> i64 {
    number as i64
}

impl From<Json> for Value {
    fn from(json: Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(truth) => Self::Bool(truth),
            Json::Number(number) => Self::Number(number),
            Json::Text(text) => Self::String(text),
            Json::List(items) => items.into_iter().map(Self::from).collect(),
            Json::Dict(items) => items.into_iter().map(|(k, v)| (k, Self::from(v))).collect(),
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Any)
    }
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Json, E> {
        Ok(Json::Bool(truth))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Json, E> {
        Ok(Json::Number(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json, E> {
        Ok(Json::Number(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Json, E> {
        Ok(Number::from_f64(number).map_or(Json::Null, Json::Number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Json, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = from.next_element()? {
            items.push(item);
        }
        Ok(Json::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Json, A::Error> {
        let mut items: Vec<(String, Json)> = Vec::new();
        while let Some(item) = from.next_entry()? {
            items.push(item);
        }
        Ok(Json::Dict(items))
    }
}

/// Python's spelling (`repr`).
impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("None"),
            Self::Bool(true) => f.write_str("True"),
            Self::Bool(false) => f.write_str("False"),
            Self::Number(number) => match number.as_f64() {
                Some(float) if number.is_f64() => f.write_str(&spelled(float)),
                _ => number.fmt(f),
            },
            Self::Text(text) => quoted(f, text),
            Self::List(items) => {
                f.write_char('[')?;
                for (i, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if i > 0 { ", " } else { "" })?;
                }
                f.write_char(']')
            }
            Self::Dict(items) => {
                f.write_char('{')?;
                for (i, (name, item)) in items.iter().enumerate() {
                    f.write_str(if i > 0 { ", " } else { "" })?;
                    quoted(f, name)?;
                    write!(f, ": {item}")?;
                }
                f.write_char('}')
            }
        }
    }
}

/// A float: exponents have a sign and two digits at least.
fn spelled(float: f64) -> String {
    let text = format!("{float:?}");
    match text.split_once('e') {
        None => text,
        Some((number, exponent)) => {
            let (sign, digits) = match exponent.strip_prefix('-') {
                Some(digits) => ('-', digits),
                None => ('+', exponent),
            };
            format!("{number}e{sign}{digits:0>2}")
        }
    }
}

/// A text in single quotes, or in double ones where it has single ones only.
fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    f.write_char(quote)?;
    for letter in text.chars() {
        match letter {
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            _ if letter == quote => write!(f, "\\{letter}")?,
            _ if letter.is_control() => write!(f, "\\x{:02x}", u32::from(letter))?,
            _ => f.write_char(letter)?,
        }
    }
    f.write_char(quote)
}

/// The spelling of a text.
pub(super) fn repr(text: &str) -> String {
    Json::Text(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_spelled_as_python_does() {
        let text = r#"{"b": [true, null, 1, -2.5, 1e16, 0.00001, 1e300], "a": {"it's": "x", "q": "'\"\\\n"}}"#;
        let json: Json = serde_json::from_str(text).unwrap();
        // Printed by Python 3.11 of json.loads(text).
        assert_eq!(
            json.to_string(),
            r#"{'b': [True, None, 1, -2.5, 1e+16, 1e-05, 1e+300], 'a': {"it's": 'x', 'q': '\'"\\\n'}}"#
        );
    }

    #[test]
    fn whole_numbers_are_read_as_python_does() {
        for (text, number) in [(" 07\n", 7), ("-1", -1), ("+1_0", 10)] {
            assert_eq!(int(text), Some(number), "{text}");
        }
        for text in ["", "-", "1.0", "1__0", "_1", "x", "0x1"] {
            assert_eq!(int(text), None, "{text}");
        }
        assert_eq!(int("99999999999999999999"), Some(i64::MAX));
        let one: Json = serde_json::from_str("1.9").unwrap();
        assert_eq!(one.to_int(), Some(1));
    }
}

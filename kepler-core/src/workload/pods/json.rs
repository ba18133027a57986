//! One pass over a JSON text that keeps a few of its fields: what is not asked for is stepped over, brackets and quotes
//! being all that is looked at. Of a pod that is nearly everything, and a general reader takes half as long again for a list and
//! twice as long for changes: `sample pods` of the benches.

use std::borrow::Cow;
use std::str::FromStr;

use crate::error::{Error, Result};

/// A place in a JSON text. It never goes back, keeps nothing, and calls itself only as deep as whoever asks does.
pub(super) struct Json<'a> {
    text: &'a [u8],
    at: usize,
    /// What the text is to be, for errors.
    what: &'static str,
}

impl<'a> Json<'a> {
    pub(super) fn new(text: &'a [u8], what: &'static str) -> Self {
        Self { text, at: 0, what }
    }

    /// Reads the whole text: an object, and after it nothing but blanks.
    pub(super) fn whole(&mut self, field: impl FnMut(&mut Self, &str) -> Result<()>) -> Result<()> {
        if !self.is_object() {
            return Err(self.wrong(self.at, "an object"));
        }
        self.object(field)?;
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.wrong(self.at, "an end")),
        }
    }

    /// Reads an object: `field` is told each name and reads its value or skips it. `null` is an object without fields.
    pub(super) fn object(
        &mut self,
        mut field: impl FnMut(&mut Self, &str) -> Result<()>,
    ) -> Result<()> {
        if self.null()? {
            return Ok(());
        }
        self.expect(b'{', "an object")?;
        if self.next_is(b'}') {
            return Ok(());
        }
        loop {
            let name = self.string()?;
            self.expect(b':', "a colon")?;
            field(self, &name)?;
            if self.next_is(b'}') {
                return Ok(());
            }
            self.expect(b',', "a comma")?;
        }
    }

    /// Reads a list: `item` reads each item or skips it. Whether there was one: `null` is none.
    pub(super) fn list(&mut self, mut item: impl FnMut(&mut Self) -> Result<()>) -> Result<bool> {
        if self.null()? {
            return Ok(false);
        }
        self.expect(b'[', "a list")?;
        if self.next_is(b']') {
            return Ok(true);
        }
        loop {
            item(self)?;
            if self.next_is(b']') {
                return Ok(true);
            }
            self.expect(b',', "a comma")?;
        }
    }

    /// Reads a string, and `null` as an empty one.
    pub(super) fn text(&mut self) -> Result<Cow<'a, str>> {
        match self.null()? {
            true => Ok(Cow::Borrowed("")),
            false => self.string(),
        }
    }

    /// Reads a number, and `null` as 0.
    pub(super) fn number<N: FromStr + Default>(&mut self) -> Result<N> {
        if self.null()? {
            return Ok(N::default());
        }
        let start = self.at;
        let digits = std::str::from_utf8(self.word()).ok();
        let number = digits.and_then(|digits| digits.parse().ok());
        number.ok_or_else(|| self.wrong(start, "a number"))
    }

    /// Steps over any value.
    pub(super) fn skip(&mut self) -> Result<()> {
        let first = self.peek();
        let (start, bytes) = (self.at, self.text);
        match first {
            Some(b'{' | b'[' | b'"') => {}
            Some(b',' | b':' | b'}' | b']') | None => return Err(self.wrong(start, "a value")),
            Some(_) => {
                self.word();
                return Ok(());
            }
        }
        let (mut at, mut depth) = (start, 0_usize);
        while let Some(byte) = bytes.get(at) {
            at += 1;
            match byte {
                b'"' => {
                    let end = string_end(bytes, at);
                    at = end.ok_or_else(|| self.wrong(at - 1, "a string's end"))?.0;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => continue,
            }
            if depth == 0 {
                self.at = at;
                return Ok(());
            }
        }
        Err(self.wrong(start, "an end"))
    }

    /// Where the next value begins, and the text from there on.
    pub(super) fn rest(&mut self) -> (usize, &'a [u8]) {
        self.peek();
        (self.at, self.text.get(self.at..).unwrap_or_default())
    }

    /// Steps over a value that is so many bytes long.
    pub(super) fn step(&mut self, length: usize) {
        self.at += length;
    }

    /// Where it is.
    pub(super) fn place(&self) -> usize {
        self.at
    }

    /// Whether an object comes next.
    pub(super) fn is_object(&mut self) -> bool {
        self.peek() == Some(b'{')
    }

    fn string(&mut self) -> Result<Cow<'a, str>> {
        self.expect(b'"', "a string")?;
        let (start, text) = (self.at, self.text);
        let Some((end, escaped)) = string_end(text, start) else {
            return Err(self.wrong(start - 1, "a string's end"));
        };
        self.at = end;
        let read = match escaped {
            true => serde_json::from_slice(&text[start - 1..end])
                .ok()
                .map(Cow::Owned),
            false => std::str::from_utf8(&text[start..end - 1])
                .ok()
                .map(Cow::Borrowed),
        };
        read.ok_or_else(|| self.wrong(start - 1, "a string"))
    }

    /// A number, or `true`, `false` or `null`.
    fn word(&mut self) -> &'a [u8] {
        let rest = &self.text[self.at..];
        let ends = |byte| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t');
        let end = rest.iter().position(|byte| ends(*byte));
        let word = &rest[..end.unwrap_or(rest.len())];
        self.at += word.len();
        word
    }

    fn null(&mut self) -> Result<bool> {
        if self.peek() != Some(b'n') {
            return Ok(false);
        }
        let start = self.at;
        match self.word() {
            b"null" => Ok(true),
            _ => Err(self.wrong(start, "a value")),
        }
    }

    fn expect(&mut self, byte: u8, want: &str) -> Result<()> {
        match self.next_is(byte) {
            true => Ok(()),
            false => Err(self.wrong(self.at, want)),
        }
    }

    fn next_is(&mut self, byte: u8) -> bool {
        let is = self.peek() == Some(byte);
        self.at += usize::from(is);
        is
    }

    /// What comes after blanks.
    fn peek(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.text.get(self.at) {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    #[cold]
    fn wrong(&self, at: usize, want: &str) -> Error {
        let rest = self.text.get(at..).unwrap_or_default();
        let rest = String::from_utf8_lossy(&rest[..rest.len().min(4 * SHOWN)]);
        let found: String = rest.chars().take(SHOWN).collect();
        let want = format!("{}, there {want}", self.what);
        Error::malformed(format!("byte {at}"), want, found)
    }
}

/// Characters that an error shows.
const SHOWN: usize = 40;

/// Where a string ends whose first quote is before `at`, after its last one, and whether a backslash is in it.
#[inline(always)]
fn string_end(bytes: &[u8], mut at: usize) -> Option<(usize, bool)> {
    let mut escaped = false;
    loop {
        // Eight at a time as long as none of them is one of the two that matter.
        while let Some(eight) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
            let eight = u64::from_le_bytes(*eight);
            let found = has(eight, b'"') | has(eight, b'\\');
            if found != 0 {
                at += found.trailing_zeros() as usize / 8;
                break;
            }
            at += 8;
        }
        match bytes.get(at)? {
            b'"' => return Some((at + 1, escaped)),
            b'\\' => {
                escaped = true;
                at += 2;
            }
            _ => at += 1,
        }
    }
}

/// A bit in the lowest of eight bytes that is `byte`; above that one there may be bits for nothing. 0 where none is.
fn has(eight: u64, byte: u8) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    let zero_where_equal = eight ^ (ONES * u64::from(byte));
    zero_where_equal.wrapping_sub(ONES) & !zero_where_equal & (ONES << 7)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    /// What stands under `a` in each of the objects of a list.
    fn under_a(list: &str) -> Result<Vec<String>> {
        let mut found = Vec::new();
        let text = format!(r#"{{"list":{list}}}"#);
        Json::new(text.as_bytes(), "a test").whole(|json, _| {
            let listed = json.list(|json| {
                json.object(|json, name| match name {
                    "a" => json.text().map(|text| found.push(text.into_owned())),
                    _ => json.skip(),
                })
            });
            listed.map(|_| ())
        })?;
        Ok(found)
    }

    #[test]
    fn whatever_is_not_asked_for_is_stepped_over() {
        for other in [
            r#""}\"]{\\""#,
            r#"{"a": [{}, {"a": "\\\"}"}], "b": {}}"#,
            "-1.5e9",
            "true",
            "null",
            "[]",
            r#""eight bytes and more than eight, then \" and \\""#,
        ] {
            let text = format!(r#" [ {{"b": {other} , "a":"1"}},{{"a" : "2","b":{other}}} ]"#);
            assert_eq!(under_a(&text).unwrap(), ["1", "2"], "{text}");
        }
        assert_eq!(under_a("null").unwrap(), Vec::<String>::new());
    }

    #[test]
    fn escapes_are_read_in_names_and_values() {
        let text = r#"[{"\u0061": "x\n\"\ud83d\ude00"}]"#;
        assert_eq!(under_a(text).unwrap(), ["x\n\"\u{1f600}"]);
        assert!(under_a(r#"[{"a": "\ud83d"}]"#).is_err());
    }

    #[test]
    fn what_is_read_is_utf_8() {
        let read = |text: &[u8]| {
            let mut found = None;
            let read = Json::new(text, "a test").whole(|json, name| match name {
                "a" => json.text().map(|text| found = Some(text.into_owned())),
                _ => json.skip(),
            });
            read.map(|()| found)
        };
        for broken in [
            &b"{\"a\": \"\xff\"}"[..],
            b"{\"a\": \"\\n\xff\"}",
            b"{\"\xff\": 1}",
        ] {
            let error = read(broken).unwrap_err().to_string();
            assert!(error.contains("there a string"), "{error}");
        }
        // What is stepped over is nobody's.
        assert_eq!(
            read(b"{\"b\": \"\xff\", \"a\": \"1\"}").unwrap().as_deref(),
            Some("1")
        );
    }

    #[test]
    fn what_is_broken_is_said_with_its_place() {
        for (text, said) in [
            ("", "byte 8: expected a test, there a list, found \"}\""),
            (r#"[{"a" 1}]"#, "byte 14: expected a test, there a colon"),
            (r#"[{"a": 7}]"#, "byte 15: expected a test, there a string"),
            (r#"[{"b": }]"#, "there a value"),
            (r#"[{"b": {"c": "}]"#, "there a string's end"),
            (r#"[{"b": {"c": ["#, "there an end"),
            (r#"[{"b": 1 "a": 2}]"#, "there a comma"),
            (
                "[]} x",
                "byte 12: expected a test, there an end, found \"x}\"",
            ),
            ("nul", "there a value"),
        ] {
            let error = under_a(text).unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            let list = prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from);
            let fields = prop::collection::vec((any::<String>(), inner), 0..4);
            let object = fields.prop_map(|fields| Value::Object(fields.into_iter().collect()));
            prop_oneof![list, object]
        })
    }

    proptest! {
        #[test]
        fn of_any_text_it_keeps_what_a_general_reader_does(
            values in prop::collection::vec(value(), 0..4),
            text in any::<String>(),
            pretty in any::<bool>(),
        ) {
            let objects = values.iter().map(|other| serde_json::json!({"b": other, "a": text, "c": other}));
            let list = Value::from_iter(objects);
            let json = if pretty { format!("{list:#}") } else { list.to_string() };
            prop_assert_eq!(under_a(&json).unwrap(), vec![text; values.len()]);
        }
    }
}

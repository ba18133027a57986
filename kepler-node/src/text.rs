//! Long texts for JavaScript. To copy one into the heap of the event loop takes it milliseconds, so that it is handed over where it
//! lies.

use kepler_core::Result;
use napi::{Env, JsString, JsStringLatin1, JsStringUtf16, ScopedTask};

use crate::errors::{Job, run, settle};

/// A text that is made off the event loop.
pub struct LongText(Option<Job<String>>);

impl LongText {
    pub(crate) fn new(job: impl FnOnce() -> Result<String> + Send + 'static) -> Self {
        Self(Some(Box::new(job)))
    }
}

/// A text as JavaScript keeps it.
pub enum Letters {
    Ascii(Vec<u8>),
    Utf16(Vec<u16>),
}

impl From<String> for Letters {
    fn from(text: String) -> Self {
        if text.is_ascii() {
            Self::Ascii(text.into_bytes())
        } else {
            Self::Utf16(text.encode_utf16().collect())
        }
    }
}

impl<'e> ScopedTask<'e> for LongText {
    type Output = Result<Letters>;
    type JsValue = JsString<'e>;

    fn compute(&mut self) -> napi::Result<Result<Letters>> {
        Ok(run(&mut self.0).map(Letters::from))
    }

    fn resolve(&mut self, env: &'e Env, output: Result<Letters>) -> napi::Result<JsString<'e>> {
        match settle(*env, output)? {
            Letters::Ascii(text) => {
                JsStringLatin1::from_data(env, text).map(JsStringLatin1::into_value)
            }
            Letters::Utf16(text) => {
                JsStringUtf16::from_data(env, text).map(JsStringUtf16::into_value)
            }
        }
    }
}

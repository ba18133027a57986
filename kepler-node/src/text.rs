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

    #[expect(
        unsafe_code,
        reason = "napi takes a text that it does not copy by its place"
    )]
    fn resolve(&mut self, env: &'e Env, output: Result<Letters>) -> napi::Result<JsString<'e>> {
        match settle(*env, output)? {
            Letters::Ascii(text) => {
                let (place, length) = (text.as_ptr(), text.len());
                let gone = held(env, text.capacity())?;
                // SAFETY: the text stays where it is until `gone` drops it, when nobody has the string any more.
                unsafe { JsStringLatin1::from_external(env, place, length, text, gone) }
                    .map(JsStringLatin1::into_value)
            }
            Letters::Utf16(text) => {
                let (place, length) = (text.as_ptr(), text.len());
                let gone = held(env, 2 * text.capacity())?;
                // SAFETY: as above.
                unsafe { JsStringUtf16::from_external(env, place, length, text, gone) }
                    .map(JsStringUtf16::into_value)
            }
        }
    }
}

/// Tells the garbage collector of bytes that it does not see, and again when they are gone: else it would let texts pile up.
fn held<T>(env: &Env, bytes: usize) -> napi::Result<impl FnOnce(Env, T) + use<T>> {
    let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
    env.adjust_external_memory(bytes)?;
    Ok(move |env: Env, text| {
        drop(text);
        // An environment that has ended counts no more.
        env.adjust_external_memory(-bytes).ok();
    })
}

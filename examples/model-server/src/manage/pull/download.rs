//! Bytes from a server into a file: resumed where they broke off, tried again where that can help, never more than allowed.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use kepler_core::Host;
use serde::{Deserialize, Serialize};
use ureq::http::{HeaderMap, Response, header};

use super::progress::Progress;
use crate::manage::client::Client;

/// What a download may take.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// The largest file in bytes.
    pub(crate) bytes: u64,
    /// How often to try before giving up; a try that brought the file on does not count.
    pub(crate) tries: u32,
    /// The time to wait before the second try; twice that before each further one.
    pub(crate) pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 1 << 30,
            tries: 5,
            pause: Duration::from_secs(1),
        }
    }
}

/// What is known of a file that is not whole yet, kept beside it.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Note {
    url: String,
    /// The `ETag` or `Last-Modified` of the version that the bytes are of; empty where the server tells none.
    version: String,
}

/// Why a file was not filled.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) why: String,
    /// Whether the disk or the quota is full.
    pub(super) is_full: bool,
}

/// How a try ended, if not well.
enum Ended {
    /// Another try can help, not before a time that the server may have named.
    Broken(String, Option<Duration>),
    /// It cannot.
    Refused(Failed),
}

/// A try that brought so many bytes does not count.
const WORTHWHILE: u64 = 64 << 10;
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
const PIECE: usize = 64 << 10;

/// A file on a server.
pub(super) struct Download<'a> {
    pub(super) client: &'a Client,
    /// What the bytes are known by from one call to the next, and in messages.
    pub(super) name: &'a str,
    /// Where it is told which version the bytes are of.
    pub(super) note: &'a Path,
    /// Whether a checksum follows, so that bytes of a server that tells no version may be gone on with.
    pub(super) is_checked: bool,
    pub(super) limits: &'a Limits,
}

impl Download<'_> {
    /// Fills a file. `url` gives the address of each try, as signed ones run out. Returns how many bytes were there already.
    ///
    /// # Errors
    /// Why it was given up. What arrived stays in the file, to be gone on with by the next call.
    pub(super) fn run(
        &self,
        url: impl Fn() -> Result<String, String>,
        file: &mut File,
        progress: &mut Progress,
    ) -> Result<u64, Failed> {
        let mut resumed = None;
        let mut tries = 0;
        loop {
            let before = length(file)?;
            let ended = self.attempt(&url()?, file, progress, &mut resumed);
            let (why, after) = match ended {
                Ok(()) => return Ok(resumed.unwrap_or(0)),
                Err(Ended::Refused(why)) => return Err(why),
                Err(Ended::Broken(why, after)) => (why, after),
            };
            let came_on = length(file)? >= before + WORTHWHILE;
            tries = if came_on { 0 } else { tries + 1 };
            if tries >= self.limits.tries {
                return Err(format!("{why} (given up after {tries} tries)").into());
            }
            let pause = self.limits.pause * 2u32.saturating_pow(tries.saturating_sub(1).min(10));
            let pause = after.unwrap_or(pause).min(LONGEST_PAUSE);
            progress.tell(&format!("{why}; again in {:.1} s", pause.as_secs_f64()));
            std::thread::sleep(pause);
        }
    }

    fn attempt(
        &self,
        url: &str,
        file: &mut File,
        progress: &mut Progress,
        resumed: &mut Option<u64>,
    ) -> Result<(), Ended> {
        let (at, version) = self.resume_at(file)?;
        let range = format!("bytes={at}-");
        let mut headers = vec![(header::ACCEPT_ENCODING, "identity")];
        if at > 0 {
            headers.push((header::RANGE, &range));
            if !version.is_empty() {
                headers.push((header::IF_RANGE, &version));
            }
        }
        let response = self
            .client
            .get(url, &headers)
            .map_err(|e| match e.temporary {
                true => Ended::Broken(e.to_string(), None),
                false => e.to_string().into(),
            })?;
        let (at, whole) = self.starts_at(&response, at)?;
        let size = whole.or_else(|| Some(at + response.body().content_length()?));
        if let Some(size) = size.filter(|size| *size > self.limits.bytes) {
            return Err(self.too_large(size).into());
        }
        if size == Some(at) && at > 0 {
            return Ok(());
        }
        file.set_len(at)
            .and_then(|()| file.seek(SeekFrom::Start(at)))
            .map_err(|e| self.cannot_write(&e))?;
        if at == 0 {
            self.keep_note(&version_of(response.headers()));
        }
        resumed.get_or_insert(at);
        progress.begin(size, at);
        self.copy(response.into_body().into_reader(), file, at, size, progress)
    }

    fn copy(
        &self,
        mut from: impl Read,
        file: &mut File,
        mut at: u64,
        size: Option<u64>,
        progress: &mut Progress,
    ) -> Result<(), Ended> {
        let mut piece = vec![0; PIECE];
        loop {
            let count = match from.read(&mut piece) {
                Ok(count) => count,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => {
                    return Err(Ended::Broken(
                        format!("{}: broken off after {at} bytes: {e}", self.name),
                        None,
                    ));
                }
            };
            if count == 0 {
                break;
            }
            at += count as u64;
            if at > self.limits.bytes {
                return Err(self.too_large(at).into());
            }
            file.write_all(&piece[..count])
                .map_err(|e| self.cannot_write(&e))?;
            progress.at(at);
        }
        match size.filter(|size| *size != at) {
            Some(size) => Err(Ended::Broken(
                format!("{}: broken off after {at} of {size} bytes", self.name),
                None,
            )),
            None => Ok(()),
        }
    }

    /// How much of the file is good to go on from, and of which version it is.
    fn resume_at(&self, file: &mut File) -> Result<(u64, String), String> {
        let note = Host::default().bytes(self.note, 64 << 10).ok();
        let note: Note = note
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        let same = note.url == self.name && (!note.version.is_empty() || self.is_checked);
        Ok((if same { length(file)? } else { 0 }, note.version))
    }

    /// Where the answer's bytes belong, and how long the whole is where it is told.
    fn starts_at(
        &self,
        response: &Response<ureq::Body>,
        asked: u64,
    ) -> Result<(u64, Option<u64>), Ended> {
        let status = response.status().as_u16();
        let range = response.headers().get(header::CONTENT_RANGE);
        let (from, whole) = content_range(range.and_then(|v| v.to_str().ok()).unwrap_or_default());
        let told = format!("{}: HTTP {status}", self.name);
        match status {
            200 => Ok((0, None)),
            206 if from == Some(asked) => Ok((asked, whole)),
            // Nothing is left to send.
            416 if whole == Some(asked) => Ok((asked, whole)),
            206 | 416 if asked > 0 => {
                let _ = std::fs::remove_file(self.note);
                Err(Ended::Broken(
                    format!("{told} for another part"),
                    Some(Duration::ZERO),
                ))
            }
            408 | 425 | 429 | 500..=599 => {
                let after = response.headers().get(header::RETRY_AFTER);
                let seconds = after.and_then(|v| v.to_str().ok()?.trim().parse().ok());
                Err(Ended::Broken(told, seconds.map(Duration::from_secs)))
            }
            _ => Err(told.into()),
        }
    }

    /// Without the note the next call begins anew, so that a note that cannot be written is no error.
    fn keep_note(&self, version: &str) {
        let note = Note {
            url: self.name.to_owned(),
            version: version.to_owned(),
        };
        let _ = serde_json::to_vec(&note).map(|text| std::fs::write(self.note, text));
    }

    fn too_large(&self, size: u64) -> String {
        format!(
            "{} is too large: {size} bytes (limit {})",
            self.name, self.limits.bytes
        )
    }

    fn cannot_write(&self, error: &io::Error) -> Ended {
        let what = format!("{}: cannot write it to disk", self.name);
        Ended::Refused(Failed::by(&what, error))
    }
}

impl Failed {
    /// By an error of the system's.
    pub(super) fn by(what: &str, error: &io::Error) -> Self {
        Self {
            why: format!("{what}: {error}"),
            is_full: matches!(
                error.kind(),
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded
            ),
        }
    }
}

impl From<String> for Failed {
    fn from(why: String) -> Self {
        Self {
            why,
            is_full: false,
        }
    }
}

impl From<String> for Ended {
    fn from(why: String) -> Self {
        Self::Refused(why.into())
    }
}

fn length(file: &File) -> Result<u64, String> {
    let metadata = file.metadata();
    Ok(metadata
        .map_err(|e| format!("the unfinished file: {e}"))?
        .len())
}

/// What tells a version from another, in a form that `If-Range` takes: a strong tag, else the date.
fn version_of(headers: &HeaderMap) -> String {
    let text = |name| headers.get(name).and_then(|v| v.to_str().ok());
    let strong = text(header::ETAG).filter(|tag| !tag.starts_with("W/"));
    strong
        .or(text(header::LAST_MODIFIED))
        .unwrap_or_default()
        .to_owned()
}

/// The first byte and the whole length of `bytes 5-9/10` or `bytes */10`.
fn content_range(text: &str) -> (Option<u64>, Option<u64>) {
    let Some((range, whole)) = text.strip_prefix("bytes ").and_then(|t| t.split_once('/')) else {
        return (None, None);
    };
    let from = range
        .split_once('-')
        .and_then(|(from, _)| from.parse().ok());
    (from, whole.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read() {
        assert_eq!(content_range("bytes 5-9/10"), (Some(5), Some(10)));
        assert_eq!(content_range("bytes 5-9/*"), (Some(5), None));
        assert_eq!(content_range("bytes */10"), (None, Some(10)));
        for wrong in ["", "5-9/10", "bytes 5", "bytes -/"] {
            assert_eq!(content_range(wrong), (None, None), "{wrong}");
        }
    }
}

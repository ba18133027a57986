//! Protocol buffers sent by HTTP.

use std::time::Duration;

use crate::{Error, Result, client, shown};

/// Where to push, and with what credentials.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Push {
    url: String,
    headers: Vec<(String, String)>,
}

/// A request that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often one may be sent on.
const REDIRECTS: u32 = 5;

impl Push {
    /// To a URL of http or https, with more headers, a line each, `Name: value`; empty lines are none.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the URL or a header is none.
    pub fn to(url: &str, headers: &[String]) -> Result<Self> {
        client::judge(url).map_err(|why| Error::invalid(&shown(url), why))?;
        let mut pairs = Vec::new();
        for (number, line) in (1..).zip(headers) {
            if line.trim().is_empty() {
                continue;
            }
            let pair = line.split_once(':').map(|(n, v)| (n.trim(), v.trim()));
            let fits = |(name, value): &(&str, &str)| {
                ureq::http::HeaderName::try_from(*name).is_ok()
                    && ureq::http::HeaderValue::try_from(*value).is_ok()
            };
            // The line itself may be a secret.
            let (name, value) = pair.filter(fits).ok_or_else(|| {
                Error::invalid(
                    &format!("line {number} of the headers"),
                    "expected a header such as Authorization: Bearer ...",
                )
            })?;
            pairs.push((name.to_owned(), value.to_owned()));
        }
        Ok(Self {
            url: url.to_owned(),
            headers: pairs,
        })
    }

    pub(super) fn agent() -> ureq::Agent {
        client::agent(PATIENCE, REDIRECTS)
    }

    /// Sends a body. An answer other than 2xx is an error with what the other side said.
    pub(super) fn send(
        &self,
        agent: &ureq::Agent,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> std::result::Result<(), String> {
        let mut request = agent.post(&self.url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let mut answer = request
            .send(body)
            .map_err(|e| format!("{}: {e}", self.place()))?;
        if answer.status().is_success() {
            return Ok(());
        }
        let said = answer
            .body_mut()
            .with_config()
            .limit(1000)
            .read_to_string()
            .unwrap_or_default();
        let said = said.lines().next().unwrap_or_default();
        Err(format!("{}: {} {said}", self.place(), answer.status()))
    }

    /// The URL without what may be a secret.
    fn place(&self) -> String {
        shown(&self.url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails(url: &str, headers: &[&str]) -> String {
        let headers: Vec<_> = headers.iter().map(|&h| h.to_owned()).collect();
        Push::to(url, &headers).unwrap_err().to_string()
    }

    #[test]
    fn what_is_wrong_is_told_without_secrets() {
        for wrong in [
            "me:hush@host/x",
            "ftp://me:hush@host",
            "http://me:hush@ho st/x?key=hush",
        ] {
            let said = fails(wrong, &[]);
            assert!(said.contains("ho") && !said.contains("hush"), "{said}");
        }
        for wrong in [
            "hush",
            "Authorization Bearer hush",
            "X: hu\u{1}sh",
            ": hush",
        ] {
            let said = fails("http://host/", &["Accept: x", "", wrong]);
            assert!(said.starts_with("line 3 of the headers: "), "{said}");
            assert!(!said.contains("hush"), "{said}");
        }
        let push = Push::to("http://host/", &["".into(), "A: b:c".into()]).unwrap();
        assert_eq!(push.headers, [("A".to_owned(), "b:c".to_owned())]);
    }
}

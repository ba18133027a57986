//! An Ollama host: <https://github.com/ollama/ollama/blob/main/docs/api.md>.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::json;

use super::visit::{Site, Wanted};
use crate::manage::client::Client;

/// An Ollama host.
pub(super) struct Ollama<'a> {
    pub(super) client: Client,
    pub(super) url: &'a str,
    /// How long a pull may take.
    pub(super) patience: Duration,
}

/// A list of models: of a manager, or of `/api/tags`.
#[derive(Deserialize)]
struct Models {
    models: Vec<Named>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Named {
    Plain(String),
    Object { name: String },
}

/// The longest line and the largest answer of a pull.
const LINE: u64 = 64 << 10;
const PULL: u64 = 64 << 20;

/// The models that a manager expects a host to have.
///
/// # Errors
/// Why it does not tell.
pub(super) fn expected(client: &Client, manager: &str) -> Result<Vec<Wanted>, String> {
    let url = format!("{manager}/api/ollama/models");
    let models: Models = client.json("GET", &url, None, None)?.json()?;
    Ok(models.models.into_iter().map(Named::wanted).collect())
}

/// A name with its tag, as a host lists it.
pub(super) fn tagged(name: &str) -> String {
    let last = name.rsplit('/').next().unwrap_or(name);
    if last.contains(':') {
        name.to_owned()
    } else {
        format!("{name}:latest")
    }
}

impl Named {
    fn wanted(self) -> Wanted {
        let (Self::Plain(name) | Self::Object { name }) = self;
        Wanted {
            name: tagged(&name),
            sha256: None,
        }
    }
}

impl Site for Ollama<'_> {
    fn present(&mut self) -> Result<BTreeMap<String, Option<String>>, String> {
        let url = format!("{}/api/tags", self.url);
        let models: Models = self.client.json("GET", &url, None, None)?.json()?;
        let names = models.models.into_iter().map(|m| (m.wanted().name, None));
        Ok(names.collect())
    }

    fn pull(&mut self, name: &str) -> Result<(), String> {
        let url = format!("{}/api/pull", self.url);
        let body = json!({"model": name, "name": name, "stream": true});
        let response = self.client.send("POST", &url, None, Some(&body))?;
        let status = response.status().as_u16();
        let lines = response.into_body().into_reader().take(PULL);
        last_state(lines, self.patience).map_err(|e| format!("{url}: {e}"))?;
        if (200..300).contains(&status) {
            Ok(())
        } else {
            Err(format!("{url}: HTTP {status}"))
        }
    }

    fn infer(&mut self, name: &str) -> Result<String, String> {
        #[derive(Deserialize)]
        struct Generated {
            #[serde(default)]
            response: String,
            done: bool,
        }
        let url = format!("{}/api/generate", self.url);
        let options = json!({"num_predict": 8});
        let body =
            json!({"model": name, "prompt": "Say yes.", "stream": false, "options": options});
        let answer = self.client.json("POST", &url, None, Some(&body))?;
        let generated: Generated = answer.json()?;
        if generated.done {
            let text: String = generated.response.trim().chars().take(40).collect();
            Ok(format!("{name}: {text:?}"))
        } else {
            Err(format!("{url}: not done"))
        }
    }
}

/// Reads the lines of a pull to the one that says `success`.
fn last_state(lines: impl Read, patience: Duration) -> Result<(), String> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct State {
        status: String,
        error: Option<String>,
    }
    let (mut lines, begun) = (BufReader::new(lines), Instant::now());
    let mut last = String::from("nothing");
    loop {
        let mut line = Vec::new();
        let read = lines.by_ref().take(LINE).read_until(b'\n', &mut line);
        if read.map_err(|e| e.to_string())? == 0 {
            return Err(format!("the pull ended after {last:?}"));
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let state: State =
            serde_json::from_slice(&line).map_err(|e| format!("a line of the pull: {e}"))?;
        match state.error {
            Some(error) => return Err(error),
            None if state.status == "success" => return Ok(()),
            None => last = state.status,
        }
        if begun.elapsed() > patience {
            return Err(format!("not done after {} s", patience.as_secs()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pull_is_done_when_it_says_so() {
        let state = |text: &str| last_state(text.as_bytes(), Duration::from_secs(60));
        let lines = "{\"status\":\"pulling manifest\"}\n\n{\"status\":\"x\",\"completed\":1}\n";
        assert_eq!(state(&format!("{lines}{{\"status\":\"success\"}}")), Ok(()));
        assert_eq!(state(lines), Err("the pull ended after \"x\"".to_owned()));
        assert_eq!(
            state("{\"error\":\"no such model\"}"),
            Err("no such model".to_owned())
        );
        assert!(state("<html>").is_err());
    }

    #[test]
    fn names_have_tags() {
        assert_eq!(tagged("llama3"), "llama3:latest");
        assert_eq!(tagged("llama3:8b"), "llama3:8b");
        assert_eq!(
            tagged("host:5000/library/llama3"),
            "host:5000/library/llama3:latest"
        );
    }
}

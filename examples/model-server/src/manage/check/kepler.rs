//! A model server, ours, seen from outside.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::json;

use super::visit::{Site, Wanted};
use crate::manage::client::{Client, Token};

/// A model server.
pub(super) struct Kepler<'a> {
    pub(super) client: Client,
    pub(super) url: &'a str,
    /// For what only an administrator may have done.
    pub(super) token: Option<Token<'a>>,
    /// How long a pull may take.
    pub(super) patience: Duration,
}

#[derive(Deserialize)]
struct Models {
    models: Vec<Model>,
}

#[derive(Deserialize)]
struct Model {
    name: String,
    /// The checksum that is expected.
    sha256: Option<String>,
    #[serde(default)]
    present: bool,
}

/// The models that a server expects.
///
/// # Errors
/// Why it does not tell.
pub(super) fn expected(client: &Client, url: &str) -> Result<Vec<Wanted>, String> {
    let models: Models = client
        .json("GET", &format!("{url}/api/models"), None, None)?
        .json()?;
    let wanted = models.models.into_iter().map(|model| Wanted {
        name: model.name,
        sha256: model.sha256,
    });
    Ok(wanted.collect())
}

impl Site for Kepler<'_> {
    fn present(&mut self) -> Result<BTreeMap<String, Option<String>>, String> {
        let url = format!("{}/api/models", self.url);
        let models: Models = self.client.json("GET", &url, None, None)?.json()?;
        let there = models.models.into_iter().filter(|model| model.present);
        // A server tells as present what has the checksum that it expects.
        Ok(there.map(|model| (model.name, model.sha256)).collect())
    }

    fn pull(&mut self, name: &str) -> Result<(), String> {
        let url = format!("{}/api/models/pull", self.url);
        let begun = Instant::now();
        loop {
            let answer =
                self.client
                    .json("POST", &url, self.token, Some(&json!({"name": name})))?;
            match answer.status {
                // It goes on; the next call waits for it again.
                202 if begun.elapsed() < self.patience => {
                    std::thread::sleep(Duration::from_millis(200));
                }
                202 => return Err(format!("not done after {} s", self.patience.as_secs())),
                401 | 403 => {
                    return Err(format!(
                        "{}; give --admin-token as the server has it",
                        answer.excerpt()
                    ));
                }
                _ => return answer.json::<serde_json::Value>().map(|_| ()),
            }
        }
    }

    fn infer(&mut self, name: &str) -> Result<String, String> {
        #[derive(Deserialize)]
        struct Inference {
            inference: String,
        }
        let url = format!("{}/api/models/test", self.url);
        let answer = self
            .client
            .json("POST", &url, None, Some(&json!({"name": name})))?;
        Ok(answer.json::<Inference>()?.inference)
    }
}

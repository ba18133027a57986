//! Figures of several servers in a ConfigMap, for clusters without a database.
//!
//! A write names the version that it was made from; where another server was faster, it is read again and added to anew.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::figures::{Figures, Totals, add_all, seconds};
use super::store::{Batch, Held, Store};
use crate::manage::client::{self, Client, Token};

/// A cluster's API server, and who asks.
#[derive(Clone, Debug)]
pub(super) struct ApiServer {
    url: String,
    /// Read at each call: tokens are replaced now and then.
    token: PathBuf,
    certificates: Option<PathBuf>,
}

pub(super) struct ConfigMap {
    server: ApiServer,
    namespace: String,
    name: String,
    client: Option<Client>,
}

/// What stands under the ConfigMap's key.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Data {
    models: Totals,
    /// The last batch of each server that wrote lately.
    writers: BTreeMap<String, Last>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Last {
    batch: u64,
    /// Seconds since 1970.
    seen: u64,
}

const KEY: &str = "usage_data";
/// A ConfigMap may have 1 MiB in all.
const BYTES: usize = 900 << 10;
/// What models that were not used for longest are summed up as when there is no room for all.
const OTHERS: &str = "(others)";
/// A server that did not write for so long does not hand over a batch again.
const FORGOTTEN: u64 = 3600;
/// How often another server may be faster in one write.
const TRIES: u32 = 8;
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

impl ApiServer {
    /// The server of the cluster that this process runs in.
    ///
    /// # Errors
    /// That it does not run in one.
    pub(super) fn of_this_pod() -> Result<Self, String> {
        #[expect(
            clippy::disallowed_methods,
            reason = "the cluster tells it so, and only so"
        )]
        let variable = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
        let (Some(host), Some(port)) = (
            variable("KUBERNETES_SERVICE_HOST"),
            variable("KUBERNETES_SERVICE_PORT"),
        ) else {
            return Err("configmap:// works inside a cluster only: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set".to_owned());
        };
        let host = if host.contains(':') {
            format!("[{host}]")
        } else {
            host
        };
        let url = format!("https://{host}:{port}");
        Ok(Self::at(url, Path::new(ACCOUNT)))
    }

    /// A server, and the folder that has a service account's token and the cluster's authority.
    pub(super) fn at(url: String, account: &Path) -> Self {
        let certificates = url.starts_with("https://").then(|| account.join("ca.crt"));
        Self {
            url,
            token: account.join("token"),
            certificates,
        }
    }
}

impl ConfigMap {
    pub(super) fn new(server: ApiServer, namespace: &str, name: &str) -> Self {
        Self {
            server,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            client: None,
        }
    }

    /// One call. The answer is none where the object does not exist, or is not what a write was made from.
    fn call(&mut self, method: &str, body: Option<&Value>) -> Result<Option<Value>, String> {
        let client = match &mut self.client {
            Some(client) => client,
            None => {
                let client = Client::new(&client::Settings {
                    certificates: self.server.certificates.clone(),
                    whole: Some(Duration::from_secs(5)),
                    ..client::Settings::default()
                })?;
                self.client.insert(client)
            }
        };
        let folder = format!(
            "{}/api/v1/namespaces/{}/configmaps",
            self.server.url, self.namespace
        );
        let url = match method {
            "POST" => folder,
            _ => format!("{folder}/{}", self.name),
        };
        let token = client::text_file(&self.server.token)?;
        let answer = client.json(method, &url, Some(Token::Bearer(token.trim())), body)?;
        match answer.status {
            200 | 201 => answer.json().map(Some),
            404 | 409 => Ok(None),
            403 => Err(format!(
                "{method} {url}: forbidden; the service account needs get, update and create of configmaps in {}",
                self.namespace
            )),
            status => Err(format!(
                "{method} {url}: HTTP {status}: {}",
                answer.excerpt()
            )),
        }
    }

    /// Reads, changes and writes until nobody else was faster. Nothing is written where `change` says so.
    fn change(&mut self, change: impl Fn(&mut Data) -> bool) -> Result<Data, String> {
        for attempt in 0..TRIES {
            if attempt > 0 {
                std::thread::sleep(pause(attempt));
            }
            let object = self.call("GET", None)?;
            let mut data = object.as_ref().map_or_else(|| Ok(Data::default()), parse)?;
            if !change(&mut data) {
                return Ok(data);
            }
            let text = data.fitted()?;
            let written = match object {
                Some(mut object) => {
                    // The version that was read stays in the object: the server refuses to replace another one.
                    object["data"][KEY] = text.into();
                    self.call("PUT", Some(&object))?
                }
                None => {
                    let metadata = json!({"name": self.name, "namespace": self.namespace});
                    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {KEY: text}});
                    self.call("POST", Some(&object))?
                }
            };
            if written.is_some() {
                return Ok(data);
            }
        }
        Err(format!(
            "configmap {}/{}: others were faster {TRIES} times",
            self.namespace, self.name
        ))
    }
}

impl Store for ConfigMap {
    fn add(&mut self, batch: &Batch) -> Result<Held, String> {
        let now = seconds(SystemTime::now());
        let data = self.change(|data| {
            let known = data.writers.get(&batch.writer);
            if known.is_some_and(|last| last.batch >= batch.number) {
                return false;
            }
            add_all(&mut data.models, &batch.growth);
            data.writers
                .retain(|_, last| last.seen.saturating_add(FORGOTTEN) > now);
            let last = Last {
                batch: batch.number,
                seen: now,
            };
            data.writers.insert(batch.writer.clone(), last);
            true
        })?;
        Ok(Held::All(data.models))
    }

    fn read(&mut self) -> Result<Totals, String> {
        Ok(self.change(|_| false)?.models)
    }

    fn reset(&mut self) -> Result<(), String> {
        let reset = |data: &mut Data| !std::mem::take(&mut data.models).is_empty();
        self.change(reset).map(|_| ())
    }

    fn every(&self) -> Duration {
        Duration::from_secs(10)
    }

    fn is_shared(&self) -> bool {
        true
    }
}

impl Data {
    /// The text, with the models that were not used for longest summed up until it fits.
    fn fitted(&mut self) -> Result<String, String> {
        let text =
            |data: &Self| serde_json::to_string(data).map_err(|e| format!("usage figures: {e}"));
        let mut written = text(self)?;
        if written.len() <= BYTES {
            return Ok(written);
        }
        let mut oldest: Vec<(Option<SystemTime>, String)> = self
            .models
            .iter()
            .filter(|(name, _)| *name != OTHERS)
            .map(|(name, figures)| (figures.last_used, name.clone()))
            .collect();
        oldest.sort();
        let mut oldest = oldest.into_iter();
        while written.len() > BYTES {
            // Some at a time, as each look at the size costs a whole text.
            let some: Vec<_> = oldest.by_ref().take(1 + self.models.len() / 20).collect();
            if some.is_empty() {
                return Err("usage figures do not fit into a ConfigMap".to_owned());
            }
            for (_, name) in some {
                let figures = self.models.remove(&name).unwrap_or_default();
                let others: &mut Figures = self.models.entry(OTHERS.to_owned()).or_default();
                others.add(&figures);
            }
            written = text(self)?;
        }
        Ok(written)
    }
}

fn parse(object: &Value) -> Result<Data, String> {
    if !object.is_object() || !(object["data"].is_null() || object["data"].is_object()) {
        return Err("the API server's answer is no ConfigMap".to_owned());
    }
    match object["data"][KEY].as_str() {
        None | Some("") => Ok(Data::default()),
        Some(text) => serde_json::from_str(text).map_err(|e| {
            format!("the ConfigMap's {KEY} is not what this program writes: {e}; remove the key to begin anew")
        }),
    }
}

/// A moment that differs from server to server, so that those who met do not meet again.
fn pause(attempt: u32) -> Duration {
    let random =
        std::hash::BuildHasher::hash_one(&std::collections::hash_map::RandomState::new(), attempt);
    Duration::from_millis(random % (20 << attempt.min(6)))
}

//! The kubelet's list of its pods, read every few seconds.

use std::convert::Infallible;
use std::io::{ErrorKind, Read};
use std::time::{Duration, Instant};

use kepler_core::workload::{PodLists, PodTable};
use serde::Deserialize;
use ureq::Agent;

use super::access::{Access, SILENCE, Secret};
use super::{PodSource, Settings, Surroundings};

const PORT: u16 = 10250;
/// The shortest time between two questions, however many containers are unknown.
const GAP: Duration = Duration::from_secs(5);
/// How often it is looked whether there are unknown containers.
const TICK: Duration = Duration::from_secs(1);

pub(super) struct Kubelet {
    /// For the API server, which tells the kubelet's address.
    access: Access,
    settings: Settings,
}

impl Kubelet {
    pub(super) fn new(access: Access, settings: Settings) -> Self {
        Self { access, settings }
    }

    fn url(&self) -> Result<String, String> {
        let base = match &self.settings.kubelet {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => self.address()?,
        };
        Ok(format!("{base}/pods"))
    }

    /// The node's own address, as the API server knows it.
    fn address(&self) -> Result<String, String> {
        let Access { server, .. } = &self.access;
        let url = format!("{server}/api/v1/nodes/{}", self.settings.node);
        let agent = self.access.agent()?;
        let mut answer = self.access.get(&agent, &url, SILENCE)?;
        let body = answer.body_mut().with_config().limit(NODE_LIMIT);
        let json = body.read_to_vec().map_err(|e| format!("{url}: {e}"))?;
        let node: Node =
            serde_json::from_slice(&json).map_err(|e| format!("{url}: expected a node: {e}"))?;
        let port = node.status.daemon_endpoints.kubelet.port;
        let found = node.status.addresses.iter();
        let mut internal = found.filter(|address| address.kind == "InternalIP");
        let address = internal
            .next()
            .ok_or_else(|| format!("{url}: the node has no InternalIP: give --kube.kubelet-url"))?;
        Ok(match address.address.contains(':') {
            true => format!("https://[{}]:{port}", address.address),
            false => format!("https://{}:{port}", address.address),
        })
    }

    /// The same credentials, shown to the kubelet.
    fn own_access(&self) -> Access {
        let mut access = self.access.clone();
        if let Some(path) = &self.settings.kubelet_ca {
            access.authority = Some(Secret::File(path.clone()));
        }
        if self.settings.kubelet_unverified {
            access.authority = None;
        }
        access
    }
}

const NODE_LIMIT: u64 = 4 << 20;

impl PodSource for Kubelet {
    fn name(&self) -> &'static str {
        "kubelet"
    }

    fn follow(&mut self, around: &mut Surroundings<'_>) -> Result<Infallible, String> {
        let url = self.url()?;
        let access = self.own_access();
        let agent = access.agent()?;
        // Kept from answer to answer: new memory costs as much as a quarter of what is in it.
        let (mut lists, mut answer) = (PodLists::default(), Vec::new());
        loop {
            let asked = Instant::now();
            pods(&access, &agent, &url, &mut answer)?;
            let table = lists.next(&answer);
            (around.publish)(table.map_err(|e| format!("{url}: {e}"))?);
            around.unknown.answered();
            let interval = self.settings.interval;
            while asked.elapsed() < interval {
                std::thread::sleep(TICK.min(interval.saturating_sub(asked.elapsed())));
                if asked.elapsed() >= GAP && around.unknown.wants_an_answer() {
                    break;
                }
            }
        }
    }
}

/// Asks a server for a pod list, whose text `json` holds then, in the memory of what it held before.
pub(super) fn pods(
    access: &Access,
    agent: &Agent,
    url: &str,
    json: &mut Vec<u8>,
) -> Result<(), String> {
    let answer = access.get(agent, url, SILENCE)?;
    let limit = PodTable::TEXT_LIMIT as u64;
    let mut body = answer.into_body().into_with_config().limit(limit).reader();
    let mut length = 0;
    loop {
        // Over what was there: `read_to_end` would first fill it with zeros.
        if length == json.len() {
            json.resize(length + MORE, 0);
        }
        match body.read(&mut json[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(format!("{url}: {error}")),
        }
    }
    json.truncate(length);
    Ok(())
}

/// What a longer answer than the one before is given at a time, in bytes.
const MORE: usize = 64 << 10;

#[derive(Deserialize)]
struct Node {
    #[serde(default)]
    status: Status,
}

#[derive(Default, Deserialize)]
struct Status {
    #[serde(default)]
    addresses: Vec<Address>,
    #[serde(default, rename = "daemonEndpoints")]
    daemon_endpoints: Endpoints,
}

#[derive(Deserialize)]
struct Address {
    #[serde(rename = "type")]
    kind: String,
    address: String,
}

#[derive(Default, Deserialize)]
struct Endpoints {
    #[serde(default, rename = "kubeletEndpoint")]
    kubelet: Endpoint,
}

#[derive(Deserialize)]
struct Endpoint {
    #[serde(rename = "Port")]
    port: u16,
}

impl Default for Endpoint {
    fn default() -> Self {
        Self { port: PORT }
    }
}

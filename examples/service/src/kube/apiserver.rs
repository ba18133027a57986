//! The API server's list of the pods of this node, and then every change of them.

use std::convert::Infallible;
use std::io::{BufRead, BufReader, Read};
use std::time::Duration;

use kepler_core::workload::{Change, PodTable};
use ureq::Agent;

use super::access::Access;
use super::kubelet::pods;
use super::{PodSource, Surroundings};

/// How long a watch goes on before it is begun anew.
const WATCH: Duration = Duration::from_secs(300);
/// A watch that ends so much later than it was to end has lost its server.
const LATE: Duration = Duration::from_secs(30);
/// A list is not asked for more often, whatever the server says of its watches.
const GAP: Duration = Duration::from_secs(1);

pub(super) struct ApiServer {
    access: Access,
    node: String,
}

enum Ended {
    /// The watch came to its time's end.
    InTime,
    /// The server no longer knows the version.
    Expired,
}

impl ApiServer {
    pub(super) fn new(access: Access, node: String) -> Self {
        Self { access, node }
    }

    fn url(&self, more: &str) -> String {
        let Access { server, .. } = &self.access;
        let node = &self.node;
        format!("{server}/api/v1/pods?fieldSelector=spec.nodeName%3D{node}{more}")
    }

    fn watch(
        &self,
        agent: &Agent,
        table: &mut PodTable,
        around: &mut Surroundings<'_>,
    ) -> Result<Ended, String> {
        let url = self.url(&format!(
            "&watch=true&allowWatchBookmarks=true&timeoutSeconds={}&resourceVersion={}",
            WATCH.as_secs(),
            table.version()
        ));
        let answer = self.access.get(agent, &url, WATCH + LATE)?;
        if answer.status().as_u16() == 410 {
            return Ok(Ended::Expired);
        }
        let body = answer.into_body().into_with_config().limit(u64::MAX);
        let mut lines = BufReader::new(body.reader());
        let (mut line, mut changed) = (Vec::new(), false);
        loop {
            line.clear();
            let limit = PodTable::TEXT_LIMIT as u64;
            let read = lines.by_ref().take(limit).read_until(b'\n', &mut line);
            match read {
                Ok(0) => return Ok(Ended::InTime),
                Ok(_) if line.ends_with(b"\n") => {}
                Ok(_) => return Err("a watch broke off within an event".into()),
                Err(error) => return Err(format!("watch: {error}")),
            }
            match table.apply(&line).map_err(|e| format!("watch: {e}"))? {
                Change::Expired => return Ok(Ended::Expired),
                Change::Version => {}
                Change::Updated | Change::Removed => changed = true,
            }
            // Of several changes that came together, all are told at once.
            if changed && !lines.buffer().contains(&b'\n') {
                (around.publish)(table.clone());
                changed = false;
            }
        }
    }
}

impl PodSource for ApiServer {
    fn name(&self) -> &'static str {
        "API server"
    }

    fn follow(&mut self, around: &mut Surroundings<'_>) -> Result<Infallible, String> {
        let agent = self.access.agent()?;
        loop {
            // From the server's cache: every node asks at once when the cluster comes up.
            let url = self.url("&resourceVersion=0");
            let mut answer = Vec::new();
            pods(&self.access, &agent, &url, &mut answer)?;
            let mut table = PodTable::parse(&answer).map_err(|e| format!("{url}: {e}"))?;
            drop(answer);
            (around.publish)(table.clone());
            while let Ended::InTime = self.watch(&agent, &mut table, around)? {}
            std::thread::sleep(GAP);
        }
    }
}

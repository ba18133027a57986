//! The paths of cgroups by id, kept after a cgroup is gone, and who a process is.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::host::Host;
use crate::usage::identity::Identity;

use super::hierarchy::{Tree, membership};
use super::ledger::Names;

/// Every cgroup of one hierarchy that was ever seen, until nobody asked for it for [`KEPT`].
#[derive(Debug)]
pub(super) struct HostNames {
    host: Host,
    tree: Tree,
    paths: HashMap<u64, Known>,
    /// Time of the sample in progress.
    now: Duration,
    walked: Option<Duration>,
    pruned: Duration,
}

#[derive(Debug)]
struct Known {
    path: Option<Arc<str>>,
    asked: Duration,
}

/// How long the path of a cgroup is kept after it was last asked for, and an unknown one is not looked for again.
const KEPT: Duration = Duration::from_secs(600);
/// Deeper trees than this are cut: no container runtime comes near.
const DEPTH: usize = 32;

impl HostNames {
    pub(super) fn new(host: &Host, tree: Tree) -> Self {
        let mut names = Self {
            host: host.clone(),
            tree,
            paths: HashMap::new(),
            now: Duration::ZERO,
            walked: None,
            pruned: Duration::ZERO,
        };
        names.walk();
        names
    }

    /// Starts a sample: forgets what nobody asked for.
    pub(super) fn begin(&mut self, now: Duration) {
        self.now = now;
        if now.saturating_sub(self.pruned) >= KEPT / 10 {
            self.pruned = now;
            self.paths.retain(|_, known| {
                // Named by a process that is still remembered.
                if known
                    .path
                    .as_ref()
                    .is_some_and(|path| Arc::strong_count(path) > 1)
                {
                    known.asked = now;
                }
                now.saturating_sub(known.asked) < KEPT
            });
        }
    }

    /// A cgroup that was made.
    pub(super) fn made(&mut self, id: u64, path: &str) {
        self.learn(id, path);
    }

    fn learn(&mut self, id: u64, path: &str) {
        let asked = self.now;
        self.paths
            .entry(id)
            .and_modify(|known| {
                // The same text stays the same `Arc`.
                if known.path.as_deref() != Some(path) {
                    known.path = Some(path.into());
                }
            })
            .or_insert_with(|| Known {
                path: Some(path.into()),
                asked,
            });
    }

    /// Learns every cgroup that there is; once a sample at most.
    fn walk(&mut self) {
        if self.walked == Some(self.now) {
            return;
        }
        self.walked = Some(self.now);
        let Some(folder) = self.tree.folder.clone() else {
            return;
        };
        let prefix = self.tree.prefix.clone();
        self.walk_into(&folder, &prefix, DEPTH);
    }

    fn walk_into(&mut self, folder: &Path, path: &str, depth: usize) {
        if let Ok(id) = self.host.inode(folder) {
            self.learn(id, if path.is_empty() { "/" } else { path });
        }
        if depth == 0 {
            return;
        }
        for name in self.host.folders(folder).unwrap_or_default() {
            self.walk_into(&folder.join(&name), &format!("{path}/{name}"), depth - 1);
        }
    }

    /// As the process itself tells it, where no folder does.
    fn of_process(&self, pid: u32) -> Option<String> {
        let text = self
            .host
            .text(self.host.proc(format!("{pid}/cgroup")))
            .ok()?;
        let (_, path) = membership(&text, self.tree.hierarchy)?;
        Some(path.to_owned())
    }
}

impl Names for HostNames {
    fn identity(&mut self, pid: u32) -> Identity {
        Identity::read(&self.host, pid)
    }

    fn cgroup(&mut self, id: u64, pid: Option<u32>) -> Option<Arc<str>> {
        if !self.paths.contains_key(&id) {
            self.walk();
        }
        if !self.paths.contains_key(&id)
            && let Some(path) = pid.and_then(|pid| self.of_process(pid))
        {
            self.learn(id, &path);
        }
        let now = self.now;
        let known = self.paths.entry(id).or_insert(Known {
            path: None,
            asked: now,
        });
        // An unknown one keeps its first date, so that it is looked for again after a while.
        if known.path.is_some() {
            known.asked = now;
        }
        known.path.clone()
    }
}

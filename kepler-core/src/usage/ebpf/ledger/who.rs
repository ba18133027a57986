//! Who a process is, as the records of its leader tell it: read again only where they show that it changed.

use std::sync::Arc;

use crate::usage::identity::Identity;
use crate::usage::{Process, ProcessKey};

use super::super::record::{self, Exit, Task};
use super::Names;

/// Who a process is, from pass to pass.
#[derive(Debug, Default)]
pub(super) struct Who {
    /// `None` until a pass ends in which its leader was seen.
    process: Option<Arc<Process>>,
    leader: Leader,
    /// What its process does not say any more.
    stale: Stale,
}

/// What only the leader's record tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Leader {
    known: bool,
    local: u32,
    kernel: bool,
    cgroup: u64,
    exec_id: u64,
    comm: [u8; 16],
}

/// What must be read again, from little to much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Stale {
    Nothing,
    Names,
    #[default]
    Identity,
}

impl Who {
    /// A pass saw its leader.
    pub(super) fn lives(&mut self, leader: &Task) {
        self.lead(Leader {
            known: true,
            local: leader.local,
            kernel: leader.flags & record::KERNEL != 0,
            cgroup: leader.cgroup,
            exec_id: leader.exec_id,
            comm: leader.comm,
        });
    }

    /// Its final record came, which does not tell its pid in the reader's namespace.
    pub(super) fn ended(&mut self, exit: &Exit) {
        self.lead(Leader {
            known: true,
            local: self.leader.local,
            kernel: exit.flags & record::KERNEL != 0,
            cgroup: exit.cgroup,
            exec_id: exit.exec_id,
            comm: exit.comm,
        });
    }

    /// Whether its leader was ever seen.
    pub(super) fn is_known(&self) -> bool {
        self.leader.known
    }

    pub(super) fn cgroup(&self) -> u64 {
        self.leader.cgroup
    }

    /// As it was last named.
    pub(super) fn process(&self) -> Option<&Arc<Process>> {
        self.process.as_ref()
    }

    /// Its name, read again where that is out of date. Of one that is gone (`ended`) nothing is left to read.
    pub(super) fn named(
        &mut self,
        key: ProcessKey,
        ended: bool,
        names: &mut impl Names,
    ) -> Arc<Process> {
        let identity = match (&self.process, self.stale) {
            (Some(process), Stale::Nothing) => return Arc::clone(process),
            (Some(process), Stale::Names) => Identity {
                exe: process.exe.clone(),
                command: process.command.clone(),
            },
            _ if ended || self.leader.kernel => Identity::default(),
            _ => names.identity(self.leader.local),
        };
        self.name(key, identity, ended, names)
    }

    /// Takes what the leader's record tells, and marks what it makes out of date.
    fn lead(&mut self, leader: Leader) {
        let old = self.leader;
        if !old.known || old.exec_id != leader.exec_id {
            self.stale = Stale::Identity;
        } else if old != leader {
            self.stale = self.stale.max(Stale::Names);
        }
        self.leader = leader;
    }

    fn name(
        &mut self,
        key: ProcessKey,
        identity: Identity,
        ended: bool,
        names: &mut impl Names,
    ) -> Arc<Process> {
        let leader = &self.leader;
        let pid = if leader.local == 0 {
            key.pid
        } else {
            leader.local
        };
        let process = Arc::new(Process {
            key: ProcessKey { pid, ..key },
            comm: record::comm_text(&leader.comm).into(),
            exe: identity.exe,
            command: identity.command,
            cgroup: names.cgroup(leader.cgroup, (!ended).then_some(pid)),
            cgroup_id: leader.cgroup,
            kernel: leader.kernel,
        });
        self.stale = Stale::Nothing;
        self.process = Some(process.clone());
        process
    }
}

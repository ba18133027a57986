//! Privileges given up: every capability but the few that reading needs, new ones for good, and system calls that an exporter
//! never makes.
//!
//! Capabilities belong to threads. The thread that samples keeps its few, and has that of reading files of others raised only
//! while it samples; the threads that talk to the network have none.

use caps::{CapSet, Capability, CapsHashSet};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

/// What sampling may need, as far as the program was given it.
const NEEDED: [Capability; 4] = [
    Capability::CAP_BPF,
    Capability::CAP_PERFMON,
    Capability::CAP_DAC_READ_SEARCH,
    Capability::CAP_SYS_PTRACE,
];

/// Calls that start programs, look into others, or change the machine.
const DENIED: &[libc::c_long] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_open_tree,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_syslog,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_userfaultfd,
    libc::SYS_open_by_handle_at,
    libc::SYS_io_uring_setup,
    libc::SYS_mknodat,
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setgroups,
];

/// Gives up privileges of the calling thread and of those that it starts from now on. The program's other threads keep
/// theirs, so it is called while there are none; system calls are denied to all.
pub(crate) fn harden() -> Result<(), String> {
    no_new_privileges()?;
    let failed = |e: caps::errors::CapsError| format!("cannot give up capabilities: {e}");
    let permitted = caps::read(None, CapSet::Permitted).map_err(failed)?;
    let kept: CapsHashSet = NEEDED
        .into_iter()
        .filter(|c| permitted.contains(c))
        .collect();
    for capability in caps::all() {
        // Dropping from the bounding set needs a capability of its own; without it nothing can be gained anyway.
        if !kept.contains(&capability)
            && caps::has_cap(None, CapSet::Bounding, capability).unwrap_or(false)
        {
            let _ = caps::drop(None, CapSet::Bounding, capability);
        }
    }
    let none = CapsHashSet::new();
    // Not every kernel has ambient ones.
    let _ = caps::set(None, CapSet::Ambient, &none);
    caps::set(None, CapSet::Inheritable, &none).map_err(failed)?;
    caps::set(None, CapSet::Effective, &kept).map_err(failed)?;
    caps::set(None, CapSet::Permitted, &kept).map_err(failed)?;
    deny_calls()
}

/// Gives up all capabilities of the calling thread.
pub(crate) fn give_up_all() -> Result<(), String> {
    let none = CapsHashSet::new();
    for set in [CapSet::Effective, CapSet::Permitted] {
        caps::set(None, set, &none).map_err(|e| format!("cannot give up capabilities: {e}"))?;
    }
    Ok(())
}

/// What `make` makes, with `harden` on a thread that gave up its capabilities: so the threads that it starts have none.
pub(crate) fn apart<T: Send, E: ToString>(
    harden: bool,
    make: impl FnOnce() -> Result<T, E> + Send,
) -> Result<T, String> {
    let make = || make().map_err(|e| e.to_string());
    if !harden {
        return make();
    }
    let made = std::thread::scope(|scope| {
        let unprivileged = scope.spawn(|| give_up_all().and_then(|()| make()));
        unprivileged.join()
    });
    made.unwrap_or_else(|_| Err("a thread without capabilities failed".to_owned()))
}

/// Reads files of others while it lives, where the thread is permitted to.
pub(crate) struct Raised(());

impl Raised {
    pub(crate) fn new() -> Self {
        // Without it, what cannot be read is told by whoever reads it.
        let _ = caps::raise(None, CapSet::Effective, Capability::CAP_DAC_READ_SEARCH);
        Self(())
    }
}

impl Drop for Raised {
    fn drop(&mut self) {
        let _ = caps::drop(None, CapSet::Effective, Capability::CAP_DAC_READ_SEARCH);
    }
}

fn no_new_privileges() -> Result<(), String> {
    #[expect(unsafe_code, reason = "std has no prctl")]
    // SAFETY: this option takes numbers only.
    let failed = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0;
    if failed {
        return Err(format!(
            "cannot forbid new privileges: {}",
            std::io::Error::last_os_error()
        ));
    }
    Ok(())
}

fn deny_calls() -> Result<(), String> {
    let failed = |e: &dyn std::fmt::Display| format!("cannot deny system calls: {e}");
    let rules = DENIED.iter().map(|call| (*call, Vec::new())).collect();
    let arch = std::env::consts::ARCH
        .try_into()
        .map_err(|e: seccompiler::BackendError| failed(&e))?;
    let refuse = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    let filter =
        SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch).map_err(|e| failed(&e))?;
    let program: BpfProgram = filter
        .try_into()
        .map_err(|e: seccompiler::BackendError| failed(&e))?;
    seccompiler::apply_filter_all_threads(&program).map_err(|e| failed(&e))
}

//! The program without root: a user that is nobody, with just the capabilities that reading needs.

use std::process::Command;

use crate::support::{Folder, Running, command, free_port, is_root, text};

/// Lines of `/proc/PID/task/TID/status` of each thread, by name.
fn threads(pid: u32) -> Vec<(String, String)> {
    let folder = format!("/proc/{pid}/task");
    let status = |tid: String| {
        let status = text(format!("{folder}/{tid}/status"));
        let name = status.lines().next().unwrap_or_default().to_owned();
        (name, status)
    };
    let host = kepler_core::Host::default();
    host.names(&folder)
        .unwrap()
        .into_iter()
        .map(status)
        .collect()
}

fn field(status: &str, name: &str) -> String {
    let line = status.lines().find_map(|l| l.strip_prefix(name)).unwrap();
    line.trim().to_owned()
}

/// CAP_DAC_READ_SEARCH, CAP_SYS_PTRACE, CAP_PERFMON and CAP_BPF by number.
const NEEDED: u64 = 1 << 2 | 1 << 19 | 1 << 38 | 1 << 39;

#[test]
fn a_hardened_exporter_keeps_only_what_reading_needs_and_works() {
    let folder = Folder::new("harden");
    // Nobody answers, so that both go on asking.
    let nobody = format!("https://127.0.0.1:{}", free_port());
    let controllers = format!(
        "nodes: {{n: b}}\nbmcs: {{b: {{endpoint: '{nobody}', username: u, password: p, insecure: true}}}}\n"
    );
    let controllers = folder.write("controllers.yaml", &controllers);
    let kubeconfig = format!(
        "current-context: t\ncontexts: [{{name: t, context: {{cluster: c, user: u}}}}]\n\
         clusters: [{{name: c, cluster: {{server: '{nobody}', insecure-skip-tls-verify: true}}}}]\n\
         users: [{{name: u, user: {{token: t}}}}]\n"
    );
    let kubeconfig = folder.write("kubeconfig", &kubeconfig);
    let mut program = command();
    program.args(["--harden", "--monitor.interval=200ms", "--node-name=n"]);
    program.arg("--vm.share").arg(folder.path().join("share"));
    program
        .args(["--kube.enable", "--kube.config"])
        .arg(kubeconfig);
    program.arg("--experimental.platform.redfish.enabled");
    program
        .arg("--experimental.platform.redfish.config-file")
        .arg(controllers);
    let mut running = Running::of(&mut program);
    running.metrics_once(|page| page.contains("\nkepler_process_cpu_seconds_total{"));
    let mut kept = 0;
    let threads = threads(running.pid());
    for wanted in ["Name:\tshare", "Name:\tpods", "Name:\tredfish"] {
        assert!(threads.iter().any(|(name, _)| name == wanted), "{wanted}");
    }
    for (name, status) in threads {
        let permitted = u64::from_str_radix(&field(&status, "CapPrm:"), 16).unwrap();
        assert_eq!(permitted & !NEEDED, 0, "{name}: {permitted:x}");
        kept += usize::from(permitted != 0);
        assert_eq!(field(&status, "NoNewPrivs:"), "1", "{name}");
        assert_eq!(field(&status, "Seccomp:"), "2", "{name}");
    }
    assert!(
        kept <= 1,
        "{kept} threads have capabilities; the one that samples is enough"
    );
    // A controller that does not answer is told as soon as that is known.
    running.says("redfish: off (https://127.0.0.1:");
    let off = "\nkepler_exporter_part_attached{part=\"redfish\"} 0\n";
    running.metrics_once(|page| page.contains(off));
    assert_eq!(running.stop(), 0);
}

#[test]
fn without_harden_privileges_are_left_alone() {
    let running = Running::of(command().args(["--fake", "--monitor.interval=100ms"]));
    let few = ["1", "2"].map(|n| format!("\nkepler_exporter_samples_total {n}\n"));
    running.metrics_once(|page| few.iter().all(|few| !page.contains(few)));
    for (name, status) in threads(running.pid()) {
        let [effective, permitted] = ["CapEff:", "CapPrm:"].map(|set| field(&status, set));
        assert_eq!(effective, permitted, "{name}");
    }
}

#[test]
fn nobody_with_four_capabilities_reads_by_ebpf() {
    let by_ebpf = Running::of(command().arg("--fake")).says("usage by ");
    if !is_root() || !by_ebpf.contains("usage by ebpf") {
        crate::support::skip("only root can hand out capabilities, and eBPF must work for root");
        return;
    }
    let caps = "-all,+cap_38,+cap_39,+dac_read_search,+sys_ptrace";
    let mut program = Command::new("setpriv");
    program.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    program.args([
        format!("--inh-caps={caps}"),
        format!("--ambient-caps={caps}"),
        format!("--bounding-set={caps}"),
    ]);
    // The build folder need not be open to others, so the program is put where it is.
    let folder = Folder::new("nobody");
    let path = folder.path().join("kepler-exporter");
    std::fs::copy(env!("CARGO_BIN_EXE_kepler-exporter"), &path).unwrap();
    program
        .arg(&path)
        .args(["--harden", "--monitor.interval=200ms"]);
    let mut running = Running::of(&mut program);
    running.says("usage by ebpf");
    // Another user's processes, with the paths of their programs.
    let test = format!("pid=\"{}\"", std::process::id());
    let page = running.metrics_once(|page| page.contains(&test));
    let line = page.lines().find(|l| l.contains(&test)).unwrap();
    assert!(!line.contains("exe=\"\""), "{line}");
    for (name, status) in threads(running.pid()) {
        assert_eq!(
            field(&status, "Uid:").split('\t').next(),
            Some("65534"),
            "{name}"
        );
    }
    assert_eq!(running.stop(), 0);
}

//! The queries of the dashboards and rules that Kepler 0.7 and 0.11 ship, asked of a real Prometheus that scrapes the program.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::support::prometheus::Prometheus;
use crate::support::{Folder, Running, command, eventually, within};

/// Kepler 0.7: `Kepler-Exporter.json` and the recording rules. Its panels of GPUs want one.
const OLDER: &[&str] = &[
    "sum(increase(kepler_container_joules_total[24h:1m]))",
    "sum by (pod_name, container_namespace) (irate(kepler_container_package_joules_total{container_namespace=~\".*\", pod_name=~\".*\"}[1m]))",
    "sum by (pod_name, container_namespace) (irate(kepler_container_dram_joules_total{container_namespace=~\".*\", pod_name=~\".*\"}[1m]))",
    "sum by (pod_name, container_namespace) (irate(kepler_container_other_joules_total{container_namespace=~\".*\", pod_name=~\".*\"}[1m]))",
    "sum(irate(kepler_container_package_joules_total{container_namespace=~\".*\"}[1m]))",
    "sum by (container_namespace) (increase(kepler_container_joules_total[24h:1m]))",
    "sum by (container_namespace, pod_name) (increase(kepler_container_joules_total[24h:2m]))",
    "sum by (container_namespace, pod_name) (irate(kepler_container_package_joules_total[2m]))",
    "sum by (container_namespace, pod_name) (irate(kepler_container_dram_joules_total[2m]))",
    "sum by (container_namespace, pod_name) (irate(kepler_container_package_joules_total[15s]))",
    "sum by (mode) (rate(kepler_node_package_joules_total[1m]))",
    "sum by (mode) (rate(kepler_node_dram_joules_total[1m]))",
    "sum by (mode) (rate(kepler_node_platform_joules_total[1m]))",
    "sum by (mode) (rate(kepler_node_other_joules_total[1m]))",
    "sum by (pid, mode) (rate(kepler_process_package_joules_total[1m]))",
    "sum by (pid) (rate(kepler_process_bpf_cpu_time_ms_total[1m]))",
    "kepler_node_info",
    "kepler_exporter_build_info",
];

/// Kepler 0.11 and its main branch: the default and the developers' dashboard.
const NEWER: &[&str] = &[
    "sum by (zone) (kepler_node_cpu_watts)",
    "sum by (zone) (kepler_node_cpu_active_watts)",
    "sum by (zone) (kepler_node_cpu_idle_watts)",
    "count by (instance, model_name) (kepler_node_cpu_info)",
    "group by (node_name, zone) (kepler_node_cpu_watts)",
    "sum by (instance, zone) (kepler_node_cpu_watts{instance=~\".*\"})",
    "topk(10, sum by (comm, zone) (kepler_process_cpu_watts))",
    "sum by (zone) (kepler_process_cpu_watts)",
    "sum by (pid) (kepler_process_cpu_watts{pid=\"12\"})",
    "topk(10, sum by (container_name, zone) (kepler_container_cpu_watts))",
    "sum by (zone) (kepler_container_cpu_watts)",
    "topk(10, sum by (vm_name, zone) (kepler_vm_cpu_watts))",
    "sum by (zone) (kepler_vm_cpu_watts{vm_name=\"web\"})",
    "rate(kepler_node_cpu_joules_total[20s])",
    "rate(kepler_node_cpu_active_joules_total[20s])",
    "rate(kepler_node_cpu_idle_joules_total[20s])",
    "sum by (zone) (kepler_node_cpu_active_watts) - sum by (zone) (kepler_process_cpu_watts)",
    "sum(kepler_process_cpu_watts{container_id!=\"\"}) - sum(kepler_container_cpu_watts)",
    "kepler_node_cpu_usage_ratio",
    "kepler_build_info",
];

/// A machine made of files whose processes work: one of its own, one of a container in a pod, one that is a virtual machine.
struct Machine {
    folder: Folder,
    stop: Arc<AtomicBool>,
}

impl Machine {
    fn new() -> Self {
        let folder = Folder::new("dashboards");
        let root = folder.path().to_owned();
        fs::create_dir_all(root.join("sys")).unwrap();
        let write = |name: &str, text: &str| write(&root, name, text);
        write("sys/kernel/hostname", "n1\n");
        write(
            "cpuinfo",
            "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Made up\nphysical id\t: 0\ncore id\t\t: 0\n\n",
        );
        write("meminfo", "MemTotal: 8388608 kB\n");
        write("1/cgroup", "0::/init.scope\n");
        write("12/cgroup", "0::/user.slice\n");
        let id = "ab".repeat(32);
        write(
            "13/cgroup",
            &format!("0::/kubepods/burstable/pod01234567-89ab-cdef-0123-456789abcdef/{id}\n"),
        );
        write("14/cgroup", "0::/machine.slice\n");
        write(
            "14/cmdline",
            "/usr/bin/qemu-system-x86_64\0-name\0guest=web,debug-threads=on\0-uuid\0a3b1c\0",
        );
        std::os::unix::fs::symlink("/usr/bin/qemu-system-x86_64", root.join("proc/14/exe"))
            .unwrap();
        work(&root, 1);
        let stop = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&stop);
        std::thread::spawn(move || {
            let mut tick = 1;
            while !ended.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(100));
                tick += 1;
                work(&root, tick);
            }
        });
        Self { folder, stop }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn write(root: &Path, name: &str, text: &str) {
    let path = root.join("proc").join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// A tenth of a second: each of three works for 20 ms of it.
fn work(root: &Path, tick: u64) {
    let (busy, idle) = (tick * 6, tick * 4);
    write(
        root,
        "stat",
        &format!(
            "cpu  {busy} 0 0 {idle} 0 0 0 0 0 0\ncpu0 {busy} 0 0 {idle} 0 0 0 0 0 0\nctxt 1\n"
        ),
    );
    for (pid, comm) in [
        (1, "init"),
        (12, "own"),
        (13, "app"),
        (14, "qemu-system-x86"),
    ] {
        let ticks = if pid == 1 { 1 } else { tick * 2 };
        let stat = format!(
            "{pid} ({comm}) S 1 1 1 0 -1 0 0 0 0 0 {ticks} 0 0 0 20 0 1 0 5 0 0 0 0 0 0 0\n"
        );
        write(root, &format!("{pid}/stat"), &stat);
    }
}

#[test]
fn each_query_of_the_shipped_dashboards_returns_data() {
    let machine = Machine::new();
    let root = machine.folder.path();
    let mut program = command();
    program
        .arg("--host.procfs")
        .arg(root.join("proc"))
        .arg("--host.sysfs")
        .arg(root.join("sys"));
    program.args([
        "--monitor.usage=procfs",
        "--monitor.interval=1s",
        "--metrics.families=cpu,joules,process-joules,counters,own",
    ]);
    let running = Running::of(&mut program);
    let config = Prometheus::scraping(&running.address);
    let Some(prometheus) = Prometheus::start(root, &config, &[]) else {
        return;
    };
    assert!(eventually(|| !prometheus
        .results("kepler_node_cpu_watts > 0")
        .is_empty()));
    for query in OLDER.iter().chain(NEWER) {
        // Subqueries look at whole minutes, and rates want two scrapes.
        let mut found = Vec::new();
        let returned = within(Duration::from_secs(150), || {
            found = prometheus.results(query);
            !found.is_empty()
        });
        assert!(returned, "{query} returns nothing");
        assert!(
            found.iter().all(|value| value.is_finite()),
            "{query}: {found:?}"
        );
    }
    let watts = prometheus.results("sum by (zone) (kepler_vm_cpu_watts{zone=\"package\"})");
    assert!(watts.iter().all(|watts| *watts > 0.0), "{watts:?}");
}

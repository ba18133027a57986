//! What the series of a page say of the snapshot that they show.

#![expect(
    clippy::float_cmp,
    reason = "figures are written in full and read back as they were"
)]

use std::sync::Arc;
use std::time::Duration;

use kepler_core::Joules;
use kepler_core::energy::Domain;
use kepler_core::metrics::{Format, Selection};
use kepler_core::monitor::{Snapshot, State};
use kepler_core::usage::Process;
use kepler_core::workload::Workload;

use crate::exposition::{count, value};
use crate::made_up::{everything, exposition, page, process, snapshot};

#[test]
fn figures_are_those_of_the_snapshot() {
    let text = page(&everything(), &snapshot(), Format::Text);
    let zone = [
        ("zone", "package"),
        ("path", "/sys/class/powercap/intel-rapl:1"),
    ];
    assert_eq!(value(&text, "kepler_node_cpu_joules_total", &zone), 300.0);
    assert_eq!(
        value(&text, "kepler_node_cpu_active_joules_total", &zone),
        100.0
    );
    assert_eq!(value(&text, "kepler_node_cpu_idle_watts", &zone), 20.0);
    let process = [
        ("pid", "42"),
        ("zone", "dram"),
        ("state", "running"),
        ("type", "container"),
    ];
    assert_eq!(
        value(&text, "kepler_process_cpu_joules_total", &process),
        5.5
    );
    assert_eq!(value(&text, "kepler_process_cpu_watts", &process), 0.25);
    assert_eq!(
        value(&text, "kepler_process_cpu_seconds_total", &[("pid", "42")]),
        1.000_000_001
    );
    assert_eq!(
        value(&text, "kepler_process_cpu_time_ms", &[("pid", "42")]),
        1_000.000_001
    );
    let older = [("pid", "42"), ("mode", "dynamic"), ("source", "rapl-sysfs")];
    assert_eq!(
        value(&text, "kepler_process_dram_joules_total", &older),
        5.5
    );
    assert_eq!(
        value(
            &text,
            "kepler_process_bpf_net_rx_irq_total",
            &[("pid", "42")]
        ),
        3.0
    );
    for (result, count) in [("success", 3.0), ("failure", 1.0)] {
        let fetches = "kepler_exporter_model_fetches_total";
        assert_eq!(value(&text, fetches, &[("result", result)]), count);
    }
    let supply = [
        ("source", "redfish"),
        ("bmc_id", "bmc-1"),
        ("chassis_id", "1U"),
        ("source_id", "1"),
        ("source_name", "PSU 1"),
        ("source_type", "PowerSupply"),
    ];
    assert_eq!(value(&text, "kepler_platform_watts", &supply), 210.5);
    let last = "kepler_exporter_model_fetch_success_timestamp_seconds";
    assert_eq!(value(&text, last, &[]), 1.6e9);
}

#[test]
fn a_pod_has_series_when_its_name_is_known_and_containers_bear_its_name() {
    let text = page(&everything(), &snapshot(), Format::Text);
    let pod = [
        ("pod_id", "0c37"),
        ("pod_name", "coredns-x7"),
        ("pod_namespace", "kube-system"),
        ("state", "running"),
    ];
    let seconds = "kepler_pod_cpu_seconds_total";
    assert_eq!(value(&text, seconds, &pod), 1.000_000_001);
    assert_eq!(
        count(&text, seconds, &[("pod_id", "0bad")]),
        0,
        "it would come back under another name"
    );
    let older = [
        ("pod_name", "coredns-x7"),
        ("container_namespace", "kube-system"),
        ("container_name", "coredns"),
        ("mode", "dynamic"),
    ];
    let joules = "kepler_container_package_joules_total";
    assert_eq!(value(&text, joules, &older), 5.5);
}

#[test]
fn sockets_stay_apart_and_dies_of_one_are_added_up() {
    let text = page(&everything(), &snapshot(), Format::Text);
    for (package, joules) in [("0", 100.0), ("1", 200.0)] {
        let labels = [
            ("package", package),
            ("mode", "dynamic"),
            ("instance", "node-a"),
        ];
        assert_eq!(
            value(&text, "kepler_node_package_joules_total", &labels),
            joules
        );
    }
    assert_eq!(
        count(
            &text,
            "kepler_node_cpu_joules_total",
            &[("zone", "package")]
        ),
        3
    );
    let platform = [
        ("package", "estimator0"),
        ("mode", "idle"),
        ("source", "trained_power_model"),
    ];
    assert_eq!(
        value(&text, "kepler_node_platform_joules_total", &platform),
        200.0
    );
}

#[test]
fn other_is_the_rest_of_the_platform_and_never_falls() {
    let mut exposition = exposition(&everything());
    let mut other = |package: f64, platform: f64| {
        let mut snapshot = snapshot();
        let joules = |domain| {
            if domain == Domain::Platform {
                platform
            } else {
                package
            }
        };
        for d in &mut snapshot.node.domains {
            d.energy.active = Joules(joules(d.domain));
        }
        for (e, d) in snapshot.processes[0]
            .usage
            .energy
            .iter_mut()
            .zip(&snapshot.node.domains)
        {
            e.joules = Joules(joules(d.domain));
        }
        let text = exposition
            .page(&Arc::new(snapshot), Format::Text)
            .into_text();
        let dynamic = ("mode", "dynamic");
        [
            value(&text, "kepler_node_other_joules_total", &[dynamic]),
            value(
                &text,
                "kepler_process_other_joules_total",
                &[("pid", "42"), dynamic],
            ),
        ]
    };
    // Package, memory and graphics have the same figure here.
    assert_eq!(other(10.0, 100.0), [70.0; 2]);
    assert_eq!(other(20.0, 101.0), [70.0; 2]);
    assert_eq!(other(20.0, 150.0), [90.0; 2]);
}

#[test]
fn where_there_is_no_platform_there_is_no_rest_of_it() {
    let mut snapshot = snapshot();
    snapshot
        .node
        .domains
        .retain(|d| d.domain == Domain::Package);
    let text = page(&everything(), &snapshot, Format::Text);
    assert!(!text.contains("_other_joules_total") && !text.contains("_platform_joules_total"));
    assert!(text.contains("kepler_process_joules_total{"));
    assert_eq!(
        count(
            &text,
            "kepler_node_info",
            &[("platform_power_source", "none")]
        ),
        1
    );
}

#[test]
fn of_two_processes_with_one_pid_only_the_later_has_series() {
    let mut snapshot = snapshot();
    let mut earlier = snapshot.processes[0].clone();
    earlier.usage.state = State::Terminated;
    let later = process(42, 900, "later", &Workload::default());
    snapshot.processes = vec![later.clone(), earlier.clone()];
    let mut exposition = exposition(&everything());
    for processes in [vec![earlier.clone(), later.clone()], vec![later, earlier]] {
        snapshot.processes = processes;
        let text = exposition
            .page(&Arc::new(snapshot.clone()), Format::Text)
            .into_text();
        assert_eq!(
            count(&text, "kepler_process_cpu_seconds_total", &[("pid", "42")]),
            1
        );
        assert_eq!(
            count(
                &text,
                "kepler_process_cpu_seconds_total",
                &[("comm", "later")]
            ),
            1
        );
    }
}

#[test]
fn the_last_part_of_what_an_ended_workload_used_is_in_its_running_series() {
    let mut exposition = exposition(&Selection::default());
    let mut snapshot = snapshot();
    let mut text = |snapshot: &Snapshot| {
        exposition
            .page(&Arc::new(snapshot.clone()), Format::Text)
            .into_text()
    };
    text(&snapshot);
    for usage in [
        &mut snapshot.processes[0].usage,
        &mut snapshot.containers[0].usage,
        &mut snapshot.vms[0].usage,
    ] {
        usage.state = State::Terminated;
        usage.energy[0].joules = Joules(1234.0);
    }
    let names =
        ["process", "container", "vm"].map(|level| format!("kepler_{level}_cpu_joules_total"));
    let shown = |text: &str, name: &str, state: &str| {
        text.lines()
            .filter(|l| l.starts_with(name) && l.contains(&format!("state=\"{state}\"")))
            .filter(|l| l.ends_with(" 1234"))
            .count()
    };
    // Two servers that scrape each half minute both see the final total where they saw the earlier ones.
    for _ in 0..3 {
        let text = text(&snapshot);
        for name in &names {
            assert_eq!(shown(&text, name, "running"), 1, "{name}");
            assert_eq!(shown(&text, name, "terminated"), 0, "{name}");
        }
        snapshot.since_boot += Duration::from_secs(30);
    }
    let text = text(&snapshot);
    for name in &names {
        assert_eq!(shown(&text, name, "running"), 0, "{name}");
        assert_eq!(shown(&text, name, "terminated"), 1, "{name}");
    }
}

#[test]
fn a_process_that_calls_exec_or_ends_changes_its_labels() {
    let mut exposition = exposition(&Selection::default());
    let mut snapshot = snapshot();
    let mut text = |snapshot: &Snapshot| {
        exposition
            .page(&Arc::new(snapshot.clone()), Format::Text)
            .into_text()
    };
    text(&snapshot);
    let exec = Process {
        comm: "after".into(),
        ..(*snapshot.processes[0].process).clone()
    };
    snapshot.processes[0].process = Arc::new(exec);
    snapshot.processes[0].usage.state = State::Terminated;
    let after = [("pid", "42"), ("comm", "after")];
    let seconds = "kepler_process_cpu_seconds_total";
    assert_eq!(count(&text(&snapshot), seconds, &after), 1);
    snapshot.since_boot += Duration::from_secs(61);
    let text = text(&snapshot);
    assert_eq!(count(&text, seconds, &after), 1);
    let ended = [("pid", "42"), ("state", "terminated"), ("zone", "core")];
    assert_eq!(count(&text, "kepler_process_cpu_joules_total", &ended), 1);
    assert_eq!(
        count(
            &text,
            "kepler_process_cpu_joules_total",
            &[("pid", "42"), ("state", "running")]
        ),
        0
    );
}

#[test]
fn ended_processes_together_have_no_pid() {
    let text = page(&Selection::default(), &snapshot(), Format::Text);
    let labels = [("pid", ""), ("comm", "make"), ("container_id", "c0ffee")];
    assert_eq!(
        value(&text, "kepler_process_cpu_seconds_total", &labels),
        7.0
    );
}

#[test]
fn a_part_of_a_source_is_shown_once() {
    let text = page(&Selection::default(), &snapshot(), Format::Text);
    let attached = "kepler_exporter_part_attached";
    assert_eq!(value(&text, attached, &[("part", "hwmon")]), 1.0);
    assert_eq!(value(&text, attached, &[("part", "softirq_entry")]), 0.0);
}

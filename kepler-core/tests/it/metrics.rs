//! What a scraper reads: names, labels and figures, checked by parsers that are not ours.

#![expect(
    clippy::float_cmp,
    reason = "figures are written in full and read back as they were"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use kepler_core::attribution::{IdleShare, IdleSplit, Residual, Split};
use kepler_core::energy::{Domain, PowerPart, Zone};
use kepler_core::metrics::{Exposition, FAMILIES, Format, Group, Kind, Level, Selection};
use kepler_core::monitor::{
    ContainerSnapshot, DomainSnapshot, EndedSnapshot, ModelFetches, Moves, NodeSnapshot,
    PodSnapshot, ProcessSnapshot, SampleCost, Snapshot, Sources, State, VmSnapshot, WorkloadEnergy,
    WorkloadUsage, ZoneSnapshot,
};
use kepler_core::usage::{
    Counter, CounterSet, Counters, NodeUsage, Process, ProcessKey, UsageStats,
};
use kepler_core::workload::{Container, Pod, Runtime, VirtualMachine, Workload};
use kepler_core::{Host, Joules, Note, Origin, Provenance, Watts};

const HOSTILE: &str = "a\"b\\c\nd{e=\"f\"} 1 # é";

#[test]
fn names_types_and_labels_are_those_of_both_generations() {
    let Some(shared) = shared() else { return };
    let ours = families(&page(&everything(), &snapshot(), Format::Text));
    for file in ["kepler-0.11.4.prom", "kepler-0.7.12.prom"] {
        let path = shared.join("conformance/exporter").join(file);
        let theirs = families(&Host::default().text(path).unwrap());
        assert!(theirs.len() > 10, "{file}");
        for (name, family) in &theirs {
            if !name.starts_with("kepler_") {
                continue;
            }
            let mine = ours
                .get(name)
                .unwrap_or_else(|| panic!("{name} of {file} is missing"));
            assert_eq!(mine.kind, family.kind, "{name} of {file}");
            assert_eq!(mine.labels, family.labels, "{name} of {file}");
        }
    }
}

#[test]
fn every_family_of_the_table_is_exported_with_its_type_and_labels() {
    let ours = families(&page(&everything(), &snapshot(), Format::Text));
    for family in everything().families() {
        let shown = ours
            .get(family.name)
            .unwrap_or_else(|| panic!("{}", family.name));
        assert_eq!(shown.kind, family.kind.as_str(), "{}", family.name);
        let labels: BTreeSet<String> = family.labels.iter().map(|l| (*l).to_owned()).collect();
        assert_eq!(shown.labels, labels, "{}", family.name);
    }
    assert_eq!(ours.len(), everything().families().count());
    // Of the same name in both generations: alone, the newer one has its own labels.
    let newer = Selection {
        groups: vec![Group::Cpu],
        ..everything()
    };
    let newer = families(&page(&newer, &snapshot(), Format::Text));
    for family in FAMILIES.iter().filter(|f| f.group == Group::Cpu) {
        let labels: BTreeSet<String> = family.labels.iter().map(|l| (*l).to_owned()).collect();
        assert_eq!(newer[family.name].labels, labels, "{}", family.name);
    }
}

#[test]
fn idle_energy_that_is_handed_to_workloads_is_in_their_newer_series_and_said_so() {
    let mut snapshot = snapshot();
    let joules = [("pid", "42"), ("zone", "package")];
    let text = page(&everything(), &snapshot, Format::Text);
    let said = |text: &str, share| {
        let labels = [("idle_split", "usage-ratio"), ("idle_share", share)];
        value(text, "kepler_node_attribution_info", &labels)
    };
    assert_eq!(said(&text, "none"), 1.0);
    assert_eq!(
        value(&text, "kepler_process_cpu_joules_total", &joules),
        5.5
    );
    snapshot.idle_share = IdleShare::Usage;
    let text = page(&everything(), &snapshot, Format::Text);
    assert_eq!(said(&text, "usage"), 1.0);
    assert_eq!(
        value(&text, "kepler_process_cpu_joules_total", &joules),
        7.5
    );
    assert_eq!(value(&text, "kepler_process_cpu_watts", &joules), 0.75);
    // The older generation has a mode for it.
    let older = [("pid", "42"), ("mode", "dynamic")];
    let name = "kepler_process_package_joules_total";
    assert_eq!(value(&text, name, &older), 5.5);
}

#[test]
fn graphics_processors_have_families_of_their_own() {
    let newer = Selection {
        groups: vec![Group::Cpu],
        ..everything()
    };
    let mut snapshot = snapshot();
    snapshot.processes[1].usage.energy[Domain::ALL.len() - 1] = WorkloadEnergy::default();
    let text = page(&newer, &snapshot, Format::Text);
    let gpu = [("gpu", "0"), ("vendor", "nvidia"), ("gpu_name", "gpu")];
    assert_eq!(value(&text, "kepler_node_gpu_joules_total", &gpu), 300.0);
    assert_eq!(value(&text, "kepler_node_gpu_idle_watts", &gpu), 20.0);
    let name = "kepler_process_gpu_joules_total";
    assert_eq!(
        value(&text, name, &[("pid", "42"), ("state", "running")]),
        5.5
    );
    assert_eq!(count(&text, name, &[("pid", "43")]), 0);
    assert_eq!(
        value(&text, "kepler_pod_gpu_watts", &[("pod_name", "coredns-x7")]),
        0.25
    );
    assert!(!text.contains("zone=\"gpu\""));
}

#[test]
fn no_series_appears_twice() {
    let text = page(&everything(), &snapshot(), Format::Text);
    let mut seen = BTreeSet::new();
    for (name, labels, _) in samples(&text) {
        assert!(
            seen.insert((name.clone(), labels.clone())),
            "{name} {labels:?}"
        );
    }
    assert!(seen.len() > 150);
}

#[test]
fn promtool_accepts_the_text() {
    let text = page(&everything(), &snapshot(), Format::Text);
    let Some(output) = fed("promtool", &["check", "metrics"], &text) else {
        return;
    };
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    // Exit code 1 is a text it cannot parse; complaints of style are about names that were there before us.
    assert_ne!(output.status.code(), Some(1), "{complaints}");
    for line in complaints.lines() {
        let name = line.split(' ').next().unwrap();
        let inherited = ["kepler_node_info", "kepler_process_cpu_time_ms"].contains(&name)
            || name.ends_with("_bpf_cpu_time_ms_total")
            || name == "kepler_process_total_energy_millijoules";
        assert!(inherited, "{line}");
    }
}

#[test]
fn the_python_parser_reads_both_formats_alike() {
    let python = std::env::var_os("KEPLER_PYTHON")
        .map_or_else(|| root().join(".venv/bin/python"), PathBuf::from);
    let python = python.to_str().unwrap();
    let script = "import sys\n\
        from prometheus_client import parser, openmetrics\n\
        import prometheus_client.openmetrics.parser as om\n\
        text = sys.stdin.read()\n\
        read = om.text_string_to_metric_families if text.endswith('# EOF\\n') else parser.text_string_to_metric_families\n\
        for family in read(text):\n\
        \x20   for s in family.samples:\n\
        \x20       print(repr((s.name.removesuffix('_total'), sorted(s.labels.items()), s.value)))\n";
    // The parser of the older format adds `_total` to the few names of counters that do not end in it.
    let mut read = Vec::new();
    for format in [Format::Text, Format::OpenMetrics] {
        let text = page(&everything(), &snapshot(), format);
        let Some(output) = fed(python, &["-c", script], &text) else {
            return;
        };
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let lines = String::from_utf8(output.stdout).unwrap();
        assert_eq!(lines.lines().count(), samples(&text).len());
        assert!(lines.contains(r#"a"b\\c\nd{e="f"} 1 # é"#), "{lines}");
        read.push(lines);
    }
    let own = |line: &&str| {
        !line.contains("'process_cpu_seconds'") && !line.contains("'process_resident_")
    };
    for (text, open) in read[0].lines().filter(own).zip(read[1].lines().filter(own)) {
        assert_eq!(text, open);
    }
}

#[test]
fn openmetrics_names_counters_without_total_and_ends_with_eof() {
    let text = page(&Selection::default(), &snapshot(), Format::OpenMetrics);
    assert!(text.ends_with("\n# EOF\n"));
    assert!(
        text.contains(
            "# TYPE kepler_node_cpu_joules counter\n# UNIT kepler_node_cpu_joules joules\n"
        )
    );
    assert!(text.contains("\nkepler_node_cpu_joules_total{"));
    assert!(
        text.contains("# TYPE kepler_node_cpu_watts gauge\n# UNIT kepler_node_cpu_watts watts\n")
    );
    assert!(text.contains("# TYPE kepler_node_info unknown\n"));
}

#[test]
fn by_default_the_older_generation_has_no_processes() {
    let text = page(&Selection::default(), &snapshot(), Format::Text);
    assert!(text.contains("kepler_process_cpu_joules_total{"));
    assert!(text.contains("kepler_container_joules_total{"));
    for absent in [
        "kepler_process_joules_total",
        "kepler_process_package",
        "bpf_",
        "_ms",
    ] {
        assert!(!text.contains(absent), "{absent}");
    }
}

#[test]
fn groups_and_levels_narrow_what_is_exported() {
    let narrow = Selection {
        groups: vec![Group::Cpu],
        levels: vec![Level::Node, Level::Pod],
        ..everything()
    };
    let names = families(&page(&narrow, &snapshot(), Format::Text));
    assert!(names.contains_key("kepler_node_cpu_watts"));
    for name in names.keys() {
        let chosen = [
            "kepler_node_",
            "kepler_platform_",
            "kepler_pod_",
            "kepler_build_info",
        ];
        assert!(chosen.iter().any(|start| name.starts_with(start)), "{name}");
    }
    assert!(
        "gpu"
            .parse::<Group>()
            .unwrap_err()
            .to_string()
            .contains("known: cpu, joules")
    );
    assert!(
        "pods"
            .parse::<Level>()
            .unwrap_err()
            .to_string()
            .contains("node, process")
    );
}

#[test]
fn chosen_counter_families_ask_the_monitor_for_their_counters() {
    assert_eq!(Selection::default().counters(), CounterSet::EMPTY);
    let wanted = everything().counters();
    assert!(wanted.contains(Counter::NetTxIrq) && wanted.contains(Counter::Cycles));
    assert!(!wanted.contains(Counter::ContextSwitches));
}

#[test]
fn a_counter_that_is_not_collected_is_absent() {
    let mut snapshot = snapshot();
    snapshot.collected = CounterSet::EMPTY.with(Counter::NetTxIrq);
    let text = page(&everything(), &snapshot, Format::Text);
    assert!(text.contains("kepler_process_bpf_net_tx_irq_total{"));
    assert!(text.contains("kepler_process_bpf_cpu_time_ms_total{"));
    assert!(!text.contains("_cpu_cycles_total") && !text.contains("_page_cache_hit_total"));
}

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

#[test]
fn what_is_unknown_or_no_number_is_absent() {
    let mut snapshot = snapshot();
    snapshot.node.busy_ratio = None;
    snapshot.node.zones[0].power = None;
    snapshot.node.zones[0].energy.total = Joules(f64::NAN);
    snapshot.processes[0].usage.energy[0].watts = None;
    snapshot.processes[0].usage.energy[0].joules = Joules(f64::INFINITY);
    let text = page(&everything(), &snapshot, Format::Text);
    assert!(samples(&text).iter().all(|(_, _, value)| value.is_finite()));
    assert!(!text.contains("kepler_node_cpu_usage_ratio"));
    let zone = snapshot.node.zones[0].zone.path.clone();
    assert_eq!(count(&text, "kepler_node_cpu_watts", &[("path", &zone)]), 0);
    assert_eq!(
        count(&text, "kepler_node_cpu_joules_total", &[("path", &zone)]),
        0
    );
}

#[test]
fn a_page_written_in_pieces_is_the_same_page() {
    let snapshot = Arc::new(snapshot());
    let mut exposition = exposition(&everything());
    let whole = exposition.page(&snapshot, Format::OpenMetrics).into_text();
    for limit in [1, 100, 4096] {
        let mut page = exposition.page(&snapshot, Format::OpenMetrics);
        let (mut text, mut piece, mut more) = (String::new(), Vec::new(), true);
        while more {
            more = page.write(&mut piece, limit);
            assert!(piece.len() < limit + 8192);
            text.push_str(std::str::from_utf8(&piece).unwrap());
            piece.clear();
        }
        assert_eq!(steady(&text), steady(&whole), "{limit}");
    }
}

/// The text without what differs from moment to moment.
fn steady(text: &str) -> Vec<&str> {
    text.lines()
        .filter(|l| !l.starts_with("process_"))
        .collect()
}

pub(crate) fn everything() -> Selection {
    Selection {
        groups: Group::ALL.into(),
        levels: Level::ALL.into(),
        labels: None,
    }
}

pub(crate) fn exposition(selection: &Selection) -> Exposition {
    Exposition::new(selection, Host::default()).with_node_name("node-a")
}

pub(crate) fn page(selection: &Selection, snapshot: &Snapshot, format: Format) -> String {
    exposition(selection)
        .page(&Arc::new(snapshot.clone()), format)
        .into_text()
}

struct Shown {
    kind: String,
    labels: BTreeSet<String>,
}

fn families(text: &str) -> BTreeMap<String, Shown> {
    let mut families: BTreeMap<String, Shown> = BTreeMap::new();
    for line in text.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|l| l.split_once(' ')) {
            let shown = Shown {
                kind: kind.to_owned(),
                labels: BTreeSet::new(),
            };
            assert!(
                families.insert(name.to_owned(), shown).is_none(),
                "{name} twice"
            );
        }
    }
    for (name, labels, _) in samples(text) {
        if let Some(family) = families.get_mut(&name) {
            family.labels.extend(labels.into_keys());
        }
    }
    families
}

pub(crate) type Labels = BTreeMap<String, String>;

pub(crate) fn samples(text: &str) -> Vec<(String, Labels, f64)> {
    let lines = text
        .lines()
        .filter(|l| !l.starts_with('#') && !l.is_empty());
    lines
        .map(|line| sample(line).unwrap_or_else(|| panic!("{line}")))
        .collect()
}

fn sample(line: &str) -> Option<(String, Labels, f64)> {
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = Labels::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        while !rest.starts_with('}') {
            let (label, after) = rest.trim_start_matches(',').split_once("=\"")?;
            let (mut value, mut chars) = (String::new(), after.char_indices());
            let close = loop {
                match chars.next()? {
                    (at, '"') => break at,
                    (_, '\\') => value.push(match chars.next()?.1 {
                        'n' => '\n',
                        other => other,
                    }),
                    (_, plain) => value.push(plain),
                }
            };
            labels.insert(label.to_owned(), value);
            rest = &after[close + 1..];
        }
        rest = &rest[1..];
    }
    Some((name.to_owned(), labels, rest.trim().parse().ok()?))
}

fn matching(text: &str, name: &str, wanted: &[(&str, &str)]) -> Vec<f64> {
    let has = |labels: &Labels| {
        wanted
            .iter()
            .all(|(k, v)| labels.get(*k).is_some_and(|l| l == v))
    };
    let found = samples(text)
        .into_iter()
        .filter(|(n, labels, _)| n == name && has(labels));
    found.map(|(_, _, value)| value).collect()
}

pub(crate) fn count(text: &str, name: &str, wanted: &[(&str, &str)]) -> usize {
    matching(text, name, wanted).len()
}

pub(crate) fn value(text: &str, name: &str, wanted: &[(&str, &str)]) -> f64 {
    match matching(text, name, wanted).as_slice() {
        [value] => *value,
        found => panic!("{} series {name} {wanted:?}", found.len()),
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

fn shared() -> Option<PathBuf> {
    let path =
        std::env::var_os("KEPLER_SHARED").map_or_else(|| root().join("../shared"), PathBuf::from);
    if path.exists() {
        return Some(path);
    }
    missing(&format!("{} (KEPLER_SHARED)", path.display()));
    None
}

/// Runs a program that reads `text`; `None` where it is not installed.
pub(crate) fn fed(program: &str, arguments: &[&str], text: &str) -> Option<std::process::Output> {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let Ok(mut child) = command.spawn() else {
        missing(program);
        return None;
    };
    let mut input = child.stdin.take().unwrap();
    let text = text.to_owned();
    let feeder = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap().unwrap();
    Some(output)
}

pub(crate) fn missing(what: &str) {
    assert!(std::env::var_os("CI").is_none(), "{what} is missing");
    eprintln!("skipped: {what} is missing");
}

/// Two sockets, one of two dies; every domain; a process in a container, a virtual machine and a hostile name.
pub(crate) fn snapshot() -> Snapshot {
    let container = Arc::new(Container {
        id: "c0ffee".into(),
        runtime: Runtime::Containerd,
        pod_uid: Some("0c37".into()),
        name: Some("coredns".into()),
    });
    let pod = Arc::new(Pod {
        uid: "0c37".into(),
        name: Some("coredns-x7".into()),
        namespace: Some("kube-system".into()),
    });
    let unnamed = Arc::new(Pod {
        uid: "0bad".into(),
        name: None,
        namespace: None,
    });
    let vm = Arc::new(VirtualMachine {
        id: "v1".into(),
        name: "guest".into(),
        hypervisor: "kvm",
    });
    let inside = Workload {
        container: Some(Arc::clone(&container)),
        ..Workload::default()
    };
    let machine = Workload {
        vm: Some(Arc::clone(&vm)),
        ..Workload::default()
    };
    let powercap = |n: &str| format!("/sys/class/powercap/intel-rapl:{n}");
    let mut zones = vec![
        zone("package-0", Domain::Package, Some(0), powercap("0")),
        zone("package-1-die-0", Domain::Package, Some(1), powercap("1")),
        zone("package-1-die-1", Domain::Package, Some(1), powercap("2")),
    ];
    for (i, domain) in Domain::ALL
        .into_iter()
        .filter(|d| *d != Domain::Package)
        .enumerate()
    {
        zones.push(zone(
            domain.as_str(),
            domain,
            None,
            powercap(&format!("0:{i}")),
        ));
    }
    let mut ended = usage(State::Terminated);
    ended.counters.cpu_ns = 7_000_000_000;
    Snapshot {
        sequence: 2,
        time: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
        since_boot: Duration::from_secs(100),
        interval: Some(Duration::from_secs(5)),
        node: NodeSnapshot {
            zones,
            parts: ["0", "1"]
                .map(|id| PowerPart {
                    source: "redfish",
                    controller: "bmc-1".into(),
                    chassis: "1U".into(),
                    id: id.into(),
                    name: format!("PSU {id}"),
                    kind: "PowerSupply",
                    watts: Watts(210.5),
                })
                .into(),
            domains: Domain::ALL.into_iter().map(domain).collect(),
            busy_ratio: Some(0.25),
            busy: Duration::from_secs(10),
            usage: NodeUsage::default(),
            counters: Counters::default(),
            unexplained_ratio: Some(-0.001),
        },
        processes: vec![
            process(42, 100, "coredns", &inside),
            process(43, 200, HOSTILE, &Workload::default()),
            process(44, 300, "qemu-system-x86", &machine),
        ],
        containers: vec![ContainerSnapshot {
            container: Arc::clone(&container),
            pod: Some(Arc::clone(&pod)),
            usage: usage(State::Running),
        }],
        pods: [pod, unnamed]
            .map(|pod| PodSnapshot {
                pod,
                usage: usage(State::Running),
            })
            .into(),
        vms: vec![VmSnapshot {
            vm,
            usage: usage(State::Running),
        }],
        ended: vec![EndedSnapshot {
            container: Some(container),
            comm: "make".into(),
            count: 12,
            usage: ended,
        }],
        moves: Moves::default(),
        collected: Counter::ALL.into_iter().collect(),
        idle_split: IdleSplit::UsageRatio,
        idle_share: IdleShare::None,
        sources: Arc::new(Sources {
            energy: vec!["rapl-powercap".into(), "modeled".into()],
            usage: "ebpf".into(),
            notes: vec![Note::on("hwmon", ""), off("hwmon"), off("softirq_entry")],
        }),
        model_fetches: Some(ModelFetches {
            successes: 3,
            failures: 1,
            last_success: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000)),
        }),
        stats: UsageStats {
            tasks: 9,
            exit_records: 5,
            counters_running: Some(0.75),
            ..UsageStats::default()
        },
        cost: SampleCost {
            wall: Duration::from_millis(3),
            cpu: Duration::from_millis(2),
        },
    }
}

fn off(part: &str) -> Note {
    Note {
        active: false,
        ..Note::on(part, "")
    }
}

fn provenance(domain: Domain) -> Arc<Provenance> {
    if domain != Domain::Platform {
        return Arc::new(Provenance::measured("rapl-powercap"));
    }
    Arc::new(Provenance {
        origin: Origin::Modeled,
        source: "modeled".into(),
        model: Some("small".into()),
        mae: Some(Watts(1.5)),
        in_range: Some(true),
        note: "share of the host".into(),
    })
}

fn zone(name: &str, domain: Domain, index: Option<u32>, path: String) -> ZoneSnapshot {
    let zone = Zone {
        name: name.into(),
        domain,
        index,
        die: None,
        path,
        max: None,
    };
    ZoneSnapshot {
        zone: Arc::new(zone),
        energy: Split {
            total: Joules(300.0),
            active: Joules(100.0),
            idle: Joules(200.0),
        },
        power: Some(Split {
            total: Watts(30.0),
            active: Watts(10.0),
            idle: Watts(20.0),
        }),
        provenance: provenance(domain),
        failures: 1,
        refused: 2,
        ambiguous: 3,
    }
}

fn domain(domain: Domain) -> DomainSnapshot {
    DomainSnapshot {
        domain,
        energy: Split {
            total: Joules(300.0),
            active: Joules(100.0),
            idle: Joules(200.0),
        },
        power: None,
        residual: Residual {
            interrupts: Joules(1.0),
            ..Residual::default()
        },
        idle_residual: Joules(0.0),
        residual_delta: Residual::default(),
        delta: Split::default(),
        provenance: provenance(domain),
    }
}

fn usage(state: State) -> WorkloadUsage {
    let energy = WorkloadEnergy {
        joules: Joules(5.5),
        idle: Joules(2.0),
        watts: Some(Watts(0.25)),
        idle_watts: Some(Watts(0.5)),
    };
    WorkloadUsage {
        state,
        counters: Counters {
            cpu_ns: 1_000_000_001,
            net_rx_irq: 3,
            ..Counters::default()
        },
        energy: vec![energy; Domain::ALL.len()].into(),
    }
}

pub(crate) fn process(pid: u32, start_ns: u64, comm: &str, workload: &Workload) -> ProcessSnapshot {
    ProcessSnapshot {
        process: Arc::new(Process {
            key: ProcessKey { pid, start_ns },
            comm: comm.into(),
            exe: Some("/usr/bin/x".into()),
            command: None,
            cgroup: None,
            cgroup_id: 0,
            kernel: false,
        }),
        workload: Arc::new(workload.clone()),
        usage: usage(State::Running),
    }
}

#[test]
fn counters_of_the_table_end_in_total_but_for_inherited_names() {
    for family in FAMILIES {
        let total = family.name.ends_with("_total");
        let inherited = family.group == Group::Aliases || family.name == "kepler_node_info";
        assert_eq!(
            family.kind == Kind::Counter,
            total || inherited,
            "{}",
            family.name
        );
        assert!(
            family.help.ends_with('.') && !family.help.contains(['\n', '\\']),
            "{}",
            family.name
        );
    }
}

//! What a scraper reads: names, labels and figures, checked by parsers that are not ours.

#![expect(
    clippy::float_cmp,
    reason = "figures are written in full and read back as they were"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kepler_core::attribution::IdleShare;
use kepler_core::energy::Domain;
use kepler_core::metrics::{FAMILIES, Format, Group, Kind, Level, Selection};
use kepler_core::monitor::WorkloadEnergy;
use kepler_core::usage::{Counter, CounterSet};
use kepler_core::{Host, Joules};

use crate::exposition::{count, families, fed, samples, value};
use crate::made_up::{everything, exposition, page, snapshot};
use crate::shared;

#[test]
fn names_types_and_labels_are_those_of_both_generations() {
    let Some(shared) = shared::folder() else {
        return;
    };
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
    let python = std::env::var_os("KEPLER_PYTHON").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../.venv/bin/python"),
        PathBuf::from,
    );
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

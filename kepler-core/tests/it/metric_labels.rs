//! Labels that are left out: what they told apart is one series.

use std::collections::BTreeSet;
use std::sync::Arc;

use kepler_core::metrics::{FAMILIES, Format, Kind, Level, Selection};
use kepler_core::monitor::{EndedSnapshot, Fold, Snapshot, State};
use kepler_core::{ErrorKind, Joules};

use crate::exposition::{count, fed, missing, samples, value};
use crate::made_up::{everything, exposition, page, process, snapshot};

fn with(labels: &[&str]) -> Selection {
    let labels = labels.iter().map(|label| Selection::label(label).unwrap());
    Selection {
        labels: Some(labels.collect()),
        ..everything()
    }
}

const SETS: [&[&str]; 6] = [
    &[],
    &["comm"],
    &["comm", "command", "type"],
    &["container_id"],
    &["pod_name", "pod_namespace", "container_namespace"],
    &["pid", "vm_name", "hypervisor", "runtime"],
];

/// Several processes of one name, ended ones among them.
fn crowd() -> Snapshot {
    let mut snapshot = snapshot();
    let one = snapshot.processes[0].clone();
    for pid in [501, 502, 503] {
        let mut another = process(pid, 7, &one.process.comm, &one.workload);
        another.usage.counters.cpu_ns += u64::from(pid);
        snapshot.processes.push(another);
    }
    snapshot.ended.push(EndedSnapshot {
        container: one.workload.container.clone(),
        comm: one.process.comm.clone(),
        count: 3,
        usage: one.usage.clone(),
    });
    snapshot
}

#[test]
fn no_series_appears_twice_and_none_has_another_label() {
    for labels in SETS {
        let text = page(&with(labels), &crowd(), Format::Text);
        let mut seen = BTreeSet::new();
        for (name, mine, _) in samples(&text) {
            let family = FAMILIES.iter().filter(|f| f.name == name);
            let node = family.clone().any(|f| f.level == Level::Node);
            for label in mine.keys().filter(|_| !node && family.clone().count() > 0) {
                let common = ["zone", "state", "mode", "source", "node_name"];
                let allowed = labels.contains(&&**label) || common.contains(&&**label);
                assert!(allowed, "{name} has {label}, allowed are {labels:?}");
            }
            assert!(seen.insert((name.clone(), mine.clone())), "{name} {mine:?}");
        }
        let Some(output) = fed("promtool", &["check", "metrics"], &text) else {
            missing("promtool");
            continue;
        };
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("error"), "{labels:?}: {said}");
    }
}

#[test]
fn together_they_show_what_all_show_apart() {
    let sums = |selection: &Selection, name: &str| -> f64 {
        let all = samples(&page(selection, &crowd(), Format::Text)).into_iter();
        all.filter(|(n, ..)| n == name).map(|(.., v)| v).sum()
    };
    for family in FAMILIES.iter().filter(|f| f.level != Level::Node) {
        let apart = sums(&everything(), family.name);
        for labels in SETS {
            let together = sums(&with(labels), family.name);
            assert!(
                (together - apart).abs() <= 1e-5,
                "{}: {together} of {apart} by {labels:?}",
                family.name
            );
        }
    }
}

#[test]
fn a_counter_goes_on_when_one_of_many_ends_and_is_forgotten() {
    let mut exposition = exposition(&with(&["comm"]));
    let mut now = snapshot();
    let workload = now.processes[0].workload.clone();
    now.processes = vec![
        process(71, 1, "make", &workload),
        process(72, 1, "make", &workload),
    ];
    now.ended.clear();
    let mut seconds = |snapshot: &Snapshot| {
        let text = exposition.page(&Arc::new(snapshot.clone()), Format::Text);
        let text = text.into_text();
        let labels = [("comm", "make")];
        let name = "kepler_process_cpu_seconds_total";
        (count(&text, name, &labels) > 0).then(|| value(&text, name, &labels))
    };
    let set = |snapshot: &mut Snapshot, place: usize, seconds: u64| {
        snapshot.processes[place].usage.counters.cpu_ns = seconds * 1_000_000_000;
    };
    set(&mut now, 0, 10);
    set(&mut now, 1, 5);
    assert_eq!(seconds(&now), Some(15.0));
    set(&mut now, 0, 11);
    now.processes[0].usage.state = State::Terminated;
    assert_eq!(seconds(&now), Some(16.0));
    now.processes.remove(0);
    set(&mut now, 0, 7);
    assert_eq!(seconds(&now), Some(18.0));
    // One that is new counts whole.
    now.processes.push(process(73, 2, "make", &workload));
    set(&mut now, 1, 1);
    assert_eq!(seconds(&now), Some(19.0));
    now.processes.clear();
    assert_eq!(seconds(&now), None);
}

#[test]
fn what_was_folded_for_a_while_is_not_counted_again() {
    let mut exposition = exposition(&with(&["comm"]));
    let mut fold = Fold::to(1);
    let mut now = snapshot();
    let workload = now.processes[0].workload.clone();
    now.processes = vec![
        process(71, 1, "make", &workload),
        process(72, 1, "make", &workload),
    ];
    now.ended.clear();
    let mut shown = |seconds: [u32; 2]| {
        now.sequence += 1;
        for (process, seconds) in now.processes.iter_mut().zip(seconds) {
            process.usage.counters.cpu_ns = u64::from(seconds) * 1_000_000_000;
            process.usage.energy[0].joules = Joules(seconds.into());
        }
        let text = exposition.page(&fold.apply(Arc::new(now.clone())), Format::Text);
        let text = text.into_text();
        let name = "kepler_process_cpu_seconds_total";
        ["make", "(other)"].map(|comm| value(&text, name, &[("comm", comm)]).to_string())
    };
    // The larger one has an entry: first 71, then 72, then 71 again.
    assert_eq!(shown([10, 5]), ["10", "5"]);
    assert_eq!(shown([10, 20]), ["25", "5"]);
    assert_eq!(shown([30, 20]), ["45", "5"]);
}

#[test]
fn power_is_that_of_all() {
    let watts = |selection: &Selection| -> f64 {
        let all = samples(&page(selection, &crowd(), Format::Text)).into_iter();
        let mine = all.filter(|(name, labels, _)| {
            name == "kepler_process_cpu_watts" && labels["zone"] == "package"
        });
        mine.map(|(.., watts)| watts).sum()
    };
    assert!(
        FAMILIES
            .iter()
            .any(|f| f.kind == Kind::Gauge && f.name == "kepler_process_cpu_watts")
    );
    let apart = watts(&everything());
    assert!(apart > 0.0);
    assert!((watts(&with(&[])) - apart).abs() < 1e-5);
}

#[test]
fn a_label_that_nothing_has_is_told_with_those_there_are() {
    let error = Selection::label("podname").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let text = error.to_string();
    assert!(
        text.contains("podname") && text.contains("pod_name"),
        "{text}"
    );
    // They tell what is counted.
    for fixed in ["zone", "state", "mode", "source", "node_name"] {
        assert!(Selection::label(fixed).is_err(), "{fixed}");
    }
}

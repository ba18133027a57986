//! `tests/cases.json`: what the library does on machines made of files, the same list as in Python and Node.

use std::fs;
use std::time::{Duration, Instant};

use kepler_core::energy::{Meters, Rapl};
use kepler_core::model::PowerModel;
use kepler_core::monitor::{EnergyMeter, Monitor, Scope, Snapshot, doctor};
use kepler_core::{Error, Host, Provenance};
use serde_json::Value;

use crate::machine_copy::MachineCopy;

fn cases() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases.json");
    serde_json::from_str(&Host::default().text(path).unwrap()).unwrap()
}

fn each<'a>(list: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    list[name].as_array().into_iter().flatten()
}

fn members(of: &Value) -> impl Iterator<Item = (&String, f64)> {
    let members = of.as_object().into_iter().flatten();
    members.map(|(name, value)| (name, value.as_f64().unwrap()))
}

fn machine(cases: &Value, host: &Value) -> MachineCopy {
    let copy = MachineCopy::of(host["host"].as_str().unwrap());
    write(&copy, &cases["files"]);
    copy
}

fn write(copy: &MachineCopy, files: &Value) {
    for (path, text) in files.as_object().into_iter().flatten() {
        copy.set(path, text.as_str().unwrap());
    }
}

fn remove(copy: &MachineCopy, paths: &Value) {
    for path in paths.as_array().into_iter().flatten() {
        let path = copy.path(path.as_str().unwrap());
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap();
        } else {
            fs::remove_file(path).unwrap();
        }
    }
}

#[track_caller]
fn same(found: f64, wanted: f64) {
    assert!((found - wanted).abs() <= 1e-9, "{found} is not {wanted}");
}

#[test]
fn machines_of_files_give_the_joules_that_were_worked_out() {
    let cases = cases();
    for host in each(&cases, "hosts") {
        println!("{}", host["name"]);
        let copy = machine(&cases, host);
        let builder = || Monitor::builder().host(copy.host());
        let mut monitor = builder()
            .usage(kepler_core::monitor::UsageChoice::Procfs)
            .build()
            .unwrap();
        let meter = builder().meter().unwrap();
        for step in each(host, "steps") {
            write(&copy, &step["write"]);
            remove(&copy, &step["remove"]);
            if let Some(wanted) = step.get("sample") {
                check_sample(&monitor.sample().unwrap(), wanted);
            }
            if let Some(wanted) = step.get("measure") {
                check_measure(&meter, &copy, wanted);
            }
        }
    }
}

fn check_sample(found: &Snapshot, wanted: &Value) {
    assert_eq!(Some(found.sequence), wanted["sequence"].as_u64());
    assert_eq!(
        Some(found.complaints().len() as u64),
        wanted["complaints"].as_u64(),
        "{:?}",
        found.complaints()
    );
    for (name, joules) in members(&wanted["zones"]) {
        let zone = found.node.zones.iter().find(|z| z.zone.name == *name);
        same(zone.unwrap().energy.total.0, joules);
    }
    for (d, domain) in found.node.domains.iter().enumerate() {
        same(
            domain.energy.total.0,
            wanted["domains"][domain.domain.as_str()].as_f64().unwrap(),
        );
        let charged: f64 = found
            .processes
            .iter()
            .map(|p| p.usage.energy[d].joules.0)
            .sum();
        let ended: f64 = found.ended.iter().map(|e| e.usage.energy[d].joules.0).sum();
        same(
            charged + ended + domain.residual.total().0,
            domain.energy.active.0,
        );
        if let Some(known) = wanted["watts"].as_bool() {
            assert_eq!(domain.power.is_some(), known);
        }
        check_provenance(&domain.provenance, wanted);
    }
    let process = |pid: &str| {
        let pid = pid.parse::<u32>().unwrap();
        let found = found.processes.iter().find(|p| p.process.key.pid == pid);
        &found.unwrap().usage
    };
    for (pid, seconds) in members(&wanted["cpu_seconds"]) {
        same(process(pid).counters.cpu_ns as f64 / 1e9, seconds);
    }
    for (id, seconds) in members(&wanted["containers"]) {
        let container = found.containers.iter().find(|c| &*c.container.id == id);
        same(
            container.unwrap().usage.counters.cpu_ns as f64 / 1e9,
            seconds,
        );
    }
    if let Some(share) = wanted["share"].as_object() {
        let joules = |which: &str| process(share[which].as_str().unwrap()).energy[0].joules.0;
        same(
            joules("of") / joules("to"),
            share["ratio"].as_f64().unwrap(),
        );
    }
}

fn check_measure(meter: &EnergyMeter, copy: &MachineCopy, wanted: &Value) {
    let scope = match (wanted["pid"].as_u64(), wanted["cgroup"].as_str()) {
        (Some(pid), _) => Scope::Pid(u32::try_from(pid).unwrap()),
        (_, Some(path)) => Scope::Cgroup(path.to_owned()),
        _ => Scope::Process,
    };
    let outer = Instant::now();
    let begun = meter.begin(scope);
    if let Some(kind) = wanted["error"].as_str() {
        assert_eq!(begun.unwrap_err().kind().as_str(), kind);
        return;
    }
    let (begun, inner) = (begun.unwrap(), Instant::now());
    write(copy, &wanted["during"]);
    std::thread::sleep(Duration::from_millis(2));
    let inner = inner.elapsed();
    let used = meter.end(&begun).unwrap();
    let outer = outer.elapsed();
    for (name, joules) in members(&wanted["zones"]) {
        let zone = used.zones.iter().find(|z| z.domain.as_str() == name);
        same(zone.unwrap().node_joules.0, joules);
    }
    if let Some(joules) = wanted["node_joules"].as_f64() {
        same(used.node_joules.unwrap().0, joules);
    }
    if let Some(seconds) = wanted["cpu_seconds"].as_f64() {
        same(used.cpu_time.as_secs_f64(), seconds);
    }
    // Energy x the block's part of the time of two CPUs; that time lies between the two that were taken here.
    let part = |time: Duration| (used.cpu_time.as_secs_f64() / (2.0 * time.as_secs_f64())).min(1.0);
    let (joules, node) = (used.joules.unwrap().0, used.node_joules.unwrap().0);
    let (low, high) = (node * part(outer), node * part(inner));
    assert!(low <= joules && joules <= high, "{low} {joules} {high}");
    check_provenance(used.provenance().unwrap(), wanted);
}

fn check_provenance(found: &Provenance, wanted: &Value) {
    let found = serde_json::to_value(found).unwrap();
    for field in ["origin", "source"] {
        if let Some(wanted) = wanted.get(field) {
            assert_eq!(&found[field], wanted);
        }
    }
}

#[test]
fn doctor_tells_what_machines_of_files_have() {
    let cases = cases();
    for host in each(&cases, "doctor") {
        let found = doctor(&machine(&cases, host).host()).unwrap();
        assert_eq!(Some(found.measured), host["measured"].as_bool());
        let wanted = &host["machine"];
        assert_eq!(Some(found.machine.guest), wanted["guest"].as_bool());
        if let Some(vendor) = wanted["vendor"].as_str() {
            assert_eq!(found.machine.vendor.as_deref(), Some(vendor));
        }
    }
}

#[test]
fn models_predict_or_refuse_as_the_list_says() {
    for case in each(&cases(), "models") {
        let predicted = predict(case);
        if let Some(kind) = case["error"].as_str() {
            assert_eq!(predicted.unwrap_err().kind().as_str(), kind);
            continue;
        }
        let predicted = predicted.unwrap();
        for (component, watts) in &predicted.watts {
            let wanted = each(&case["watts"], component.as_str());
            for (found, wanted) in watts.iter().zip(wanted) {
                same(*found, wanted.as_f64().unwrap());
            }
        }
        let in_range = each(case, "in_range").map(|one| one.as_u64() == Some(1));
        assert_eq!(predicted.in_range, in_range.collect::<Vec<_>>());
    }
}

fn predict(case: &Value) -> Result<kepler_core::model::Predictions, Error> {
    let model = PowerModel::from_json(case["file"].to_string().as_bytes())?;
    let rows = case["rows"].as_object().unwrap();
    let names: Vec<&String> = rows.keys().collect();
    let columns: Vec<Vec<f64>> = rows
        .values()
        .map(|column| {
            column
                .as_array()
                .unwrap()
                .iter()
                .map(|x| x.as_f64().unwrap())
                .collect()
        })
        .collect();
    let matrix =
        ndarray::Array2::from_shape_fn((columns[0].len(), columns.len()), |(r, c)| columns[c][r]);
    model.bind(&names)?.predict(matrix.view())
}

#[test]
fn options_that_make_no_sense_are_of_the_kind_that_the_list_says() {
    for case in each(&cases(), "options") {
        // Words are parsed where a language hands them over; of these the core parses only the counters.
        if let Some(name) = case["options"]["counters"][0].as_str() {
            let kind = name
                .parse::<kepler_core::usage::Counter>()
                .unwrap_err()
                .kind();
            assert_eq!(Some(kind.as_str()), case["error"].as_str());
        }
    }
    let ways = Rapl::ALL.map(Rapl::as_str);
    assert_eq!(Meters::default().rapl[0].as_str(), ways[0]);
}

//! A sample as a table for people.

use std::fmt::Write;

use kepler_core::monitor::{Ranked, Snapshot, WorkloadKind};

const LEVELS: [(WorkloadKind, &str); 4] = [
    (WorkloadKind::Process, "process"),
    (WorkloadKind::Container, "container"),
    (WorkloadKind::Pod, "pod"),
    (WorkloadKind::Vm, "virtual machine"),
];

/// The zones, and of each level that has any the `rows` largest workloads.
pub(crate) fn table(snapshot: &Snapshot, rows: usize) -> String {
    let mut text = String::new();
    let time = snapshot.time.duration_since(std::time::UNIX_EPOCH);
    let busy = snapshot
        .node
        .busy_ratio
        .map_or_else(|| "?".to_owned(), |busy| format!("{:.1} %", busy * 100.0));
    line(
        &mut text,
        format_args!(
            "sample {} at {:.3}, {busy} busy",
            snapshot.sequence,
            time.unwrap_or_default().as_secs_f64()
        ),
    );
    line(
        &mut text,
        format_args!(
            "{:<24} {:>12} {:>12} {:>12} {:>16}",
            "zone", "W", "active W", "idle W", "J"
        ),
    );
    for zone in &snapshot.node.zones {
        let [total, active, idle] = zone.power.map_or([None; 3], |p| {
            [p.total, p.active, p.idle].map(|w| Some(w.0))
        });
        line(
            &mut text,
            format_args!(
                "{:<24} {} {} {} {:>16.3}",
                zone.zone.to_string(),
                figure(total),
                figure(active),
                figure(idle),
                zone.energy.total.0
            ),
        );
    }
    for (kind, title) in LEVELS {
        let ranked = snapshot.ranked(kind);
        if ranked.is_empty() {
            continue;
        }
        let domains: String = snapshot
            .node
            .domains
            .iter()
            .map(|d| format!(" {:>12}", format!("{} W", d.domain)))
            .collect();
        line(
            &mut text,
            format_args!("{title:<24}{domains} {:>12}  id", "J"),
        );
        ranked
            .iter()
            .take(rows)
            .for_each(|workload| row(&mut text, workload));
    }
    text.push('\n');
    text
}

fn row(text: &mut String, workload: &Ranked<'_>) {
    let energy = &workload.usage.energy;
    let watts: String = energy
        .iter()
        .map(|e| format!(" {}", figure(e.watts.map(|w| w.0))))
        .collect();
    let joules = figure(energy.first().map(|e| e.joules.0));
    let name: String = workload.name.chars().take(24).collect();
    line(
        text,
        format_args!("{name:<24}{watts} {joules}  {}", workload.id),
    );
}

fn figure(value: Option<f64>) -> String {
    value.map_or_else(|| format!("{:>12}", "?"), |value| format!("{value:>12.3}"))
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    let written = text.write_fmt(arguments);
    debug_assert!(written.is_ok(), "a String takes everything");
    text.truncate(text.trim_end().len());
    text.push('\n');
}

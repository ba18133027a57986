//! The page at `/`: what is measured here and how, for people.

use std::fmt::Write;

use kepler_core::Watts;
use kepler_core::monitor::{Snapshot, State, WorkloadKind};
use kepler_service::escaped;

/// How many processes are listed.
const LISTED: usize = 10;

const STYLE: &str = ":root{color-scheme:light dark}\
    body{font:1rem/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem}\
    table{border-collapse:collapse;width:100%}\
    td,th{padding:.3rem 1rem .3rem 0;text-align:left;vertical-align:top;border-bottom:1px solid #8884}\
    .z td{border:0;padding-bottom:0}\
    .n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}\
    .off,small{opacity:.7}";

/// The page as HTML.
pub(crate) fn page(snapshot: &Snapshot) -> String {
    let cost = snapshot.cost.cpu.as_secs_f64() * 1e3;
    let running = |state: &State| *state == State::Running;
    let processes = snapshot.processes.iter().map(|p| &p.usage.state);
    let containers = snapshot.containers.iter().map(|c| &c.usage.state);
    let vms = snapshot.vms.iter().map(|v| &v.usage.state);
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8>\
         <meta name=viewport content=\"width=device-width\"><title>Kepler</title><style>{STYLE}</style>\
         <h1>Kepler exporter {version}</h1>\
         <p><a href=/metrics>/metrics</a> &middot; <a href=/healthz>/healthz</a> &middot; <a href=/readyz>/readyz</a>\
         <h2>Power of this machine</h2>{zones}\
         <p><small>Means over the last interval. Zones overlap: do not add them up.</small>\
         <h2>Processes that use the most</h2>{top}\
         <p><small>{processes} processes, {containers} containers and {vms} virtual machines are running. The last sample \
         looked at {tasks} tasks and took {cost:.1} ms of CPU time.</small>\
         <h2>Sources</h2>{sources}</html>\n",
        version = env!("CARGO_PKG_VERSION"),
        zones = zones(snapshot),
        top = top(snapshot),
        sources = sources(snapshot),
        processes = processes.filter(|s| running(s)).count(),
        containers = containers.filter(|s| running(s)).count(),
        vms = vms.filter(|s| running(s)).count(),
        tasks = snapshot.stats.tasks,
    )
}

fn zones(snapshot: &Snapshot) -> String {
    let mut rows = String::from(
        "<table><tr><th>Zone<th class=n>Power<th class=n>Active<th class=n>Idle<th class=n>Since the start",
    );
    for zone in &snapshot.node.zones {
        let how = escaped(&zone.provenance.to_string());
        let watts = zone.power.map_or_else(
            || [const { String::new() }; 3],
            |power| [power.total, power.active, power.idle].map(|watts| watts.to_string()),
        );
        let _ = write!(rows, "<tr class=z><td>{}", escaped(&zone.zone.to_string()));
        for figure in watts.into_iter().chain([zone.energy.total.to_string()]) {
            let _ = write!(rows, "<td class=n>{figure}");
        }
        let _ = write!(rows, "<tr><td colspan=5><small>{how}</small>");
    }
    rows + "</table>"
}

/// The largest by power in the first domain.
fn top(snapshot: &Snapshot) -> String {
    let mut busy = Vec::new();
    for workload in snapshot
        .ranked(WorkloadKind::Process)
        .into_iter()
        .take(LISTED)
    {
        let first = workload.usage.energy.first();
        if let Some((watts, joules)) = first.and_then(|e| Some((e.watts?, e.joules))) {
            busy.extend((watts > Watts::ZERO).then_some((watts, joules, workload)));
        }
    }
    if busy.is_empty() {
        return "<p>None used any in the last interval, or there was no interval yet.".to_owned();
    }
    let domain = snapshot.node.domains.first();
    let name = domain.map_or("", |d| d.domain.as_str());
    let mut rows = format!(
        "<table><tr><th>Process<th class=n>Pid<th>Container or machine<th class=n>Power ({name})<th class=n>Energy ({name})"
    );
    for (watts, joules, workload) in busy {
        let _ = write!(
            rows,
            "<tr><td>{}<td class=n>{}<td>{}<td class=n>{watts}<td class=n>{joules}",
            escaped(workload.name),
            workload.id,
            escaped(&workload.within),
        );
    }
    rows + "</table>"
}

fn sources(snapshot: &Snapshot) -> String {
    let sources = &snapshot.sources;
    let mut rows = format!(
        "<p>Energy by {}, usage by {}.<table><tr><th>Part<th>State<th>Why, and what would change it",
        escaped(&sources.energy.join(", ")),
        escaped(&sources.usage),
    );
    for note in &sources.notes {
        let (class, state) = if note.active {
            ("", "on")
        } else {
            (" class=off", "off")
        };
        let between = if note.why.is_empty() || note.hint.is_empty() {
            ""
        } else {
            "; "
        };
        let why = format!("{}{between}{}", note.why, note.hint);
        let part = escaped(&note.part);
        let _ = write!(
            rows,
            "<tr{class}><td>{part}<td>{state}<td>{}",
            escaped(&why)
        );
    }
    rows + "</table>"
}

//! The page at `/`: what is measured here and how.

use kepler_core::monitor::Snapshot;

use crate::origin;

/// The page as HTML.
pub(crate) fn page(snapshot: &Snapshot) -> String {
    let mut zones = String::new();
    for zone in &snapshot.node.zones {
        let watts = zone.power.map_or_else(String::new, |p| p.total.to_string());
        zones += &row(&[
            &zone.zone.name,
            &zone.zone.path,
            &watts,
            &origin(&zone.provenance),
        ]);
    }
    let mut parts = String::new();
    for note in &snapshot.sources.notes {
        let state = if note.active { "on" } else { "off" };
        parts += &row(&[&note.part, state, &note.why, &note.hint]);
    }
    let cost = snapshot.cost.cpu.as_secs_f64() * 1e3;
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>Kepler</title>\
         <style>body{{font:1em sans-serif;margin:2em}}td,th{{padding:.2em 1em .2em 0;text-align:left}}</style>\
         <h1>Kepler exporter {version}</h1>\
         <p><a href=/metrics>/metrics</a> <a href=/healthz>/healthz</a> <a href=/readyz>/readyz</a>\
         <h2>Energy</h2><table><tr><th>Zone<th>Path<th>Power<th>How{zones}</table>\
         <p>Zones overlap: do not add them up.\
         <h2>Usage by {usage}</h2><table><tr><th>Part<th>State<th>Why<th>What would change it{parts}</table>\
         <p>{processes} processes, {containers} containers and {vms} virtual machines; {tasks} tasks in the last sample, \
         which took {cost:.2} ms of CPU time.</html>\n",
        version = env!("CARGO_PKG_VERSION"),
        usage = escaped(&snapshot.sources.usage),
        processes = snapshot.processes.len(),
        containers = snapshot.containers.len(),
        vms = snapshot.vms.len(),
        tasks = snapshot.stats.tasks,
    )
}

fn row(cells: &[&str]) -> String {
    cells
        .iter()
        .fold("<tr>".to_owned(), |row, cell| row + "<td>" + &escaped(cell))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

//! Which zones perf events count: `/sys/bus/event_source/devices/{power,power_core}`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::energy::rapl::cpu::{Cpu, Vendor};
use crate::energy::rapl::perf_event::PerfEvent;
use crate::energy::rapl::topology::{Place, cpus};
use crate::energy::{Domain, Zone};
use crate::error::{Error, ErrorKind, Result};
use crate::host::Host;

/// What tells one zone from another; their order is that of packages, then of domains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    index: Option<u32>,
    die: Option<u32>,
    domain: Domain,
}

impl Key {
    fn zone(self, part: &Part) -> Zone {
        let name = match (self.domain, self.index, self.die) {
            (Domain::Package, Some(index), Some(die)) => format!("package-{index}-die-{die}"),
            (Domain::Package, Some(index), None) => format!("package-{index}"),
            _ => self.domain.to_string(),
        };
        Zone {
            name,
            domain: self.domain,
            index: self.index,
            die: self.die,
            path: part.name(),
            max: None,
        }
    }
}

/// The events that make up a zone, all of one unit.
#[derive(Debug)]
pub(super) struct Part {
    path: PathBuf,
    pub(super) per_joule: f64,
    pub(super) events: Vec<PerfEvent>,
}

impl Part {
    /// Every package counts by the same event, on a CPU of its own.
    fn name(&self) -> String {
        let event = self.path.display();
        match self.events.first() {
            Some(first) => format!("{event},cpu={}", first.cpu),
            None => event.to_string(),
        }
    }
}

/// The zones that the host's PMUs count, package by package.
pub(super) fn perf_zones(host: &Host) -> Result<Vec<(Zone, Part)>> {
    // AMD shows the socket's counter on every die (Zen 1 and 2), and events start at 0, so that mirrors look like others.
    let one_die = Cpu::read(host).is_ok_and(|cpu| cpu.vendor == Vendor::Amd);
    let mut parts: BTreeMap<Key, Part> = BTreeMap::new();
    for pmu in PMUS {
        let folder = host.sys(format!("bus/event_source/devices/{pmu}"));
        let names = match host.names(folder.join("events")) {
            Ok(names) => names,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let kind = parsed(host, &folder.join("type"), "a number", |t| t.parse().ok())?;
        let mask = folder.join("cpumask");
        let mask = cpus(mask.display(), &host.text(&mask)?)?;
        let places = mask.into_iter().map(|cpu| Place::of(host, cpu));
        let places = places.collect::<Result<Vec<_>>>()?;
        for name in names {
            let Some(domain) = domain(&name) else {
                continue;
            };
            let path = folder.join("events").join(&name);
            let config = parsed(host, &path, "event=0x..", config)?;
            let per_joule = per_joule(host, &path)?;
            for place in chosen(&places, &name, one_die) {
                let key = key(domain, place, &places, one_die);
                let part = parts.entry(key).or_insert_with(|| Part {
                    path: path.clone(),
                    per_joule,
                    events: Vec::new(),
                });
                // `energy-cores` of one PMU and `energy-core` of the other are the same cores.
                if part.path == path {
                    part.events.push(PerfEvent {
                        name: format!("{pmu}/{name}/"),
                        kind,
                        config,
                        cpu: place.cpu,
                    });
                }
            }
        }
    }
    if parts.is_empty() {
        return Err(none("the kernel has no RAPL events".into()));
    }
    let zones = parts.into_iter();
    Ok(zones.map(|(key, part)| (key.zone(&part), part)).collect())
}

/// What an event counts; `None` for its `.scale` and `.unit` files and for events that are none of RAPL's.
fn domain(event: &str) -> Option<Domain> {
    Some(match event {
        "energy-pkg" => Domain::Package,
        "energy-core" | "energy-cores" => Domain::Core,
        "energy-gpu" => Domain::Uncore,
        "energy-ram" => Domain::Dram,
        "energy-psys" => Domain::Psys,
        _ => return None,
    })
}

/// The CPUs to open an event on: every core for `energy-core`, the first for the one platform, else one a die.
fn chosen<'p>(places: &'p [Place], event: &str, one_die: bool) -> Vec<&'p Place> {
    let first = |place: &Place| places.iter().find(|p| p.package == place.package);
    match event {
        "energy-core" => places.iter().collect(),
        "energy-psys" => places.iter().take(1).collect(),
        _ => places
            .iter()
            .filter(|place| !one_die || first(place) == Some(place))
            .collect(),
    }
}

fn key(domain: Domain, place: &Place, places: &[Place], one_die: bool) -> Key {
    let dies = |p: &&Place| p.package == place.package && p.die != place.die;
    let has_dies = places.iter().any(|p| dies(&p));
    let whole = domain == Domain::Psys;
    Key {
        index: (!whole).then_some(place.package),
        die: (has_dies && !one_die && !whole).then_some(place.die),
        domain,
    }
}

fn config(text: &str) -> Option<u64> {
    let hex = text.strip_prefix("event=0x")?;
    u64::from_str_radix(hex, 16).ok()
}

fn per_joule(host: &Host, event: &Path) -> Result<f64> {
    let unit = event.with_extension("unit");
    parsed(host, &unit, "Joules", |text| {
        (text == "Joules").then_some(())
    })?;
    let scale = event.with_extension("scale");
    let scale: f64 = parsed(host, &scale, "a scale between 0 and 1", |text| {
        let scale = text.parse().ok()?;
        (scale > 0.0 && scale <= 1.0).then_some(scale)
    })?;
    Ok(scale.recip())
}

fn parsed<T>(host: &Host, path: &Path, want: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T> {
    let text = host.text(path)?;
    parse(text.trim()).ok_or_else(|| Error::malformed(path.display(), want, text.trim()))
}

fn none(why: String) -> Error {
    Error::Unsupported {
        what: "RAPL by perf events".into(),
        why,
        hint: "on a physical machine load the module: modprobe rapl".into(),
    }
}

/// `power_core` first: where it is, it knows all cores.
const PMUS: [&str; 2] = ["power_core", "power"];

//! Every joule of every interval is somewhere, at every level, whatever happens to processes and meters.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kepler_core::attribution::{IdleShare, IdleSplit};
use kepler_core::energy::{Domain, EnergySource, Reading, Zone};
use kepler_core::monitor::{Monitor, Snapshot, UsageChoice};
use kepler_core::usage::{
    Counters, NodeUsage, Process, ProcessKey, ProcessUsage, Scripted, UnnamedUsage, Usage,
};
use kepler_core::{Error, Joules, Provenance};
use proptest::prelude::*;

/// What one process does in one interval.
#[derive(Clone, Debug)]
struct Deed {
    pid: u32,
    life: u64,
    container: Option<u8>,
    cpu_ns: u64,
    ended: bool,
}

/// What one zone's meter does in one interval.
#[derive(Clone, Copy, Debug)]
enum Look {
    Gives(f64),
    Vanishes,
    Jumps,
}

#[derive(Clone, Debug)]
struct Interval {
    deeds: Vec<Deed>,
    unnamed: Vec<(Option<u8>, u64)>,
    lost: u64,
    refused: u64,
    busy: u64,
    idle: u64,
    looks: [Look; 3],
}

fn interval() -> impl Strategy<Value = Interval> {
    let deed = (
        1_u32..12,
        0_u64..3,
        prop::option::of(0_u8..3),
        0_u64..900_000_000,
        prop::bool::weighted(0.2),
    )
        .prop_map(|(pid, life, container, cpu_ns, ended)| Deed {
            pid,
            life,
            container,
            cpu_ns,
            ended,
        });
    let look = prop_oneof![
        8 => (0.0_f64..500.0).prop_map(Look::Gives),
        1 => Just(Look::Vanishes),
        1 => Just(Look::Jumps),
    ];
    (
        prop::collection::vec(deed, 0..15),
        prop::collection::vec((prop::option::of(0_u8..3), 0_u64..100_000_000), 0..3),
        0_u64..50_000_000,
        prop_oneof![4 => Just(0_u64), 1 => 0_u64..10_000_000_000],
        0_u64..2_000_000_000,
        0_u64..2_000_000_000,
        [look.clone(), look.clone(), look],
    )
        .prop_map(|(mut deeds, unnamed, lost, refused, busy, idle, looks)| {
            // One entry a process and interval, as every source gives.
            deeds.sort_by_key(|d| (d.pid, d.life));
            deeds.dedup_by_key(|d| (d.pid, d.life));
            Interval {
                deeds,
                unnamed,
                lost,
                refused,
                busy,
                idle,
                looks,
            }
        })
}

/// The one pod of all containers.
const POD: &str = "6c2b6f94-1f0c-4f9e-8a11-0b2d8e7c5a33";

fn cgroup(container: Option<u8>) -> Option<Arc<str>> {
    container.map(|c| format!("/kubepods/pod{POD}/{}", format!("{c:x}").repeat(64)).into())
}

fn usage(interval: &Interval) -> Usage {
    let counters = |cpu_ns| Counters {
        cpu_ns,
        ..Counters::default()
    };
    Usage {
        processes: interval
            .deeds
            .iter()
            .map(|deed| ProcessUsage {
                process: Arc::new(Process {
                    key: ProcessKey {
                        pid: deed.pid,
                        start_ns: deed.life,
                    },
                    comm: "p".into(),
                    exe: None,
                    command: None,
                    cgroup: cgroup(deed.container),
                    cgroup_id: 0,
                    kernel: false,
                }),
                delta: counters(deed.cpu_ns),
                ended: deed.ended,
            })
            .collect(),
        unnamed: interval
            .unnamed
            .iter()
            .map(|(container, cpu_ns)| UnnamedUsage {
                cgroup: cgroup(*container),
                cgroup_id: 0,
                delta: counters(*cpu_ns),
            })
            .collect(),
        lost: counters(interval.lost),
        refused_ns: interval.refused,
        node: NodeUsage {
            cpus: 2,
            interval: Duration::from_secs(1),
            busy_ns: interval.busy,
            idle_ns: interval.idle,
            ..NodeUsage::default()
        },
        ..Usage::default()
    }
}

/// Two sockets and their memory.
struct Meter {
    zones: Vec<Zone>,
    looks: Vec<[Look; 3]>,
    at: usize,
}

impl Meter {
    fn new(looks: Vec<[Look; 3]>) -> Self {
        let zone = |name: &str, domain, index| Zone {
            name: name.into(),
            domain,
            index: Some(index),
            die: None,
            path: name.into(),
            max: None,
        };
        let zones = vec![
            zone("package-0", Domain::Package, 0),
            zone("package-1", Domain::Package, 1),
            zone("dram", Domain::Dram, 0),
        ];
        Self {
            zones,
            looks,
            at: 0,
        }
    }
}

impl EnergySource for Meter {
    fn name(&self) -> &'static str {
        "test"
    }

    fn zones(&self) -> &[Zone] {
        &self.zones
    }

    fn provenance(&self, _: usize) -> Provenance {
        Provenance::measured("test")
    }

    fn read(&mut self, _: Duration, readings: &mut Vec<Reading>) {
        readings.clear();
        // Opening the monitor is the baseline; its own first sample is the next look.
        let look = self.at.checked_sub(2).and_then(|at| self.looks.get(at));
        self.at += 1;
        readings.extend((0..3).map(|z| match look.map(|look| look[z]) {
            None => Reading::Baseline,
            Some(Look::Gives(joules)) => Reading::Energy {
                joules: Joules(joules),
                over: Duration::from_secs(1),
                ambiguous: false,
            },
            Some(Look::Vanishes) => Reading::Failed(Error::Forked("meter")),
            Some(Look::Jumps) => Reading::Refused,
        }));
    }
}

/// Energy of each process, by domain.
fn processes(snapshot: &Snapshot) -> HashMap<ProcessKey, Vec<f64>> {
    let energy = |p: &kepler_core::monitor::ProcessSnapshot| {
        p.usage.energy.iter().map(|e| e.joules.0).collect()
    };
    snapshot
        .processes
        .iter()
        .map(|p| (p.process.key, energy(p)))
        .collect()
}

fn containers(snapshot: &Snapshot) -> HashMap<Arc<str>, (u64, Vec<f64>)> {
    snapshot
        .containers
        .iter()
        .map(|c| {
            let joules = c.usage.energy.iter().map(|e| e.joules.0).collect();
            (c.container.id.clone(), (c.usage.counters.cpu_ns, joules))
        })
        .collect()
}

fn near(a: f64, b: f64, scale: f64) -> bool {
    (a - b).abs() <= 1e-9 * scale.max(1.0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_joule_of_every_interval_is_somewhere(
        trace in prop::collection::vec(interval(), 1..25),
        split in prop::sample::select(&IdleSplit::ALL[..]),
        share in prop::sample::select(&IdleShare::ALL[..]),
    ) {
        let frames: Vec<Usage> =
            std::iter::once(Usage::default()).chain(trace.iter().map(usage)).collect();
        let meter = Meter::new(trace.iter().map(|i| i.looks).collect());
        let mut monitor = Monitor::builder()
            .energy(vec![Box::new(meter)])
            .usage(UsageChoice::Source(Box::new(Scripted::frames(frames))))
            .ended_limit(usize::MAX)
            .idle(split)
            .idle_share(share)
            .build()
            .unwrap();
        let mut before = monitor.sample().unwrap();
        let mut container_cpu: HashMap<Arc<str>, u64> = HashMap::new();
        for interval in &trace {
            let now = monitor.sample().unwrap();
            let (was, is) = (processes(&before), processes(&now));
            let (groups_were, groups_are) = (containers(&before), containers(&now));
            for (d, domain) in now.node.domains.iter().enumerate() {
                let measured: f64 = interval.looks.iter().zip([0, 0, 1]).filter(|(_, of)| *of == d).map(|(look, _)| match look {
                    Look::Gives(joules) => *joules,
                    _ => 0.0,
                }).sum();
                prop_assert!(near(domain.delta.total.0, measured, measured), "a meter's joule went missing");
                // The interval, at the level of processes.
                let grew = |key: &ProcessKey| is[key][d] - was.get(key).map_or(0.0, |w| w[d]);
                let charged: f64 = is.keys().map(grew).sum();
                let all = domain.delta.idle.0 + charged + domain.residual_delta.total().0;
                let scale = domain.energy.total.0;
                prop_assert!(near(all, measured, scale), "{all} of {measured}");
                // Since the start.
                let charged: f64 = is.values().map(|joules| joules[d]).sum();
                let all = domain.energy.idle.0 + charged + domain.residual.total().0;
                prop_assert!(near(all, domain.energy.total.0, scale));
                // Idle energy: what processes carry, and what none does.
                let carried: f64 = now.processes.iter().map(|p| p.usage.energy[d].idle.0).sum();
                let all = carried + domain.idle_residual.0;
                prop_assert!(near(all, domain.energy.idle.0, scale), "{all} of {} idle", domain.energy.idle.0);
                // The interval, at the level of containers: its processes, and what of it lost its name.
                for (id, (_, joules)) in &groups_are {
                    let members = interval.deeds.iter().filter(|deed| {
                        cgroup(deed.container).is_some_and(|path| path.ends_with(&**id))
                    });
                    let named: f64 = members
                        .map(|deed| grew(&ProcessKey { pid: deed.pid, start_ns: deed.life }))
                        .sum();
                    let mine = |c: &Option<u8>| cgroup(*c).is_some_and(|path| path.ends_with(&**id));
                    let all_unnamed: u64 = interval.unnamed.iter().map(|(_, ns)| ns).sum();
                    let my_unnamed: u64 =
                        interval.unnamed.iter().filter(|(c, _)| mine(c)).map(|(_, ns)| ns).sum();
                    let unnamed = if all_unnamed == 0 { 0.0 } else {
                        domain.residual_delta.unnamed.0 * my_unnamed as f64 / all_unnamed as f64
                    };
                    let grown = joules[d] - groups_were.get(id).map_or(0.0, |(_, w)| w[d]);
                    prop_assert!(near(grown, named + unnamed, scale), "{grown} of {named} + {unnamed}");
                }
                // A pod is its containers, whatever they do.
                let all: f64 = groups_are.values().map(|(_, joules)| joules[d]).sum();
                let pod: f64 = now.pods.iter().map(|p| p.usage.energy[d].joules.0).sum();
                prop_assert!(near(all, pod, scale), "{all} of {pod}");
                // Nothing falls.
                for (key, joules) in &was {
                    prop_assert!(is[key][d] >= joules[d]);
                }
            }
            // CPU time, exactly.
            for deed in &interval.deeds {
                if let Some(path) = cgroup(deed.container) {
                    *container_cpu.entry(path).or_default() += deed.cpu_ns;
                }
            }
            for (container, cpu_ns) in &interval.unnamed {
                if let Some(path) = cgroup(*container) {
                    *container_cpu.entry(path).or_default() += cpu_ns;
                }
            }
            for (path, cpu_ns) in &container_cpu {
                let group = groups_are.iter().find(|(id, _)| path.ends_with(&***id)).unwrap();
                prop_assert_eq!(group.1.0, *cpu_ns);
            }
            before = now;
        }
    }
}

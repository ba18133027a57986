//! A snapshot that has everything there can be, for tests of what is shown of it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use kepler_core::attribution::{IdleShare, IdleSplit, Residual, Split};
use kepler_core::energy::{Domain, PowerPart, Zone};
use kepler_core::metrics::{Exposition, Format, Group, Level, Selection};
use kepler_core::monitor::{
    ContainerSnapshot, DomainSnapshot, EndedSnapshot, ModelFetches, Moves, NodeSnapshot,
    PodSnapshot, ProcessSnapshot, SampleCost, Snapshot, Sources, State, VmSnapshot, WorkloadEnergy,
    WorkloadUsage, ZoneSnapshot,
};
use kepler_core::usage::{Counter, Counters, NodeUsage, Process, ProcessKey, UsageStats};
use kepler_core::workload::{Container, Pod, Runtime, VirtualMachine, Workload};
use kepler_core::{Host, Joules, Note, Origin, Provenance, Watts};

pub(crate) const HOSTILE: &str = "a\"b\\c\nd{e=\"f\"} 1 # é";

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

pub(crate) fn provenance(domain: Domain) -> Arc<Provenance> {
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

pub(crate) fn zone(name: &str, domain: Domain, index: Option<u32>, path: String) -> ZoneSnapshot {
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

pub(crate) fn domain(domain: Domain) -> DomainSnapshot {
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

pub(crate) fn usage(state: State) -> WorkloadUsage {
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

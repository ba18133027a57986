//! Sources in, snapshots out.

mod snapshot;

pub use snapshot::{
    ContainerSnapshot, DomainSnapshot, EndedSnapshot, NodeSnapshot, ProcessSnapshot, SampleCost,
    Snapshot, Sources, State, VmSnapshot, WorkloadEnergy, WorkloadUsage, ZoneSnapshot,
};

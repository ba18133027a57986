//! Sources in, snapshots out.

mod snapshot;

pub use snapshot::{
    ContainerSnapshot, DomainSnapshot, EndedSnapshot, NodeSnapshot, ProcessSnapshot, Residual,
    SampleCost, Snapshot, Sources, Split, State, VmSnapshot, WorkloadEnergy, WorkloadUsage,
    ZoneSnapshot,
};

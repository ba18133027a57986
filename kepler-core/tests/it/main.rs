//! Behaviour through the public API, on fixture hosts and on the live kernel: one file a behaviour.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and so do its helpers"
)]

mod attribution;
mod cases;
mod conservation;
mod defaults;
#[cfg(feature = "ebpf")]
mod ebpf;
#[cfg(feature = "ebpf")]
mod ebpf_cgroups;
#[cfg(feature = "ebpf")]
mod ebpf_hooks;
#[cfg(feature = "ebpf")]
mod ebpf_object;
#[cfg(feature = "ebpf")]
mod ebpf_short_lives;
mod ended;
#[cfg(feature = "metrics")]
mod exposition;
mod floors;
mod fold;
mod given_models;
#[cfg(feature = "nvml")]
mod gpu;
mod hwmon;
mod machine;
mod machine_copy;
#[cfg(feature = "metrics")]
mod made_up;
mod measure;
mod measure_order;
#[cfg(feature = "metrics")]
mod metric_figures;
#[cfg(feature = "metrics")]
mod metric_labels;
#[cfg(feature = "metrics")]
mod metrics;
mod model;
mod model_database;
mod model_files;
mod model_laws;
mod model_selection;
mod modeled;
mod monitor;
mod parity;
mod perf_events;
mod pods;
mod powercap;
mod powercap_bench;
mod powercap_counters;
mod procfs;
#[cfg(feature = "protocol")]
mod protocol;
#[cfg(feature = "protocol")]
mod protocol_estimator;
#[cfg(feature = "protocol")]
mod protocol_replay;
#[cfg(feature = "protocol")]
mod protocol_want;
#[cfg(feature = "redfish")]
mod redfish;
mod registers;
mod share;
mod shared;
#[cfg(feature = "train")]
mod train;
#[cfg(feature = "train")]
mod train_extract;
#[cfg(feature = "train")]
mod train_live;
#[cfg(feature = "train")]
mod train_reference;
#[cfg(feature = "train")]
mod train_trees;
mod workload;

//! The server's own metrics.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use crate::manage::check::Report;
use kepler_core::Host;
use kepler_core::metrics::Own;
use kepler_core::protocol::{Catalog, ModelId};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Models that have series of their own; others are `other`.
const MODELS: usize = 200;

/// Upper bounds of the histogram's buckets in seconds.
const BUCKETS: [f64; 12] = [
    0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0,
];

/// What is counted.
pub(super) struct Meters {
    registry: Registry,
    requests: Family<Request, Histogram, fn() -> Histogram>,
    uses: Family<Used, Counter>,
    inference: Family<Model, Counter<f64, AtomicU64>>,
    errors: Family<Error, Counter>,
    loaded: Family<Pipeline, Gauge>,
    healthy: Family<Checked, Gauge>,
    checked: Family<Checked, Gauge>,
    /// The models that have series of their own.
    named: Mutex<BTreeSet<String>>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Request {
    route: String,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Used {
    model: String,
    form: &'static str,
}

/// What a model was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    Weights,
    Zip,
    Estimate,
    Socket,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Model {
    model: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Error {
    at: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Pipeline {
    pipeline: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Checked {
    kind: String,
}

impl Meters {
    pub(super) fn new(host: Host) -> Self {
        let mut whole = Registry::default();
        let registry = whole.sub_registry_with_prefix("kepler_model_server");
        let requests: Family<Request, Histogram, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(BUCKETS));
        let uses = Family::default();
        let inference = Family::default();
        let errors = Family::default();
        let loaded = Family::default();
        let healthy = Family::default();
        let checked = Family::default();
        registry.register_with_unit(
            "request_duration",
            "Time from a request's head to its answer's head",
            Unit::Seconds,
            requests.clone(),
        );
        registry.register("model_requests", "Requests met by a model", uses.clone());
        registry.register_with_unit(
            "inference",
            "Time in which a model predicted rows",
            Unit::Seconds,
            inference.clone(),
        );
        registry.register("errors", "Requests not met", errors.clone());
        registry.register("models", "Models that are served", loaded.clone());
        registry.register(
            "check_healthy",
            "Whether the last check that was reported found all that is expected",
            healthy.clone(),
        );
        registry.register_with_unit(
            "check_timestamp",
            "When the last check was reported, since the epoch",
            Unit::Seconds,
            checked.clone(),
        );
        let start = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let start = start.unwrap_or_default().as_secs_f64();
        whole.register_collector(Box::new(Process { host, start }));
        Self {
            registry: whole,
            requests,
            uses,
            inference,
            errors,
            loaded,
            healthy,
            checked,
            named: Mutex::default(),
        }
    }

    /// The page of all metrics, as OpenMetrics text.
    pub(super) fn page(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }

    /// Notes an answered request.
    pub(super) fn answered(&self, route: &str, status: u16, took: Duration) {
        let request = Request {
            route: route.to_owned(),
            status,
        };
        self.requests
            .get_or_create(&request)
            .observe(took.as_secs_f64());
        match status {
            0..400 => {}
            400..500 => self.failed("request"),
            _ => self.failed("server"),
        }
    }

    /// Notes a failure, by where it lies.
    pub(super) fn failed(&self, at: &'static str) {
        self.errors.get_or_create(&Error { at }).inc();
    }

    pub(super) fn used(&self, model: &ModelId, form: Use) {
        let model = self.name(model);
        let form = match form {
            Use::Weights => "weights",
            Use::Zip => "zip",
            Use::Estimate => "estimate",
            Use::Socket => "socket",
        };
        self.uses.get_or_create(&Used { model, form }).inc();
    }

    pub(super) fn predicted(&self, model: &ModelId, took: Duration) {
        let model = self.name(model);
        let seconds = took.as_secs_f64();
        self.inference
            .get_or_create(&Model { model })
            .inc_by(seconds);
    }

    /// Notes what is served from now on.
    pub(super) fn loaded(&self, catalog: &Catalog) {
        self.loaded.clear();
        for (pipeline, count) in catalog.counts() {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            let pipeline = pipeline.to_owned();
            self.loaded.get_or_create(&Pipeline { pipeline }).set(count);
        }
    }

    /// Notes the report of a check.
    pub(super) fn reported(&self, report: &Report) {
        let kind = Checked {
            kind: report.kind.to_string(),
        };
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(i64::MAX));
        self.healthy
            .get_or_create(&kind)
            .set(i64::from(report.healthy));
        self.checked.get_or_create(&kind).set(now);
    }

    /// A model's label: its own for the first ones.
    fn name(&self, model: &ModelId) -> String {
        let name = model.to_string();
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        if named.contains(&name) || (named.len() < MODELS && named.insert(name.clone())) {
            name
        } else {
            "other".to_owned()
        }
    }
}

/// What this process uses.
#[derive(Debug)]
struct Process {
    host: Host,
    start: f64,
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let own = Own::read(&self.host);
        if let Some(cpu) = own.cpu {
            let cpu = ConstCounter::new(cpu.as_secs_f64());
            let encoder = encoder.encode_descriptor(
                "process_cpu",
                "CPU time of this server",
                Some(&Unit::Seconds),
                cpu.metric_type(),
            )?;
            cpu.encode(encoder)?;
        }
        if let Some(bytes) = own.resident_bytes {
            let memory = ConstGauge::new(i64::try_from(bytes).unwrap_or(i64::MAX));
            let encoder = encoder.encode_descriptor(
                "process_resident_memory",
                "Resident memory of this server",
                Some(&Unit::Bytes),
                memory.metric_type(),
            )?;
            memory.encode(encoder)?;
        }
        let start = ConstGauge::new(self.start);
        let encoder = encoder.encode_descriptor(
            "process_start_time",
            "When this server was started, since the epoch",
            Some(&Unit::Seconds),
            start.metric_type(),
        )?;
        start.encode(encoder)
    }
}

//! OpenTelemetry metrics: OTLP over HTTP, protocol buffers.

use std::time::SystemTime;

use prost::Message;

use super::post::Push;
use super::series::{self, Family, Series};

/// Pushes pages to an OpenTelemetry collector or one that speaks like it.
#[derive(Debug)]
pub struct Otlp {
    push: Push,
    agent: ureq::Agent,
    resource: Resource,
    started: u64,
}

/// Data points a request.
const BATCH: usize = 5000;
/// Counters are totals since the start.
const CUMULATIVE: i32 = 2;

impl Otlp {
    /// Pushes there, as the service `service` on the host `host`. Counters count from `started` on.
    pub fn new(push: Push, service: &str, host: &str, started: SystemTime) -> Self {
        Self {
            push,
            agent: Push::agent(),
            resource: Resource {
                attributes: vec![
                    KeyValue::new("service.name", service),
                    KeyValue::new("service.instance.id", host),
                    KeyValue::new("host.name", host),
                ],
            },
            started: nanoseconds(started),
        }
    }

    /// Pushes a page of Prometheus text taken at `time`.
    ///
    /// # Errors
    /// Where the other side cannot be reached or does not take it, in words.
    pub fn push(&self, page: &str, time: SystemTime) -> Result<(), String> {
        let time = nanoseconds(time);
        let mut metrics = Vec::new();
        let mut points = 0;
        for family in series::families(page) {
            for part in family.series.chunks(BATCH) {
                metrics.push(self.metric(&family, part, time));
                points += part.len();
                if points >= BATCH {
                    self.send(std::mem::take(&mut metrics))?;
                    points = 0;
                }
            }
        }
        if metrics.is_empty() {
            Ok(())
        } else {
            self.send(metrics)
        }
    }

    fn metric(&self, family: &Family<'_>, series: &[Series<'_>], time: u64) -> Metric {
        let points = series.iter().map(|series| NumberDataPoint {
            start_time_unix_nano: if family.counter { self.started } else { 0 },
            time_unix_nano: time,
            as_double: Some(series.value),
            attributes: series
                .labels
                .iter()
                .map(|(name, value)| KeyValue::new(name, value))
                .collect(),
        });
        let points = points.collect();
        let (gauge, sum) = if family.counter {
            let sum = Sum {
                data_points: points,
                aggregation_temporality: CUMULATIVE,
                is_monotonic: true,
            };
            (None, Some(sum))
        } else {
            (
                Some(Gauge {
                    data_points: points,
                }),
                None,
            )
        };
        let name = family
            .name
            .strip_suffix("_total")
            .filter(|_| family.counter)
            .unwrap_or(family.name);
        Metric {
            name: name.to_owned(),
            description: family.help.to_owned(),
            unit: unit(name).to_owned(),
            gauge,
            sum,
        }
    }

    fn send(&self, metrics: Vec<Metric>) -> Result<(), String> {
        let scope = ScopeMetrics {
            scope: Some(Scope {
                name: "kepler".to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
            }),
            metrics,
        };
        let request = ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics {
                resource: Some(self.resource.clone()),
                scope_metrics: vec![scope],
            }],
        };
        let headers = [("content-type", "application/x-protobuf")];
        self.push
            .send(&self.agent, &headers, &request.encode_to_vec())
    }
}

/// The unit that a name ends in, as UCUM spells it.
fn unit(name: &str) -> &'static str {
    match name.rsplit('_').next() {
        Some("joules") => "J",
        Some("watts") => "W",
        Some("seconds") => "s",
        Some("bytes") => "By",
        Some("ms") => "ms",
        Some("ratio") => "1",
        _ => "",
    }
}

fn nanoseconds(time: SystemTime) -> u64 {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[derive(Clone, PartialEq, Message)]
struct ExportMetricsServiceRequest {
    #[prost(message, repeated, tag = "1")]
    resource_metrics: Vec<ResourceMetrics>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceMetrics {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scope_metrics: Vec<ScopeMetrics>,
}

#[derive(Clone, PartialEq, Message)]
struct Resource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeMetrics {
    #[prost(message, optional, tag = "1")]
    scope: Option<Scope>,
    #[prost(message, repeated, tag = "2")]
    metrics: Vec<Metric>,
}

#[derive(Clone, PartialEq, Message)]
struct Scope {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    version: String,
}

#[derive(Clone, PartialEq, Message)]
struct Metric {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    description: String,
    #[prost(string, tag = "3")]
    unit: String,
    /// One of these two is set.
    #[prost(message, optional, tag = "5")]
    gauge: Option<Gauge>,
    #[prost(message, optional, tag = "7")]
    sum: Option<Sum>,
}

#[derive(Clone, PartialEq, Message)]
struct Gauge {
    #[prost(message, repeated, tag = "1")]
    data_points: Vec<NumberDataPoint>,
}

#[derive(Clone, PartialEq, Message)]
struct Sum {
    #[prost(message, repeated, tag = "1")]
    data_points: Vec<NumberDataPoint>,
    #[prost(int32, tag = "2")]
    aggregation_temporality: i32,
    #[prost(bool, tag = "3")]
    is_monotonic: bool,
}

#[derive(Clone, PartialEq, Message)]
struct NumberDataPoint {
    #[prost(fixed64, tag = "2")]
    start_time_unix_nano: u64,
    #[prost(fixed64, tag = "3")]
    time_unix_nano: u64,
    /// Present even where it is 0: a point without a value is another thing.
    #[prost(double, optional, tag = "4")]
    as_double: Option<f64>,
    #[prost(message, repeated, tag = "7")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct AnyValue {
    #[prost(string, optional, tag = "1")]
    string_value: Option<String>,
}

impl KeyValue {
    fn new(key: &str, value: &str) -> Self {
        Self {
            key: key.to_owned(),
            value: Some(AnyValue {
                string_value: Some(value.to_owned()),
            }),
        }
    }
}

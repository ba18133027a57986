//! Prometheus remote write 1.0: snappy over protocol buffers.

use std::time::SystemTime;

use prost::Message;

use super::post::Push;
use super::series::{self, Family};

/// Writes pages to a Prometheus or one that speaks like it.
#[derive(Debug)]
pub struct RemoteWrite {
    push: Push,
    agent: ureq::Agent,
    /// Labels of every series that has none of the name.
    labels: Vec<(String, String)>,
}

/// Series a request: what receivers take without tuning.
const BATCH: usize = 2000;

impl RemoteWrite {
    /// Writes there. Every series gets `labels` that it has not itself, such as `job` and `instance`, which a scrape would add.
    pub fn new(push: Push, labels: Vec<(String, String)>) -> Self {
        Self {
            push,
            agent: Push::agent(),
            labels,
        }
    }

    /// Writes a page of Prometheus text taken at `time`.
    ///
    /// # Errors
    /// Where the other side cannot be reached or does not take it, in words.
    pub fn write(&self, page: &str, time: SystemTime) -> Result<(), String> {
        let timestamp = time
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let timestamp = i64::try_from(timestamp.as_millis()).unwrap_or(i64::MAX);
        let families = series::families(page);
        let metadata = families.iter().map(described).collect();
        let mut request = WriteRequest {
            timeseries: Vec::new(),
            metadata,
        };
        for family in &families {
            for series in &family.series {
                let mut labels = vec![Label::new("__name__", family.name)];
                labels.extend(
                    series
                        .labels
                        .iter()
                        .map(|(name, value)| Label::new(name, value)),
                );
                for (name, value) in &self.labels {
                    if !labels.iter().any(|label| label.name == *name) {
                        labels.push(Label::new(name, value));
                    }
                }
                labels.sort_by(|a, b| a.name.cmp(&b.name));
                request.timeseries.push(TimeSeries {
                    labels,
                    samples: vec![Sample {
                        value: series.value,
                        timestamp,
                    }],
                });
                if request.timeseries.len() == BATCH {
                    self.send(&request)?;
                    request = WriteRequest::default();
                }
            }
        }
        if request.timeseries.is_empty() {
            return Ok(());
        }
        self.send(&request)
    }

    fn send(&self, request: &WriteRequest) -> Result<(), String> {
        let packed = snap::raw::Encoder::new().compress_vec(&request.encode_to_vec());
        let packed = packed.map_err(|e| e.to_string())?;
        let headers = [
            ("content-type", "application/x-protobuf"),
            ("content-encoding", "snappy"),
            ("x-prometheus-remote-write-version", "0.1.0"),
        ];
        self.push.send(&self.agent, &headers, &packed)
    }
}

fn described(family: &Family<'_>) -> MetricMetadata {
    MetricMetadata {
        kind: if family.counter { 1 } else { 2 },
        metric_family_name: family.name.to_owned(),
        help: family.help.to_owned(),
    }
}

#[derive(Clone, PartialEq, Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    timeseries: Vec<TimeSeries>,
    #[prost(message, repeated, tag = "3")]
    metadata: Vec<MetricMetadata>,
}

#[derive(Clone, PartialEq, Message)]
struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
}

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    #[prost(double, tag = "1")]
    value: f64,
    /// Milliseconds.
    #[prost(int64, tag = "2")]
    timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
struct MetricMetadata {
    /// 1 counter, 2 gauge.
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(string, tag = "2")]
    metric_family_name: String,
    #[prost(string, tag = "4")]
    help: String,
}

impl Label {
    fn new(name: &str, value: &str) -> Self {
        Self {
            name: name.to_owned(),
            value: value.to_owned(),
        }
    }
}

//! What Prometheus kept of an exporter: the JSON of range queries, from a saved dump or from the server's answers.
//!
//! The library has no HTTP client for this: ask a server for [`PrometheusDump::queries`] at `/api/v1/query_range` and hand
//! each answer to [`PrometheusDump::add_answer`]. A server gives at most 11,000 points a series at once: ask for a long
//! history in parts, whose answers go on where the ones before ended.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::model::EnergySourceName;

/// Time series by metric name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PrometheusDump {
    metrics: BTreeMap<String, Vec<Series>>,
}

/// One time series.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct Series {
    #[serde(rename = "metric")]
    labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "samples")]
    pub(super) values: Vec<(f64, f64)>,
}

impl PrometheusDump {
    /// Reads a saved dump: an object of metric names, each with the `result` list of a range query.
    ///
    /// # Errors
    /// [`Error::Malformed`] with the line and column.
    pub fn from_json(bytes: &[u8], place: &str) -> Result<Self> {
        let metrics: BTreeMap<String, Vec<Series>> =
            parse(bytes, place, "a dump of range queries")?;
        let mut dump = Self::default();
        for (metric, series) in metrics {
            dump.add(&metric, series);
        }
        Ok(dump)
    }

    /// Adds the answer of `/api/v1/query_range` to the query of one metric.
    ///
    /// # Errors
    /// [`Error::Malformed`] for anything but a successful answer with a matrix.
    pub fn add_answer(&mut self, metric: &str, answer: &[u8]) -> Result<()> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Data {
            result_type: String,
            result: Vec<Series>,
        }
        #[derive(Deserialize)]
        struct Answer {
            status: String,
            #[serde(default)]
            error: String,
            data: Option<Data>,
        }
        let answer: Answer = parse(answer, metric, "the answer to a range query")?;
        match answer.data {
            Some(data) if answer.status == "success" && data.result_type == "matrix" => {
                self.add(metric, data.result);
                Ok(())
            }
            Some(data) if answer.status == "success" => {
                Err(Error::malformed(metric, "a matrix", data.result_type))
            }
            _ => Err(Error::malformed(
                metric,
                "a successful answer",
                answer.error,
            )),
        }
    }

    /// The metrics to ask a server for: what containers did, and what the node drew as a meter measured it.
    pub fn queries<S: AsRef<str>>(source: EnergySourceName, features: &[S]) -> Vec<String> {
        let feature = |f: &S| [container_metric(f.as_ref()), node_metric(f.as_ref())];
        let energy = |c: &crate::model::Component| energy_metric("node", *c);
        let features = features.iter().flat_map(feature);
        features
            .chain(source.components().iter().map(energy))
            .collect()
    }

    /// The series of a metric; none where it was not kept.
    pub(super) fn series(&self, metric: &str) -> &[Series] {
        self.metrics.get(metric).map_or(&[], Vec::as_slice)
    }

    /// Adds samples; what is of the same series (the same labels) in several answers becomes one.
    fn add(&mut self, metric: &str, series: Vec<Series>) {
        let kept = self.metrics.entry(metric.to_owned()).or_default();
        let known = kept.drain(..).chain(series);
        let mut by_labels: BTreeMap<BTreeMap<String, String>, Vec<(f64, f64)>> = BTreeMap::new();
        for series in known {
            by_labels
                .entry(series.labels)
                .or_default()
                .extend(series.values);
        }
        kept.extend(by_labels.into_iter().map(|(labels, mut values)| {
            values.sort_by(|a, b| a.0.total_cmp(&b.0));
            values.dedup_by(|later, earlier| later.0.total_cmp(&earlier.0).is_eq());
            Series { labels, values }
        }));
    }
}

impl Series {
    /// A label; empty where the series does not have it, as Prometheus sees it.
    pub(super) fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }

    /// Growth a second since the sample before, at each sample but the first; a counter that fell (its process began anew)
    /// is taken to have gone on as before.
    pub(super) fn rates(&self) -> Vec<(f64, f64)> {
        let mut last = 0.0;
        let rate = |pair: &[(f64, f64)]| {
            let rate = (pair[1].1 - pair[0].1) / (pair[1].0 - pair[0].0);
            if rate >= 0.0 {
                last = rate;
            }
            (pair[1].0, last)
        };
        self.values.windows(2).map(rate).collect()
    }
}

pub(super) fn container_metric(feature: &str) -> String {
    format!("kepler_container_{feature}_total")
}

pub(super) fn process_metric(feature: &str) -> String {
    format!("kepler_process_{feature}_total")
}

pub(super) fn node_metric(feature: &str) -> String {
    format!("kepler_node_{feature}")
}

pub(super) fn energy_metric(of: &str, component: crate::model::Component) -> String {
    format!("kepler_{of}_{component}_joules_total")
}

fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8], place: &str, want: &str) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|e| Error::malformed(place, want, e.to_string()))
}

/// Samples are `[seconds, "value"]`; those that are not finite numbers (`NaN` for a stale series) are left out.
fn samples<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<(f64, f64)>, D::Error> {
    let raw = Vec::<(f64, std::borrow::Cow<'de, str>)>::deserialize(deserializer)?;
    let mut samples = Vec::with_capacity(raw.len());
    for (seconds, text) in raw {
        let value: f64 = text.parse().map_err(serde::de::Error::custom)?;
        if value.is_finite() && seconds.is_finite() {
            samples.push((seconds, value));
        }
    }
    Ok(samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_the_server_is_read() {
        let answer = br#"{"status":"success","data":{"resultType":"matrix","result":[
            {"metric":{"__name__":"m","mode":"idle"},"values":[[10,"5"],[13.5,"NaN"],[12,"9"]]}]}}"#;
        let mut dump = PrometheusDump::default();
        dump.add_answer("m", answer).unwrap();
        assert_eq!(dump.series("m")[0].values, [(10.0, 5.0), (12.0, 9.0)]);
        assert_eq!(dump.series("m")[0].label("mode"), "idle");
        assert_eq!(dump.series("m")[0].rates(), [(12.0, 2.0)]);
    }

    #[test]
    fn a_history_asked_for_in_parts_is_the_same_as_at_once() {
        let answer = |series: &[(&str, &str)]| {
            let one = |(pod, values): &(&str, &str)| {
                format!(r#"{{"metric":{{"pod":"{pod}"}},"values":[{values}]}}"#)
            };
            let result: Vec<String> = series.iter().map(one).collect();
            format!(
                r#"{{"status":"success","data":{{"resultType":"matrix","result":[{}]}}}}"#,
                result.join(",")
            )
        };
        let dump = |answers: &[String]| {
            let mut dump = PrometheusDump::default();
            for answer in answers {
                dump.add_answer("m", answer.as_bytes()).unwrap();
            }
            dump
        };
        let whole = dump(&[answer(&[
            ("a", r#"[3,"1"],[6,"7"],[9,"8"]"#),
            ("b", r#"[9,"2"]"#),
        ])]);
        let parts = dump(&[
            answer(&[("a", r#"[3,"1"],[6,"7"]"#)]),
            // Parts may share the sample at their border.
            answer(&[("b", r#"[9,"2"]"#), ("a", r#"[6,"7"],[9,"8"]"#)]),
        ]);
        assert_eq!(parts, whole);
        assert_eq!(parts.series("m")[0].rates(), [(6.0, 2.0), (9.0, 1.0 / 3.0)]);
    }

    #[test]
    fn a_refusal_of_the_server_is_an_error_with_its_words() {
        let answer = br#"{"status":"error","errorType":"bad_data","error":"too many points"}"#;
        let error = PrometheusDump::default()
            .add_answer("m", answer)
            .unwrap_err();
        assert!(error.to_string().contains("too many points"), "{error}");
        let vector = br#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;
        assert!(PrometheusDump::default().add_answer("m", vector).is_err());
    }

    #[test]
    fn a_counter_that_fell_goes_on_as_before() {
        let values = vec![(0.0, 0.0), (2.0, 10.0), (4.0, 1.0), (6.0, 3.0)];
        let series = Series {
            labels: BTreeMap::new(),
            values,
        };
        assert_eq!(series.rates(), [(2.0, 5.0), (4.0, 5.0), (6.0, 1.0)]);
    }
}

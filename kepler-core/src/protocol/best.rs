//! What `/best-models` is asked, and its answer.

use serde_json::{Map, Value};

use super::catalog::Catalog;
use super::python::{int, repr};
use super::query::told;
use super::refusal::Refusal;
use crate::model::{
    EnergySourceName, FeatureGroup, Filter, ModelRequest, OutputType, SelectionPolicy,
};

/// A request for the names of the best models, as the query of `/best-models` tells it.
#[derive(Clone, Debug)]
pub struct BestQuery {
    source: EnergySourceName,
    output_types: Vec<OutputType>,
    groups: Vec<FeatureGroup>,
    node_type: Option<u32>,
    filter: Filter,
}

impl BestQuery {
    /// Reads the query's items; of a name that is twice the first holds, and names that are not known are left alone.
    ///
    /// # Errors
    /// A [`Refusal`] with the older server's words.
    pub fn parse<'a>(items: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Self, Refusal> {
        let (mut source, mut output, mut group, mut node_type, mut filter) =
            (None, None, None, None, None);
        for (name, value) in items {
            let place = match name {
                "energy-source" => &mut source,
                "output-type" => &mut output,
                "feature-group" => &mut group,
                "node-type" => &mut node_type,
                "filter" => &mut filter,
                _ => continue,
            };
            place.get_or_insert(value);
        }
        let no_key = |name: &str| failed(&repr(name));
        let source = match source {
            None => EnergySourceName::RaplSysfs,
            Some(name) => EnergySourceName::of_request(name).map_err(|_name| no_key(name))?,
        };
        let output_types = match output {
            None => OutputType::ALL.to_vec(),
            Some(name) => vec![name.parse().map_err(|_name| no_key(name))?],
        };
        let groups = match group {
            None => FeatureGroup::WITH_FEATURES.to_vec(),
            Some(name) => vec![name.parse().map_err(|_name| no_key(name))?],
        };
        let node_type = match node_type {
            None => None,
            Some(text) => told(int(text).ok_or_else(|| {
                let text = repr(text);
                failed(&format!("invalid literal for int() with base 10: {text}"))
            })?),
        };
        let filter: Filter = match filter.unwrap_or_default().parse() {
            Ok(filter) => filter,
            Err(error) => return Err(failed(&format!("{error}"))),
        };
        Ok(Self {
            source,
            output_types,
            groups,
            node_type,
            filter,
        })
    }

    /// The older server's words for a source that it has no models of.
    fn unknown_source(&self) -> Refusal {
        failed(&repr(self.source.as_str()))
    }
}

impl Catalog {
    /// The names of the best models by output type and feature group, as JSON.
    ///
    /// # Errors
    /// A [`Refusal`] for a source that there are no models of.
    pub fn best_models(&self, query: &BestQuery) -> Result<Value, Refusal> {
        if !self.has_source(query.source) {
            return Err(query.unknown_source());
        }
        let none: [&str; 0] = [];
        let mut best = Map::new();
        for output_type in &query.output_types {
            let mut request = ModelRequest::new(query.source, *output_type, &none);
            request.node_type = query.node_type;
            request.filter = query.filter.clone();
            request.loose = false;
            let mut names = Map::new();
            for group in &query.groups {
                request.group = Some(*group);
                if let Some(choice) = self.choose(&request, SelectionPolicy::Compatible)? {
                    names.insert(group.to_string(), choice.id.name.into());
                }
            }
            best.insert(output_type.to_string(), names.into());
        }
        Ok(best.into())
    }
}

fn failed(why: &str) -> Refusal {
    Refusal::known(format!("failed to get best model list: {why}"))
}

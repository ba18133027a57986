//! Filters on models, as requests spell them: `mae:5;features:cpu_cycles,cache_miss`.

use std::str::FromStr;

use super::names::Component;
use super::registry::ModelEntry;
use crate::error::{Error, Result};

/// What a model must fulfil. Every condition holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter(Vec<Condition>);

#[derive(Clone, Debug, PartialEq)]
enum Condition {
    /// An error is at most this; of one component, or of the worst.
    AtMost(Figure, Option<Component>, f64),
    /// The model has these features.
    Features(Vec<String>),
    /// The trainer's name has this part.
    Trainer(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Figure {
    Mae,
    Mape,
}

impl FromStr for Filter {
    type Err = Error;

    /// Reads conditions separated by `;`: `mae:<watts>`, `mape:<per cent>`, either with a component before it
    /// (`package_mae:5`), `features:<name>,<name>` and `trainer:<part of its name>`. Empty items are nothing.
    fn from_str(text: &str) -> Result<Self> {
        let items = text
            .split(';')
            .map(str::trim)
            .filter(|item| !item.is_empty());
        Ok(Self(items.map(Condition::parse).collect::<Result<_>>()?))
    }
}

impl Filter {
    pub(super) fn admits(&self, entry: &ModelEntry) -> bool {
        self.0.iter().all(|condition| condition.admits(entry))
    }
}

impl Condition {
    fn parse(item: &str) -> Result<Self> {
        let wrong = |why: String| Error::invalid(format!("filter {item:?}"), why);
        let (key, value) = item
            .split_once(':')
            .ok_or_else(|| wrong("expected <key>:<value>".to_owned()))?;
        match key {
            "features" => {
                let names = value
                    .split(',')
                    .map(|n| n.trim().to_owned())
                    .filter(|n| !n.is_empty());
                return Ok(Self::Features(names.collect()));
            }
            "trainer" => return Ok(Self::Trainer(value.to_owned())),
            _ => {}
        }
        let (component, figure) = match key.rsplit_once('_') {
            Some((component, figure)) => (Some(component.parse()?), figure),
            None => (None, key),
        };
        let figure = match figure {
            "mae" => Figure::Mae,
            "mape" => Figure::Mape,
            _ => {
                let known = "mae, mape, <component>_mae, <component>_mape, features, trainer";
                return Err(wrong(format!("{key} is not one of {known}")));
            }
        };
        let limit: f64 = value
            .trim()
            .parse()
            .map_err(|_text| wrong(format!("{value} is no number")))?;
        Ok(Self::AtMost(figure, component, limit))
    }

    fn admits(&self, entry: &ModelEntry) -> bool {
        match self {
            Self::AtMost(Figure::Mae, None, limit) => entry.mae().is_some_and(|mae| mae <= *limit),
            Self::AtMost(figure, component, limit) => {
                let main = entry.source().main_component();
                let error = entry.error(component.unwrap_or(main));
                let value = error.and_then(|e| match figure {
                    Figure::Mae => Some(e.mae),
                    Figure::Mape => e.mape,
                });
                value.is_some_and(|value| value <= *limit)
            }
            Self::Features(names) => names.iter().all(|name| entry.features().any(|f| f == name)),
            Self::Trainer(part) => entry.trainer().contains(part.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_read_or_refused_by_what_is_wrong() {
        let filter: Filter = "mae:5;package_mape:3.5; features:a,b;trainer:SGD;;"
            .parse()
            .unwrap();
        assert_eq!(
            filter.0,
            [
                Condition::AtMost(Figure::Mae, None, 5.0),
                Condition::AtMost(Figure::Mape, Some(Component::Package), 3.5),
                Condition::Features(vec!["a".to_owned(), "b".to_owned()]),
                Condition::Trainer("SGD".to_owned()),
            ]
        );
        for wrong in ["mae", "mae:low", "keys:1", "gpu_mae:1"] {
            assert!(wrong.parse::<Filter>().is_err(), "{wrong}");
        }
    }
}

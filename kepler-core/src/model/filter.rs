//! Filters on models, as requests spell them: `mae:5;features:cpu_cycles,cache_miss`.

use std::str::FromStr;

#[cfg(feature = "protocol")]
use super::PowerModel;
use super::card::HeldOut;
use super::entry::ModelEntry;
use super::names::Component;
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
        self.0.iter().all(|condition| {
            condition.admits(&Judged {
                mae: entry.mae(),
                main: entry.source().main_component(),
                error: &|component| entry.error(component),
                feature: &|name| entry.features().any(|f| f == name),
                trainer: entry.trainer(),
            })
        })
    }

    /// The same of a model that lies in no registry.
    #[cfg(feature = "protocol")]
    pub(crate) fn admits_model(&self, model: &PowerModel, main: Component) -> bool {
        let file = model.file();
        let error = |component| file.components.get(&component)?.errors.first();
        let all = file.components.keys().filter_map(|c| error(*c));
        let feature = |name: &str| model.features().any(|f| f == name);
        self.0.iter().all(|condition| {
            condition.admits(&Judged {
                mae: all.clone().map(|e| e.mae).reduce(f64::max),
                main,
                error: &error,
                feature: &feature,
                trainer: &file.training.trainer,
            })
        })
    }
}

/// What conditions look at.
struct Judged<'a> {
    mae: Option<f64>,
    main: Component,
    error: &'a dyn Fn(Component) -> Option<&'a HeldOut>,
    feature: &'a dyn Fn(&str) -> bool,
    trainer: &'a str,
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

    fn admits(&self, model: &Judged<'_>) -> bool {
        match self {
            Self::AtMost(Figure::Mae, None, limit) => model.mae.is_some_and(|mae| mae <= *limit),
            Self::AtMost(figure, component, limit) => {
                let error = (model.error)(component.unwrap_or(model.main));
                let value = error.and_then(|e| match figure {
                    Figure::Mae => Some(e.mae),
                    Figure::Mape => e.mape,
                });
                value.is_some_and(|value| value <= *limit)
            }
            Self::Features(names) => names.iter().all(|name| (model.feature)(name)),
            Self::Trainer(part) => model.trainer.contains(part.as_str()),
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

//! How alike two machines are, and which machine type of an index a machine is: the rules of the older model server.

use std::collections::BTreeSet;

use serde_json::Value;

use super::node_index::{NodeIndex, NodeType};
use super::spec::SpecRecord;
use crate::error::{Error, Result};
use crate::units::count_to_f64;

/// What a machine was found to be in an index.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Match {
    /// The machine type's number.
    pub node_type: u32,
    /// How arbitrary the choice among equally fitting types was, 0 to 1.
    pub uncertainty: f64,
    /// How unlike the machine is to the type, 0 to 1.
    pub looseness: f64,
}

/// The attributes and their weights in a similarity.
const WEIGHTS: [f64; 5] = [5.0 / 8.0, 1.0 / 8.0, 1.0 / 8.0, 1.0 / 16.0, 1.0 / 16.0];
const ATTRIBUTES: [&str; 5] = ["processor", "cores", "chips", "memory", "frequency"];

impl SpecRecord {
    fn attributes(&self) -> [&Value; 5] {
        [
            &self.processor,
            &self.cores,
            &self.chips,
            &self.memory,
            &self.frequency,
        ]
    }

    /// Whether it says anything of the machine.
    pub fn has_values(&self) -> Result<bool> {
        for place in 0..ATTRIBUTES.len() {
            if self.has_value(place)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// An attribute has a value when it is not null, empty, false, zero or negative.
    fn has_value(&self, place: usize) -> Result<bool> {
        let value = self.attributes()[place];
        match (place, value) {
            (_, Value::Null | Value::Bool(false)) => Ok(false),
            (_, Value::String(text)) if text.is_empty() => Ok(false),
            (0, Value::String(_)) => Ok(true),
            (0, _) => Err(Error::invalid("processor", format!("{value} is no text"))),
            _ => Ok(self.number(place)? > 0.0),
        }
    }

    fn number(&self, place: usize) -> Result<f64> {
        let value = self.attributes()[place];
        number(value)
            .ok_or_else(|| Error::invalid(ATTRIBUTES[place], format!("{value} is no number")))
    }

    /// Whether this machine type is what `wanted` says, in every attribute that has a value there.
    pub fn covers(&self, wanted: &Self) -> Result<bool> {
        for place in 0..ATTRIBUTES.len() {
            if !wanted.has_value(place)? {
                continue;
            }
            let (own, other) = (self.attributes()[place], wanted.attributes()[place]);
            if !same(own, other) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// How alike this machine type is to `wanted`, 0 to 1. What `wanted` does not say counts as unlike.
    pub fn similarity(&self, wanted: &Self) -> Result<f64> {
        let mut sum = 0.0;
        for (place, weight) in WEIGHTS.into_iter().enumerate() {
            let (own, other) = (self.attributes()[place], wanted.attributes()[place]);
            sum += weight
                * match (place, other) {
                    (_, Value::Null) => 0.0,
                    (0, Value::String(other)) => alike(own.as_str().unwrap_or_default(), other),
                    (0, _) => {
                        return Err(Error::invalid("processor", format!("{other} is no text")));
                    }
                    _ => near(number(own).unwrap_or(0.0), wanted.number(place)?),
                };
        }
        Ok(sum.min(1.0))
    }
}

impl NodeIndex {
    /// The machine type that `wanted` is taken for; `None` in an empty index, or when nothing covers it and `loose` is
    /// false.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for an attribute that is of the wrong kind, such as cores that are no number.
    pub fn find(&self, wanted: &SpecRecord, loose: bool) -> Result<Option<Match>> {
        let missing = wanted.attributes().iter().filter(|v| v.is_null()).count();
        let exact = |node: &NodeType| Match {
            node_type: node.number(),
            uncertainty: 0.0,
            looseness: 0.0,
        };
        let mut nearest: Option<(f64, &NodeType)> = None;
        let mut covering = Vec::new();
        for node in self.nodes() {
            let similarity = node.attributes().similarity(wanted)?;
            let closer = |(best, other): (f64, &NodeType)| {
                similarity > best || (similarity >= best && node.members() > other.members())
            };
            if nearest.is_none_or(closer) {
                nearest = Some((similarity, node));
            }
            if node.attributes().covers(wanted)? {
                if missing == 0 {
                    return Ok(Some(exact(node)));
                }
                covering.push(node);
            }
        }
        let Some((similarity, nearest)) = nearest else {
            return Ok(None);
        };
        if loose && similarity >= 1.0 {
            return Ok(Some(exact(nearest)));
        }
        let share = |node: &NodeType, among: &[&NodeType]| {
            let total: usize = among.iter().map(|n| n.members()).sum();
            count_to_f64(node.members() as u64) / count_to_f64(total.max(1) as u64)
        };
        if let Some(first) = covering.first() {
            let most = covering.iter().fold(*first, |most, n| {
                if n.members() > most.members() {
                    n
                } else {
                    most
                }
            });
            return Ok(Some(Match {
                uncertainty: 1.0 - share(most, &covering),
                ..exact(most)
            }));
        }
        if !loose {
            return Ok(None);
        }
        let (loosened, differing) = wanted.loosened(nearest.attributes());
        let unknown = loosened.attributes().iter().filter(|v| v.is_null()).count();
        let mut covering = Vec::new();
        for node in self.nodes() {
            if node.attributes().covers(&loosened)? {
                covering.push(node);
            }
        }
        // What was missing from the start is counted again as differing: so did the original.
        let counted = count_to_f64((missing + differing) as u64);
        let score = count_to_f64(unknown as u64) * share(nearest, &covering);
        Ok(Some(Match {
            node_type: nearest.number(),
            uncertainty: 1.0 - score / counted.max(1.0),
            looseness: 1.0 - similarity,
        }))
    }
}

impl SpecRecord {
    /// This machine without what differs from `other`, and how many attributes differ.
    fn loosened(&self, other: &Self) -> (Self, usize) {
        let mut loosened = self.clone();
        let mut differing = 0;
        for (own, other) in [
            (&mut loosened.processor, &other.processor),
            (&mut loosened.cores, &other.cores),
            (&mut loosened.chips, &other.chips),
            (&mut loosened.memory, &other.memory),
            (&mut loosened.frequency, &other.frequency),
        ] {
            if own.is_null() || !equal(own, other) {
                *own = Value::Null;
                differing += 1;
            }
        }
        (loosened, differing)
    }
}

/// A number, also one spelled as text.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Bool(truth) => Some(f64::from(*truth)),
        _ => None,
    }
}

/// Equal as numbers where both are numbers or spell one, else equal as they stand.
fn same(a: &Value, b: &Value) -> bool {
    match (number(a), number(b)) {
        (Some(a), Some(b)) => (a - b).abs() <= 0.0,
        _ => a == b,
    }
}

/// Equal as they stand; 96 and 96.0 are the same number.
fn equal(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => (a - b).abs() <= 0.0,
        _ => a == b,
    }
}

/// How alike two processor names are: by the characters that they use.
fn alike(a: &str, b: &str) -> f64 {
    let (a, b) = (a.to_lowercase(), b.to_lowercase());
    if a == b {
        return 1.0;
    }
    if a.is_empty() || b.is_empty() {
        return 0.0;
    }
    let (both, either) = if a.is_ascii() && b.is_ascii() {
        // An index has hundreds of processors: a bit a letter.
        let letters = |text: &str| text.bytes().fold(0u128, |set, letter| set | 1 << letter);
        let (a, b) = (letters(&a), letters(&b));
        ((a & b).count_ones().into(), (a | b).count_ones().into())
    } else {
        let (a, b): (BTreeSet<char>, BTreeSet<char>) = (a.chars().collect(), b.chars().collect());
        let both = a.intersection(&b).count() as u64;
        (both, a.union(&b).count() as u64)
    };
    0.5 * count_to_f64(both) / count_to_f64(either)
}

/// How near two numbers are: their difference by their mean.
fn near(a: f64, b: f64) -> f64 {
    if a <= 0.0 && b <= 0.0 {
        return 1.0;
    }
    let difference = (a - b).abs() / ((a + b) / 2.0);
    // NaN and negative means count as unlike.
    if (0.0..1.0).contains(&difference) {
        1.0 - difference
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_alike_by_their_characters() {
        assert!((alike("abcd", "abcdefgh") - 0.25).abs() < 1e-12);
        assert!((alike("Intel_Xeon", "intel_xeon") - 1.0).abs() < 1e-12);
        assert!(alike("", "intel_xeon").abs() < 1e-12);
    }

    #[test]
    fn a_machine_of_which_only_an_unknown_processor_is_told_is_a_guess() {
        let text = (0..6).map(|n| {
            format!(r#""{n}":{{"attrs":{{"processor":"intel_{n}","cores":96,"chips":2,"memory":{n},"frequency":3500}},"members":["m"]}}"#)
        });
        let text = format!("{{{}}}", text.collect::<Vec<_>>().join(","));
        let index = NodeIndex::parse(text.as_bytes(), "test").unwrap();
        let wanted = SpecRecord {
            processor: "acme_z9000".into(),
            ..SpecRecord::default()
        };
        let found = index.find(&wanted, true).unwrap().unwrap();
        // All five attributes are unknown then, the four missing ones counted twice: 1 - (5 / 6) / 9.
        assert!(
            (found.uncertainty - (1.0 - 5.0 / 6.0 / 9.0)).abs() < 1e-12,
            "{found:?}"
        );
        assert_eq!(index.find(&wanted, false).unwrap(), None);
    }
}

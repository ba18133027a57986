//! The machine types of a pipeline.

use serde::Deserialize;

use super::spec::SpecRecord;
use crate::error::{Error, Result};

/// The machine types of a pipeline, in the order of its file.
#[derive(Clone, Debug, Default)]
pub struct NodeIndex {
    nodes: Vec<NodeType>,
}

/// One machine type: its number, its attributes and how many machines of it were measured.
#[derive(Clone, Debug)]
pub struct NodeType {
    number: u32,
    attributes: SpecRecord,
    members: usize,
}

#[derive(Deserialize)]
struct Record {
    attrs: SpecRecord,
    #[serde(default)]
    members: Vec<serde::de::IgnoredAny>,
}

impl NodeIndex {
    pub(super) fn parse(bytes: &[u8], place: &str) -> Result<Self> {
        let records: InOrder = serde_json::from_slice(bytes)
            .map_err(|e| Error::malformed(place, "an index of machine types", e.to_string()))?;
        let nodes = records.0.into_iter().map(|(number, record)| NodeType {
            number,
            attributes: record.attrs,
            members: record.members.len(),
        });
        Ok(Self {
            nodes: nodes.collect(),
        })
    }

    /// The machine types, in the order of the file.
    pub fn nodes(&self) -> &[NodeType] {
        &self.nodes
    }

    /// A machine type by its number.
    pub fn get(&self, number: u32) -> Option<&NodeType> {
        // Numbers are usually places.
        let place = usize::try_from(number).ok();
        let usual = place.and_then(|place| self.nodes.get(place));
        usual
            .filter(|n| n.number == number)
            .or_else(|| self.nodes.iter().find(|n| n.number == number))
    }
}

impl NodeType {
    /// Its number in the index.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Its attributes.
    pub fn attributes(&self) -> &SpecRecord {
        &self.attributes
    }

    /// How many machines of it were measured.
    pub fn members(&self) -> usize {
        self.members
    }
}

/// An object's items in the order of the text.
struct InOrder(Vec<(u32, Record)>);

impl<'de> Deserialize<'de> for InOrder {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        struct Items;
        impl<'de> serde::de::Visitor<'de> for Items {
            type Value = InOrder;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("machine types by number")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> std::result::Result<InOrder, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = map.next_entry()? {
                    items.push(item);
                }
                Ok(InOrder(items))
            }
        }
        from.deserialize_map(Items)
    }
}

//! The YAML file: its leaves with their keys and lines.

use std::fmt;

use kepler_service::yaml;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

/// One leaf of the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Leaf {
    /// The keys that lead to it, joined by dots.
    pub(super) key: String,
    pub(super) line: u64,
    pub(super) value: Value,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// Nothing was given: null, an empty text or an empty list.
    Absent,
    One(String),
    Several(Vec<String>),
    /// A list of lists or of mappings.
    Structured,
}

/// The leaves of a file's text, in its order.
pub(super) fn parse(text: &str) -> Result<Vec<Leaf>, String> {
    let root: Option<Spanned<Node>> = yaml(text)?;
    let mut leaves = Vec::new();
    match root {
        None => {}
        Some(root) if matches!(root.value, Node::Map(_)) => {
            flatten(String::new(), root, &mut leaves)
        }
        Some(root) if matches!(root.value, Node::Null) => {}
        Some(root) => {
            return Err(format!(
                "line {}: expected keys with values",
                root.referenced.line()
            ));
        }
    }
    Ok(leaves)
}

enum Node {
    Null,
    Scalar(String),
    List(Vec<Spanned<Self>>),
    Map(Vec<(String, Spanned<Self>)>),
}

fn flatten(key: String, node: Spanned<Node>, leaves: &mut Vec<Leaf>) {
    let line = node.referenced.line();
    let value = match node.value {
        Node::Map(entries) => {
            for (name, below) in entries {
                let key = if key.is_empty() {
                    name
                } else {
                    format!("{key}.{name}")
                };
                flatten(key, below, leaves);
            }
            return;
        }
        Node::Null => Value::Absent,
        Node::Scalar(text) if text.is_empty() => Value::Absent,
        Node::Scalar(text) => Value::One(text),
        Node::List(items) if items.is_empty() => Value::Absent,
        Node::List(items) => {
            let texts = items.into_iter().map(|item| match item.value {
                Node::Scalar(text) => Some(text),
                _ => None,
            });
            texts
                .collect::<Option<_>>()
                .map_or(Value::Structured, Value::Several)
        }
    };
    leaves.push(Leaf { key, line, value });
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, a list or a mapping")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Node::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_have_their_keys_lines_and_texts() {
        let text = "monitor:\n  interval: 5s\n  maxTerminated: -1\nrapl:\n  zones: []\nweb.configFile: ''\n\
            a: [x, 2]\nb: [{c: d}]\ne: true\nf: ~\n";
        let leaves = parse(text).unwrap();
        let told: Vec<_> = leaves.iter().map(|l| (l.key.as_str(), l.line)).collect();
        assert_eq!(
            told,
            [
                ("monitor.interval", 2),
                ("monitor.maxTerminated", 3),
                ("rapl.zones", 5),
                ("web.configFile", 6),
                ("a", 7),
                ("b", 8),
                ("e", 9),
                ("f", 10)
            ]
        );
        let values: Vec<_> = leaves.into_iter().map(|l| l.value).collect();
        let one = |text: &str| Value::One(text.into());
        assert_eq!(values[0], one("5s"));
        assert_eq!(values[1], one("-1"));
        assert_eq!(values[2], Value::Absent);
        assert_eq!(values[3], Value::Absent);
        assert_eq!(values[4], Value::Several(vec!["x".into(), "2".into()]));
        assert_eq!(values[5], Value::Structured);
        assert_eq!(values[6], one("true"));
        assert_eq!(values[7], Value::Absent);
    }

    #[test]
    fn what_is_no_settings_file_is_told_in_one_line() {
        assert_eq!(parse("").unwrap(), []);
        assert_eq!(parse("# nothing\n").unwrap(), []);
        let bomb = format!(
            "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n{}",
            (1..12)
                .map(|i| {
                    let before = format!("*a{}, ", i - 1).repeat(9);
                    format!("a{i}: &a{i} [{before}*a{}]\n", i - 1)
                })
                .collect::<String>()
        );
        for wrong in [
            "- a\n- b\n",
            "text",
            "a: [",
            "a: 1\na: 2\n",
            "\t- :",
            "a: {b: 1, b: 2}",
            &bomb,
        ] {
            let said = parse(wrong).unwrap_err();
            assert_eq!(said.lines().count(), 1, "{said}");
        }
    }
}

//! A model's weights as they are sent.

use std::sync::Arc;

use serde_json::{Map, Value, json};

/// Weights as JSON text, written once for all who ask.
#[derive(Clone, Debug)]
pub(super) struct Weights {
    whole: Arc<str>,
    /// The same without what an open answer tells itself, and without the closing brace.
    begin: Arc<str>,
}

impl Weights {
    pub(super) fn new(mut weights: Map<String, Value>) -> Self {
        let whole = json!(weights).to_string();
        for told in ["model_name", "machine_spec", "mae"] {
            weights.remove(told);
        }
        let mut begin = json!(weights).to_string();
        begin.pop();
        if !weights.is_empty() {
            begin.push(',');
        }
        Self {
            whole: whole.into(),
            begin: begin.into(),
        }
    }

    /// Bytes that these take.
    pub(super) fn size(&self) -> usize {
        self.whole.len() + self.begin.len()
    }

    /// The weights alone.
    pub(super) fn alone(&self) -> String {
        self.whole.as_ref().to_owned()
    }

    /// The weights with what clients of an open server are told of the model.
    pub(super) fn with(&self, name: &str, machine: &Value, mae: Option<f64>) -> String {
        let told = json!({ "model_name": name, "machine_spec": machine, "mae": mae });
        format!("{}{}", self.begin, &told.to_string()[1..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(weights: Value) -> (String, Value) {
        let Value::Object(weights) = weights else {
            panic!("an object")
        };
        let weights = Weights::new(weights);
        let open = weights.with("a\"b", &json!({ "cores": 2 }), Some(1.5));
        let open = serde_json::from_str(&open);
        (weights.alone(), open.unwrap_or_default())
    }

    #[test]
    fn an_open_answer_holds_the_weights_and_each_name_once() {
        let machine = json!({ "cores": 2 });
        let (alone, open) = told(json!({ "platform": { "x": 1.25 }, "mae": "old" }));
        assert_eq!(alone, r#"{"mae":"old","platform":{"x":1.25}}"#);
        let wanted = json!({ "platform": { "x": 1.25 }, "model_name": "a\"b", "machine_spec": machine, "mae": 1.5 });
        assert_eq!(open, wanted);
        let wanted = json!({ "model_name": "a\"b", "machine_spec": machine, "mae": 1.5 });
        assert_eq!(told(json!({})), ("{}".to_owned(), wanted));
    }
}

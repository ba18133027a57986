//! `tests/api.json` is the list that both bindings are held against; here the core is held against it.

use kepler_core::{ErrorKind, Host};

#[test]
fn error_kinds_are_those_of_the_list() {
    let list = Host::default()
        .text(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/api.json"))
        .unwrap();
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    let listed: Vec<&str> = list["errors"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|kind| kind.as_str())
        .collect();
    let kinds: Vec<&str> = ErrorKind::ALL.iter().map(|kind| kind.as_str()).collect();
    assert_eq!(kinds, listed);
}

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

#[test]
fn the_readme_of_the_repository_shows_the_example_that_the_crate_tests() {
    let read = |path: &str| {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
        Host::default().text(format!("{root}/{path}")).unwrap()
    };
    let block = |text: &str| {
        let (_, rest) = text.split_once("```rust\n").unwrap();
        rest.split_once("```").unwrap().0.to_owned()
    };
    assert_eq!(
        block(&read("README.md")),
        block(&read("kepler-core/README.md"))
    );
}

//! The file of nodes and their management controllers, as Kepler 0.11 reads it.

use std::collections::BTreeMap;
use std::path::Path;

use kepler_core::Host;
use kepler_core::energy::{Bmc, Trust};
use kepler_service::yaml;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// Nodes, each with the name of its controller.
    nodes: BTreeMap<String, String>,
    bmcs: BTreeMap<String, Controller>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Controller {
    endpoint: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    insecure: bool,
}

/// The largest file that is read.
const LIMIT: u64 = 4 << 20;

/// The controller of a node.
pub(crate) fn controller(path: &Path, node: &str) -> Result<Bmc, String> {
    let bytes = Host::default()
        .bytes(path, LIMIT)
        .map_err(|e| e.to_string())?;
    let text = String::from_utf8_lossy(&bytes);
    parse(&text, node).map_err(|why| format!("{}: {why}", path.display()))
}

fn parse(text: &str, node: &str) -> Result<Bmc, String> {
    let file: File = yaml(text).map_err(|e| format!("expected nodes and bmcs: {e}"))?;
    let name = file.nodes.get(node).ok_or_else(|| {
        let known: Vec<&str> = file.nodes.keys().map(String::as_str).collect();
        format!("no node {node:?} (known: {})", known.join(", "))
    })?;
    let found = file
        .bmcs
        .get(name)
        .ok_or_else(|| format!("no controller {name:?}"))?;
    let mut bmc = Bmc::new(&found.endpoint);
    bmc.name.clone_from(name);
    if !found.username.is_empty() {
        bmc.account = Some((found.username.clone(), found.password.clone()));
    }
    if found.insecure {
        bmc.trust = Trust::Anyone;
    }
    Ok(bmc)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "
nodes:
  worker-1: bmc-1
  worker-2: bmc-9
bmcs:
  bmc-1:
    endpoint: https://192.168.1.100
    username: admin
    password: 'pass: word'
    insecure: true
";

    #[test]
    fn a_node_has_its_controller() {
        let bmc = parse(FILE, "worker-1").unwrap();
        assert_eq!(bmc.endpoint, "https://192.168.1.100");
        assert_eq!(bmc.name, "bmc-1");
        assert_eq!(bmc.account, Some(("admin".into(), "pass: word".into())));
        assert_eq!(bmc.trust, Trust::Anyone);
        assert_eq!(
            parse(&FILE.replace("    insecure: true\n", ""), "worker-1")
                .unwrap()
                .trust,
            Trust::System
        );
    }

    #[test]
    fn what_is_missing_is_said() {
        for (node, text, why) in [
            ("other", FILE.to_owned(), "known: worker-1, worker-2"),
            ("worker-2", FILE.to_owned(), "no controller \"bmc-9\""),
            ("worker-1", FILE.replace("insecure", "insecur"), "insecur"),
            ("worker-1", "nodes: 7".to_owned(), "expected nodes and bmcs"),
        ] {
            let error = parse(&text, node).unwrap_err();
            assert!(
                error.contains(why) && !error.contains("pass: word") && error.lines().count() == 1,
                "{error}"
            );
        }
    }
}

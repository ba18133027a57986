//! Where a controller tells its machine's power, in the shapes that makers give it.

use serde_json::Value;

use crate::error::{Error, Result};
use crate::units::Watts;

use super::client::Client;

/// More than any machine has.
const MEMBERS: usize = 64;

/// A resource that tells power.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Leaf {
    /// The metrics of a power supply.
    Supply(String),
    /// The older resource of a chassis.
    Power(String),
    /// The environment metrics of a chassis.
    Environment(String),
}

/// A chassis with what tells its power.
struct Chassis {
    path: String,
    inside: Option<String>,
    leaves: Vec<Leaf>,
}

/// What tells the power of each chassis; of one inside another that tells its own, nothing.
pub(super) fn find(client: &mut Client) -> Result<Vec<Leaf>> {
    let root = client.get("/redfish/v1")?;
    let mut chassis = Vec::new();
    for path in members(client, &root["Chassis"])? {
        let about = client.get(&path)?;
        chassis.push(Chassis {
            leaves: leaves(client, &about),
            inside: link(&about["Links"]["ContainedBy"]),
            path,
        });
    }
    let counted = |path: &String| {
        chassis
            .iter()
            .any(|c| c.path == *path && !c.leaves.is_empty())
    };
    let outer = chassis
        .iter()
        .filter(|c| !c.inside.as_ref().is_some_and(counted));
    let leaves: Vec<Leaf> = outer.flat_map(|c| c.leaves.clone()).collect();
    if leaves.is_empty() {
        return Err(Error::NotFound {
            what: "power",
            name: "chassis".into(),
            hint: "the controller tells no power of any chassis".into(),
        });
    }
    Ok(leaves)
}

/// The power of all leaves together.
pub(super) fn power(client: &mut Client, leaves: &[Leaf]) -> Result<Watts> {
    let mut sum = 0.0;
    for leaf in leaves {
        let path = match leaf {
            Leaf::Supply(path) | Leaf::Power(path) | Leaf::Environment(path) => path,
        };
        let watts = leaf.watts(&client.get(path)?);
        sum += watts.ok_or_else(|| Error::malformed(path, "a power in watts", "none"))?;
    }
    Ok(Watts(sum))
}

impl Leaf {
    fn watts(&self, about: &Value) -> Option<f64> {
        match self {
            Self::Supply(_) => reading(&about["InputPowerWatts"]["Reading"])
                .or_else(|| reading(&about["OutputPowerWatts"]["Reading"])),
            // Some makers list parts of the machine behind the machine itself.
            Self::Power(_) => (each(&about["PowerControl"]))
                .find_map(|control| reading(&control["PowerConsumedWatts"]))
                .or_else(|| {
                    let supplies = each(&about["PowerSupplies"]);
                    let told: Vec<f64> = supplies
                        .filter_map(|s| {
                            reading(&s["PowerInputWatts"])
                                .or_else(|| reading(&s["LastPowerOutputWatts"]))
                        })
                        .collect();
                    (!told.is_empty()).then(|| told.iter().sum())
                }),
            Self::Environment(_) => reading(&about["PowerWatts"]["Reading"]),
        }
    }
}

/// What tells the power of one chassis: the newest way that tells anything. What cannot be read is as if it were not there.
fn leaves(client: &mut Client, chassis: &Value) -> Vec<Leaf> {
    let supplies = supplies(client, &chassis["PowerSubsystem"]).unwrap_or_default();
    if !supplies.is_empty() {
        return supplies;
    }
    let ways = [
        link(&chassis["Power"]).map(Leaf::Power),
        link(&chassis["EnvironmentMetrics"]).map(Leaf::Environment),
    ];
    let told = ways.into_iter().flatten().find(|leaf| {
        let (Leaf::Supply(path) | Leaf::Power(path) | Leaf::Environment(path)) = leaf;
        client
            .get(path)
            .is_ok_and(|about| leaf.watts(&about).is_some())
    });
    told.into_iter().collect()
}

fn supplies(client: &mut Client, subsystem: &Value) -> Option<Vec<Leaf>> {
    let subsystem = client.get(&link(subsystem)?).ok()?;
    let mut leaves = Vec::new();
    for path in members(client, &subsystem["PowerSupplies"]).ok()? {
        let Some(metrics) = client.get(&path).ok().and_then(|s| link(&s["Metrics"])) else {
            continue;
        };
        let leaf = Leaf::Supply(metrics.clone());
        // An empty bay, or a supply without a sensor.
        if client
            .get(&metrics)
            .is_ok_and(|about| leaf.watts(&about).is_some())
        {
            leaves.push(leaf);
        }
    }
    Some(leaves)
}

fn members(client: &mut Client, collection: &Value) -> Result<Vec<String>> {
    let Some(path) = link(collection) else {
        return Ok(Vec::new());
    };
    let collection = client.get(&path)?;
    Ok(each(&collection["Members"])
        .filter_map(link)
        .take(MEMBERS)
        .collect())
}

fn each(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn link(to: &Value) -> Option<String> {
    to["@odata.id"].as_str().map(str::to_owned)
}

fn reading(value: &Value) -> Option<f64> {
    value
        .as_f64()
        .filter(|watts| watts.is_finite() && *watts >= 0.0)
}

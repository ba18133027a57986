//! Where a controller tells its machine's power, in the shapes that makers give it.

use serde_json::Value;

use crate::error::{Error, ErrorKind, Result};
use crate::units::Watts;

use super::client::Client;

/// More than any machine has.
const MEMBERS: usize = 64;
/// Bytes of a link, at most; the ones of controllers have a hundred.
const LINK: usize = 1024;

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
        let Some(about) = there(client.get(&path))? else {
            continue;
        };
        chassis.push(Chassis {
            leaves: leaves(client, &about)?,
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
        let path = leaf.path();
        let watts = leaf.watts(&client.get(path)?);
        sum += watts.ok_or_else(|| Error::malformed(path, "a power in watts", "none"))?;
    }
    Ok(Watts(sum))
}

impl Leaf {
    fn path(&self) -> &str {
        let (Self::Supply(path) | Self::Power(path) | Self::Environment(path)) = self;
        path
    }

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

/// What tells the power of one chassis: the newest way that tells anything.
fn leaves(client: &mut Client, chassis: &Value) -> Result<Vec<Leaf>> {
    let supplies = supplies(client, &chassis["PowerSubsystem"])?;
    if !supplies.is_empty() {
        return Ok(supplies);
    }
    let ways = [
        link(&chassis["Power"]).map(Leaf::Power),
        link(&chassis["EnvironmentMetrics"]).map(Leaf::Environment),
    ];
    for leaf in ways.into_iter().flatten() {
        if tells(client, &leaf)? {
            return Ok(vec![leaf]);
        }
    }
    Ok(Vec::new())
}

fn supplies(client: &mut Client, subsystem: &Value) -> Result<Vec<Leaf>> {
    let Some(subsystem) = follow(client, subsystem)? else {
        return Ok(Vec::new());
    };
    let Some(all) = follow(client, &subsystem["PowerSupplies"])? else {
        return Ok(Vec::new());
    };
    let mut leaves = Vec::new();
    for supply in each(&all["Members"]).take(MEMBERS) {
        let supply = follow(client, supply)?;
        let leaf = supply.and_then(|s| link(&s["Metrics"])).map(Leaf::Supply);
        // An empty bay, or a supply without a sensor.
        if let Some(leaf) = leaf
            && tells(client, &leaf)?
        {
            leaves.push(leaf);
        }
    }
    Ok(leaves)
}

fn tells(client: &mut Client, leaf: &Leaf) -> Result<bool> {
    let about = there(client.get(leaf.path()))?;
    Ok(about.is_some_and(|about| leaf.watts(&about).is_some()))
}

/// What a link leads to.
fn follow(client: &mut Client, to: &Value) -> Result<Option<Value>> {
    match link(to) {
        Some(path) => there(client.get(&path)),
        None => Ok(None),
    }
}

/// What is not there for good is none; what did not answer now may be there, and the sum would be short of it.
fn there(answer: Result<Value>) -> Result<Option<Value>> {
    use ErrorKind::{Malformed, NotFound, Unsupported};
    match answer {
        Ok(about) => Ok(Some(about)),
        Err(error) if matches!(error.kind(), NotFound | Malformed | Unsupported) => Ok(None),
        Err(error) => Err(error),
    }
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
    let path = to["@odata.id"].as_str()?;
    (path.len() <= LINK).then(|| path.to_owned())
}

fn reading(value: &Value) -> Option<f64> {
    value
        .as_f64()
        .filter(|watts| watts.is_finite() && *watts >= 0.0)
}

//! Where a controller tells its machine's power, in the shapes that makers give it.

use serde_json::Value;

use crate::energy::PowerPart;
use crate::error::{Error, ErrorKind, Result};
use crate::units::Watts;

use super::client::Client;

/// More than any machine has.
const MEMBERS: usize = 64;
/// Characters of an id or name, at most.
const NAME: usize = 128;
/// Bytes of a link, at most; the ones of controllers have a hundred.
const LINK: usize = 1024;

/// A resource that tells power.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Leaf {
    path: String,
    kind: Kind,
    chassis: String,
    /// Id and name of what it tells the power of, where it does not say so itself.
    of: Option<(String, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The metrics of a power supply.
    Supply,
    /// The older resource of a chassis.
    Power,
    /// The environment metrics of a chassis.
    Environment,
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
            leaves: leaves(client, &about, &id(&about, &path))?,
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

/// The power of all leaves.
pub(super) fn power(client: &mut Client, leaves: &[Leaf]) -> Result<Vec<PowerPart>> {
    let mut all: Vec<PowerPart> = Vec::new();
    for leaf in leaves {
        let parts = leaf.parts(&client.get(&leaf.path)?);
        if parts.is_empty() {
            return Err(Error::malformed(&leaf.path, "a power in watts", "none"));
        }
        for mut part in parts {
            // Two of one name would be one series twice, which a whole page is refused for.
            while all.iter().any(|known| {
                (&known.chassis, known.kind, &known.id) == (&part.chassis, part.kind, &part.id)
            }) {
                part.id = format!("{}-{}", part.id, all.len());
            }
            all.push(part);
        }
    }
    Ok(all)
}

impl Leaf {
    /// What it says of power: nothing, one thing, or of several supplies.
    fn parts(&self, about: &Value) -> Vec<PowerPart> {
        let part = |kind, of: &Value, watts| {
            let (id, name) = self
                .of
                .clone()
                .unwrap_or_else(|| (id(of, &self.path), text(&of["Name"])));
            PowerPart {
                source: super::Redfish::NAME,
                controller: String::new(),
                chassis: self.chassis.clone(),
                id,
                name,
                kind,
                watts: Watts(watts),
            }
        };
        match self.kind {
            Kind::Supply => reading(&about["InputPowerWatts"]["Reading"])
                .or_else(|| reading(&about["OutputPowerWatts"]["Reading"]))
                .map(|watts| part(SUPPLY, about, watts))
                .into_iter()
                .collect(),
            Kind::Power => {
                // Some makers list parts of the machine behind the machine itself.
                let mut controls = each(&about["PowerControl"]);
                let control = controls
                    .find_map(|control| Some((control, reading(&control["PowerConsumedWatts"])?)));
                if let Some((control, watts)) = control {
                    return vec![part("PowerControl", control, watts)];
                }
                let supplies = each(&about["PowerSupplies"]);
                let told = supplies.filter_map(|s| {
                    let watts = reading(&s["PowerInputWatts"])
                        .or_else(|| reading(&s["LastPowerOutputWatts"]))?;
                    Some(part(SUPPLY, s, watts))
                });
                told.collect()
            }
            Kind::Environment => reading(&about["PowerWatts"]["Reading"])
                .map(|watts| part("EnvironmentMetrics", about, watts))
                .into_iter()
                .collect(),
        }
    }
}

const SUPPLY: &str = "PowerSupply";

/// What tells the power of one chassis: the newest way that tells anything.
fn leaves(client: &mut Client, chassis: &Value, name: &str) -> Result<Vec<Leaf>> {
    let supplies = supplies(client, chassis, name)?;
    if !supplies.is_empty() {
        return Ok(supplies);
    }
    let ways = [
        ("Power", Kind::Power),
        ("EnvironmentMetrics", Kind::Environment),
    ];
    for (way, kind) in ways {
        let Some(path) = link(&chassis[way]) else {
            continue;
        };
        let leaf = Leaf {
            path,
            kind,
            chassis: name.to_owned(),
            of: None,
        };
        if tells(client, &leaf)? {
            return Ok(vec![leaf]);
        }
    }
    Ok(Vec::new())
}

fn supplies(client: &mut Client, chassis: &Value, name: &str) -> Result<Vec<Leaf>> {
    let Some(subsystem) = follow(client, &chassis["PowerSubsystem"])? else {
        return Ok(Vec::new());
    };
    let Some(all) = follow(client, &subsystem["PowerSupplies"])? else {
        return Ok(Vec::new());
    };
    let mut leaves = Vec::new();
    for supply in each(&all["Members"]).take(MEMBERS) {
        let at = link(supply).unwrap_or_default();
        let supply = follow(client, supply)?;
        let leaf = supply.and_then(|supply| {
            Some(Leaf {
                path: link(&supply["Metrics"])?,
                kind: Kind::Supply,
                chassis: name.to_owned(),
                of: Some((id(&supply, &at), text(&supply["Name"]))),
            })
        });
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
    let about = there(client.get(&leaf.path))?;
    Ok(about.is_some_and(|about| !leaf.parts(&about).is_empty()))
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

/// What a controller calls a thing that lies at a path: its id, else the last part of the path.
fn id(of: &Value, path: &str) -> String {
    let told = [text(&of["Id"]), text(&of["MemberId"])];
    let last = path.trim_end_matches('/').rsplit('/').next();
    let told = told.into_iter().find(|id| !id.is_empty());
    told.unwrap_or_else(|| last.unwrap_or_default().chars().take(NAME).collect())
}

/// A text of bounded length, as it goes into labels.
fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_default()
        .chars()
        .take(NAME)
        .collect()
}

fn reading(value: &Value) -> Option<f64> {
    value
        .as_f64()
        .filter(|watts| watts.is_finite() && *watts >= 0.0)
}

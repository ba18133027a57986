//! What a zone's power is made of, where its meter tells that.

use serde::Serialize;

use crate::units::Watts;

/// One source of a zone's power, such as a power supply of the machine.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PowerPart {
    /// The energy source that tells it, such as `redfish`.
    pub source: &'static str,
    /// The management controller, as it was named.
    pub controller: String,
    /// The chassis that it is in, by the controller's id.
    pub chassis: String,
    /// Its own id there.
    pub id: String,
    /// Its name for people; may be empty.
    pub name: String,
    /// What it is: `PowerSupply`, `PowerControl` or `EnvironmentMetrics`.
    pub kind: &'static str,
    /// Its power as of the last answer.
    pub watts: Watts,
}

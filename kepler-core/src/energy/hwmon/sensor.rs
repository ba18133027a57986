//! Which sensors `/sys/class/hwmon` has, and which of them clearly say what they measure.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::energy::{Domain, Zone};
use crate::error::{ErrorKind, Result};
use crate::host::Host;

/// A file that holds energy or power of a part of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sensor {
    pub(super) domain: Domain,
    pub(super) index: Option<u32>,
    pub(super) quantity: Quantity,
    /// The driver's name for the chip, such as `power_meter`.
    pub(super) chip: String,
    pub(super) path: PathBuf,
}

/// What a file holds; the first is preferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Quantity {
    /// `energyN_input`: a counter in microjoules.
    Energy,
    /// `powerN_average`: a mean in microwatts.
    Average,
    /// `powerN_input`: microwatts now.
    Input,
}

impl Sensor {
    pub(super) fn is_same_part(&self, other: &Self) -> bool {
        (self.domain, self.index) == (other.domain, other.index)
    }

    pub(super) fn is_same_sensor(&self, other: &Self) -> bool {
        self.is_same_part(other) && (self.quantity, &self.chip) == (other.quantity, &other.chip)
    }

    pub(super) fn zone(&self) -> Zone {
        let name = match (self.domain, self.index) {
            (Domain::Package | Domain::Gpu, Some(index)) => format!("{}-{index}", self.domain),
            _ => self.domain.to_string(),
        };
        Zone {
            name,
            domain: self.domain,
            index: self.index,
            die: None,
            path: self.path.display().to_string(),
            max: None,
        }
    }

    /// The time that an average is over (`powerN_average_interval`, milliseconds); zero where it does not tell.
    pub(super) fn window(&self, host: &Host) -> Duration {
        let mut path = self.path.clone().into_os_string();
        path.push("_interval");
        let text = host.optional(PathBuf::from(path)).ok().flatten();
        let milliseconds = text.and_then(|text| text.parse().ok());
        Duration::from_millis(milliseconds.unwrap_or(0))
    }
}

/// All known sensors, energy counters first. No such class, or nothing known in it, gives an empty list.
pub(super) fn discover(host: &Host) -> Result<Vec<Sensor>> {
    let class = host.sys("class/hwmon");
    let mut chips = match host.names(&class) {
        Ok(names) => names,
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    chips.sort_by_key(|chip| {
        chip.strip_prefix("hwmon")
            .and_then(|n| n.parse::<u32>().ok())
    });
    let (mut sensors, mut gpus) = (Vec::new(), 0);
    for folder in chips.iter().map(|chip| class.join(chip)) {
        let Some(chip) = chip_name(host, &folder) else {
            continue;
        };
        let mut found = of_chip(host, &folder, &chip);
        if found.iter().any(|sensor| sensor.domain == Domain::Gpu) {
            for sensor in &mut found {
                sensor.index = Some(gpus);
            }
            gpus += 1;
        }
        sensors.append(&mut found);
    }
    // Stable: chips and sensors of one quantity keep their order.
    sensors.sort_by_key(|sensor| sensor.quantity);
    Ok(sensors)
}

fn chip_name(host: &Host, folder: &Path) -> Option<String> {
    let names = [folder.join("name"), folder.join("device/name")];
    let mut names = names
        .iter()
        .filter_map(|path| host.optional(path).ok().flatten());
    names.next()
}

fn of_chip(host: &Host, folder: &Path, chip: &str) -> Vec<Sensor> {
    let mut sensors = Vec::new();
    // Older drivers, ACPI's power meter to this day, put their files beside the class device.
    for folder in [folder.to_path_buf(), folder.join("device")] {
        for file in host.names(&folder).unwrap_or_default() {
            let Some((stem, quantity)) = quantity(&file) else {
                continue;
            };
            let text = |what: &str| {
                let path = folder.join(format!("{stem}_{what}"));
                host.optional(path).ok().flatten().unwrap_or_default()
            };
            if text("is_battery") == "1" {
                continue;
            }
            if let Some((domain, index)) = meaning(chip, quantity, &text("label")) {
                sensors.push(Sensor {
                    domain,
                    index,
                    quantity,
                    chip: chip.to_owned(),
                    path: folder.join(&file),
                });
            }
        }
    }
    sensors
}

/// Parses `power1_average` into `power1` and its quantity.
fn quantity(file: &str) -> Option<(&str, Quantity)> {
    let (stem, what) = file.split_once('_')?;
    let kind = stem.trim_end_matches(|c: char| c.is_ascii_digit());
    let quantity = match (kind, what) {
        ("energy", "input") => Quantity::Energy,
        ("power", "average") => Quantity::Average,
        ("power", "input") => Quantity::Input,
        _ => return None,
    };
    (kind.len() < stem.len()).then_some((stem, quantity))
}

/// What a chip's sensor measures, where its driver's documentation leaves no doubt.
fn meaning(chip: &str, quantity: Quantity, label: &str) -> Option<(Domain, Option<u32>)> {
    let numbered = |prefix: &str| {
        let number = label.strip_prefix(prefix)?.parse().ok()?;
        Some((Domain::Package, Some(number)))
    };
    match (chip, label) {
        // ACPI 4.0 power meter.
        ("power_meter", _) => Some((Domain::Platform, None)),
        // X-Gene: the processors' rail, and beside it that of the rest of the chip.
        ("apm_xgene", "CPU power") => Some((Domain::Package, Some(0))),
        ("apm_xgene", "IO power") => Some((Domain::Uncore, Some(0))),
        // OpenPOWER, from the on-chip controller.
        ("ibmpowernv", "System") => Some((Domain::Platform, None)),
        ("ibmpowernv", _) => numbered("Chip "),
        // AMD until Linux 5.12.
        ("amd_energy", _) => numbered("Esocket"),
        // Discrete GPUs only; `pkg` is a part of `card`.
        ("i915" | "xe", "" | "card") if quantity == Quantity::Energy => Some((Domain::Gpu, None)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_tell_the_quantity() {
        assert_eq!(
            quantity("power1_average"),
            Some(("power1", Quantity::Average))
        );
        assert_eq!(
            quantity("power12_input"),
            Some(("power12", Quantity::Input))
        );
        assert_eq!(
            quantity("energy3_input"),
            Some(("energy3", Quantity::Energy))
        );
        for other in [
            "power_input",
            "power1_average_interval",
            "power1_cap",
            "temp1_input",
            "name",
        ] {
            assert_eq!(quantity(other), None, "{other}");
        }
    }

    #[test]
    fn only_clear_labels_mean_something() {
        let input = Quantity::Input;
        assert_eq!(
            meaning("amd_energy", Quantity::Energy, "Esocket1"),
            Some((Domain::Package, Some(1)))
        );
        for (chip, label) in [
            ("amd_energy", "Ecore001"),
            ("ibmpowernv", "Chip 0 Vdd"),
            ("apm_xgene", ""),
            ("ina226", "CPU"),
            ("nvme", ""),
            ("xe", ""),
        ] {
            assert_eq!(meaning(chip, input, label), None, "{chip} {label}");
        }
    }
}

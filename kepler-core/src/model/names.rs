//! The closed vocabularies of power models: what is predicted, of which part, as which meter measured it.

use serde::{Deserialize, Serialize};

/// Implements `ALL`, `as_str`, `Display` and `FromStr` for a closed list of names.
macro_rules! names {
    ($what:literal, $type:ident { $($variant:ident => $name:literal),+ $(,)? }) => {
        impl $type {
            /// Every value, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name in files and requests.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }

        impl ::std::fmt::Display for $type {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl ::std::str::FromStr for $type {
            type Err = $crate::Error;

            fn from_str(text: &str) -> $crate::Result<Self> {
                match text {
                    $($name => Ok(Self::$variant),)+
                    _ => Err($crate::Error::NotFound {
                        what: $what,
                        name: text.to_owned(),
                        hint: concat!("one of", $(" ", $name),+).to_owned(),
                    }),
                }
            }
        }
    };
}
pub(super) use names;

/// What a model predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum OutputType {
    /// Power of a whole node, idle power included, in watts.
    AbsPower,
    /// Power above idle, for workloads, in watts.
    DynPower,
}

/// The part of a machine whose power is predicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Component {
    /// All processor packages together.
    Package,
    /// The cores of all packages.
    Core,
    /// The rest of all packages.
    Uncore,
    /// Memory.
    Dram,
    /// The whole machine.
    Platform,
}

/// The meter whose power a model was trained on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EnergySourceName {
    /// RAPL through powercap: package, core, uncore and dram.
    RaplSysfs,
    /// RAPL through model-specific registers: package, core, uncore and dram.
    RaplMsr,
    /// A power sensor of the platform.
    Acpi,
    /// A hardware management console.
    Hmc,
    /// A management controller.
    Redfish,
    /// Power that was itself predicted.
    #[serde(rename = "trained_power_model")]
    TrainedPowerModel,
}

names!("output type", OutputType { AbsPower => "AbsPower", DynPower => "DynPower" });

names!("component", Component {
    Package => "package",
    Core => "core",
    Uncore => "uncore",
    Dram => "dram",
    Platform => "platform",
});

names!("energy source", EnergySourceName {
    RaplSysfs => "rapl-sysfs",
    RaplMsr => "rapl-msr",
    Acpi => "acpi",
    Hmc => "hmc",
    Redfish => "redfish",
    TrainedPowerModel => "trained_power_model",
});

impl EnergySourceName {
    /// The source that a request means: any name with `rapl` in it is RAPL through powercap.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`] for a name that is none of them.
    pub fn of_request(name: &str) -> crate::Result<Self> {
        if name.contains("rapl") {
            Ok(Self::RaplSysfs)
        } else {
            name.parse()
        }
    }

    /// The parts that this meter tells apart.
    pub fn components(self) -> &'static [Component] {
        match self {
            Self::RaplSysfs | Self::RaplMsr | Self::TrainedPowerModel => &[
                Component::Package,
                Component::Core,
                Component::Uncore,
                Component::Dram,
            ],
            Self::Acpi | Self::Hmc | Self::Redfish => &[Component::Platform],
        }
    }

    /// The part that a model of this source is judged by: `package` or `platform`.
    pub fn main_component(self) -> Component {
        self.components()[0]
    }
}

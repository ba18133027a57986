//! Meters beyond the host's own, and what is done with idle energy, as arguments; where Kepler 0.11 has the same one, its name
//! and meaning.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args};
use kepler_core::attribution::{IdleShare, IdleSplit};
use kepler_core::energy::{Bmc, Powercap, Redfish};
use kepler_core::monitor::{GpuChoice, MonitorBuilder};
use kepler_core::{Host, Watts};

use crate::duration::period;
use crate::harden;
use crate::redfish;

/// Arguments about meters and idle energy.
#[derive(Debug, Args)]
pub(crate) struct PowerArgs {
    /// How energy is split into active and idle: usage-ratio or fitted
    #[arg(long = "attribution.idle", value_name = "WAY", default_value_t)]
    idle: IdleSplit,
    /// How idle energy is handed to workloads: none, equal or usage
    #[arg(long = "attribution.idle-share", value_name = "WAY", default_value_t)]
    idle_share: IdleShare,
    /// Measure the graphics processors that the driver tells of
    #[arg(
        long = "experimental.gpu.enabled",
        value_name = "BOOL",
        default_value_t = true,
        action = ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    gpu: bool,
    /// What a graphics processor draws idle, in watts; 0: the least that it drew while nobody used it
    #[arg(
        long = "experimental.gpu.idle-power",
        value_name = "WATTS",
        default_value_t = 0.0,
        value_parser = watts
    )]
    gpu_idle: f64,
    /// Read the platform's power from the node's management controller
    #[arg(long = "experimental.platform.redfish.enabled")]
    redfish: bool,
    /// The node's name in the file of controllers; the node's own name by default
    #[arg(long = "experimental.platform.redfish.node-name", value_name = "NAME")]
    redfish_node: Option<String>,
    /// A YAML file of nodes and controllers
    #[arg(
        long = "experimental.platform.redfish.config-file",
        value_name = "FILE",
        required_if_eq("redfish", "true")
    )]
    redfish_file: Option<PathBuf>,
    /// How long a controller's answer may take
    #[arg(
        long = "experimental.platform.redfish.http-timeout",
        value_name = "DURATION",
        default_value = "5s",
        value_parser = period
    )]
    redfish_timeout: Duration,
    /// Time between two questions to the controller
    #[arg(
        long = "experimental.platform.redfish.interval",
        value_name = "DURATION",
        default_value = "10s",
        value_parser = period
    )]
    redfish_interval: Duration,
    /// A folder in which each virtual machine finds what it used, as a meter to mount into it
    #[arg(long = "vm.share", value_name = "FOLDER")]
    pub(crate) share: Option<PathBuf>,
    /// The folder that this machine's host shares with it as a meter
    #[arg(long = "vm.meter", value_name = "FOLDER")]
    meter: Option<PathBuf>,
}

impl PowerArgs {
    /// The builder with what was asked for. `node` is this node's name; with `harden`, the thread that asks the controller has no
    /// capability.
    pub(crate) fn apply(
        &self,
        mut builder: MonitorBuilder,
        node: &str,
        harden: bool,
    ) -> Result<MonitorBuilder, Box<dyn std::error::Error>> {
        builder = builder.idle(self.idle).idle_share(self.idle_share);
        if !self.gpu {
            builder = builder.gpu(GpuChoice::Off);
        }
        if self.gpu_idle > 0.0 {
            builder = builder.gpu_idle(Watts(self.gpu_idle));
        }
        if let Some(shared) = self.shared()? {
            builder = builder.with_energy(Box::new(shared));
        }
        if let Some(bmc) = self.controller(node)? {
            builder = builder.with_energy(Box::new(harden::apart(harden, || Redfish::open(&bmc))?));
        }
        Ok(builder)
    }

    /// Whether the meter that was named is one, and the file of controllers, where one is to be asked, tells of this node's.
    pub(crate) fn check(&self, node: &str) -> Result<(), Box<dyn std::error::Error>> {
        self.shared()?;
        if let Some(bmc) = self.controller(node)? {
            bmc.check()?;
        }
        Ok(())
    }

    fn shared(&self) -> kepler_core::Result<Option<Powercap>> {
        let folder = self.meter.as_ref();
        folder
            .map(|folder| Powercap::open(&Host::default().with_sys(folder)))
            .transpose()
    }

    fn controller(&self, node: &str) -> Result<Option<Bmc>, String> {
        let Some(file) = self.redfish_file.as_ref().filter(|_| self.redfish) else {
            return Ok(None);
        };
        let named = self.redfish_node.as_deref();
        let node = named.filter(|name| !name.is_empty()).unwrap_or(node);
        let mut bmc = redfish::controller(file, node)?;
        bmc.timeout = self.redfish_timeout;
        bmc.interval = self.redfish_interval;
        Ok(Some(bmc))
    }
}

fn watts(text: &str) -> Result<f64, String> {
    let watts: f64 = text.parse().map_err(|_| "expected watts".to_owned())?;
    (0.0..=10_000.0)
        .contains(&watts)
        .then_some(watts)
        .ok_or_else(|| "expected 0 to 10000 W".to_owned())
}

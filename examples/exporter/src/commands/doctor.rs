//! `doctor`: what works on this machine, what does not, and what would change it.

use std::process::ExitCode;

use clap::Args;
use kepler_core::monitor::doctor;

use crate::machine::Machine;

/// Exit codes: 0 where energy is measured and CPU time comes from eBPF, 3 where one of them is replaced by the next best, 1
/// where something that was asked for does not work.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

/// It works, less well than it could.
const LESS: u8 = 3;

impl Options {
    pub(super) fn run(&self, machine: &Machine) -> Result<ExitCode, String> {
        let diagnosis = doctor(&machine.host()).map_err(|e| e.to_string())?;
        let text = if self.json {
            serde_json::to_string(&diagnosis).map_err(|e| e.to_string())? + "\n"
        } else {
            diagnosis.to_string()
        };
        super::print(text.as_bytes())?;
        let best = diagnosis.measured && diagnosis.by_ebpf;
        Ok(if best {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(LESS)
        })
    }
}

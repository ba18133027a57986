//! `doctor`: what works on this machine, what does not, and what would change it.

use std::process::ExitCode;

use clap::Args;
use kepler_core::monitor::Diagnosis;
use kepler_core::usage::CounterSet;
use kepler_service::models::{self, Place, Settings};

use crate::machine::Machine;
use crate::models::COUNTED;

/// Exit codes: 0 where energy is measured and CPU time comes from eBPF, 3 where one of them is replaced by the next best, 1
/// where something that was asked for does not work: a source of CPU time, a model server, the machine's files.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Ask this model server or estimator, as --model-server.url names it, which models it would give this machine
    #[arg(long, value_name = "URL")]
    model_server: Option<Place>,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

/// It works, less well than it could.
const LESS: u8 = 3;

impl Options {
    pub(super) fn run(&self, machine: &Machine) -> Result<ExitCode, String> {
        let mut diagnosis = machine.diagnosis()?;
        let served = self.ask(&diagnosis);
        let unserved = !served.is_empty() && served.iter().all(|note| !note.active);
        let fails = unserved || machine.needs_ebpf() && !diagnosis.by_ebpf;
        diagnosis.notes.extend(served);
        let text = if self.json {
            serde_json::to_string(&diagnosis).map_err(|e| e.to_string())? + "\n"
        } else {
            diagnosis.to_string()
        };
        super::print(text.as_bytes())?;
        let best = diagnosis.measured && diagnosis.by_ebpf;
        Ok(if fails {
            ExitCode::FAILURE
        } else if best {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(LESS)
        })
    }
    fn ask(&self, diagnosis: &Diagnosis) -> Vec<kepler_core::Note> {
        let Some(server) = &self.model_server else {
            return Vec::new();
        };
        let mut settings = Settings::default();
        settings.server = Some(server.clone());
        let counted = if diagnosis.by_ebpf {
            COUNTED
        } else {
            CounterSet::EMPTY
        };
        models::examine(&settings, &diagnosis.machine, counted)
    }
}

//! Settings read anew on SIGHUP: what can change while it runs does, the rest is named, and wrong settings change nothing.

use kepler_core::usage::CounterSet;
use kepler_service::log;

use crate::pages::Chosen;
use crate::sampler::Sampler;
use crate::settings::{Fault, Places, Settings};

/// Flags that hold from the next page or sample on.
const RELOADABLE: &[&str] = &[
    "log.format",
    "log.level",
    "metrics",
    "metrics.families",
    "metrics.labels",
    "monitor.interval",
    "node-name",
];

/// The settings that hold.
pub(crate) struct Reload {
    places: Places,
    settings: Settings,
    chosen: Chosen,
    /// What is counted, as it was asked for at the start.
    counted: CounterSet,
}

impl Reload {
    pub(crate) fn new(places: Places, settings: Settings, chosen: Chosen) -> Self {
        Self {
            places,
            counted: settings.args.selection().counters(),
            settings,
            chosen,
        }
    }

    /// Reads every place again.
    pub(crate) fn reload(&mut self, sampler: &Sampler) {
        let settings = match self.places.load() {
            Ok(settings) => settings,
            Err(fault) => {
                log::error(&format!("settings stay as they were: {fault}"));
                return;
            }
        };
        let (now, later): (Vec<String>, Vec<String>) = settings
            .changed(&self.settings)
            .into_iter()
            .partition(|flag| RELOADABLE.contains(&flag.as_str()));
        let args = &settings.args;
        log::start(args.log.level, args.log.format);
        let selection = args.selection();
        let missing = self.counted.union(selection.counters()) != self.counted;
        self.chosen.choose(selection, args.node_name.clone());
        if args.interval() != self.settings.args.interval() {
            sampler.set_interval(args.interval());
        }
        log::info(&match now.as_slice() {
            [] => "settings read again: nothing changed".to_owned(),
            changed => format!("settings read again: {}", changed.join(", ")),
        });
        if !later.is_empty() {
            // They stay as they hold, so that the next time they are named again.
            log::warn(&format!("needs a restart: {}", later.join(", ")));
        }
        if missing {
            log::warn("what metrics.families now has of counters is counted from a restart on");
        }
        self.settings = settings.keeping(&self.settings, &later);
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Arguments(error) => f.write_str(&crate::args::one_line(error)),
            Self::Setting(line) | Self::Unreadable(line) => f.write_str(line),
        }
    }
}

//! Where power models come from besides the program itself, as arguments.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use kepler_core::monitor::MonitorBuilder;
use kepler_core::usage::{Counter, CounterSet};
use kepler_service::models::{Place, Settings};
use kepler_service::url;

use crate::duration::period;

/// Arguments about models from a server.
#[derive(Debug, Args)]
#[command(next_help_heading = "Models")]
pub(crate) struct ModelArgs {
    /// A model server, such as http://kepler-model-server:8100, or the socket of an estimator, unix:/tmp/estimator.sock; asked
    /// where energy is modeled
    #[arg(long = "model-server.url", value_name = "URL")]
    model_server: Option<Place>,
    /// Time between two questions
    #[arg(long = "model-server.interval", value_name = "DURATION", default_value = "1h", value_parser = period)]
    model_interval: Duration,
    /// A folder in which models are kept for a start at which nobody answers, such as /var/lib/kepler/models
    #[arg(long = "model-server.folder", value_name = "FOLDER")]
    model_folder: Option<PathBuf>,
    /// The trainer, or a part of its name, of the model of package and memory
    #[arg(
        long = "model-server.components-trainer",
        value_name = "NAME",
        default_value = "",
        hide_default_value = true
    )]
    components_trainer: String,
    /// What else that model must fulfil, such as mae:5
    #[arg(
        long = "model-server.components-filter",
        value_name = "FILTER",
        default_value = "",
        hide_default_value = true
    )]
    components_filter: String,
    /// Where a model of package and memory lies that is taken where no server has one
    #[arg(long = "model-server.components-url", value_name = "URL", value_parser = url)]
    components_url: Option<String>,
    /// The trainer, or a part of its name, of the model of the whole platform
    #[arg(
        long = "model-server.platform-trainer",
        value_name = "NAME",
        default_value = "",
        hide_default_value = true
    )]
    platform_trainer: String,
    /// What else that model must fulfil, such as mae:5
    #[arg(
        long = "model-server.platform-filter",
        value_name = "FILTER",
        default_value = "",
        hide_default_value = true
    )]
    platform_filter: String,
    /// Where a model of the platform lies that is taken where no server has one
    #[arg(long = "model-server.platform-url", value_name = "URL", value_parser = url)]
    platform_url: Option<String>,
}

impl ModelArgs {
    /// What to fetch; `None` where nothing was asked for.
    pub(crate) fn settings(&self) -> Option<Settings> {
        let mut settings = Settings::default();
        settings.server.clone_from(&self.model_server);
        let (components, platform) = (&mut settings.components, &mut settings.platform);
        components.trainer.clone_from(&self.components_trainer);
        components.filter.clone_from(&self.components_filter);
        components.url.clone_from(&self.components_url);
        platform.trainer.clone_from(&self.platform_trainer);
        platform.filter.clone_from(&self.platform_filter);
        platform.url.clone_from(&self.platform_url);
        settings.interval = self.model_interval;
        settings.folder.clone_from(&self.model_folder);
        settings.any().then_some(settings)
    }

    /// The builder with what models of more than CPU time ask for first.
    pub(crate) fn apply(&self, builder: MonitorBuilder) -> MonitorBuilder {
        match self.settings() {
            Some(_) => builder.counters_for_models(COUNTED),
            None => builder,
        }
    }
}

/// With the CPU time, the features of the group that most models are of which need no hardware counters.
pub(crate) const COUNTED: CounterSet = CounterSet::EMPTY.with(Counter::PageCacheHits);

//! The model manager as a part of the server: its settings, and its start.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use kepler_service::log;

use super::managed::Served;
use super::site::Site;
use crate::manage::admin::Admin;
use crate::manage::check::{Deeds, no, yes};
use crate::manage::manager::{Manager, check_each};
use crate::manage::manifest::{Expected, Manifest, Source};
use crate::manage::pull::{Fetcher, Fetching, Progress};
use crate::manage::usage::{Place, Usage};

/// What the manager is told.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct Managing {
    /// The models that are expected, as YAML or JSON
    #[arg(long, value_name = "FILE", env = "MODEL_MANIFEST")]
    manifest: Option<PathBuf>,
    /// The folder for what the server keeps: fetched models and usage figures
    #[arg(long, value_name = "DIR", env = "STATE_DIRECTORY")]
    state: Option<PathBuf>,
    /// Where usage figures are kept: memory, a file, postgres://.. or configmap://NAMESPACE/NAME; else a file in --state
    #[arg(
        long,
        value_name = "STORE",
        env = "USAGE_STORE",
        hide_env_values = true
    )]
    usage_store: Option<Place>,
    #[command(flatten)]
    admin: Admin,
    /// Compare the expected models with those that are there so often
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    check_interval: Option<Duration>,
    /// Fetch missing models at such a check
    #[arg(long, value_name = "BOOL", env = "AUTO_PULL", default_value = "true", value_parser = yes, num_args = 0..=1, default_missing_value = "true")]
    auto_pull: bool,
    /// Have a model predict something at such a check
    #[arg(long, value_name = "BOOL", env = "TEST_INFERENCE", default_value = "false", value_parser = no, num_args = 0..=1, default_missing_value = "true")]
    test_inference: bool,
    #[command(flatten)]
    fetching: Fetching,
}

/// What is known before anything is served.
pub(super) struct Prepared {
    manifest: Manifest,
    fetcher: Fetcher,
    pub(super) usage: Arc<Usage>,
    /// The pipelines to serve: those that were named, and those of the manifest that are there.
    pub(super) places: Vec<String>,
}

/// Ends the checks when it is dropped.
pub(super) struct Checks(
    #[expect(dead_code, reason = "dropping it is what it is for")] Option<Sender<()>>,
);

impl Managing {
    /// Reads the manifest, opens the store, and fetches pipelines that were named by a URL. What cannot be fetched is left
    /// out: the others are served.
    ///
    /// # Errors
    /// What is wrong with the settings or the store's file.
    pub(super) fn prepare(&self, named: &[String]) -> Result<Prepared, String> {
        let mut manifest = match &self.manifest {
            Some(path) => Manifest::read(path)?,
            None => Manifest::default(),
        };
        let state = self.state();
        let kept = state.clone().unwrap_or_else(std::env::temp_dir);
        let fetcher = self.fetching.fetcher(kept.join("models"))?;
        let mut places = Vec::new();
        for place in named {
            let source: Source = place.parse()?;
            let Source::File(path) = source else {
                let expected = Expected::at(place, None)?;
                if fetcher.file_of(&expected.name).is_none()
                    && let Err(error) =
                        fetcher.fetch(&expected, &mut Progress::logged(&expected.name))
                {
                    log::error(&format!("{error}; it is left out"));
                }
                manifest.models.push(expected);
                continue;
            };
            places.push(path.display().to_string());
        }
        for expected in &manifest.models {
            let here = match &expected.source {
                Source::File(path) if path.is_dir() => Some(path.clone()),
                _ => fetcher.file_of(&expected.name),
            };
            places.extend(here.map(|path| path.display().to_string()));
        }
        Ok(Prepared {
            manifest,
            fetcher,
            usage: Arc::new(self.usage(state.as_deref())?),
            places,
        })
    }

    /// Makes the manager of a site, and begins the checks.
    ///
    /// # Errors
    /// That no thread can be started.
    pub(super) fn start(
        &self,
        prepared: Prepared,
        site: Arc<Site>,
    ) -> Result<(Arc<Manager>, Checks), String> {
        let expects = !prepared.manifest.models.is_empty();
        let serving = Served::new(Arc::clone(&site), prepared.places);
        let manager = Arc::new(Manager::new(
            prepared.manifest,
            prepared.fetcher,
            Box::new(serving),
            prepared.usage,
            self.admin.token()?,
        ));
        let Some(interval) = self.check_interval else {
            return Ok((manager, Checks(None)));
        };
        let deeds = Deeds {
            pull: self.auto_pull,
            infer: self.test_inference,
        };
        site.set_fetching(expects && self.auto_pull);
        let (stop, stopped) = channel();
        let checked = Arc::clone(&manager);
        let work = move || {
            check_each(
                &checked,
                interval.max(Duration::from_secs(1)),
                deeds,
                &stopped,
                |report| {
                    site.set_fetching(false);
                    if !report.healthy {
                        log::warn(&format!("check: {report}").replace('\n', "; "));
                    }
                },
            );
        };
        let thread = std::thread::Builder::new().name("checks".to_owned());
        thread
            .spawn(work)
            .map_err(|e| format!("cannot start a thread: {e}"))?;
        Ok((manager, Checks(Some(stop))))
    }

    /// Where a service or a user's programs keep their state; none for who has neither.
    fn state(&self) -> Option<PathBuf> {
        if let Some(state) = &self.state {
            return Some(state.clone());
        }
        #[expect(clippy::disallowed_methods, reason = "the usual places are told so")]
        let usual = |name: &str| std::env::var(name).ok().filter(|v| v.starts_with('/'));
        let base = usual("XDG_STATE_HOME").map(PathBuf::from);
        let base = base.or_else(|| Some(Path::new(&usual("HOME")?).join(".local/state")));
        Some(base?.join("kepler-model-server"))
    }

    /// The store that was named, else a file. Where no file can be written and none was asked for, figures last as long as
    /// the server does.
    fn usage(&self, state: Option<&Path>) -> Result<Usage, String> {
        if let Some(place) = &self.usage_store {
            return Usage::open(place.clone());
        }
        let Some(state) = state else {
            return Usage::open(Place::Memory);
        };
        Usage::open(Place::File(state.join("usage.db"))).or_else(|error| {
            if self.state.is_some() {
                return Err(error);
            }
            log::warn(&format!("usage figures are kept in memory only: {error}"));
            Usage::open(Place::Memory)
        })
    }
}

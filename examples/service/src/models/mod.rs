//! Power models from a server, fetched by a thread of its own for a monitor whose energy is modeled: sampling never waits
//! for them, what does not fit is not taken, and what fitted is kept for when nobody answers.

mod estimator;
mod http;
mod kept;
mod place;

use std::path::PathBuf;
use std::time::Duration;

use kepler_core::model::{EnergySourceName, PowerModel};
use kepler_core::modeled::{GivenModel, features};
use kepler_core::monitor::Models;
use kepler_core::protocol::Want;
use kepler_core::usage::CounterSet;
use kepler_core::{MachineSpec, Note};

use estimator::Estimator;
use kept::Kept;

pub use place::Place;

/// Which models are fetched, from where and how often.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Settings {
    /// Who is asked for a model.
    pub server: Option<Place>,
    /// What is particular about the model of the components (package and memory).
    pub components: Choice,
    /// What is particular about the model of the platform.
    pub platform: Choice,
    /// Time between two questions.
    pub interval: Duration,
    /// The folder in which models are kept.
    pub folder: Option<PathBuf>,
}

/// Which model of a meter's power is wanted.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Choice {
    /// The trainer's name or a part of it; empty for any.
    pub trainer: String,
    /// What else it must fulfil, such as `mae:5`.
    pub filter: String,
    /// Where a model lies that is taken where no server has one.
    pub url: Option<String>,
}

/// What came of a question.
enum Answer {
    Model(Box<PowerModel>),
    /// The model is the one that this program has.
    Family,
    /// There is none, and why.
    None(String),
}

/// Starts to fetch; models that were kept are given before it returns.
///
/// # Errors
/// Where the folder for models cannot be made. A server that does not answer is no error: it is asked again.
pub fn start(settings: Settings, models: Models) -> Result<(), String> {
    let kept = settings.folder.as_ref().map(Kept::open).transpose()?;
    for source in Want::SOURCES {
        let model = kept.as_ref().and_then(|kept| kept.model(source));
        let Some(given) = model.map(|model| models.give(model)) else {
            continue;
        };
        match given {
            Ok(()) => crate::log::info(&format!("models: that of {source} as it was kept")),
            Err(error) => crate::log::warn(&format!("models: what was kept: {error}")),
        }
    }
    std::thread::Builder::new()
        .name("models".into())
        .spawn(move || follow(&settings, &models, kept.as_ref()))
        .map_err(|e| format!("cannot start a thread: {e}"))?;
    Ok(())
}

/// Says who answers, and which models it would give for a machine on which these counters are collected.
pub fn examine(settings: &Settings, machine: &MachineSpec, collected: CounterSet) -> Vec<Note> {
    let mut client = Client::new(settings);
    let features = features(collected);
    let examine = |source| {
        let told = client.ask(source, machine, &features);
        let fits = |model: &PowerModel| GivenModel::new(model.clone(), machine, collected);
        let (active, why) = match told {
            Ok(Answer::Model(model)) => match fits(&model) {
                Ok(_) => (true, summary(&model)),
                Err(error) => (false, format!("{error}, so it is not taken")),
            },
            Ok(Answer::Family) => (true, "the embedded model, which is used anyway".to_owned()),
            Ok(Answer::None(why)) => (false, why),
            Err(why) => (false, why),
        };
        Note {
            part: format!("model of {source}"),
            active,
            why: format!("{}: {why}", settings.place()),
            hint: String::new(),
        }
    };
    Want::SOURCES.map(examine).into()
}

impl Settings {
    /// Whether there is anything to ask.
    pub fn any(&self) -> bool {
        self.server.is_some() || self.components.url.is_some() || self.platform.url.is_some()
    }

    fn choice(&self, source: EnergySourceName) -> &Choice {
        match source {
            EnergySourceName::Acpi => &self.platform,
            _ => &self.components,
        }
    }

    /// Who is asked, as messages spell it.
    fn place(&self) -> String {
        let urls = [&self.components.url, &self.platform.url];
        let first = urls.into_iter().flatten().next();
        match (&self.server, first) {
            (Some(server), _) => server.to_string(),
            (None, Some(url)) => crate::shown(url),
            (None, None) => String::new(),
        }
    }
}

/// Asks, and remembers what an estimator tells once only.
struct Client<'a> {
    settings: &'a Settings,
    estimator: Option<Estimator>,
}

impl<'a> Client<'a> {
    fn new(settings: &'a Settings) -> Self {
        let estimator = match &settings.server {
            Some(Place::Estimator(path)) => Some(Estimator::at(path)),
            _ => None,
        };
        Self {
            settings,
            estimator,
        }
    }

    fn ask(
        &mut self,
        source: EnergySourceName,
        machine: &MachineSpec,
        features: &[&str],
    ) -> Result<Answer, String> {
        let choice = self.settings.choice(source);
        let mut want = Want::new(source, machine, features);
        want.trainer.clone_from(&choice.trainer);
        want.filter.clone_from(&choice.filter);
        let asked = match (&self.settings.server, &mut self.estimator) {
            (_, Some(estimator)) => Some(estimator.ask(&want)),
            (Some(Place::Server(url)), None) => Some(http::post(url, &want)),
            _ => None,
        };
        match (asked, &choice.url) {
            (Some(Ok(answer @ (Answer::Model(_) | Answer::Family))), _) => Ok(answer),
            (_, Some(url)) => http::get(url, &want).map_err(|why| match crate::shown(url) {
                place if place == self.settings.place() => why,
                place => format!("{place}: {why}"),
            }),
            (Some(asked), None) => asked,
            (None, None) => Ok(Answer::None("no server is set for it".to_owned())),
        }
    }
}

/// How long to wait after trouble: doubled each time it is still there.
const PATIENCE: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(300)];

fn follow(settings: &Settings, models: &Models, kept: Option<&Kept>) {
    let (mut client, place) = (Client::new(settings), settings.place());
    let (mut wait, mut said) = (PATIENCE[0], None);
    loop {
        let trouble = fetch(&mut client, models, kept).err();
        match &trouble {
            None => models.answered(&place),
            Some(why) => models.failed(&place, why),
        }
        // The same again is no news.
        if said.as_ref() != Some(&trouble) {
            match &trouble {
                None => crate::log::info(&format!("models: {place} has answered")),
                Some(why) => crate::log::warn(&format!("models: {place}: {why}")),
            }
            said = Some(trouble.clone());
        }
        if trouble.is_none() {
            wait = PATIENCE[0];
            std::thread::sleep(settings.interval);
        } else {
            std::thread::sleep(wait.min(settings.interval));
            wait = (wait * 2).min(PATIENCE[1]);
        }
    }
}

/// Gives what is new and good; tells what is neither.
fn fetch(client: &mut Client<'_>, models: &Models, kept: Option<&Kept>) -> Result<(), String> {
    let features = models.features();
    let (mut troubles, mut missing) = (Vec::new(), Vec::new());
    for source in Want::SOURCES {
        match client.ask(source, models.machine(), &features) {
            Ok(Answer::Model(model)) => {
                let model = *model;
                match models.give(model.clone()) {
                    Err(error) => troubles.push(format!("{error}, so it is not taken")),
                    Ok(()) => {
                        let saved = kept.map(|kept| kept.save(source, &model));
                        troubles.extend(saved.and_then(Result::err));
                    }
                }
            }
            Ok(Answer::Family) => {}
            Ok(Answer::None(why)) => missing.push(why),
            Err(why) => troubles.push(why),
        }
    }
    if troubles.is_empty() && missing.len() == Want::SOURCES.len() {
        troubles = missing;
    }
    troubles.dedup();
    if troubles.is_empty() {
        return Ok(());
    }
    Err(troubles.join("; "))
}

/// A model in a line.
fn summary(model: &PowerModel) -> String {
    let file = model.file();
    let mut text = file.name.clone();
    if let Some(processor) = &file.machine.processor {
        text += &format!(" of {processor}");
    }
    if let Some(cores) = file.machine.cores {
        text += &format!(", {cores} CPUs");
    }
    text += &format!(", over {}", model.features().collect::<Vec<_>>().join(", "));
    for (component, part) in &file.components {
        let error = part.errors.first();
        let error = error.map_or_else(String::new, |e| format!(" off by {:.2} W", e.mae));
        text += &format!("; {component}{error}");
    }
    text
}

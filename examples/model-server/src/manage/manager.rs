//! The server's own manager: what it expects, has, fetches and reports, and what it answers about it.
//!
//! No sockets here: [`Manager::answer`] takes what a request says and gives what is to be sent. It blocks, so that it is for
//! threads that may.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use axum::http::HeaderMap;
use kepler_service::AdminToken;
use serde::Deserialize;
use serde_json::{Value, json};

use super::check::{Deeds, Kind, Report, Wanted, visit};
use super::inventory::{Inventory, Local};
use super::jobs::{Jobs, State};
use super::manifest::Manifest;
use super::pull::Fetcher;
use super::usage::{Event, Usage};

/// The part of a server that has the models in memory.
pub(crate) trait Serving: Send + Sync {
    /// Takes a file that was fetched into use, instead of the one of that name before it.
    ///
    /// # Errors
    /// Why not; then what was served is served still.
    fn reload(&self, name: &str, path: &Path) -> Result<(), String>;

    /// Hears of the report of a check.
    fn reported(&self, report: &Report);

    /// Has a model of a pipeline predict something, and tells what.
    ///
    /// # Errors
    /// That there is none, or what failed.
    fn infer(&self, pipeline: &str) -> Result<String, String>;
}

/// What a manager is made of.
pub(crate) struct Manager {
    manifest: Manifest,
    inventory: Inventory,
    serving: Box<dyn Serving>,
    usage: Arc<Usage>,
    jobs: Jobs,
    /// The last one of each kind, from inside or outside.
    reports: Mutex<BTreeMap<Kind, Report>>,
    /// Without one nobody may pull or reset.
    admin: Option<AdminToken>,
}

/// What is to be sent.
#[derive(Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

/// Methods and paths that [`Manager::answer`] knows, and what they are for.
pub(crate) const ROUTES: [(&str, &str, &str); 8] = [
    (
        "GET",
        "/api/models",
        "models that are expected, and whether they are there",
    ),
    (
        "POST",
        "/api/models/pull",
        "fetch an expected model (admin token)",
    ),
    ("POST", "/api/models/test", "have a model predict something"),
    (
        "GET",
        "/api/ollama/models",
        "models that an Ollama host is expected to have",
    ),
    ("POST", "/api/health/report", "take the report of a check"),
    (
        "GET",
        "/usage",
        "what models are used for, and the last reports",
    ),
    (
        "POST",
        "/usage/reset",
        "forget what models were used for (admin token)",
    ),
    (
        "POST",
        "/usage/import",
        "add what another server's /usage shows (admin token)",
    ),
];

/// How long a request waits for a pull, which goes on after it.
const PULL_TIME: Duration = Duration::from_secs(20);
/// How long `/usage` waits for a shared store.
const USAGE_TIME: Duration = Duration::from_secs(1);

impl Manager {
    pub(crate) fn new(
        manifest: Manifest,
        fetcher: Fetcher,
        serving: Box<dyn Serving>,
        usage: Arc<Usage>,
        admin: Option<AdminToken>,
    ) -> Self {
        Self {
            manifest,
            inventory: Inventory::new(fetcher),
            serving,
            usage,
            jobs: Jobs::default(),
            reports: Mutex::default(),
            admin,
        }
    }

    /// What is to be sent to a request; none for a path that is not the manager's.
    pub(crate) fn answer(
        self: &Arc<Self>,
        method: &str,
        path: &str,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Option<Answer> {
        let mut here = ROUTES.iter().filter(|(_, p, _)| *p == path).peekable();
        here.peek()?;
        let method = if method == "HEAD" { "GET" } else { method };
        if !here.any(|(m, ..)| *m == method) {
            return Some(Answer::new(405, format!("{path} does not take {method}")));
        }
        let admin = || self.admin(headers);
        Some(match path {
            "/api/models" => Answer::ok(self.models()),
            "/api/models/pull" => match admin() {
                Ok(()) => self.pull_by_name(body),
                Err(refusal) => refusal,
            },
            "/api/models/test" => self.test(body),
            "/api/ollama/models" => {
                let model = |name: &String| json!({"name": name});
                let models: Vec<Value> = self.manifest.ollama.iter().map(model).collect();
                Answer::ok(json!({"models": models}))
            }
            "/api/health/report" => match Report::parse(body) {
                Ok(report) => {
                    self.keep(report);
                    Answer::ok(json!({"taken": true}))
                }
                Err(error) => Answer::new(400, error),
            },
            "/usage" => Answer::ok(self.usage_view()),
            "/usage/reset" => match admin() {
                Ok(()) => match self.usage.reset() {
                    Ok(()) => Answer::ok(json!({"reset": true})),
                    Err(error) => Answer::new(503, error),
                },
                Err(refusal) => refusal,
            },
            _ => match admin() {
                Ok(()) => match self.usage.import(body) {
                    Ok(models) => Answer::ok(json!({"imported": models})),
                    Err(error) => Answer::new(400, error),
                },
                Err(refusal) => refusal,
            },
        })
    }

    /// Compares what is expected with what is there, fetches and tries as told, and keeps the report.
    pub(crate) fn check(&self, deeds: Deeds) -> Report {
        let expected = self.manifest.models.iter().cloned();
        let wanted: Vec<Wanted> = expected.map(Wanted::from).collect();
        let mut site = Local(self);
        let seen = visit(&mut site, "here", &wanted, deeds);
        let report = Report::new(Kind::Kepler, "this server", SystemTime::now(), vec![seen]);
        self.keep(report.clone());
        report
    }

    /// Fetches an expected model and takes it into use. Blocks until it is done.
    ///
    /// # Errors
    /// Why not; then what was served is served still.
    pub(super) fn pull(&self, name: &str) -> Result<(), String> {
        let expected = self.manifest.model(name)?;
        let counter = self.usage.model(name);
        // What another request fetched in the meantime need not come again.
        let there = self.inventory.there(expected);
        let pulled = there
            .map_or_else(|| self.inventory.fetch(expected), Ok)
            .and_then(|path| self.serving.reload(name, &path));
        let event = if pulled.is_ok() {
            Event::Pull
        } else {
            Event::Error
        };
        counter.count(event, SystemTime::now());
        pulled
    }

    pub(super) fn serving(&self) -> &dyn Serving {
        self.serving.as_ref()
    }

    pub(super) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    pub(super) fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    fn models(&self) -> Value {
        let model = |expected| {
            let mut entry = super::manifest::Expected::entry(expected);
            let (present, why) = match self.inventory.has(expected) {
                Ok(present) => (present, None),
                Err(why) => (false, Some(why)),
            };
            entry["present"] = present.into();
            if let Some(why) = why {
                entry["why"] = why.into();
            }
            entry
        };
        let models: Vec<Value> = self.manifest.models.iter().map(model).collect();
        json!({"models": models})
    }

    fn pull_by_name(self: &Arc<Self>, body: &[u8]) -> Answer {
        let name = match name_in(body) {
            Ok(name) => name,
            Err(refusal) => return refusal,
        };
        if let Err(error) = self.manifest.model(&name) {
            return Answer::new(404, error);
        }
        let manager = self.clone();
        let begin = move |name: &str| manager.pull(name);
        match self.jobs.run(&name, PULL_TIME, begin) {
            State::Running => Answer {
                status: 202,
                body: json!({"name": name, "state": "pulling"}),
            },
            State::Done(Ok(())) => Answer::ok(json!({"name": name, "state": "pulled"})),
            State::Done(Err(error)) => Answer::new(502, error),
        }
    }

    fn test(&self, body: &[u8]) -> Answer {
        let name = match name_in(body) {
            Ok(name) => name,
            Err(refusal) => return refusal,
        };
        match self.serving.infer(&name) {
            Ok(text) => Answer::ok(json!({"name": name, "inference": text})),
            Err(error) => Answer::new(404, error),
        }
    }

    fn usage_view(&self) -> Value {
        let view = self.usage.recent_view(USAGE_TIME);
        let mut view = serde_json::to_value(view).unwrap_or_default();
        view["health"] = serde_json::to_value(&*self.reports()).unwrap_or_default();
        view
    }

    fn keep(&self, report: Report) {
        self.serving.reported(&report);
        // An Ollama host keeps no figures of its own.
        if report.kind == Kind::Ollama {
            for name in report.replicas.iter().flat_map(|visit| &visit.pulled) {
                if self.manifest.ollama.contains(name) {
                    let counter = self.usage.model(name);
                    counter.count(Event::Pull, SystemTime::now());
                }
            }
        }
        self.reports().insert(report.kind, report);
    }

    fn reports(&self) -> MutexGuard<'_, BTreeMap<Kind, Report>> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn admin(&self, headers: &HeaderMap) -> Result<(), Answer> {
        let Some(token) = &self.admin else {
            let off = "off: the server was started without an admin token";
            return Err(Answer::new(403, off));
        };
        match token.verify(headers) {
            Some(true) => Ok(()),
            Some(false) => Err(Answer::new(403, "this is not the admin token")),
            None => Err(Answer::new(
                401,
                "an admin token is needed: X-Admin-Token: TOKEN, or Authorization: Bearer TOKEN",
            )),
        }
    }
}

impl Answer {
    fn ok(body: Value) -> Self {
        Self { status: 200, body }
    }

    fn new(status: u16, error: impl Into<String>) -> Self {
        Self {
            status,
            body: json!({"error": error.into()}),
        }
    }
}

/// Looks at the server from inside.
impl super::check::Site for Local<'_> {
    fn present(&mut self) -> Result<BTreeMap<String, Option<String>>, String> {
        let manager = self.0;
        let there = manager.manifest().models.iter().filter(|expected| {
            // What cannot be read is as good as absent; the pull then tells why it cannot be written.
            manager.inventory().has(expected).unwrap_or(false)
        });
        Ok(there.map(|e| (e.name.clone(), e.sha256.clone())).collect())
    }

    fn pull(&mut self, name: &str) -> Result<(), String> {
        self.0.pull(name)
    }

    fn infer(&mut self, name: &str) -> Result<String, String> {
        self.0.serving().infer(name)
    }
}

fn name_in(body: &[u8]) -> Result<String, Answer> {
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }
    let named = serde_json::from_slice::<Named>(body);
    named
        .map(|named| named.name)
        .map_err(|e| Answer::new(400, format!("expected {{\"name\": NAME}}: {e}")))
}

/// Checks again and again, until the sender is dropped.
pub(crate) fn check_each(
    manager: &Manager,
    interval: Duration,
    deeds: Deeds,
    stop: &Receiver<()>,
    mut tell: impl FnMut(&Report),
) {
    let mut last = None::<Instant>;
    loop {
        let wait = last.map_or(Duration::ZERO, |last| {
            interval.saturating_sub(last.elapsed())
        });
        if stop.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
            return;
        }
        tell(&manager.check(deeds));
        last = Some(Instant::now());
    }
}

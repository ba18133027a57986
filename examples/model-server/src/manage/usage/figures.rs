//! What is counted of a model, and the atomic counters that requests touch.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What was done with a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// It was fetched from where it is published.
    Pull,
    /// A client asked for it, or for what it predicts.
    Request,
    /// It predicted.
    Inference,
    /// One of these failed.
    Error,
}

/// The counters of one model since the program started. They only grow.
#[derive(Debug, Default)]
pub(crate) struct Counter {
    pulls: AtomicU64,
    requests: AtomicU64,
    inferences: AtomicU64,
    errors: AtomicU64,
    /// Seconds since 1970; 0 for never.
    last_used: AtomicU64,
}

/// How often a model was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Figures {
    pub(crate) pulls: u64,
    pub(crate) requests: u64,
    pub(crate) inferences: u64,
    pub(crate) errors: u64,
    /// When it was last asked for or predicted; `None` for never.
    #[serde(serialize_with = "as_text", deserialize_with = "from_text")]
    pub(crate) last_used: Option<SystemTime>,
}

/// Figures by the models' names.
pub(crate) type Totals = BTreeMap<String, Figures>;

impl Counter {
    /// Counts one event at a time of the clock.
    pub(crate) fn count(&self, event: Event, now: SystemTime) {
        let counter = match event {
            Event::Pull => &self.pulls,
            Event::Request => &self.requests,
            Event::Inference => &self.inferences,
            Event::Error => &self.errors,
        };
        counter.fetch_add(1, Relaxed);
        if matches!(event, Event::Request | Event::Inference) {
            self.last_used.fetch_max(seconds(now), Relaxed);
        }
    }

    /// What was counted since the program started.
    pub(crate) fn figures(&self) -> Figures {
        Figures {
            pulls: self.pulls.load(Relaxed),
            requests: self.requests.load(Relaxed),
            inferences: self.inferences.load(Relaxed),
            errors: self.errors.load(Relaxed),
            last_used: time(self.last_used.load(Relaxed)),
        }
    }
}

impl Figures {
    /// Adds what was counted elsewhere.
    pub(crate) fn add(&mut self, more: &Self) {
        self.pulls = self.pulls.saturating_add(more.pulls);
        self.requests = self.requests.saturating_add(more.requests);
        self.inferences = self.inferences.saturating_add(more.inferences);
        self.errors = self.errors.saturating_add(more.errors);
        self.last_used = self.last_used.max(more.last_used);
    }

    /// What was counted after `earlier`; `None` for nothing.
    pub(super) fn since(&self, earlier: &Self) -> Option<Self> {
        let growth = Self {
            pulls: self.pulls.saturating_sub(earlier.pulls),
            requests: self.requests.saturating_sub(earlier.requests),
            inferences: self.inferences.saturating_sub(earlier.inferences),
            errors: self.errors.saturating_sub(earlier.errors),
            last_used: self.last_used,
        };
        let nothing = Self {
            last_used: self.last_used,
            ..Self::default()
        };
        (growth != nothing).then_some(growth)
    }
}

/// Adds figures to those of the same names.
pub(super) fn add_all<'a>(
    totals: &mut Totals,
    more: impl IntoIterator<Item = (&'a String, &'a Figures)>,
) {
    for (name, figures) in more {
        match totals.get_mut(name) {
            Some(sum) => sum.add(figures),
            None => {
                totals.insert(name.clone(), *figures);
            }
        }
    }
}

/// What every store takes as a model's name.
pub(super) fn is_name(name: &str) -> bool {
    (1..=NAME_BYTES).contains(&name.len()) && !name.contains(char::is_control)
}

/// Whether every store can keep figures under a name.
///
/// # Errors
/// Why not.
pub(super) fn storable((name, figures): (&String, &Figures)) -> Result<(), String> {
    if !is_name(name) {
        let shown: String = name.chars().take(64).collect();
        return Err(format!(
            "a model's name is {shown:?}: expected 1 to {NAME_BYTES} bytes, none of them a control character"
        ));
    }
    let counts = [
        ("pulls", figures.pulls),
        ("requests", figures.requests),
        ("inferences", figures.inferences),
        ("errors", figures.errors),
    ];
    match counts.into_iter().find(|(_, count)| *count > MOST) {
        Some((what, count)) => Err(format!(
            "{what} of {name:?} is {count}: expected at most {MOST}"
        )),
        None => Ok(()),
    }
}

/// The longest name.
const NAME_BYTES: usize = 512;
/// The largest count that all stores keep: a database's are signed.
const MOST: u64 = i64::MAX.unsigned_abs();

/// Whole seconds since 1970, as the stores keep times.
pub(super) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// The time of whole seconds since 1970; none for 0, and for what no clock shows.
pub(super) fn time(seconds: u64) -> Option<SystemTime> {
    // RFC 3339 ends with the year 9999.
    let shown = (1..253_402_300_800).contains(&seconds);
    shown.then(|| UNIX_EPOCH + Duration::from_secs(seconds))
}

fn as_text<S: Serializer>(time: &Option<SystemTime>, to: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => to.collect_str(&humantime::format_rfc3339_seconds(*time)),
        None => to.serialize_none(),
    }
}

fn from_text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SystemTime>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    let time = text.map(|text| humantime::parse_rfc3339(&text));
    time.transpose().map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_has_its_counter_and_use_has_a_time() {
        let (counter, noon) = (Counter::default(), UNIX_EPOCH + Duration::from_secs(43_200));
        counter.count(Event::Pull, noon);
        assert_eq!(counter.figures().last_used, None, "a pull is no use");
        for event in [
            Event::Request,
            Event::Inference,
            Event::Inference,
            Event::Error,
        ] {
            counter.count(event, noon);
        }
        counter.count(Event::Request, UNIX_EPOCH);
        let figures = counter.figures();
        let text = r#"{"pulls":1,"requests":2,"inferences":2,"errors":1,"last_used":"1970-01-01T12:00:00Z"}"#;
        assert_eq!(serde_json::to_string(&figures).unwrap(), text);
        assert_eq!(serde_json::from_str::<Figures>(text).unwrap(), figures);
    }

    #[test]
    fn what_a_store_could_never_take_is_refused() {
        let counts = |requests| Figures {
            requests,
            ..Figures::default()
        };
        let storable = |name: &str, requests| storable((&name.to_owned(), &counts(requests)));
        assert_eq!(storable(&"n".repeat(512), MOST), Ok(()));
        for (name, requests, says) in [
            ("", 1, "1 to 512 bytes"),
            ("a\0b", 1, "\"a\\0b\""),
            ("a\nb", 1, "control character"),
            (&*"n".repeat(513), 1, "1 to 512 bytes"),
            ("m", MOST + 1, "requests of \"m\" is 9223372036854775808"),
        ] {
            let error = storable(name, requests).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn growth_is_what_came_after() {
        let (counter, now) = (Counter::default(), UNIX_EPOCH + Duration::from_secs(7));
        counter.count(Event::Request, now);
        let earlier = counter.figures();
        assert_eq!(counter.figures().since(&earlier), None);
        counter.count(Event::Error, now);
        let growth = counter.figures().since(&earlier).unwrap();
        assert_eq!((growth.requests, growth.errors), (0, 1));
    }
}

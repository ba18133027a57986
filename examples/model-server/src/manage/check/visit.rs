//! One look at one place that has models: compare, fetch what is missing, try what is there.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::report::Visit;

/// A model that is expected, and its checksum where one is told.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Wanted {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) sha256: Option<String>,
}

/// A place that has models.
pub(crate) trait Site {
    /// The models that are there, with their checksums where they are told.
    fn present(&mut self) -> Result<BTreeMap<String, Option<String>>, String>;
    /// Has a model fetched, and waits for it.
    fn pull(&mut self, name: &str) -> Result<(), String>;
    /// Has a model predict something, and tells what.
    fn infer(&mut self, name: &str) -> Result<String, String>;
}

/// What is done besides comparing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deeds {
    /// Fetch what is missing.
    pub(crate) pull: bool,
    /// Have one model predict something.
    pub(crate) infer: bool,
}

/// Looks at a site. What fails is told in the visit.
pub(crate) fn visit(site: &mut dyn Site, address: &str, wanted: &[Wanted], deeds: Deeds) -> Visit {
    let mut visit = Visit {
        address: address.to_owned(),
        expected: wanted.len(),
        ..Visit::default()
    };
    let present = match site.present() {
        Ok(present) => present,
        Err(error) => {
            visit.errors.push(error);
            return visit;
        }
    };
    visit.reachable = true;
    let missing = |present: &BTreeMap<String, Option<String>>| -> Vec<String> {
        let absent = wanted.iter().filter(|w| !is_there(w, present));
        absent.map(|w| w.name.clone()).collect()
    };
    visit.missing = missing(&present);
    visit.present = visit.expected - visit.missing.len();
    if deeds.pull && !visit.missing.is_empty() {
        for name in &visit.missing {
            match site.pull(name) {
                Ok(()) => visit.pulled.push(name.clone()),
                Err(error) => visit.errors.push(format!("pull of {name}: {error}")),
            }
        }
        // Whoever says that it has pulled is believed when it shows the model.
        match site.present() {
            Ok(present) => {
                let still = missing(&present);
                visit.pulled.retain(|name| !still.contains(name));
            }
            Err(error) => visit.errors.push(error),
        }
    }
    if deeds.infer {
        let there =
            |w: &&Wanted| !visit.missing.contains(&w.name) || visit.pulled.contains(&w.name);
        match wanted.iter().find(there) {
            Some(wanted) => match site.infer(&wanted.name) {
                Ok(text) => visit.inference = Some(text),
                Err(error) => visit
                    .errors
                    .push(format!("inference by {}: {error}", wanted.name)),
            },
            None => visit.errors.push("no model is there to try".to_owned()),
        }
    }
    visit
}

/// Whether a model is there, with the checksum that is expected where both are told.
fn is_there(wanted: &Wanted, present: &BTreeMap<String, Option<String>>) -> bool {
    match (present.get(&wanted.name), &wanted.sha256) {
        (Some(Some(has)), Some(wants)) => has.eq_ignore_ascii_case(wants),
        (found, _) => found.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Scripted {
        present: BTreeMap<String, Option<String>>,
        can_pull: bool,
    }

    impl Site for Scripted {
        fn present(&mut self) -> Result<BTreeMap<String, Option<String>>, String> {
            Ok(self.present.clone())
        }
        fn pull(&mut self, name: &str) -> Result<(), String> {
            if self.can_pull {
                self.present
                    .insert(name.to_owned(), Some("good".to_owned()));
            }
            Ok(())
        }
        fn infer(&mut self, name: &str) -> Result<String, String> {
            Ok(format!("{name}: 5 W"))
        }
    }

    fn wanted() -> Vec<Wanted> {
        let wanted = |name: &str, sha256: Option<&str>| Wanted {
            name: name.to_owned(),
            sha256: sha256.map(str::to_owned),
        };
        vec![
            wanted("absent", None),
            wanted("spoiled", Some("good")),
            wanted("there", None),
        ]
    }

    fn site(can_pull: bool) -> Scripted {
        let spoiled = ("spoiled".to_owned(), Some("bad".to_owned()));
        Scripted {
            present: BTreeMap::from([spoiled, ("there".to_owned(), None)]),
            can_pull,
        }
    }

    #[test]
    fn what_is_absent_or_another_is_missing_and_pulled() {
        let only_look = Deeds {
            pull: false,
            infer: false,
        };
        let seen = visit(&mut site(true), "a", &wanted(), only_look);
        assert_eq!((seen.expected, seen.present), (3, 1));
        assert_eq!(seen.missing, ["absent", "spoiled"]);
        assert!(seen.pulled.is_empty() && !seen.is_healthy());

        let all = Deeds {
            pull: true,
            infer: true,
        };
        let seen = visit(&mut site(true), "a", &wanted(), all);
        assert_eq!(seen.pulled, ["absent", "spoiled"]);
        assert_eq!(seen.inference.as_deref(), Some("absent: 5 W"));
        assert!(seen.is_healthy());
    }

    #[test]
    fn a_pull_that_shows_nothing_is_none() {
        let all = Deeds {
            pull: true,
            infer: true,
        };
        let seen = visit(&mut site(false), "a", &wanted(), all);
        assert!(seen.pulled.is_empty() && !seen.is_healthy());
        assert_eq!(seen.inference.as_deref(), Some("there: 5 W"));
    }
}

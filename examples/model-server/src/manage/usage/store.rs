//! Where figures are kept: what a store can do, and how a user names one.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::figures::Totals;

/// Figures to be added to a store: all of them or none, and only once however often they are handed over.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Batch {
    /// The process that counted them: a random name, new at each start.
    pub(super) writer: String,
    /// Rises with each batch of a writer.
    pub(super) number: u64,
    pub(super) growth: Totals,
}

/// What a store holds after a batch.
pub(super) enum Held {
    /// Of the batch's models, and nobody else writes.
    Changed(Totals),
    /// Of all models.
    All(Totals),
}

/// A place that outlives the process. Calls may take seconds and may fail; they are made by a thread of their own.
pub(super) trait Store: Send {
    /// Adds a batch, unless it was added before.
    fn add(&mut self, batch: &Batch) -> Result<Held, String>;
    /// Everything that is kept.
    fn read(&mut self) -> Result<Totals, String>;
    /// Forgets everything.
    fn reset(&mut self) -> Result<(), String>;
    /// How often it is written.
    fn every(&self) -> Duration;
    /// Whether others write to it too.
    fn is_shared(&self) -> bool;
}

/// A store as it is named on the command line.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// Nothing is kept.
    Memory,
    /// One file of this process alone.
    File(PathBuf),
    /// A PostgreSQL server, as a URL.
    Postgres(String),
    /// A ConfigMap of the cluster that the process runs in.
    ConfigMap { namespace: String, name: String },
}

impl std::str::FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "memory" {
            return Ok(Self::Memory);
        }
        let Some((scheme, rest)) = text.split_once(':') else {
            return if text.is_empty() {
                Err("expected a file, memory, postgres://USER@HOST/DATABASE or configmap://NAMESPACE/NAME".to_owned())
            } else {
                Ok(Self::File(text.into()))
            };
        };
        match scheme {
            "postgres" | "postgresql" if cfg!(feature = "postgres") => {
                Ok(Self::Postgres(text.to_owned()))
            }
            "postgres" | "postgresql" => {
                Err("this program was built without the feature `postgres`".to_owned())
            }
            "configmap" => {
                let parts = rest.strip_prefix("//").and_then(|p| p.split_once('/'));
                match parts {
                    Some((namespace, name)) if is_object(namespace) && is_object(name) => {
                        Ok(Self::ConfigMap {
                            namespace: namespace.to_owned(),
                            name: name.to_owned(),
                        })
                    }
                    _ => Err("expected configmap://NAMESPACE/NAME".to_owned()),
                }
            }
            "file" => Ok(Self::File(rest.strip_prefix("//").unwrap_or(rest).into())),
            _ if text.starts_with(['/', '.']) => Ok(Self::File(text.into())),
            _ => Err(format!(
                "cannot keep figures in {scheme}: (known: file, postgres, configmap, memory)"
            )),
        }
    }
}

/// Whether a word can name an object of a cluster, so that it can stand in a URL.
fn is_object(word: &str) -> bool {
    let fits = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-' || c == b'.';
    (1..=253).contains(&word.len()) && word.bytes().all(fits) && !word.starts_with('.')
}

/// As a person may see it: without a password.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Postgres(url) => f.write_str(&kepler_service::shown(url)),
            Self::ConfigMap { namespace, name } => write!(f, "configmap://{namespace}/{name}"),
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_are_named_by_where_they_are() {
        let place = |text: &str| text.parse::<Place>();
        assert_eq!(place("memory"), Ok(Place::Memory));
        for file in [
            "/var/lib/u.db",
            "file:///var/lib/u.db",
            "file:/var/lib/u.db",
        ] {
            assert_eq!(place(file), Ok(Place::File("/var/lib/u.db".into())));
        }
        assert_eq!(place("u.db"), Ok(Place::File("u.db".into())));
        let map = Place::ConfigMap {
            namespace: "kepler".to_owned(),
            name: "model-usage-stats".to_owned(),
        };
        assert_eq!(place("configmap://kepler/model-usage-stats"), Ok(map));
        for wrong in [
            "",
            "configmap://a",
            "configmap://a/b/c",
            "configmap://A/b",
            "redis://x",
        ] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
    }

    #[cfg(feature = "postgres")]
    #[test]
    fn a_password_is_not_shown() {
        for url in [
            "postgres://me:p@ss@host:5432/db?password=p@ss",
            "postgres://host:5432/db?password=p@ss",
            "postgres://me:p?ss@host:5432/db",
        ] {
            let place: Place = url.parse().unwrap();
            assert_eq!(
                format!("{place} {place:?}"),
                "postgres://host:5432/db postgres://host:5432/db"
            );
        }
    }
}

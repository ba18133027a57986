//! The models that are expected: a YAML or JSON file.
//!
//! ```yaml
//! models:
//!   - name: ec2-0.7.11
//!     url: https://models.example.org/ec2-0.7.11.zip   # http, https, file or s3; or `path`
//!     sha256: 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae
//! ollama:
//!   - llama3.2:1b
//! ```

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use kepler_core::Host;
use kepler_service::shown;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What is expected to be there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Manifest {
    pub(crate) models: Vec<Expected>,
    /// Models of an Ollama host, by name and tag.
    pub(crate) ollama: Vec<String>,
}

/// A model, or a pipeline of models, that is expected.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Entry")]
pub(crate) struct Expected {
    pub(crate) name: String,
    pub(crate) source: Source,
    /// 64 hexadecimal digits in lower case.
    pub(crate) sha256: Option<String>,
}

/// Where something is fetched from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Http(String),
    File(PathBuf),
    S3(String),
}

/// An entry as it is written.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
}

const KEYS: [&str; 2] = ["models", "ollama"];
const ENTRY_KEYS: [&str; 4] = ["name", "url", "path", "sha256"];
/// The largest manifest, and how many entries one may have.
const BYTES: u64 = 4 << 20;
const ENTRIES: usize = 10_000;

impl Manifest {
    /// Reads a file; a `path` in it that does not begin with `/` is below the file's folder.
    ///
    /// # Errors
    /// What is wrong, with the file's name and the place in it.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let bytes = Host::default()
            .bytes(path, BYTES)
            .map_err(|e| e.to_string())?;
        let fail = |why: &str| format!("{}: {why}", path.display());
        let text = std::str::from_utf8(&bytes).map_err(|e| fail(&e.to_string()))?;
        let mut manifest = Self::parse(text).map_err(|e| fail(&e))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        for model in &mut manifest.models {
            if let Source::File(path) = &mut model.source {
                *path = folder.join(&*path);
            }
        }
        Ok(manifest)
    }

    /// Reads the text of a manifest.
    ///
    /// # Errors
    /// What is wrong and where; for a key that is not known, which one may be meant.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let plain: Value = serde_saphyr::from_str(text).map_err(|e| e.to_string())?;
        if plain.is_null() {
            return Ok(Self::default());
        }
        known(&plain, "the manifest", &KEYS)?;
        for (number, entry) in list(&plain["models"]).iter().enumerate() {
            known(entry, &format!("models[{number}]"), &ENTRY_KEYS)?;
        }
        let manifest: Self = serde_saphyr::from_str(text).map_err(|e| e.to_string())?;
        if manifest.models.len() + manifest.ollama.len() > ENTRIES {
            return Err(format!("more than {ENTRIES} models"));
        }
        let mut names = BTreeSet::new();
        let all = manifest.models.iter().map(|m| &m.name);
        match all.chain(&manifest.ollama).find(|n| !names.insert(*n)) {
            Some(name) => Err(format!("{name} is expected twice")),
            None => Ok(manifest),
        }
    }

    /// The entry of a name.
    ///
    /// # Errors
    /// That there is none, with the name that comes nearest.
    pub(crate) fn model(&self, name: &str) -> Result<&Expected, String> {
        let found = self.models.iter().find(|m| m.name == name);
        found.ok_or_else(|| {
            let names: Vec<&str> = self.models.iter().map(|m| m.name.as_str()).collect();
            format!("no model {name:?} is expected{}", meant(name, &names))
        })
    }
}

impl Expected {
    /// A model that is named by where it is, such as `https://host/ec2-0.7.11.zip`.
    ///
    /// # Errors
    /// What is wrong with the place, the checksum or the name in it.
    pub(crate) fn at(place: &str, sha256: Option<&str>) -> Result<Self, String> {
        let last = shown(place);
        let last = last
            .trim_end_matches('/')
            .rsplit('/')
            .next()
            .unwrap_or_default();
        let name = last.trim_end_matches(".zip").trim_end_matches(".json");
        let entry = Entry {
            name: name.to_owned(),
            url: Some(place.to_owned()),
            path: None,
            sha256: sha256.map(str::to_owned),
        };
        entry.try_into()
    }

    /// As it is shown: without secrets that may stand in the URL.
    pub(crate) fn entry(&self) -> Value {
        let entry = Entry {
            name: self.name.clone(),
            url: match &self.source {
                Source::Http(url) | Source::S3(url) => Some(shown(url)),
                Source::File(_) => None,
            },
            path: match &self.source {
                Source::File(path) => Some(path.clone()),
                _ => None,
            },
            sha256: self.sha256.clone(),
        };
        serde_json::to_value(entry).unwrap_or_default()
    }
}

impl TryFrom<Entry> for Expected {
    type Error = String;

    fn try_from(entry: Entry) -> Result<Self, String> {
        let name = entry.name;
        let fits = |c: char| c.is_ascii_alphanumeric() || "._-+".contains(c);
        if !(1..=128).contains(&name.len()) || !name.chars().all(fits) || name.starts_with('.') {
            return Err(format!(
                "{name:?} cannot name a model: letters, digits, `.`, `_`, `-` and `+`, at most 128, a letter or digit first"
            ));
        }
        let source = match (entry.url, entry.path) {
            (Some(url), None) => url.parse()?,
            (None, Some(path)) => Source::File(path),
            _ => return Err(format!("{name}: expected a url or a path")),
        };
        let sha256 = entry.sha256.map(|text| text.trim().to_ascii_lowercase());
        if let Some(text) = &sha256
            && (text.len() != 64 || !text.bytes().all(|c| c.is_ascii_hexdigit()))
        {
            return Err(format!("{name}: a sha256 has 64 hexadecimal digits"));
        }
        Ok(Self {
            name,
            source,
            sha256,
        })
    }
}

impl std::str::FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once("://") {
            Some(("http" | "https", _)) => Ok(Self::Http(text.to_owned())),
            Some(("s3", _)) if cfg!(feature = "s3") => Ok(Self::S3(text.to_owned())),
            Some(("s3", _)) => Err("this program was built without the feature `s3`".to_owned()),
            Some(("file", path)) if path.starts_with('/') => Ok(Self::File(path.into())),
            Some(("file", _)) => Err(format!("{text}: expected file:///PATH")),
            Some((scheme, _)) => Err(format!(
                "cannot fetch by {scheme}:// (known: http, https, file, s3)"
            )),
            None if text.is_empty() => Err("expected a URL or a path".to_owned()),
            None => Ok(Self::File(text.into())),
        }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Http(url) | Self::S3(url) => f.write_str(&shown(url)),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Refuses keys that are not known.
fn known(value: &Value, place: &str, keys: &[&str]) -> Result<(), String> {
    let Some(object) = value.as_object() else {
        return Err(format!("{place}: expected {}", keys.join(", ")));
    };
    match object.keys().find(|k| !keys.contains(&k.as_str())) {
        Some(key) => Err(format!("{place}: unknown key {key:?}{}", meant(key, keys))),
        None => Ok(()),
    }
}

/// The name that may have been meant, as the end of a message.
fn meant(word: &str, names: &[&str]) -> String {
    let near = names
        .iter()
        .map(|name| (strsim::jaro_winkler(word, name), name))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match near {
        Some((_, name)) => format!("; did you mean {name:?}?"),
        None if names.is_empty() => String::new(),
        None => format!(" (known: {})", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_and_json_say_the_same() {
        let sum = "1".repeat(64);
        let yaml = format!(
            "models:\n- name: a\n  url: https://me:pw@h/a.zip\n  sha256: {sum}\n- {{name: b, path: b.zip}}\nollama: [llama3]\n"
        );
        let json = format!(
            r#"{{"models":[{{"name":"a","url":"https://me:pw@h/a.zip","sha256":"{sum}"}},{{"name":"b","path":"b.zip"}}],"ollama":["llama3"]}}"#
        );
        let manifest = Manifest::parse(&yaml).unwrap();
        assert_eq!(manifest, Manifest::parse(&json).unwrap());
        assert_eq!(manifest.models[0].sha256, Some(sum.clone()));
        assert_eq!(manifest.models[1].source, Source::File("b.zip".into()));
        let shown = serde_json::json!({"name": "a", "url": "https://h/a.zip", "sha256": sum});
        assert_eq!(manifest.models[0].entry(), shown);
        assert_eq!(Manifest::parse("").unwrap(), Manifest::default());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, says) in [
            ("model: []", "did you mean \"models\"?"),
            (
                "models: [{name: a, url: http://h/a, sha265: x}]",
                "models[0]: unknown key \"sha265\"; did you mean \"sha256\"?",
            ),
            (
                "models: [{name: a, url: http://h/a, colour: x}]",
                "known: name, url, path, sha256",
            ),
            (
                "models: [{name: ../a, url: http://h/a}]",
                "cannot name a model",
            ),
            (
                "models: [{name: .a, url: http://h/a}]",
                "cannot name a model",
            ),
            ("models: [{name: a}]", "expected a url or a path"),
            (
                "models: [{name: a, url: ftp://h/a}]",
                "known: http, https, file, s3",
            ),
            (
                "models: [{name: a, path: x, sha256: abc}]",
                "64 hexadecimal digits",
            ),
            (
                "models: [{name: a, path: x}, {name: a, path: y}]",
                "a is expected twice",
            ),
            ("models: 3", "models"),
            ("[1]", "expected models, ollama"),
            ("models: [", ""),
        ] {
            let error = Manifest::parse(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
        let manifest = Manifest::parse("models: [{name: ec2-0.7.11, path: x}]").unwrap();
        assert!(
            manifest
                .model("ec2-0.7.1")
                .unwrap_err()
                .contains("mean \"ec2-0.7.11\"")
        );
    }

    #[test]
    fn a_url_names_its_model() {
        let model = Expected::at("https://h/v0.7/ec2-0.7.11.zip?x=/y", None).unwrap();
        assert_eq!(model.name, "ec2-0.7.11");
        assert_eq!(
            Expected::at("/tmp/m/weights.json", None).unwrap().name,
            "weights"
        );
        assert!(
            Expected::at("https://h/", None).is_ok(),
            "the host names it"
        );
    }
}

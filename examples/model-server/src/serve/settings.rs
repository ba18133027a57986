//! The older server's settings: a file each in a folder, then the environment.

use std::path::{Path, PathBuf};

use kepler_core::{ErrorKind, Host};
use kepler_service::log;

/// The port when none is set.
const PORT: u16 = 8100;
/// The base of URLs of pipelines when none is set; the older server then takes two pipelines from there.
const TOP_URL: &str =
    "https://raw.githubusercontent.com/sustainable-computing-io/kepler-model-db/main/models/v0.7";

/// What is set in the older server's names.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Settings {
    port: Option<u16>,
    /// `INITIAL_PIPELINE_URL`: where the first pipelines come from.
    pipelines: Vec<String>,
    /// `MODEL_TOPURL`: the folder of the one pipeline that the older server takes from a place of one's own.
    top_url: Option<String>,
    /// `MODEL_PATH`: a folder of pipelines.
    path: Option<PathBuf>,
}

impl Settings {
    /// Reads what is set.
    ///
    /// # Errors
    /// A line that names the setting and what was expected.
    pub(super) fn read(folder: &Path) -> Result<Self, String> {
        let host = Host::default();
        Self::from(|key| {
            let file = match host.text(folder.join(key)) {
                Ok(text) => text,
                Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
                Err(error) => return Err(error.to_string()),
            };
            #[expect(
                clippy::disallowed_methods,
                reason = "the settings of the older server"
            )]
            let value = match file.trim() {
                "" => std::env::var(key).unwrap_or_default().trim().to_owned(),
                text => text.to_owned(),
            };
            Ok((!value.is_empty()).then_some(value))
        })
    }

    fn from(get: impl Fn(&str) -> Result<Option<String>, String>) -> Result<Self, String> {
        let port = get("MODEL_SERVER_PORT")?.map(|text| {
            text.parse()
                .map_err(|_| format!("MODEL_SERVER_PORT is {text:?}: expected a port"))
        });
        if let Some(key) = get("ERROR_KEY")?.filter(|key| key != "mae") {
            return Err(format!(
                "ERROR_KEY is {key:?}: models are chosen by mae only"
            ));
        }
        let pipelines = get("INITIAL_PIPELINE_URL")?.unwrap_or_default();
        let pipelines = pipelines
            .split(',')
            .map(str::trim)
            .filter(|url| !url.is_empty());
        Ok(Self {
            port: port.transpose()?,
            pipelines: pipelines.map(str::to_owned).collect(),
            top_url: get("MODEL_TOPURL")?.filter(|url| url != TOP_URL),
            path: get("MODEL_PATH")?.map(PathBuf::from),
        })
    }

    /// Where to listen unless an argument says otherwise.
    pub(super) fn address(&self) -> String {
        format!("0.0.0.0:{}", self.port.unwrap_or(PORT))
    }

    /// The models that are set; none means the embedded ones.
    pub(super) fn models(&self) -> Vec<String> {
        if !self.pipelines.is_empty() {
            return self.pipelines.clone();
        }
        if let Some(top) = &self.top_url {
            return vec![format!("{}/std_v0.7.11.zip", top.trim_end_matches('/'))];
        }
        match &self.path {
            Some(path) if path.is_dir() => vec![path.display().to_string()],
            Some(path) => {
                let path = path.display();
                log::warn(&format!(
                    "MODEL_PATH is {path}, which is no folder: the embedded models are served"
                ));
                Vec::new()
            }
            None => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(items: &[(&str, &str)]) -> Result<Settings, String> {
        Settings::from(|key| {
            let found = items.iter().find(|(k, _)| *k == key);
            Ok(found.map(|(_, value)| (*value).to_owned()))
        })
    }

    #[test]
    fn a_setting_that_cannot_be_read_is_told() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ERROR_KEY"), "mae\n").unwrap();
        assert!(Settings::read(folder.path()).is_ok());
        assert!(Settings::read(&folder.path().join("absent")).is_ok());
        std::fs::create_dir(folder.path().join("MODEL_TOPURL")).unwrap();
        let error = Settings::read(folder.path()).unwrap_err();
        assert!(error.contains("MODEL_TOPURL"), "{error}");
    }

    #[test]
    fn the_older_servers_settings_hold() {
        let none = from(&[]).unwrap();
        assert_eq!(
            (none.address().as_str(), none.models().len()),
            ("0.0.0.0:8100", 0)
        );
        let set = [
            ("MODEL_SERVER_PORT", "9000"),
            ("INITIAL_PIPELINE_URL", "http://a/x.zip, http://b/y.zip"),
            ("MODEL_TOPURL", "http://c"),
        ];
        let both = from(&set).unwrap();
        assert_eq!(both.address(), "0.0.0.0:9000");
        assert_eq!(both.models(), ["http://a/x.zip", "http://b/y.zip"]);
        let top = from(&set[2..]).unwrap();
        assert_eq!(top.models(), ["http://c/std_v0.7.11.zip"]);
        assert_eq!(from(&[("MODEL_TOPURL", TOP_URL)]).unwrap(), none);
        for wrong in [("MODEL_SERVER_PORT", "http"), ("ERROR_KEY", "mape")] {
            let error = from(&[wrong]).unwrap_err();
            assert!(
                error.contains(wrong.0) && error.contains(wrong.1),
                "{error}"
            );
        }
    }
}

//! Who is asked for models.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::{client, shown};

/// A model server by its URL, or an estimator by its socket.
///
/// ```
/// use kepler_service::models::Place;
///
/// let place: Place = "http://kepler-model-server:8100".parse()?;
/// assert_eq!(place.to_string(), "http://kepler-model-server:8100/model");
/// assert!("unix:/tmp/estimator.sock".parse::<Place>().is_ok());
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Where requests are posted.
    Server(String),
    /// A unix socket.
    Estimator(PathBuf),
}

/// Where a model server takes requests.
const PATH: &str = "/model";

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = PathBuf::from(path);
            return match path.is_absolute() {
                true => Ok(Self::Estimator(path)),
                false => Err("expected unix:/path/of/a/socket".to_owned()),
            };
        }
        client::judge(text).map_err(|why| format!("{why}; or unix:/path of an estimator"))?;
        let (scheme, rest) = text.split_once("://").unwrap_or_default();
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let path = if matches!(path, "" | "/") { PATH } else { path };
        Ok(Self::Server(format!("{scheme}://{host}{path}")))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(url) => f.write_str(&shown(url)),
            Self::Estimator(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_its_own_stays() {
        for (text, url) in [
            ("http://h:1", "http://h:1/model"),
            ("https://h/", "https://h/model"),
            ("http://h/api/model", "http://h/api/model"),
        ] {
            assert_eq!(text.parse(), Ok(Place::Server(url.to_owned())));
        }
        for wrong in ["h:8100", "ftp://h", "unix:x", "http://", ""] {
            assert!(wrong.parse::<Place>().is_err(), "{wrong}");
        }
    }
}

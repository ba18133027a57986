//! `pull`: models from where they are published into a folder.

mod download;
mod fetch;
mod progress;
#[cfg(feature = "s3")]
mod s3;

use std::path::PathBuf;
use std::process::ExitCode;

use kepler_core::Host;

use super::client::{self, Client};
use super::manifest::{Expected, Manifest};
pub(crate) use download::Limits;
pub(crate) use fetch::{Fetcher, holds_models, sha256_of};
pub(crate) use progress::Progress;

/// What `pull` is told.
#[derive(clap::Args, Debug)]
pub(crate) struct Pull {
    /// Names of the manifest (all of them if none is given), or URLs and paths
    #[arg(value_name = "MODEL")]
    models: Vec<String>,
    /// The models that are expected, as YAML or JSON
    #[arg(long, value_name = "FILE", env = "MODEL_MANIFEST")]
    manifest: Option<PathBuf>,
    /// The folder to fetch into
    #[arg(long, value_name = "DIR", env = "MODEL_PATH", default_value = "models")]
    into: PathBuf,
    /// The checksum of the one URL that is given
    #[arg(long, value_name = "HEX", conflicts_with = "manifest")]
    sha256: Option<String>,
    /// Fetch what is there already, too
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    fetching: Fetching,
}

/// How models are fetched, for each command that fetches.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Fetching {
    /// The largest file to fetch, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    max_size: u64,
    /// How often to try; a try that brought the file on does not count
    #[arg(long, value_name = "COUNT", default_value_t = 5)]
    tries: u32,
    /// Authorities to trust instead of those of the system, as PEM
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

impl Fetching {
    /// A fetcher into a folder.
    ///
    /// # Errors
    /// What is wrong with the certificates.
    pub(crate) fn fetcher(&self, folder: PathBuf) -> Result<Fetcher, String> {
        Ok(Fetcher {
            client: self.client()?,
            folder,
            limits: Limits {
                bytes: self.max_size.saturating_mul(1 << 20),
                tries: self.tries.max(1),
                ..Limits::default()
            },
        })
    }

    /// A client that trusts who is to be trusted.
    ///
    /// # Errors
    /// What is wrong with the certificates.
    pub(crate) fn client(&self) -> Result<Client, String> {
        Client::new(&client::Settings {
            certificates: self.ca.clone(),
            ..client::Settings::default()
        })
    }
}

/// Fetches what is asked for. Exit code 1 where not all of it is there in the end.
pub(crate) fn run(pull: &Pull) -> Result<ExitCode, String> {
    let wanted = pull.wanted()?;
    let fetcher = pull.fetching.fetcher(pull.into.clone())?;
    let mut failed = 0;
    for expected in &wanted {
        let name = &expected.name;
        match pull.one(&fetcher, expected) {
            Ok(text) => say(&format!("{name}: {text}")),
            Err(error) => {
                failed += 1;
                complain(&format!("{name}: {error}"));
            }
        }
    }
    Ok(ExitCode::from(u8::from(failed > 0)))
}

impl Pull {
    fn wanted(&self) -> Result<Vec<Expected>, String> {
        let Some(path) = &self.manifest else {
            if self.models.is_empty() {
                return Err("nothing to pull: give --manifest or a URL".to_owned());
            }
            if self.sha256.is_some() && self.models.len() > 1 {
                return Err("--sha256 is for one URL; for more write a manifest".to_owned());
            }
            let sha256 = self.sha256.as_deref();
            return self
                .models
                .iter()
                .map(|m| Expected::at(m, sha256))
                .collect();
        };
        let manifest = Manifest::read(path)?;
        if self.models.is_empty() {
            return Ok(manifest.models);
        }
        let named = self.models.iter().map(|name| manifest.model(name).cloned());
        named.collect()
    }

    fn one(&self, fetcher: &Fetcher, expected: &Expected) -> Result<String, String> {
        if !self.force
            && let Some(path) = fetcher.file_of(&expected.name)
            && is_as_expected(&path, expected)?
        {
            return Ok(format!("{} is there already", path.display()));
        }
        let fetched = fetcher.fetch(expected, &mut Progress::of(&expected.name))?;
        let mut text = format!(
            "{}, {} bytes, sha256 {}",
            fetched.path.display(),
            fetched.bytes,
            fetched.sha256
        );
        if fetched.resumed > 0 {
            text += &format!(", the first {} from an earlier try", fetched.resumed);
        }
        Ok(text)
    }
}

/// Whether a file is what is expected: its checksum is, or, where none is told, it holds models.
///
/// # Errors
/// Why the file cannot be read.
pub(crate) fn is_as_expected(path: &std::path::Path, expected: &Expected) -> Result<bool, String> {
    let Some(wanted) = &expected.sha256 else {
        return Ok(holds_models(path).is_ok());
    };
    let kept = Host::default().open(path).map_err(|e| e.to_string())?;
    let file = kept.file().try_clone();
    let sum = file.and_then(|mut file| sha256_of(&mut file));
    let (sha256, _) = sum.map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(sha256 == *wanted)
}

#[expect(clippy::print_stdout, reason = "what the command is for")]
fn say(text: &str) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "the end of a failed job")]
fn complain(text: &str) {
    eprintln!("{text}");
}

//! What the web configuration says now: read at the start, and again when a file of it has changed.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::header::{HeaderName, HeaderValue};
use tokio_rustls::rustls::ServerConfig;

use crate::auth::Users;
use crate::config::{TlsSection, WebConfig};
use crate::files::Files;
use crate::rate::RateLimiter;
use crate::{Error, Result, WebArgs, log, self_signed, tls};

/// How long what was read is believed without a look at the files.
const BELIEVED: Duration = Duration::from_secs(1);

/// What holds for connections and requests from now on.
pub(crate) struct Site {
    pub(crate) tls: Option<Arc<ServerConfig>>,
    pub(crate) http2: bool,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) users: Option<Users>,
    /// The rate of all clients together.
    pub(crate) rate: Option<RateLimiter>,
}

/// The present [`Site`].
pub(crate) struct Sites {
    file: Option<PathBuf>,
    self_signed: Option<Arc<ServerConfig>>,
    latest: Mutex<Latest>,
}

struct Latest {
    site: Arc<Site>,
    files: Files,
    looked: Instant,
}

impl Sites {
    /// Reads the file for the first time. `addresses` are those that a certificate of our own shall name.
    pub(crate) fn open(args: &WebArgs, addresses: &[IpAddr]) -> Result<Self> {
        let file = args.config_file.clone();
        let file = file.filter(|path| !path.as_os_str().is_empty());
        let self_signed = match args.self_signed {
            true => Some(self_signed::server_config(addresses)?),
            false => None,
        };
        let mut files = Files::default();
        let site = Site::read(file.as_deref(), self_signed.as_ref(), &mut files)?;
        let latest = Latest {
            site: Arc::new(site),
            files,
            looked: Instant::now(),
        };
        Ok(Self {
            file,
            self_signed,
            latest: Mutex::new(latest),
        })
    }

    /// What holds at `now`. A changed file that cannot be used is told once, and what held before holds on.
    pub(crate) fn at(&self, now: Instant) -> Arc<Site> {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if self.file.is_some() && now.saturating_duration_since(latest.looked) >= BELIEVED {
            latest.looked = now;
            if latest.files.have_changed() {
                self.reload(&mut latest);
            }
        }
        Arc::clone(&latest.site)
    }

    fn reload(&self, latest: &mut Latest) {
        let mut files = Files::default();
        let read = Site::read(self.file.as_deref(), self.self_signed.as_ref(), &mut files);
        let read = read.and_then(
            |site| match site.tls.is_some() == latest.site.tls.is_some() {
                true => Ok(site),
                false => Err(Error::invalid(
                    &"tls_server_config",
                    "cannot come or go while the program runs",
                )),
            },
        );
        match read {
            Ok(site) => {
                latest.site = Arc::new(site);
                log::info("the web configuration was read again");
            }
            Err(error) => log::warn(&format!("{error}; what held before holds on")),
        }
        latest.files = files;
    }
}

impl Site {
    fn read(
        file: Option<&Path>,
        self_signed: Option<&Arc<ServerConfig>>,
        files: &mut Files,
    ) -> Result<Self> {
        let config = match file {
            None => WebConfig::default(),
            Some(path) => {
                let text = files.read(path)?;
                WebConfig::parse(path, &String::from_utf8_lossy(&text))?
            }
        };
        let file = file.unwrap_or(Path::new(""));
        let http2 = config.http_server_config.http2.unwrap_or(true);
        let tls = match &config.tls_server_config {
            Some(section) if *section != TlsSection::default() => {
                Some(tls::server_config(section, http2, file, files)?)
            }
            _ => self_signed.cloned(),
        };
        Ok(Self {
            tls,
            http2,
            headers: config.headers(file)?,
            users: Users::new(&config.basic_auth_users, file)?,
            rate: config.rate().map(RateLimiter::new),
        })
    }
}

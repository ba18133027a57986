//! Where a server listens, and the listeners there.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener as StdTcpListener};
use std::path::PathBuf;
use std::str::FromStr;

use crate::{Error, Result, UnixSocket, held};

/// Where to listen: `host:port`, `:port` (every interface), `unix:/path` or `held:/path` (a socket that [`hold`](crate::hold)
/// holds), after `http://` or `https://` where it shall not depend on whether a certificate is set.
///
/// ```
/// use kepler_service::Address;
///
/// let address: Address = "https://:30443".parse().unwrap();
/// assert_eq!(address.to_string(), "https://:30443");
/// assert!("28282".parse::<Address>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    text: String,
    place: Place,
    tls: Option<bool>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Tcp(String),
    Unix(PathBuf),
    Held(PathBuf),
}

impl Address {
    /// Whether TLS is spoken there, where `usual` holds for addresses that do not say so. A unix socket is plain unless it
    /// says so.
    pub(crate) fn tls(&self, usual: bool) -> bool {
        self.tls
            .unwrap_or(usual && !matches!(self.place, Place::Unix(_)))
    }

    pub(crate) fn bind(&self) -> Result<Bound> {
        let bound = match &self.place {
            Place::Tcp(place) => bind_tcp(place).map(Bound::Tcp),
            Place::Unix(path) => UnixSocket::bind(path).map(Bound::Unix),
            Place::Held(path) => held::take(path).map(Bound::Tcp),
        };
        bound.map_err(|source| self.failed(source))
    }

    /// The listener of `host:port` or `:port`; what is spoken there is not its matter.
    pub(crate) fn tcp(&self) -> Result<StdTcpListener> {
        match &self.place {
            Place::Tcp(place) if self.tls.is_none() => {
                bind_tcp(place).map_err(|source| self.failed(source))
            }
            _ => Err(Error::invalid(self, "expected host:port or :port")),
        }
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::Listen {
            address: self.text.clone(),
            source,
        }
    }
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || Error::Address {
            address: text.to_owned(),
        };
        let (tls, rest) = match text.split_once("://") {
            Some(("http", rest)) => (Some(false), rest),
            Some(("https", rest)) => (Some(true), rest),
            Some(_) => return Err(wrong()),
            None => (None, text),
        };
        let place = match rest.split_once(':') {
            Some(("unix" | "held", "")) => return Err(wrong()),
            Some(("unix", path)) => Place::Unix(path.into()),
            Some(("held", path)) => Place::Held(path.into()),
            _ => {
                let (host, port) = rest.rsplit_once(':').ok_or_else(wrong)?;
                let unbracketed = host.contains(':') && !host.starts_with('[');
                if port.parse::<u16>().is_err() || unbracketed || host.contains('/') {
                    return Err(wrong());
                }
                Place::Tcp(rest.to_owned())
            }
        };
        Ok(Self {
            text: text.to_owned(),
            place,
            tls,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// An open listener that is not served yet.
pub(crate) enum Bound {
    Tcp(StdTcpListener),
    Unix(UnixSocket),
}

impl Bound {
    /// The one address that is listened on, where it is not every one.
    pub(crate) fn ip(&self) -> Option<IpAddr> {
        let ip = self.address()?.ip();
        (!ip.is_unspecified()).then_some(ip)
    }

    /// Where it listens; `None` for a unix socket.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix(_) => None,
        }
    }
}

fn bind_tcp(place: &str) -> io::Result<StdTcpListener> {
    let listener = match place.strip_prefix(':') {
        Some(port) => StdTcpListener::bind(format!("[::]:{port}"))
            .or_else(|_| StdTcpListener::bind(format!("0.0.0.0:{port}"))),
        None => StdTcpListener::bind(place),
    }?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_say_where_and_how() {
        for (text, usual, tls) in [
            ("0.0.0.0:28282", true, true),
            (":28282", false, false),
            ("http://:28282", true, false),
            ("https://[::1]:30443", false, true),
            ("unix:/run/kepler.sock", true, false),
            ("https://unix:kepler.sock", false, true),
            ("held:/run/kepler.sock", true, true),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.tls(usual), tls, "{text}");
        }
        for wrong in [
            "",
            ":",
            "28282",
            "host",
            "host:http",
            ":70000",
            "::1:80",
            "unix:",
            "held:",
            "ftp://:1",
            "http://:80/metrics",
        ] {
            let said = wrong.parse::<Address>().unwrap_err().to_string();
            assert!(said.contains("host:port"), "{said}");
        }
    }
}

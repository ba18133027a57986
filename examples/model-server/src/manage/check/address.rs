//! Where servers are: URLs from settings, and every address behind a name.

use std::net::{SocketAddr, ToSocketAddrs};

/// The base URL of a setting: a URL, or a host whose port stands beside it.
///
/// # Errors
/// What is wrong with the setting.
pub(super) fn base_url(setting: &str, port: Option<&str>, usual: u16) -> Result<String, String> {
    let setting = setting.trim().trim_end_matches('/');
    if setting.starts_with("http://") || setting.starts_with("https://") {
        return Ok(setting.to_owned());
    }
    if setting.is_empty() || setting.contains("://") || setting.contains('/') {
        return Err(format!("{setting:?}: expected http://HOST:PORT, or a host"));
    }
    let is_v6 = setting.matches(':').count() > 1 && !setting.starts_with('[');
    let host = if is_v6 {
        format!("[{setting}]")
    } else {
        setting.to_owned()
    };
    if host
        .rsplit(']')
        .next()
        .is_some_and(|tail| tail.contains(':'))
    {
        return Ok(format!("http://{host}"));
    }
    let port = match port.map(str::trim).filter(|p| !p.is_empty()) {
        // Kubernetes sets NAME_PORT to such a URL where a service has that name.
        Some(text) => text
            .rsplit(':')
            .next()
            .unwrap_or(text)
            .parse()
            .map_err(|_| format!("{text:?}: expected a port"))?,
        None => usual,
    };
    Ok(format!("http://{host}:{port}"))
}

/// Every address of the host of a URL.
///
/// # Errors
/// That the name is not known.
pub(super) fn addresses(url: &str) -> Result<Vec<SocketAddr>, String> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let authority = rest.split('/').next().unwrap_or(rest);
    let authority = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    let has_port = authority
        .rsplit(']')
        .next()
        .is_some_and(|tail| tail.contains(':'));
    let named = if has_port {
        authority.to_owned()
    } else {
        format!("{authority}:{}", if scheme == "https" { 443 } else { 80 })
    };
    let found = named
        .to_socket_addrs()
        .map_err(|e| format!("{authority}: {e}"))?;
    let mut found: Vec<SocketAddr> = found.collect();
    found.sort();
    found.dedup();
    if found.is_empty() {
        return Err(format!("{authority}: the name has no address"));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_a_url_or_a_host_with_a_port_beside_it() {
        for (setting, port, url) in [
            ("http://h:81/", None, "http://h:81"),
            ("https://h/base/", Some("9"), "https://h/base"),
            ("h", None, "http://h:8100"),
            ("h", Some("81"), "http://h:81"),
            ("h", Some(""), "http://h:8100"),
            ("h", Some("tcp://10.0.0.1:82"), "http://h:82"),
            ("h:83", Some("81"), "http://h:83"),
            ("::1", None, "http://[::1]:8100"),
            ("[::1]:84", None, "http://[::1]:84"),
        ] {
            assert_eq!(
                base_url(setting, port, 8100).as_deref(),
                Ok(url),
                "{setting}"
            );
        }
        for wrong in ["", "ftp://h", "h/path"] {
            assert!(base_url(wrong, None, 8100).is_err(), "{wrong}");
        }
        assert!(base_url("h", Some("x"), 8100).is_err());
    }

    #[test]
    fn addresses_of_numbers_are_themselves() {
        let text = |url| -> Vec<String> {
            addresses(url)
                .unwrap()
                .iter()
                .map(ToString::to_string)
                .collect()
        };
        assert_eq!(text("http://127.0.0.1:81/x"), ["127.0.0.1:81"]);
        assert_eq!(text("https://[::1]"), ["[::1]:443"]);
        assert!(addresses("http://no.such.host.invalid").is_err());
    }
}

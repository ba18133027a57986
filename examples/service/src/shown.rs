//! URLs in messages.

/// A URL as a person may see it: without user and password, and without a query, behind which signatures and tokens hide.
///
/// Passwords are often written as they are, with characters that would end the host's part of a URL. Where it is not clear
/// what is a password, less is shown.
///
/// ```
/// let url = "postgres://me:p?ss/w@host:5432/db?sslmode=require";
/// assert_eq!(kepler_service::shown(url), "postgres://host:5432/db");
/// ```
pub fn shown(url: &str) -> String {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), url),
    };
    let (host, more) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let in_place = host_of(host) == host;
    // An `@` in the path of a plain host, or in the value of a query, is no user's.
    let plain = in_place && !host.contains(':') && (more.is_empty() || more.starts_with('/'));
    let before_values = &rest[..values(rest).unwrap_or(rest.len())];
    let user_end = match before_values.rfind('@') {
        _ if plain => None,
        None if !in_place => rest.rfind('@'),
        found => found,
    };
    let place = match user_end {
        Some(end) => &rest[end + 1..],
        None if in_place => rest,
        // A user without a host.
        None => host_of(host),
    };
    let place = place.split(['?', '#']).next().unwrap_or_default();
    format!("{scheme}{place}")
}

/// The host and its port, as far as it can be one.
fn host_of(text: &str) -> &str {
    let name_end = if text.starts_with('[') {
        text.find(']').map_or(text.len(), |end| end + 1)
    } else {
        text.find([':', '@']).unwrap_or(text.len())
    };
    match text[name_end..].strip_prefix(':') {
        Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => text,
        _ => &text[..name_end],
    }
}

/// Where a query such as `?name=value` begins.
fn values(text: &str) -> Option<usize> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let begins = |(at, _): &(usize, &str)| {
        let name = text[at + 1..].trim_start_matches(is_name);
        name.starts_with('=') && !text[at + 1..].starts_with('=')
    };
    text.match_indices('?').find(begins).map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_shown_without_secrets() {
        for (url, seen) in [
            (
                "https://me:pw@host/a/b.zip?X-Signature=s#f",
                "https://host/a/b.zip",
            ),
            ("http://host:81", "http://host:81"),
            ("http://[::1]:81/a", "http://[::1]:81/a"),
            ("https://host/a@b.zip", "https://host/a@b.zip"),
            ("not a url?x", "not a url"),
            // Passwords as they are.
            ("postgres://me:p?s@host:5432/db", "postgres://host:5432/db"),
            ("postgres://me:p#s/s@host/db", "postgres://host/db"),
            ("postgres://me:p?s=1@host/db", "postgres://host/db"),
            ("postgres://me:12?3@host/db", "postgres://host/db"),
            ("postgres://me:p@s/s@host/db", "postgres://host/db"),
            ("postgres://token?x@host/db", "postgres://host/db"),
            (
                "postgres://host:5432/db?password=p@ss",
                "postgres://host:5432/db",
            ),
            // What is no URL has secrets too.
            ("me:pw@host/path", "host/path"),
            ("http://me:secret", "http://me"),
            ("ftp://me:pw@host", "ftp://host"),
        ] {
            assert_eq!(shown(url), seen, "{url}");
        }
    }
}

//! kubectl's file of clusters and credentials: the parts that name one server and how to prove oneself to it.

use std::path::{Path, PathBuf};

use kepler_core::Host;
use serde::Deserialize;

use super::access::{Access, Secret};
use crate::yaml::yaml;

#[derive(Deserialize)]
pub(super) struct Kubeconfig {
    #[serde(rename = "current-context", default)]
    current: String,
    #[serde(default)]
    contexts: Vec<Named<Context>>,
    #[serde(default)]
    clusters: Vec<Named<Cluster>>,
    #[serde(default)]
    users: Vec<Named<User>>,
}

#[derive(Deserialize)]
struct Named<T> {
    name: String,
    #[serde(alias = "context", alias = "cluster", alias = "user")]
    it: T,
}

#[derive(Deserialize)]
struct Context {
    cluster: String,
    user: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Cluster {
    server: String,
    certificate_authority: Option<PathBuf>,
    certificate_authority_data: Option<String>,
    #[serde(default)]
    insecure_skip_tls_verify: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct User {
    client_certificate: Option<PathBuf>,
    client_certificate_data: Option<String>,
    client_key: Option<PathBuf>,
    client_key_data: Option<String>,
    token: Option<String>,
    #[serde(rename = "tokenFile")]
    token_file: Option<PathBuf>,
}

/// The largest file that is read.
const LIMIT: u64 = 4 << 20;

impl Kubeconfig {
    /// The credentials of the file's current context.
    pub(super) fn read(path: &Path) -> Result<Access, String> {
        let bytes = Host::default()
            .bytes(path, LIMIT)
            .map_err(|e| e.to_string())?;
        let text = String::from_utf8_lossy(&bytes);
        let folder = path.parent().unwrap_or(Path::new(""));
        parse(&text, folder).map_err(|why| format!("{}: {why}", path.display()))
    }
}

fn parse(text: &str, folder: &Path) -> Result<Access, String> {
    let file: Kubeconfig = yaml(text).map_err(|e| format!("expected a kubeconfig: {e}"))?;
    let context = named(file.contexts, "context", &file.current)?;
    let cluster = named(file.clusters, "cluster", &context.cluster)?;
    let user = named(file.users, "user", &context.user)?;
    let secret = |data: Option<String>, path: Option<PathBuf>| match (data, path) {
        (Some(data), _) => decode(&data).map(|bytes| Some(Secret::Given(bytes))),
        (None, Some(path)) => Ok(Some(Secret::File(folder.join(path)))),
        (None, None) => Ok(None),
    };
    let authority = secret(
        cluster.certificate_authority_data,
        cluster.certificate_authority,
    )?;
    if authority.is_none() && !cluster.insecure_skip_tls_verify {
        return Err(format!(
            "cluster {} has no certificate-authority",
            context.cluster
        ));
    }
    let token = match (user.token, user.token_file) {
        (_, Some(path)) => Some(Secret::File(folder.join(path))),
        (Some(token), None) => Some(Secret::Given(token.into_bytes())),
        (None, None) => None,
    };
    let certificate = secret(user.client_certificate_data, user.client_certificate)?
        .zip(secret(user.client_key_data, user.client_key)?);
    if token.is_none() && certificate.is_none() {
        return Err(format!(
            "user {} has neither token nor client certificate; helper programs are not run",
            context.user
        ));
    }
    Ok(Access {
        server: cluster.server.trim_end_matches('/').to_owned(),
        authority: authority.filter(|_| !cluster.insecure_skip_tls_verify),
        token,
        certificate,
    })
}

fn named<T>(list: Vec<Named<T>>, what: &str, name: &str) -> Result<T, String> {
    let found = list.into_iter().find(|entry| entry.name == name);
    found
        .map(|entry| entry.it)
        .ok_or_else(|| format!("no {what} {name:?}"))
}

fn decode(data: &str) -> Result<Vec<u8>, String> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD
        .decode(data.trim())
        .map_err(|e| format!("expected base64: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "
apiVersion: v1
kind: Config
current-context: b
contexts:
- {name: a, context: {cluster: x, user: x}}
- {name: b, context: {cluster: c, user: u, namespace: n}}
clusters:
- {name: c, cluster: {server: 'https://10.0.0.1:6443/', certificate-authority: pki/ca.crt}}
users:
- name: u
  user: {client-certificate-data: aGVsbG8=, client-key: k.pem}
";

    #[test]
    fn the_current_context_names_server_and_credentials() {
        let access = parse(FILE, Path::new("/etc/kube")).unwrap();
        assert_eq!(access.server, "https://10.0.0.1:6443");
        assert_eq!(
            access.authority.unwrap().to_string(),
            "/etc/kube/pki/ca.crt"
        );
        let (certificate, key) = access.certificate.unwrap();
        assert_eq!(certificate.read().unwrap(), b"hello");
        assert_eq!(key.to_string(), "/etc/kube/k.pem");
    }

    #[test]
    fn what_cannot_be_used_is_said() {
        for (from, to, why) in [
            (
                "current-context: b",
                "current-context: z",
                "no context \"z\"",
            ),
            (
                "certificate-authority: pki/ca.crt",
                "x: 1",
                "no certificate-authority",
            ),
            (
                "client-key: k.pem",
                "exec: {command: aws}",
                "helper programs",
            ),
            ("aGVsbG8=", "'%%'", "expected base64"),
            ("contexts:", "contexts: 7\nx:", "expected a kubeconfig"),
        ] {
            let error = parse(&FILE.replace(from, to), Path::new("")).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
        let typo = FILE.replace("  user: {", "  usr: 1\n  user: {token: geheim, ") + "  : [\n";
        let error = parse(&typo, Path::new("")).unwrap_err();
        assert!(
            !error.contains("geheim") && error.lines().count() == 1,
            "{error}"
        );
    }
}

//! Certificates for tests, made by `openssl`.

use std::path::PathBuf;
use std::process::Command;

/// An authority, and what it signed for a host: made by `openssl`, as a person would.
pub(crate) struct Certificates(tempfile::TempDir);

impl Certificates {
    pub(crate) fn new(host: &str) -> Self {
        let made = Self(tempfile::tempdir().unwrap());
        let key = [
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ];
        let request = |name: &str| {
            let mut openssl = Command::new("openssl");
            openssl
                .current_dir(made.0.path())
                .args(["req", "-x509"])
                .args(key);
            openssl.args(["-subj", &format!("/CN={name}")]);
            openssl.args([
                "-keyout",
                &format!("{name}.key"),
                "-out",
                &format!("{name}.pem"),
            ]);
            openssl
        };
        succeeds(&mut request("authority"));
        let mut host_certificate = request("server");
        host_certificate.args(["-CA", "authority.pem", "-CAkey", "authority.key"]);
        host_certificate.args(["-addext", &format!("subjectAltName={host}")]);
        host_certificate.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
        succeeds(&mut host_certificate);
        made
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// Runs a program that is to succeed.
pub(crate) fn succeeds(command: &mut Command) {
    let done = command.output().unwrap();
    assert!(
        done.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
}

//! The exporter in production: a real Prometheus over TLS with a certificate and a password, and a stop under load.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and so do its helpers"
)]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use support::prometheus::Prometheus;
use support::{Running, command, eventually};

/// `secret` by bcrypt.
const HASH: &str = "$2b$06$abcdefghijklmnopqrstuuxLa0AkDDSrQ9VwNnETzOsObiucpMYgC";

#[test]
fn a_real_prometheus_scrapes_by_tls_with_a_certificate_and_a_password() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    certificates(folder);
    let web = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n  \
               client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: client.crt\n";
    let web = format!("{web}basic_auth_users:\n  prometheus: {HASH}\n");
    fs::write(folder.join("web.yml"), web).unwrap();
    let config = format!("--web.config.file={}", folder.join("web.yml").display());
    let exporter = exporter(&[
        &config,
        "--web.listen-address=127.0.0.1:0",
        "--web.listen-address=http://127.0.0.1:0",
    ]);
    let (tls, plain) = (&exporter.addresses[0], &exporter.addresses[1]);
    let scrape = |name: &str, address: &str, tls: &str| {
        format!(
            "- job_name: {name}\n  scrape_interval: 4s\n  scrape_timeout: 4s\n  static_configs: [{{targets: ['{address}']}}]\n{tls}"
        )
    };
    let secrets = "  basic_auth: {username: prometheus, password: secret}\n";
    let https = "  scheme: https\n  tls_config: {ca_file: server.crt, cert_file: client.crt, key_file: client.key}\n";
    let jobs = [
        scrape("tls", tls, &format!("{https}{secrets}")),
        scrape("plain", plain, secrets),
        scrape("nobody", tls, https),
        scrape(
            "stranger",
            tls,
            &format!("  scheme: https\n  tls_config: {{ca_file: server.crt}}\n{secrets}"),
        ),
    ];
    let text = format!("scrape_configs:\n{}", jobs.concat());
    let Some(prometheus) = Prometheus::start(folder, &text, &[]) else {
        return;
    };
    let query = |expression: &str| prometheus.results(expression).first().copied();
    for job in ["tls", "plain"] {
        until(&format!("{job} is scraped"), || {
            query(&format!("kepler_node_cpu_joules_total{{job=\"{job}\"}}")).is_some()
        });
        assert_eq!(query(&format!("up{{job=\"{job}\"}}")), Some(1.0));
    }
    for job in ["nobody", "stranger"] {
        until(&format!("{job} is refused"), || {
            query(&format!("up{{job=\"{job}\"}}")) == Some(0.0)
        });
        let ever = query(&format!("max_over_time(up{{job=\"{job}\"}}[5m])"));
        assert_eq!(ever, Some(0.0));
    }
}

#[test]
fn a_stop_under_load_fails_no_scrape_that_was_begun() {
    let mut exporter = exporter(&["--web.listen-address=127.0.0.1:0"]);
    let (address, scraped) = (exporter.address.clone(), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let mut stream = TcpStream::connect(&address).unwrap();
                let ask = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
                while stream.write_all(ask).is_ok() && whole_answer(&mut stream) {
                    scraped.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        until("it is scraped", || scraped.load(Ordering::Relaxed) > 30);
        let stopping = Instant::now();
        assert_eq!(exporter.stop(), 0);
        assert!(stopping.elapsed() < Duration::from_secs(10));
    });
}

/// Whether an answer came, which then has to be whole; not where the connection was closed instead of any.
fn whole_answer(stream: &mut TcpStream) -> bool {
    let mut bytes = Vec::new();
    let mut piece = [0; 65536];
    while !bytes.ends_with(b"\r\n0\r\n\r\n") {
        match stream.read(&mut piece) {
            Ok(count) if count > 0 => bytes.extend_from_slice(&piece[..count]),
            _ if bytes.is_empty() => return false,
            end => panic!("{end:?} after {} bytes", bytes.len()),
        }
    }
    assert!(bytes.starts_with(b"HTTP/1.1 200"));
    true
}

#[test]
fn a_web_configuration_that_cannot_be_used_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("web.yml");
    fs::write(&path, "basic_auth_user: {}").unwrap();
    let config = format!("--web.config.file={}", path.display());
    for (flags, code, said) in [
        (&[config.as_str()][..], 2, "did you mean basic_auth_users?"),
        (
            &["--web.config.file=/nowhere/web.yml"],
            1,
            "/nowhere/web.yml",
        ),
        (
            &["--web.listen-address=https://127.0.0.1:0"],
            2,
            "--web.self-signed",
        ),
        (&["--web.listen-address=127.0.0.1"], 2, "host:port"),
        (&["--rate-limit=1/d"], 2, "100/s"),
        (&["--trusted-proxies=home"], 2, "10.0.0.0/8"),
        (&["--web.config.fil=x"], 2, "--web.config.file"),
    ] {
        let mut flags = flags.to_vec();
        if !flags[0].starts_with("--web.listen") {
            flags.push("--web.listen-address=127.0.0.1:0");
        }
        let output = run(env!("CARGO_BIN_EXE_kepler-exporter"), &flags);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{flags:?}: {text}");
        assert!(
            text.contains(said) && text.lines().count() == 1,
            "{flags:?}: {text}"
        );
    }
}

/// A certificate for the server, and one for a client, each its own authority.
fn certificates(folder: &Path) {
    for name in ["server", "client"] {
        let output = Command::new("openssl")
            .current_dir(folder)
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "2",
            ])
            .args([
                "-subj",
                &format!("/CN={name}"),
                "-addext",
                "subjectAltName=IP:127.0.0.1",
            ])
            .args([
                "-keyout",
                &format!("{name}.key"),
                "-out",
                &format!("{name}.crt"),
            ])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}

fn exporter(flags: &[&str]) -> Running {
    let places = flags.iter().filter(|f| f.contains("listen-address"));
    let mut command = command();
    command
        .args(["--fake", "--monitor.interval=1s"])
        .args(flags);
    Running::listening(&mut command, places.count()).unwrap()
}

fn until(what: &str, done: impl Fn() -> bool) {
    assert!(eventually(done), "not within a minute: {what}");
}

fn run(program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program).args(arguments).output();
    output.unwrap_or_else(|error| panic!("{program} is needed: {error}"))
}

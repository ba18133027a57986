//! The model manager and the jobs, as commands, against servers that behave and servers that do not.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../../src/manage/usage/beside.rs"]
mod beside;
#[path = "../../src/manage/usage/certificates.rs"]
mod certificates;
mod check;
mod jobs;
mod killed;
mod pull;
mod server;
mod standin;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// The program, with nothing of the caller's settings.
fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kepler-model-server"));
    for name in [
        "ADMIN_TOKEN",
        "ADMIN_TOKEN_FILE",
        "AUTO_PULL",
        "MODEL_MANAGER_URL",
        "MODEL_MANIFEST",
        "MODEL_PATH",
        "MODEL_SERVER_PORT",
        "MODEL_SERVER_URL",
        "OLLAMA_URL",
        "PROM_SERVER",
        "REPORT_STATUS",
        "TEST_INFERENCE",
        "STATE_DIRECTORY",
        "USAGE_STORE",
    ] {
        command.env_remove(name);
    }
    command.env("NO_PROXY", "*");
    command
}

/// Runs it, and gives its code with all that it said.
fn run(command: &mut Command) -> (i32, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let text = String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
    (status.code().unwrap_or(-1), text)
}

/// A pipeline of one model, as a zip, trained from rows that lie on a line.
fn pipeline() -> &'static [u8] {
    static KEPT: OnceLock<Vec<u8>> = OnceLock::new();
    KEPT.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let (code, text) = run(program()
            .args(["train", "--trainers", "LinearRegressionTrainer", "--csv"])
            .arg(line(folder.path()))
            .arg("--into")
            .arg(folder.path().join("p.zip")));
        assert_eq!(code, 0, "{text}");
        bytes(&folder.path().join("p.zip"))
    })
}

/// Rows whose power is 50 W and 0.02 W for each millisecond of a second.
fn line(folder: &Path) -> PathBuf {
    let mut csv = "bpf_cpu_time_ms,bpf_page_cache_hit,package_power\n".to_owned();
    for row in 0..40 {
        csv += &format!(
            "{},{},{}\n",
            row * 100,
            row % 3,
            50.0 + 2.0 * f64::from(row)
        );
    }
    let path = folder.join("rows.csv");
    std::fs::write(&path, csv).unwrap();
    path
}

fn sha256(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest.as_ref().iter().map(|b| format!("{b:02x}")).collect()
}

fn bytes(path: &Path) -> Vec<u8> {
    kepler_core::Host::default().bytes(path, 1 << 30).unwrap()
}

/// The names in a folder, hidden ones too.
fn names(folder: &Path) -> Vec<String> {
    let mut names = kepler_core::Host::default().names(folder).unwrap();
    names.sort();
    names
}

/// Says that a test cannot be done here; with `CI` set everything must be.
#[expect(clippy::print_stderr, reason = "a test tells what it leaves out")]
fn skip(why: &str, detail: &str) {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test is told by the environment"
    )]
    let must = std::env::var("CI").is_ok();
    assert!(!must, "{why}: {detail}");
    eprintln!("skipped: {why}: {detail}");
}

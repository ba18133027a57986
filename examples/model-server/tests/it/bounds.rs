//! Clients that are slow, large or many.

use std::io::{Read, Write};
use std::process::Command;

use serde_json::json;

use crate::server::{Answer, JSON, Server};

#[test]
fn a_large_body_is_refused_and_one_below_the_limit_is_read() {
    let server = Server::start(&[]);
    let large = vec![b' '; 10_000_001];
    assert_eq!(server.ask("POST", "/model", JSON, &large).status, 413);
    let mut body = vec![b' '; 9_000_000];
    let request = json!({ "metrics": ["bpf_cpu_time_ms"], "output_type": "AbsPower", "source": "acpi", "weight": 1 });
    body.extend(request.to_string().bytes());
    assert_eq!(server.ask("POST", "/model", JSON, &body).status, 200);
}

#[test]
fn slow_clients_hold_up_nobody() {
    let server = Server::start(&[]);
    let slow: Vec<_> = (0..40)
        .map(|_| {
            let mut stream = server.connect();
            stream
                .write_all(b"POST /model HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n")
                .unwrap();
            stream
        })
        .collect();
    for _ in 0..20 {
        assert_eq!(server.get("/best-models?energy-source=acpi").status, 200);
    }
    // They are answered when they go on, or were told that they are too slow.
    for mut stream in slow {
        let body = format!("{:100}", "{}");
        let rest = format!("{JSON}Connection: close\r\n\r\n{body}");
        let _ = stream.write_all(rest.as_bytes());
        let status = Answer::read(&mut stream).status;
        assert!([400, 408].contains(&status), "{status}");
    }
}

#[test]
fn many_rows_are_predicted_while_others_are_answered() {
    let server = Server::start(&[]);
    let rows: Vec<[f64; 1]> = (0..100_000).map(|row| [f64::from(row)]).collect();
    let body =
        json!({ "source": "acpi", "features": ["bpf_cpu_time_ms"], "rows": rows }).to_string();
    let mut stream = server.connect();
    let length = body.len();
    let head = format!(
        "POST /estimate HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{JSON}Content-Length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    for _ in 0..20 {
        assert_eq!(server.get("/health").text(), "ok\n");
    }
    let answer = Answer::read(&mut stream);
    let watts = &answer.json()["components"]["platform"]["watts"];
    assert_eq!(watts.as_array().unwrap().len(), 100_000);
}

#[test]
fn a_client_that_goes_away_harms_nobody() {
    let server = Server::start(&[]);
    for _ in 0..50 {
        let mut stream = server.connect();
        stream
            .write_all(b"GET /models HTTP/1.1\r\nHost: x\r\n\r\n")
            .unwrap();
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
    }
    assert_eq!(server.get("/health").status, 200);
    assert!(server.stop().success());
}

#[test]
fn nothing_has_to_be_written_and_nobody_has_to_be_root() {
    // Whoever is root becomes somebody else; whoever is not makes a namespace where a mount may be changed.
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("kepler-model-server");
    std::fs::copy(env!("CARGO_BIN_EXE_kepler-model-server"), &program).unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open).unwrap();
    let id = Command::new("id").arg("-u").output().unwrap();
    let (unshare, other) = match id.stdout == b"0\n" {
        true => (
            "-m",
            "setpriv --reuid=65532 --regid=65532 --clear-groups --no-new-privs",
        ),
        false => ("-Urm", ""),
    };
    let script = format!(
        "mount -o remount,bind,ro / && ! touch {0} && exec {other} {0} --listen 127.0.0.1:0 -c /nonexistent",
        program.display()
    );
    let mut command = Command::new("unshare");
    command
        .args([unshare, "sh", "-c", &script])
        .env("HOME", "/nonexistent");
    let Some(server) = Server::of(&mut command) else {
        // Whether mounts may be changed is the machine's choice, also in CI.
        eprintln!("skipped: no namespace of mounts can be made here");
        return;
    };
    let request =
        json!({ "metrics": ["bpf_cpu_time_ms"], "output_type": "AbsPower", "source": "acpi" });
    assert_eq!(server.post("/model", &request).status, 200);
    assert_eq!(server.get("/usage").json()["store"], "memory");
    assert!(server.stop().success());
}

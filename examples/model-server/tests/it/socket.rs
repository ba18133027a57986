//! The estimator's socket, with clients as they are.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::Server;

struct Estimator {
    _server: Server,
    path: PathBuf,
    _folder: TempDir,
}

fn start() -> Estimator {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("estimator.sock");
    Estimator {
        _server: Server::start(&["--estimator-socket", path.to_str().unwrap()]),
        path,
        _folder: folder,
    }
}

fn connect(path: &Path) -> UnixStream {
    let stream = UnixStream::connect(path).unwrap();
    let patience = Duration::from_secs(60);
    stream.set_read_timeout(Some(patience)).unwrap();
    stream
}

fn request(rows: usize) -> String {
    let values: Vec<[f64; 2]> = (0..rows).map(|row| [10.0 + row as f64, 1.0]).collect();
    json!({
        "metrics": ["bpf_cpu_time_ms", "bpf_page_cache_hit"], "values": values, "output_type": "DynPower",
        "source": "rapl-sysfs", "system_features": ["cpu_architecture"], "system_values": ["Skylake"],
        "trainer_name": "", "filter": "",
    })
    .to_string()
}

/// All that comes until the server closes.
fn ask(path: &Path, request: &str) -> Value {
    let mut stream = connect(path);
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The exporter of old writes its request, and reads once into 4,096 bytes.
#[test]
fn the_exporters_one_read_gets_a_whole_small_reply() {
    let estimator = start();
    for _ in 0..5 {
        let mut stream = connect(&estimator.path);
        stream.write_all(request(20).as_bytes()).unwrap();
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).unwrap();
        let reply: Value = serde_json::from_slice(&buffer[..count]).unwrap();
        assert_eq!(reply["msg"], "");
        assert_eq!(reply["core_ratio"], 1.0);
        assert_eq!(reply["powers"]["package"].as_array().unwrap().len(), 20);
    }
}

#[test]
fn replies_have_any_size_and_requests_come_in_any_pieces() {
    let estimator = start();
    let reply = ask(&estimator.path, &request(20_000));
    assert_eq!(reply["powers"]["dram"].as_array().unwrap().len(), 20_000);
    let mut stream = connect(&estimator.path);
    // Pieces that end in a brace do not end the request.
    for piece in request(3).split_inclusive(['}', ',']) {
        stream.write_all(piece.as_bytes()).unwrap();
        std::thread::sleep(Duration::from_millis(2));
    }
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let reply: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(reply["powers"]["package"].as_array().unwrap().len(), 3);
}

#[test]
fn clients_are_served_at_the_same_time_and_none_ends_the_server() {
    let estimator = start();
    let path = &estimator.path;
    // Some hang, some leave at once, some talk nonsense.
    let hanging: Vec<_> = (0..20)
        .map(|_| {
            let mut stream = connect(path);
            stream.write_all(b"{\"metrics\": [").unwrap();
            stream
        })
        .collect();
    for _ in 0..20 {
        drop(connect(path));
        let mut gone = connect(path);
        gone.write_all(request(5_000).as_bytes()).unwrap();
        drop(gone);
    }
    for nonsense in ["{}", "{\"metrics\": {}}", "[]", "{\"a\": \"\u{0}\"}"] {
        let reply = ask(path, nonsense);
        assert_eq!(reply["powers"], json!({}));
        assert!(!reply["msg"].as_str().unwrap().is_empty());
    }
    let mut cut = connect(path);
    cut.write_all(b"{\"metrics\": [").unwrap();
    cut.shutdown(Shutdown::Write).unwrap();
    let mut text = String::new();
    cut.read_to_string(&mut text).unwrap();
    assert!(text.contains("\"powers\":{}"), "{text}");

    let asking: Vec<_> = (0..8)
        .map(|_| {
            let path = path.clone();
            std::thread::spawn(move || ask(&path, &request(100))["msg"].clone())
        })
        .collect();
    for thread in asking {
        assert_eq!(thread.join().unwrap(), "");
    }
    drop(hanging);
}

#[test]
fn a_request_without_end_is_refused() {
    let estimator = start();
    let mut stream = connect(&estimator.path);
    stream.write_all(b"{\"metrics\": [\"").unwrap();
    let piece = vec![b'x'; 1 << 20];
    for _ in 0..11 {
        // The server answers and closes as soon as it has enough.
        if stream.write_all(&piece).is_err() {
            break;
        }
    }
    let mut text = String::new();
    let read = stream.read_to_string(&mut text);
    assert!(read.is_err() || text.contains("larger than"), "{text}");
    assert_eq!(ask(&estimator.path, &request(1))["msg"], "");
}

#[test]
fn the_socket_goes_with_the_server_and_a_left_one_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("estimator.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let server = Server::start(&["--estimator-socket", path.to_str().unwrap()]);
    assert_eq!(ask(&path, &request(1))["msg"], "");
    assert!(server.stop().success());
    assert!(!path.exists());
}

#[test]
fn a_file_at_the_sockets_path_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("precious");
    std::fs::write(&path, "kept").unwrap();
    let program = std::process::Command::new(env!("CARGO_BIN_EXE_kepler-model-server"))
        .args(["--listen", "127.0.0.1:0", "-c", "/nonexistent"])
        .arg("--estimator-socket")
        .arg(&path)
        .env_clear()
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&program.stderr);
    assert!(!program.status.success(), "{said}");
    assert!(said.contains("precious"), "{said}");
    let kept = kepler_core::Host::default().text(&path).unwrap();
    assert_eq!(kept, "kept");
}

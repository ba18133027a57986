//! Rows and watts as Arrow streams, with pyarrow as the peer.

use std::process::Command;

use crate::server::{Server, skip};

#[test]
fn pyarrow_asks_and_reads_what_json_says() {
    let known = Command::new("python3")
        .args(["-c", "import pyarrow"])
        .output();
    if !known.is_ok_and(|output| output.status.success()) {
        skip("python3 has no pyarrow: run by `make test-rust`, or pip install pyarrow");
        return;
    }
    let server = Server::start(&[]);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/arrow.py");
    let output = Command::new("python3")
        .args([script, &server.url()])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(
        said.trim(),
        "as JSON says",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

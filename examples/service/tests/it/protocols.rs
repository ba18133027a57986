//! Which protocols are spoken, and where.

use std::fs;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;

use crate::support::{Folder, Running, args, curl};

#[test]
fn curl_speaks_http_1_0_1_1_and_2() {
    let server = Running::plain();
    let url = format!("http://{}/length", server.address());
    for (flag, version) in [
        ("--http1.0", "1"),
        ("--http1.1", "1.1"),
        ("--http2-prior-knowledge", "2"),
    ] {
        let said = curl(&[flag, "-d", "12345", &url]);
        assert_eq!(said, format!("5\n\n200 {version}"));
    }
    // An offer to change to HTTP/2 is not taken up.
    assert_eq!(curl(&["--http2", "-d", "12345", &url]), "5\n\n200 1.1");
}

#[test]
fn several_addresses_are_served_at_once() {
    let folder = Folder::new();
    let unix = format!("unix:{}", folder.text("socket"));
    let mut server = Running::start(
        &args(&["127.0.0.1:0", ":0", &unix], None),
        kepler_service::Limits::default(),
    );
    assert_eq!(server.addresses.len(), 2);
    for address in &server.addresses {
        let url = format!("http://127.0.0.1:{}/healthz", address.port());
        assert_eq!(curl(&[&url]), "ok\n\n200 1.1");
    }
    let socket = folder.text("socket");
    // Two connections came before.
    for (number, flag) in [(2, "--http1.1"), (3, "--http2-prior-knowledge")] {
        let said = curl(&[flag, "--unix-socket", &socket, "http://x/who"]);
        let peer = format!("Peer {{ address: None, tls: false, connection: {number} }}");
        assert!(said.starts_with(&peer), "{said}");
    }
    server.tell_stop();
    server.wait();
    assert!(!folder.path("socket").exists());
}

#[test]
fn a_socket_left_behind_is_replaced_and_one_in_use_is_not() {
    let folder = Folder::new();
    let unix = format!("unix:{}", folder.text("socket"));
    let bind = || {
        kepler_service::Server::bind(&args(&[&unix], None), "", kepler_service::Limits::default())
    };
    drop(UnixListener::bind(folder.path("socket")).unwrap());
    drop(bind().map_err(|e| e.to_string()).unwrap());
    assert!(!folder.path("socket").exists());
    let used = UnixListener::bind(folder.path("socket")).unwrap();
    let error = bind().err().unwrap().to_string();
    assert!(error.contains("in use"), "{error}");
    drop(used);
    folder.write("socket", "precious");
    bind().err().unwrap();
    assert_eq!(fs::metadata(folder.path("socket")).unwrap().len(), 8);
}

#[test]
fn a_start_that_fails_leaves_no_socket_behind() {
    let folder = Folder::new();
    let unix = format!("unix:{}", folder.text("socket"));
    let web = folder.write("web.yml", "basic_auth_users: {u: secret}");
    let used = TcpListener::bind("127.0.0.1:0").unwrap();
    let used = used.local_addr().unwrap().to_string();
    for args in [
        args(&[&unix], Some(&web)),
        args(&[&unix, &used], None),
        args(&[&unix, "https://127.0.0.1:0"], None),
    ] {
        let bound = kepler_service::Server::bind(&args, "", kepler_service::Limits::default());
        bound.err().unwrap();
        assert!(!folder.path("socket").exists(), "{args:?}");
    }
}

#[test]
fn pages_are_protected_and_other_answers_are_as_they_were() {
    let server = Running::plain();
    let page = server.get("/", "").to_lowercase();
    for header in [
        "x-content-type-options: nosniff",
        "x-frame-options: deny",
        "content-security-policy: default-src 'self'",
        "referrer-policy: no-referrer",
    ] {
        assert!(page.contains(header), "{page}");
    }
    let metrics = server.get("/metrics", "").to_lowercase();
    assert!(!metrics.contains("x-frame-options"), "{metrics}");
}

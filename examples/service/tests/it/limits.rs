//! Clients that take too much, or too long.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use kepler_service::{Limits, WebArgs};
use rustix::process::{Resource, getrlimit, setrlimit};

use crate::support::{Running, args, curl, rest};

/// Limits that a test has the time to reach.
fn short() -> Limits {
    let mut limits = Limits::default();
    limits.head_time = Duration::from_secs(2);
    limits.request_time = Duration::from_secs(2);
    limits.stall_time = Duration::from_secs(2);
    limits.idle_time = Duration::from_secs(3);
    limits
}

#[test]
fn a_body_past_the_limit_is_413_and_one_at_the_limit_is_read() {
    let server = Running::plain();
    let url = format!("http://{}/length", server.address());
    let folder = crate::support::Folder::new();
    let limit = 10_000_000;
    folder.write("whole", vec![b'x'; limit]);
    folder.write("more", vec![b'x'; limit + 1]);
    let (whole, more) = (
        format!("@{}", folder.text("whole")),
        format!("@{}", folder.text("more")),
    );
    for http in ["--http1.1", "--http2-prior-knowledge"] {
        let ends = |said: &str, code: &str| {
            let line = said.lines().last().unwrap_or_default();
            assert!(line.starts_with(code), "{http}: {said}");
        };
        let said = curl(&[http, "--data-binary", &whole, &url]);
        assert!(said.starts_with("10000000\n"), "{said}");
        ends(&curl(&[http, "--data-binary", &more, &url]), "413");
        // A client that asks first is told before it sends, and one that does not is heard out.
        ends(
            &curl(&[
                http,
                "-H",
                "Expect: 100-continue",
                "--data-binary",
                &more,
                &url,
            ]),
            "413",
        );
        ends(
            &curl(&[http, "-H", "Expect:", "--data-binary", &more, &url]),
            "413",
        );
        // Without a length it shows on the way; what the handler makes of it is not what the client sees.
        let chunked = ["-H", "Transfer-Encoding: chunked", "-T", &more[1..]];
        ends(
            &curl(&[&[http, "-X", "POST", &url], &chunked[..]].concat()),
            "413",
        );
    }
    let json = curl(&[
        "-H",
        "Accept: application/json",
        "--data-binary",
        &more,
        &url,
    ]);
    assert!(json.starts_with("{\"error\":\"the body"), "{json}");
}

#[test]
fn bodies_have_bounded_room_together() {
    let mut limits = Limits::default();
    limits.bodies_bytes = 1_000_000;
    let server = Running::start(&WebArgs::default(), limits);
    let begin = |length: usize| {
        let mut stream = server.connect();
        let head = format!(
            "POST /length HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&[b'x'; 100_000]).unwrap();
        stream
    };
    let whole = || rest(&mut begin(100_000));
    assert!(whole().ends_with("100000\n"));
    // More and more, none of which ends: those that are refused give back what they held, so their number alone says nothing.
    let mut half_sent = Vec::new();
    let patience = Duration::from_secs(25);
    let start = Instant::now();
    let refused = loop {
        half_sent.push(begin(5_000_000));
        let answer = whole();
        if answer.starts_with("HTTP/1.1 503") {
            break answer;
        }
        assert!(start.elapsed() < patience, "{answer}");
    };
    assert!(refused.contains("retry-after: 1"), "{refused}");
    assert!(server.get("/healthz", "").starts_with("HTTP/1.1 200"));
    drop(half_sent);
    // What they held is given back.
    let start = Instant::now();
    while !whole().ends_with("100000\n") {
        assert!(start.elapsed() < patience);
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_refused_upload_is_heard_out_so_that_its_answer_is_read() {
    let server = Running::plain();
    // Nobody reads the body of what is not found; a client that writes all before it reads must still see the answer.
    for _ in 0..5 {
        let mut stream = server.connect();
        let head = "POST /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3000000\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&vec![b'x'; 3_000_000]).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    }
}

#[test]
fn a_connection_goes_on_after_a_body_that_nobody_wanted() {
    let server = Running::start(&WebArgs::default(), short());
    let mut stream = server.connect();
    let head = "POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&vec![b'x'; 3_000_000]).unwrap();
    // Longer than a head may take, shorter than a connection may be idle.
    std::thread::sleep(Duration::from_millis(2300));
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .unwrap();
    let answers = rest(&mut stream);
    let statuses: Vec<&str> = answers
        .split("HTTP/1.1 ")
        .map(|a| &a[..a.len().min(3)])
        .collect();
    assert_eq!(statuses, ["", "404", "200"], "{answers}");
}

#[test]
fn a_large_head_is_431() {
    let server = Running::plain();
    let large = format!("X: {}\r\n", "a".repeat(100_000));
    assert!(server.get("/healthz", &large).starts_with("HTTP/1.1 431"));
    let url = format!("http://{}/healthz", server.address());
    let header = format!("X: {}", "a".repeat(20_000));
    let said = curl(&["--http2-prior-knowledge", "-H", &header, &url]);
    assert!(said.ends_with("431 2"), "{said}");
}

#[test]
fn slow_clients_are_told_408() {
    let server = Running::start(&WebArgs::default(), short());
    let begun = [
        "G",
        "PRI * HT",
        "GET /healthz HTTP/1.1\r\nX: ",
        "POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12",
    ];
    let start = Instant::now();
    let slow = begun.map(|begun| {
        let mut stream = server.connect();
        stream.write_all(begun.as_bytes()).unwrap();
        (begun, stream)
    });
    for (begun, mut stream) in slow {
        // A byte now and then does not help.
        for _ in 0..3 {
            std::thread::sleep(Duration::from_millis(300));
            let _ = stream.write_all(b"1");
        }
        let answer = rest(&mut stream);
        assert!(answer.starts_with("HTTP/1.1 408"), "{begun:?}: {answer:?}");
    }
    assert!(start.elapsed() < Duration::from_secs(20));
    // Who says nothing at all is let go without a word, and so is who has nothing more to say.
    let mut silent = server.connect();
    assert_eq!(rest(&mut silent), "");
    let mut idle = server.connect();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let answer = rest(&mut idle);
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok\n"),
        "{answer}"
    );
}

#[test]
fn a_handler_that_does_not_end_is_503() {
    let server = Running::start(&WebArgs::default(), short());
    let answer = server.get("/never", "");
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.to_lowercase().contains("retry-after: 1"), "{answer}");
}

#[test]
fn a_reader_that_takes_nothing_loses_its_place() {
    let mut limits = short();
    limits.connections = 4;
    let server = Running::start(&WebArgs::default(), limits);
    let stalled: Vec<TcpStream> = (0..4)
        .map(|_| {
            let mut stream = server.connect();
            let ask = "GET /bytes=50000000 HTTP/1.1\r\nHost: x\r\n\r\n";
            stream.write_all(ask.as_bytes()).unwrap();
            stream
        })
        .collect();
    std::thread::sleep(Duration::from_millis(300));
    let start = Instant::now();
    while !server.get("/healthz", "").starts_with("HTTP/1.1 200") {
        assert!(start.elapsed() < Duration::from_secs(30));
    }
    drop(stalled);
}

#[test]
fn a_thousand_connections_meet_the_cap_and_leave() {
    // Both ends of each are in this process.
    let mut files = getrlimit(Resource::Nofile);
    files.current = files.maximum;
    setrlimit(Resource::Nofile, files).unwrap();
    let mut limits = short();
    limits.connections = 200;
    limits.idle_time = Duration::from_secs(600);
    limits.head_time = Duration::from_secs(600);
    let server = Running::start(&WebArgs::default(), limits);
    let mut crowd: Vec<TcpStream> = (0..1000)
        .map(|_| {
            let mut stream = server.connect();
            let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nX: ");
            stream
        })
        .collect();
    let answer = server.get("/healthz", "");
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 503"),
        "{answer}"
    );
    // Those that have a place are served, however many others came.
    let mut served = 0;
    for stream in &mut crowd {
        let _ = stream.write_all(b"\r\nHost: x\r\nConnection: close\r\n\r\n");
        served += usize::from(rest(stream).starts_with("HTTP/1.1 200"));
    }
    assert!(served >= 200, "{served}");
    drop(crowd);
    assert!(server.get("/healthz", "").starts_with("HTTP/1.1 200"));
}

#[test]
fn idle_connections_make_room() {
    let mut limits = Limits::default();
    limits.connections = 10;
    let server = Running::start(&WebArgs::default(), limits);
    let idle: Vec<TcpStream> = (0..10)
        .map(|_| {
            let mut stream = server.connect();
            stream
                .write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                .unwrap();
            stream.read_exact(&mut [0; 20]).unwrap();
            stream
        })
        .collect();
    assert!(server.get("/healthz", "").starts_with("HTTP/1.1 200"));
    drop(idle);
}

#[test]
fn a_rate_is_kept_and_told_and_probes_are_free() {
    let mut limited = args(&[], None);
    limited.rate_limit = Some("3/h".parse().unwrap());
    limited.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let server = Running::start(&limited, Limits::default());
    for _ in 0..3 {
        assert!(server.get("/metrics", "").starts_with("HTTP/1.1 200"));
    }
    let refused = server.get("/metrics", "");
    assert!(refused.starts_with("HTTP/1.1 429"), "{refused}");
    let wait = refused
        .lines()
        .find_map(|l| l.strip_prefix("retry-after: "));
    assert!(
        (1100..=1200).contains(&wait.unwrap().parse().unwrap()),
        "{refused}"
    );
    assert!(server.get("/healthz", "").starts_with("HTTP/1.1 200"));
    let other = server.get("/who", "X-Forwarded-For: 203.0.113.9, 198.51.100.7\r\n");
    assert!(other.contains("Some(198.51.100.7)"), "{other}");
}

//! The end of a server.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use kepler_service::{Limits, WebArgs};

use crate::support::{Running, curl, rest};

#[test]
fn requests_under_way_are_finished_and_nobody_else_is_waited_for() {
    let mut server = Running::plain();
    let address = server.address();
    let _silent = server.connect();
    let mut half = server.connect();
    half.write_all(b"GET /healthz HTTP/1.1\r\nX: ").unwrap();
    let mut idle = server.connect();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    idle.read_exact(&mut [0; 20]).unwrap();
    let mut waiting: Vec<TcpStream> = (0..20)
        .map(|_| {
            let mut stream = server.connect();
            stream
                .write_all(b"GET /wait=1500 HTTP/1.1\r\nHost: x\r\n\r\n")
                .unwrap();
            stream
        })
        .collect();
    let http2 = std::thread::spawn(move || {
        let url = format!("http://{address}/wait=2000");
        curl(&["--http2-prior-knowledge", &url])
    });
    std::thread::sleep(Duration::from_millis(700));
    server.tell_stop();
    let stopping = Instant::now();
    for stream in &mut waiting {
        let answer = rest(stream);
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.ends_with("waited\n"),
            "{answer}"
        );
    }
    assert_eq!(http2.join().unwrap(), "waited\n\n200 2");
    server.wait();
    assert!(stopping.elapsed() < Duration::from_secs(10));
    TcpStream::connect(address).unwrap_err();
}

#[test]
fn under_load_no_request_that_was_begun_fails() {
    let mut server = Running::plain();
    let address = server.address();
    let answered = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                // Each asks on its own connection until it is told that the connection ends; what was sent has to be
                // answered whole.
                let mut stream = TcpStream::connect(address).unwrap();
                let mut last = false;
                while !last {
                    let ask = b"GET /bytes=300000 HTTP/1.1\r\nHost: x\r\n\r\n";
                    stream.write_all(ask).unwrap();
                    let length;
                    (length, last) = read_answer(&mut stream);
                    assert_eq!(length, 300_000);
                    answered.fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(2));
                }
                assert_eq!(stream.read(&mut [0]).unwrap(), 0);
            });
        }
        let start = Instant::now();
        while answered.load(Ordering::Relaxed) < 100 {
            assert!(start.elapsed() < Duration::from_secs(60));
            std::thread::sleep(Duration::from_millis(10));
        }
        server.tell_stop();
        let stopping = Instant::now();
        server.wait();
        assert!(stopping.elapsed() < Duration::from_secs(10));
    });
}

/// The length of the next answer's body, and whether it is the last of its connection.
fn read_answer(stream: &mut TcpStream) -> (usize, bool) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let length = head
        .lines()
        .find_map(|l| l.strip_prefix("content-length: "));
    let mut body = vec![0; length.unwrap().parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    (body.len(), head.contains("connection: close\r\n"))
}

#[test]
fn a_request_that_does_not_end_holds_the_stop_up_only_so_long() {
    let mut limits = Limits::default();
    limits.stop_time = Duration::from_secs(2);
    let mut server = Running::start(&WebArgs::default(), limits);
    let mut stream = server.connect();
    stream
        .write_all(b"GET /never HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    std::thread::sleep(Duration::from_millis(300));
    server.tell_stop();
    let stopping = Instant::now();
    server.wait();
    let took = stopping.elapsed();
    assert!(
        took > Duration::from_secs(1) && took < Duration::from_secs(10),
        "{took:?}"
    );
}

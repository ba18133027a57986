//! A server that answers many clients is killed again and again: at most the last second of its figures is lost.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::beside::Beside;
use crate::pipeline;
use crate::server::{Server, request};

const CLIENTS: usize = 4;
const ROUNDS: u64 = 6;
/// Answers after which the load counts as begun.
const BEGUN: usize = 20;

#[test]
fn killed_under_load_a_server_loses_at_most_the_last_second() {
    let folder = tempfile::tempdir().unwrap();
    let beside = Beside::start(folder.path().join("beside"));
    let (state, zip) = (folder.path().join("state"), folder.path().join("p.zip"));
    std::fs::write(&zip, pipeline()).unwrap();
    let models = ["--models", zip.to_str().unwrap()];
    let mut before = 0;
    for round in 0..ROUNDS {
        let mut server = Server::start(&state, &models);
        let life = Duration::from_millis(300 + 310 * round);
        let (answered, killed) = ask_until_killed(&mut server, life);
        let (_, late) = beside.look();
        // Whole: it is opened again, and knows no less than before.
        let server = Server::start(&state, &models);
        let usage = server.get("/usage");
        assert_eq!(usage["failing"], json!(null), "{usage}");
        let models = usage["models"].as_object().unwrap().values();
        let kept: u64 = models.map(|m| m["requests"].as_u64().unwrap()).sum();
        assert!(kept >= before, "round {round}: {kept} of {before} are left");
        let new = usize::try_from(kept - before).unwrap();
        assert!(
            new <= answered.len() + CLIENTS,
            "round {round}: {new} requests are counted, of {} that were answered",
            answered.len()
        );
        let lost = answered
            .get(new)
            .map_or(Duration::ZERO, |first| killed - *first);
        let late = Duration::from_micros(late);
        // A batch waits for the write before it, and for its own.
        assert!(
            lost <= Duration::from_secs(1) + 2 * late,
            "round {round}: {lost:?} are lost, where a thread was late by {late:?}"
        );
        println!("{new} of {} requests kept, {lost:?} lost", answered.len());
        before = kept;
    }
    assert!(before > 0, "nothing was ever written");
}

/// When requests were answered, in order, and when the server was killed.
fn ask_until_killed(server: &mut Server, life: Duration) -> (Vec<Instant>, Instant) {
    let (url, body) = (format!("{}/model", server.url), request().to_string());
    let (count, ended) = (AtomicUsize::new(0), AtomicBool::new(false));
    let ask = || {
        let agent = ureq::Agent::new_with_defaults();
        let mut answered = Vec::new();
        while !ended.load(Relaxed) {
            let request = agent
                .post(&url)
                .content_type("application/json")
                .send(&body);
            let read = request.and_then(|mut answer| answer.body_mut().read_to_vec());
            match read {
                Ok(_) => {
                    answered.push(Instant::now());
                    count.fetch_add(1, Relaxed);
                }
                Err(_) => break,
            }
        }
        answered
    };
    std::thread::scope(|scope| {
        let clients = [(); CLIENTS].map(|()| scope.spawn(ask));
        let begun = Instant::now();
        while count.load(Relaxed) < BEGUN {
            assert!(
                begun.elapsed() < Duration::from_secs(120),
                "nothing is answered"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(life);
        let killed = Instant::now();
        server.kill();
        ended.store(true, Relaxed);
        let mut answered = clients.map(|client| client.join().unwrap()).concat();
        answered.sort();
        (answered, killed)
    })
}

//! Who may come in.

use std::time::Instant;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use kepler_service::Limits;

use crate::support::{Folder, Running, args, curl};

/// What `htpasswd -nbB -C 8 alice secret` makes, and the same for bob with 10.
fn users() -> String {
    format!(
        "basic_auth_users:\n  alice: {}\n  bob: {}\n",
        bcrypt::hash("secret", 8).unwrap(),
        bcrypt::hash("hidden", 10).unwrap().replace("$2b$", "$2y$")
    )
}

#[test]
fn a_password_is_asked_for_except_by_probes() {
    let folder = Folder::new();
    let config = folder.write("web.yml", users());
    let server = Running::start(&args(&[], Some(&config)), Limits::default());
    let url = format!("http://{}/metrics", server.address());
    let code = |arguments: &[&str]| {
        let said = curl(&[&[url.as_str()], arguments].concat());
        said.lines().last().unwrap()[..3].to_owned()
    };
    assert_eq!(code(&["-u", "alice:secret"]), "200");
    assert_eq!(code(&["-u", "bob:hidden"]), "200");
    for wrong in [
        &["-u", "alice:hidden"][..],
        &["-u", "bob:secret"],
        &["-u", "carol:secret"],
        &["-u", "alice:"],
        &["-u", ":secret"],
        &[],
        &["-H", "Authorization: Bearer secret"],
        &["-H", "Authorization: Basic !!!"],
        &["-H", "Authorization: Basic YWxpY2U="],
        &["-H", "Authorization:"],
    ] {
        assert_eq!(code(wrong), "401", "{wrong:?}");
    }
    let refused = server.get("/", "").to_lowercase();
    assert!(
        refused.contains("www-authenticate: basic realm="),
        "{refused}"
    );
    assert!(server.get("/healthz", "").starts_with("HTTP/1.1 200"));
}

#[test]
fn a_password_costs_once_and_an_unknown_user_costs_the_same() {
    let folder = Folder::new();
    // A cost that shows against all else.
    let hash = bcrypt::hash("secret", 11).unwrap();
    let config = folder.write("web.yml", format!("basic_auth_users: {{alice: {hash}}}"));
    let server = Running::start(&args(&[], Some(&config)), Limits::default());
    let ask = |user: &str, password: &str| {
        let credentials = BASE64_STANDARD.encode(format!("{user}:{password}"));
        let start = Instant::now();
        let answer = server.get(
            "/metrics",
            &format!("Authorization: Basic {credentials}\r\n"),
        );
        (answer[9..12].to_owned(), start.elapsed())
    };
    let (code, first) = ask("alice", "secret");
    assert_eq!(code, "200");
    let again: Vec<_> = (0..20).map(|_| ask("alice", "secret")).collect();
    assert!(again.iter().all(|(code, _)| code == "200"));
    let least = |answers: Vec<(String, std::time::Duration)>| {
        answers.into_iter().map(|(_, time)| time).min().unwrap()
    };
    let remembered = least(again);
    assert!(remembered * 4 < first, "{remembered:?}, at first {first:?}");
    let wrong = least((0..3).map(|_| ask("alice", "guess")).collect());
    let unknown = least((0..3).map(|_| ask("mallory", "guess")).collect());
    assert!(
        remembered * 4 < wrong && remembered * 4 < unknown,
        "{wrong:?} {unknown:?}"
    );
}

#[test]
fn wrong_passwords_wait_in_a_short_line_while_right_ones_pass() {
    let folder = Folder::new();
    let hash = bcrypt::hash("secret", 8).unwrap();
    let config = folder.write("web.yml", format!("basic_auth_users: {{alice: {hash}}}"));
    let server = Running::start(&args(&[], Some(&config)), Limits::default());
    let ask = &|password: &str| {
        let credentials = BASE64_STANDARD.encode(format!("alice:{password}"));
        let header = format!("Authorization: Basic {credentials}\r\n");
        server.get("/metrics", &header)[9..12].to_owned()
    };
    assert_eq!(ask("secret"), "200");
    let guesses: Vec<String> = std::thread::scope(|scope| {
        let guesses: Vec<_> = (0..40)
            .map(|n| scope.spawn(move || ask(&n.to_string())))
            .collect();
        // Long before the guesses are through.
        assert_eq!(ask("secret"), "200");
        guesses.into_iter().map(|g| g.join().unwrap()).collect()
    });
    assert!(
        guesses.iter().all(|code| code == "401" || code == "503"),
        "{guesses:?}"
    );
    assert!(guesses.iter().any(|code| code == "503"), "{guesses:?}");
}

#[test]
fn a_hash_that_is_none_is_told_without_showing_it() {
    let folder = Folder::new();
    for (hash, said) in [
        ("plaintext-secret", "expected a bcrypt hash"),
        (
            "$2b$20$......................................................",
            "cost from 4 to 16",
        ),
    ] {
        let hash = &hash[..hash.len().min(60)];
        let config = folder.write("web.yml", format!("basic_auth_users: {{alice: {hash}}}"));
        let error = kepler_service::Server::bind(
            &args(&[], Some(&config)),
            "127.0.0.1:0",
            Limits::default(),
        );
        let error = error.err().unwrap().to_string();
        assert!(
            error.contains("basic_auth_users.alice") && error.contains(said),
            "{error}"
        );
        assert!(!error.contains("plaintext"), "{error}");
    }
}

#[test]
fn all_clients_together_keep_the_rate_of_the_file() {
    let folder = Folder::new();
    let config = folder.write("web.yml", "rate_limit: {burst: 2, interval: 1h}");
    let server = Running::start(&args(&[], Some(&config)), Limits::default());
    let codes = [(); 4].map(|()| server.get("/metrics", "")[9..12].to_owned());
    assert_eq!(codes, ["200", "200", "429", "429"]);
}

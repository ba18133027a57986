//! Files that change while the server runs.

use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use kepler_service::Limits;

use crate::support::{Folder, Running, args, curl, run};
use crate::tls::{Authority, loopback};

#[test]
fn a_new_certificate_is_shown_without_a_failed_request() {
    let folder = Folder::new();
    let first = Authority::new(&folder);
    first.sign(&folder, "server", loopback());
    let config = folder.write(
        "web.yml",
        "tls_server_config: {cert_file: server.crt, key_file: server.key}",
    );
    folder.write("old.crt", folder.read("ca.crt"));
    let server = Running::start(&args(&[], Some(&config)), Limits::default());
    let url = format!("https://{}/healthz", server.address());
    let trusts = |authority: &str| {
        let ca = folder.text(authority);
        run(Command::new("curl").args(["-sS", "--cacert", &ca, &url]))
            .status
            .success()
    };
    let (done, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let _end = Raised(&done);
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    // Whatever certificate it is, the answer is right.
                    assert_eq!(curl(&["-k", &url]), "ok\n\n200 2");
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let until = |wanted: &dyn Fn() -> bool| {
            let start = Instant::now();
            while !wanted() {
                assert!(start.elapsed() < Duration::from_secs(30));
                std::thread::sleep(Duration::from_millis(100));
            }
        };
        until(&|| asked.load(Ordering::Relaxed) > 3);
        assert!(trusts("old.crt"));
        // The certificate comes a while before its key: meanwhile, the old pair holds.
        let second = Authority::new(&folder);
        second.sign(&folder, "next", loopback());
        folder.write("server.crt", folder.read("next.crt"));
        std::thread::sleep(Duration::from_millis(2500));
        assert!(trusts("old.crt") && !trusts("ca.crt"));
        folder.write("server.key", folder.read("next.key"));
        until(&|| trusts("ca.crt"));
        assert!(!trusts("old.crt"));
        // Neither does a broken configuration undo it.
        folder.write("web.yml", "tls_server_config: {cert_fil: x}");
        std::thread::sleep(Duration::from_millis(2500));
        assert!(trusts("ca.crt"));
        let before = asked.load(Ordering::Relaxed);
        until(&|| asked.load(Ordering::Relaxed) > before + 3);
    });
}

/// A flag that is raised at the end, however that comes.
struct Raised<'a>(&'a AtomicBool);

impl Drop for Raised<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_new_password_holds_and_an_old_one_no_more() {
    let folder = Folder::new();
    let users = |password: &str| {
        format!(
            "basic_auth_users: {{alice: {}}}",
            bcrypt::hash(password, 4).unwrap()
        )
    };
    let config = folder.write("web.yml", users("old"));
    let server = Running::start(&args(&[], Some(&config)), Limits::default());
    let url = format!("http://{}/metrics", server.address());
    let code = |password: &str| {
        let said = curl(&["-u", &format!("alice:{password}"), &url]);
        said.lines().last().unwrap()[..3].to_owned()
    };
    assert_eq!((code("old"), code("new")), ("200".into(), "401".into()));
    folder.write("web.yml", users("new"));
    let start = Instant::now();
    while code("new") != "200" {
        assert!(start.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(code("old"), "401");
    // A file that goes away leaves what it said.
    std::fs::remove_file(&config).unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!((code("new"), code("old")), ("200".into(), "401".into()));
}

//! A good model is never replaced by less, whatever a server does.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::certificates::Certificates;
use crate::standin::{Reply, Request, Standin};
use crate::{bytes, names, pipeline, program, run, sha256};

/// Pulls one URL into a folder.
fn pull(folder: &Path, url: &str, more: &[&str]) -> (i32, String) {
    run(program()
        .args(["pull", url, "--into"])
        .arg(folder)
        .args(more))
}

/// Answers as a file server that knows ranges does.
fn ranged(request: &Request, body: &[u8], tag: &str) -> Reply {
    let from = request
        .header("range")
        .and_then(|r| r.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    let same = request.header("if-range").is_none_or(|t| t == tag);
    let headers = vec![("ETag", tag.to_owned())];
    match from {
        Some(from) if same && from < body.len() => Reply {
            status: 206,
            headers: [
                headers,
                vec![(
                    "Content-Range",
                    format!("bytes {from}-{}/{}", body.len() - 1, body.len()),
                )],
            ]
            .concat(),
            body: body[from..].to_vec(),
            ..Reply::default()
        },
        _ => Reply {
            headers,
            ..Reply::ok(body)
        },
    }
}

/// A folder with a good model `p` in it.
fn with_good_model() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("p.zip"), pipeline()).unwrap();
    folder
}

fn good_model_is_there(folder: &Path) {
    assert_eq!(names(folder), ["p.zip"]);
    assert_eq!(bytes(&folder.join("p.zip")), pipeline());
}

#[test]
fn a_model_is_fetched_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = Standin::start(|_, _| Reply::ok(pipeline()));
    let manifest = folder.path().join("manifest.yaml");
    let sum = sha256(pipeline());
    std::fs::write(
        &manifest,
        format!(
            "models:\n- name: p\n  url: {}/x/p-1.zip\n  sha256: {sum}\n",
            server.url
        ),
    )
    .unwrap();
    let into = folder.path().join("models");
    let mut command = program();
    let command = command
        .arg("pull")
        .arg("--manifest")
        .arg(&manifest)
        .arg("--into")
        .arg(&into);
    let (code, text) = run(command);
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains(&format!("{} bytes, sha256 {sum}", pipeline().len())),
        "{text}"
    );
    good_model_is_there(&into);
    let (code, text) = run(command);
    assert_eq!((code, server.heard().len()), (0, 1), "{text}");
    assert!(text.contains("there already"), "{text}");
    // A file that was spoiled on disk is not what is expected.
    std::fs::write(into.join("p.zip"), b"PK spoiled").unwrap();
    assert_eq!(run(command).0, 0);
    good_model_is_there(&into);
}

#[test]
fn what_is_not_expected_or_no_model_replaces_nothing() {
    let corpus =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../kepler-core/fuzz/corpus/model_zip");
    let mut cut = pipeline().to_vec();
    cut.truncate(cut.len() / 2);
    for (body, sum, says) in [
        (pipeline().to_vec(), Some("0".repeat(64)), "not 0000"),
        (
            b"<html>sign in first</html>".to_vec(),
            None,
            "expected a model",
        ),
        (Vec::new(), None, "expected a model"),
        (cut, None, "expected a zip"),
        (bytes(&corpus.join("bomb")), None, "too large"),
        (bytes(&corpus.join("climbs_out")), None, "inside"),
    ] {
        let folder = with_good_model();
        let server = Standin::start(move |_, _| Reply::ok(body.clone()));
        let sum = sum.map(|sum| ["--sha256".to_owned(), sum]);
        let more: Vec<&str> = sum
            .iter()
            .flatten()
            .map(String::as_str)
            .chain(["--force"])
            .collect();
        let (code, text) = pull(folder.path(), &format!("{}/p.zip", server.url), &more);
        assert_eq!(code, 1, "{text}");
        assert!(
            text.contains(says) && text.contains("thrown away"),
            "{says}: {text}"
        );
        good_model_is_there(folder.path());
    }
}

#[test]
fn a_broken_download_goes_on_where_it_broke() {
    let server = Standin::start(|number, request| {
        let reply = ranged(request, pipeline(), "\"v1\"");
        let half = reply.body.len() / 2;
        Reply {
            cut: (number < 2).then_some(half),
            headers: [
                reply.headers.clone(),
                vec![("Content-Length", reply.body.len().to_string())],
            ]
            .concat(),
            ..reply
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let (code, text) = pull(
        folder.path(),
        &format!("{}/p.zip", server.url),
        &["--sha256", &sha256(pipeline())],
    );
    assert_eq!(code, 0, "{text}");
    good_model_is_there(folder.path());
    let heard = server.heard();
    let half = pipeline().len() / 2;
    assert_eq!(heard[0].header("range"), None);
    assert_eq!(heard[1].header("range"), Some(&*format!("bytes={half}-")));
    assert_eq!(heard[1].header("if-range"), Some("\"v1\""));
    assert_eq!(heard.len(), 3);
}

/// Begins a pull, waits until half of it arrived, and kills it.
fn kill_in_the_middle(folder: &Path, url: &str) {
    let mut child = program()
        .args(["pull", url, "--force", "--into"])
        .arg(folder)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (part, begun) = (folder.join(".p.part"), Instant::now());
    while part.metadata().map_or(0, |m| m.len()) < pipeline().len() as u64 / 2 {
        assert!(
            begun.elapsed() < Duration::from_secs(120),
            "the half never came"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_killed_pull_is_gone_on_with_by_the_next_unless_the_file_is_another_by_then() {
    for (tag, resumed) in [("\"v1\"", true), ("\"v2\"", false)] {
        let server = Standin::start(move |number, request| {
            let half = pipeline().len() / 2;
            if number == 0 {
                let length = vec![
                    ("ETag", "\"v1\"".to_owned()),
                    ("Content-Length", pipeline().len().to_string()),
                ];
                return Reply {
                    cut: Some(half),
                    stall: true,
                    headers: length,
                    ..Reply::ok(pipeline())
                };
            }
            ranged(request, pipeline(), tag)
        });
        let folder = with_good_model();
        let url = format!("{}/p.zip", server.url);
        kill_in_the_middle(folder.path(), &url);
        assert_eq!(
            bytes(&folder.path().join("p.zip")),
            pipeline(),
            "the old one is untouched"
        );
        let (code, text) = pull(folder.path(), &url, &["--force"]);
        assert_eq!(code, 0, "{text}");
        assert_eq!(text.contains("from an earlier try"), resumed, "{text}");
        assert!(server.heard()[1].header("if-range") == Some("\"v1\""));
        good_model_is_there(folder.path());
    }
}

#[test]
fn only_what_may_pass_is_tried_again() {
    let server = Standin::start(|number, _| match number {
        0 => Reply {
            headers: vec![("Retry-After", "0".to_owned())],
            ..Reply::status(503)
        },
        _ => Reply::ok(pipeline()),
    });
    let folder = tempfile::tempdir().unwrap();
    let (code, text) = pull(folder.path(), &format!("{}/p.zip", server.url), &[]);
    assert_eq!((code, server.heard().len()), (0, 2), "{text}");
    assert!(text.contains("HTTP 503; again in 0.0 s"), "{text}");

    let server = Standin::start(|_, _| Reply::status(404));
    let folder = with_good_model();
    let (code, text) = pull(
        folder.path(),
        &format!("{}/p.zip", server.url),
        &["--force"],
    );
    assert_eq!((code, server.heard().len()), (1, 1), "{text}");
    assert!(text.contains("HTTP 404"), "{text}");
}

#[test]
fn an_address_that_nobody_listens_on_is_named() {
    let folder = with_good_model();
    // A port that no program of today listens on, and that nobody is given by chance.
    let free = "127.0.0.1:1";
    let url = format!("http://me:secret@{free}/p.zip?sig=secret");
    let (code, text) = pull(folder.path(), &url, &["--force", "--tries", "2"]);
    assert_eq!(code, 1);
    assert!(
        text.contains(&format!("http://{free}/p.zip")) && text.contains("given up after 2 tries"),
        "{text}"
    );
    assert!(!text.contains("secret"), "{text}");
    good_model_is_there(folder.path());
}

#[test]
fn by_tls_a_server_is_one_that_an_authority_signed_for() {
    let folder = with_good_model();
    let certificates = Certificates::new("IP:127.0.0.1");
    let published = tempfile::tempdir().unwrap();
    std::fs::write(published.path().join("p.zip"), pipeline()).unwrap();
    // A plain file server by TLS. It takes a free port, and says which.
    let mut server = Command::new("openssl");
    server.args(["s_server", "-WWW", "-accept", "127.0.0.1:0", "-cert"]);
    server
        .arg(certificates.path("server.pem"))
        .arg("-key")
        .arg(certificates.path("server.key"));
    server.current_dir(published.path()).stdin(Stdio::piped());
    let server = server.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut server = Running(server.unwrap());
    let mut lines = BufReader::new(server.0.stdout.take().unwrap()).lines();
    let said = lines.by_ref().map_while(Result::ok);
    let address = { said }.find_map(|line| Some(line.strip_prefix("ACCEPT ")?.to_owned()));
    std::thread::spawn(move || lines.for_each(drop));
    let url = format!("https://{}/p.zip", address.unwrap());
    let (code, text) = pull(folder.path(), &url, &["--force", "--tries", "1"]);
    assert!(code == 1 && text.contains("certificate"), "{text}");
    good_model_is_there(folder.path());
    let authority = certificates.path("authority.pem");
    let trusted = [
        "--force",
        "--tries",
        "1",
        "--ca",
        authority.to_str().unwrap(),
    ];
    let (code, text) = pull(folder.path(), &url, &trusted);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains(&sha256(pipeline())), "{text}");
}

#[test]
fn no_more_is_taken_than_allowed() {
    for (length, says) in [
        (Some(3 << 20), "3145728 bytes (limit 2097152)"),
        (None, "(limit 2097152)"),
    ] {
        let server = Standin::start(move |_, _| Reply {
            headers: match length {
                Some(length) => vec![("Content-Length", length.to_string())],
                // Its end is where the connection ends.
                None => vec![("Transfer-Encoding", "identity".to_owned())],
            },
            ..Reply::ok(vec![b'x'; 3 << 20])
        });
        let folder = with_good_model();
        let (code, text) = pull(
            folder.path(),
            &format!("{}/p.zip", server.url),
            &["--force", "--max-size", "2"],
        );
        assert_eq!(code, 1, "{text}");
        assert!(text.contains(says), "{text}");
        assert_eq!(bytes(&folder.path().join("p.zip")), pipeline());
    }
}

#[test]
fn a_full_disk_is_said_and_given_back() {
    let server = Standin::start(|_, _| Reply::ok(vec![b'x'; 1 << 20]));
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("good"), pipeline()).unwrap();
    let script = r#"mount -t tmpfs -o size=256k none "$1" && cp "$2" "$1/p.zip" || exit 77
        "$3" pull "$4" --force --into "$1"; code=$?
        ls -A "$1"; cmp "$2" "$1/p.zip" && exit $code"#;
    std::fs::create_dir(folder.path().join("full")).unwrap();
    let mut command = Command::new("unshare");
    command.args(["--mount", "--map-root-user", "sh", "-c", script, "sh"]);
    command
        .arg(folder.path().join("full"))
        .arg(folder.path().join("good"));
    command.args([
        env!("CARGO_BIN_EXE_kepler-model-server"),
        &format!("{}/p.zip", server.url),
    ]);
    let (code, text) = run(&mut command);
    if code == 77 || text.contains("unshare failed") {
        crate::skip("no small file system can be mounted here", &text);
        return;
    }
    assert_eq!(code, 1, "{text}");
    assert!(
        text.contains("cannot write it to disk: No space left on device"),
        "{text}"
    );
    assert!(
        text.starts_with("p.zip\np: http"),
        "nothing else is left: {text}"
    );
}

#[test]
fn a_file_is_copied_and_a_folder_is_not() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("p.zip"), pipeline()).unwrap();
    let into = folder.path().join("models");
    let (code, text) = pull(
        &into,
        &format!("file://{}/p.zip", folder.path().display()),
        &[],
    );
    assert_eq!(code, 0, "{text}");
    good_model_is_there(&into);
    let (code, text) = pull(&into, &into.display().to_string(), &[]);
    assert_eq!(code, 1);
    assert!(text.contains("served in place by --models"), "{text}");
}

#[test]
fn a_store_that_speaks_as_s3_does_is_read_with_a_signature() {
    let Some(store) = Moto::start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let pull = |url: &str| {
        let mut command = program();
        command
            .args(["pull", url, "--tries", "2", "--into"])
            .arg(folder.path());
        command.envs([
            ("AWS_ENDPOINT_URL", &*store.url),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_REGION", "us-east-1"),
        ]);
        command.envs([
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "hidden-words"),
        ]);
        run(&mut command)
    };
    store.put("/models", &[]);
    let tag = store.put("/models/v0.7/p.zip", pipeline());
    // Half of it is there, from a try that ended.
    let half = &pipeline()[..pipeline().len() / 2];
    std::fs::write(folder.path().join(".p.part"), half).unwrap();
    let note = format!(r#"{{"url":"s3://models/v0.7/p.zip","version":{:?}}}"#, tag);
    std::fs::write(folder.path().join(".p.note"), note).unwrap();
    let (code, text) = pull("s3://models/v0.7/p.zip");
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains(&format!("the first {} from an earlier try", half.len())),
        "{text}"
    );
    good_model_is_there(folder.path());
    let (code, text) = pull("s3://models/v0.7/q.zip");
    assert_eq!(code, 1);
    assert!(
        text.contains("s3://models/v0.7/q.zip: HTTP 404") && !text.contains("hidden"),
        "{text}"
    );
}

/// The S3 stand-in of PyPI's `moto`.
struct Moto {
    url: String,
    #[expect(dead_code, reason = "dropping it is what it is for")]
    child: Running,
}

/// A program that ends with the test.
struct Running(std::process::Child);

impl Moto {
    fn start() -> Option<Self> {
        let mut command = Command::new("moto_server");
        command.args(["-H", "127.0.0.1", "-p", "0"]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let Ok(mut child) = child else {
            crate::skip("moto_server is not installed", "pip install 'moto[server]'");
            return None;
        };
        // It takes a free port, and says which.
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let said = lines.by_ref().map_while(Result::ok);
        let url = said.filter_map(|line| {
            let at = line.find("http://127.0.0.1:")?;
            line[at..].split_whitespace().next().map(str::to_owned)
        });
        let Some(url) = { url }.next() else {
            let _ = child.wait();
            crate::skip("moto_server does not run", "pip install 'moto[server]'");
            return None;
        };
        std::thread::spawn(move || lines.for_each(drop));
        let child = Running(child);
        Some(Self { url, child })
    }

    /// Puts an object, and gives its tag.
    fn put(&self, path: &str, body: &[u8]) -> String {
        let sent = ureq::put(format!("{}{path}", self.url)).send(body).unwrap();
        let tag = sent.headers().get("etag");
        tag.map_or("", |t| t.to_str().unwrap()).to_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

//! Models from a server: the real one, and one that answers as no good one does.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::{Folder, Running, command, ended, eventually, figure};

/// The exporter on a machine of two CPUs without any meter, of which the CPU time is known.
fn on(folder: &Folder) -> Command {
    let mut exporter = command();
    exporter
        .arg(format!(
            "--host.procfs={}",
            folder.path().join("proc").display()
        ))
        .arg(format!(
            "--host.sysfs={}",
            folder.path().join("sys").display()
        ))
        .args(["--monitor.usage=procfs", "--monitor.interval=100ms"]);
    exporter
}

/// The same, running, with models from a server.
fn exporter(folder: &Folder, url: &str, more: &[&str]) -> Running {
    let mut exporter = on(folder);
    exporter
        .arg(format!("--model-server.url={url}"))
        .arg("--model-server.interval=200ms")
        .args(more);
    Running::of(&mut exporter)
}

fn machine(name: &str) -> Folder {
    let folder = Folder::new(name);
    for part in ["proc/1", "sys/fs/cgroup"] {
        std::fs::create_dir_all(folder.path().join(part)).unwrap();
    }
    let cpus = "cpu  100 0 100 800 0 0 0 0 0 0\ncpu0 50 0 50 400 0 0 0 0 0 0\ncpu1 50 0 50 400 0 0 0 0 0 0\n";
    folder.write("proc/stat", cpus);
    folder.write("proc/cpuinfo", "processor\t: 0\n\nprocessor\t: 1\n");
    folder.write("proc/meminfo", "MemTotal:        8000000 kB\n");
    let init = format!("1 (init) S 0 {}\n", " 0".repeat(48));
    folder.write("proc/1/stat", &init);
    folder.write("sys/fs/cgroup/cgroup.controllers", "cpu memory\n");
    folder
}

/// A model of a platform: `rest` W and a hundredth for each ms of CPU time.
fn model(name: &str, rest: f64, feature: &str) -> String {
    format!(
        r#"{{"format": "kepler-model/1", "name": "{name}", "energy_source": "acpi", "output_type": "AbsPower",
        "features": [{{"name": "{feature}", "scale": 1.0}}], "machine": {{"processor": "p", "cores": 2}},
        "components": {{"platform": {{"estimator": {{"kind": "linear", "intercept": {rest}, "weights": [0.01]}},
        "errors": [{{"split": "shuffled-part", "mae": 1.5}}]}}}}}}"#
    )
}

/// The model by which a page says that the platform's figures are.
fn in_use(text: &str) -> String {
    let series = "kepler_node_power_source_info{zone=\"platform\"";
    let line = text.lines().find(|l| l.starts_with(series)).unwrap();
    let (_, rest) = line.split_once("model=\"").unwrap();
    rest.split('"').next().unwrap().to_owned()
}

fn failures(text: &str) -> f64 {
    figure(
        text,
        "kepler_exporter_model_fetches_total{result=\"failure\"}",
    )
    .unwrap_or(0.0)
}

const ATTACHED: &str = "kepler_exporter_part_attached{part=\"models\"}";

/// A server that answers as it is told, to whom it may concern.
struct Standin {
    address: String,
    answer: Arc<Mutex<Vec<u8>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

/// After this the connection is kept open; after the other one, more is sent until nobody reads it.
const STALL: &[u8] = b"STALL";
const FOREVER: &[u8] = b"FOREVER";

impl Standin {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let standin = Self {
            address: format!("http://{}", listener.local_addr().unwrap()),
            answer: Arc::default(),
            asked: Arc::default(),
        };
        let (answer, asked) = (Arc::clone(&standin.answer), Arc::clone(&standin.asked));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (answer, asked) = (answer.lock().unwrap().clone(), Arc::clone(&asked));
                std::thread::spawn(move || serve(stream.unwrap(), &answer, &asked));
            }
        });
        standin
    }

    fn says(&self, head: &str, body: impl AsRef<[u8]>) {
        let head = format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n");
        *self.answer.lock().unwrap() = [head.as_bytes(), body.as_ref()].concat();
    }
}

fn serve(mut stream: TcpStream, answer: &[u8], asked: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut head, mut length) = (String::new(), 0);
    while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).is_ok_and(|n| n > 0) {
        if let Some(line) = head.lines().last().and_then(|l| {
            l.to_lowercase()
                .strip_prefix("content-length: ")
                .map(str::to_owned)
        }) {
            length = line.parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    let _ = reader.read_exact(&mut body);
    asked
        .lock()
        .unwrap()
        .push(head + &String::from_utf8_lossy(&body));
    let _ = match (answer.strip_suffix(STALL), answer.strip_suffix(FOREVER)) {
        (Some(answer), _) => stream
            .write_all(answer)
            .map(|()| std::thread::sleep(Duration::from_secs(300))),
        (_, Some(answer)) => {
            let mut sent = stream.write_all(answer);
            while sent.is_ok() {
                sent = stream.write_all(&[b' '; 65536]);
            }
            sent
        }
        _ => stream.write_all(answer),
    };
}

#[test]
fn a_poisoned_answer_never_replaces_a_good_model() {
    let (folder, server) = (machine("poison"), Standin::start());
    server.says("200 OK", model("good", 10.0, "bpf_cpu_time_ms"));
    let kept = folder.path().join("kept");
    let keep = format!("--model-server.folder={}", kept.display());
    let mut exporter = exporter(&folder, &server.address, &[&keep]);
    // A sample may come between a model and what is said of it.
    exporter.metrics_once(|text| in_use(text) == "good" && text.contains(ATTACHED));
    // The same answer for package and memory is of another meter's power, which is said.
    exporter.says("models: ");
    let request = server.asked.lock().unwrap()[0].clone();
    assert!(request.starts_with("POST /model HTTP/1.1"), "{request}");
    let (_, body) = request.split_once("\r\n\r\n").unwrap();
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["metrics"], serde_json::json!(["bpf_cpu_time_ms"]));
    assert_eq!(body["machine_spec"]["cores"], 2);

    let good = model("good", 10.0, "bpf_cpu_time_ms");
    let cut = format!("200 OK\r\nContent-Length: {}", good.len());
    let huge = model("huge", 1e7, "bpf_cpu_time_ms");
    let wrong = model("wrong", 10.0, "cpu_cycles");
    let dynamic = good.replace("AbsPower", "DynPower");
    let unending = [b"{\"".as_slice(), FOREVER].concat();
    let cases: [(&str, &[u8], &str); 9] = [
        ("404 Not Found", b"not here", "answered 404"),
        ("500 Internal Server Error", b"<html>\n", "answered 500"),
        (
            "302 Found\r\nLocation: http://127.0.0.1:1/",
            b"",
            "answered 302",
        ),
        ("400 Bad Request", b"cannot find model", "cannot find model"),
        (&cut, &good.as_bytes()[..100], "answered no model"),
        ("200 OK", huge.as_bytes(), "W at rest"),
        (
            "200 OK",
            wrong.as_bytes(),
            "it needs cpu_cycles, which is not counted here",
        ),
        (
            "200 OK",
            dynamic.as_bytes(),
            "it predicts DynPower, not AbsPower",
        ),
        ("200 OK", &unending, "http"),
    ];
    for (head, body, said) in cases {
        server.says(head, body);
        let before = failures(&exporter.get("/metrics"));
        let text = exporter.metrics_once(|text| failures(text) >= before + 2.0);
        assert_eq!(in_use(&text), "good", "{head}");
        assert_eq!(figure(&text, ATTACHED), Some(0.0), "{head}");
        if said != "http" && !head.contains("Content-Length") {
            exporter.says(said);
        }
    }
    // The doctor says of a wrong one what the exporter would do with it.
    server.says("200 OK", &huge);
    let said = ended(command().args(["doctor", &format!("--model-server={}", server.address)]));
    assert_eq!(said.code, 1, "{}", said.out);
    assert!(said.out.contains("so it is not taken"), "{}", said.out);
    // Of a server that is not there it names the address once a model.
    let said = ended(command().args(["doctor", "--model-server=http://127.0.0.1:1"]));
    let lines = said.out.lines().filter(|line| line.contains("model of"));
    let named: Vec<usize> = lines
        .map(|line| line.matches("127.0.0.1:1").count())
        .collect();
    assert_eq!(named, [1, 1], "{}", said.out);
    // One that begins and says no more holds up nobody.
    server.says(
        "200 OK",
        [good.as_bytes()[..50].to_vec(), STALL.to_vec()].concat(),
    );
    let samples = |text: &str| figure(text, "kepler_exporter_samples_total").unwrap();
    let before = samples(&exporter.get("/metrics"));
    let text = exporter.metrics_once(|text| samples(text) > before + 5.0);
    assert_eq!(in_use(&text), "good");
    assert_eq!(exporter.stop(), 0);

    // At the next start nobody is there, and the model that was kept is used.
    assert!(kept.join("acpi.json").is_file() && !kept.join("rapl-sysfs.json").exists());
    let exporter = self::exporter(&folder, "http://127.0.0.1:1", &[&keep]);
    let text = exporter.metrics_once(|text| in_use(text) == "good" && failures(text) > 0.0);
    assert!(!text.contains("fetch_success_timestamp_seconds "), "{text}");
    drop(exporter);
    // What was kept and is broken is told and harms nobody.
    std::fs::write(kept.join("acpi.json"), "{").unwrap();
    let exporter = self::exporter(&folder, "http://127.0.0.1:1", &[&keep]);
    exporter.says("what was kept");
    exporter.metrics_once(|text| in_use(text).starts_with("kepler-"));
}

#[test]
fn a_model_lies_anywhere_and_the_older_settings_lead_there() {
    let (folder, server) = (machine("older"), Standin::start());
    server.says("200 OK", model("lying", 10.0, "bpf_cpu_time_ms"));
    let config = format!("NODE_TOTAL_INIT_URL={}/models/x.json\n", server.address);
    let exporter = Running::of(on(&folder).env("MODEL_CONFIG", config));
    let text = exporter.metrics_once(|text| {
        in_use(text) == "lying" && text.contains("fetch_success_timestamp_seconds ")
    });
    assert_eq!(figure(&text, ATTACHED), Some(1.0));
    let request = server.asked.lock().unwrap()[0].clone();
    assert!(
        request.starts_with("GET /models/x.json HTTP/1.1"),
        "{request}"
    );
}

/// The model server of this repository, as it was built beside the exporter.
fn model_server(flags: &[&str]) -> Running {
    let mut server = Command::new(built());
    server
        .args(["--listen=127.0.0.1:0", "-c", "/nonexistent"])
        .args(flags)
        .env_clear()
        .stdout(Stdio::null());
    Running::listening(&mut server, 1).unwrap()
}

/// Tests of the whole repository build it anyway; those of the exporter alone may be the first that want it.
fn built() -> PathBuf {
    let program =
        Path::new(env!("CARGO_BIN_EXE_kepler-exporter")).with_file_name("kepler-model-server");
    if !program.is_file() {
        let mut cargo = Command::new(env!("CARGO"));
        let status = cargo
            .args(["build", "--quiet", "-p", "kepler-model-server"])
            .status();
        assert!(status.unwrap().success());
    }
    program
}

#[test]
fn the_real_server_gives_its_model_and_goes_away_and_comes_back() {
    let diagnosis = ended(command().args(["doctor", "--json"])).out;
    let diagnosis: serde_json::Value = serde_json::from_str(&diagnosis).unwrap();
    if diagnosis["measured"] == true || diagnosis["by_ebpf"] == false {
        crate::support::skip("energy is measured here, or page cache hits are not counted");
        return;
    }
    let folder = Folder::new("real");
    let group = folder.path().join("mine/acpi/AbsPower/BPFOnly");
    std::fs::create_dir_all(&group).unwrap();
    let pages = r#""features": [{"name": "bpf_page_cache_hit", "scale": 1.0}, "#;
    let text = model("LinearRegressionTrainer_0", 10.0, "bpf_cpu_time_ms")
        .replace(r#""features": ["#, pages)
        .replace("[0.01]", "[0.0, 0.01]")
        .replace(r#""cores": 2"#, r#""cores": 8"#);
    std::fs::write(group.join("LinearRegressionTrainer_0.json"), text).unwrap();
    let models = format!("--models={}", folder.path().join("mine").display());
    let server = model_server(&[&models]);
    let url = format!("http://{}", server.address);
    let mut exporter = command();
    exporter
        .args([
            "--metrics=node",
            "--monitor.interval=100ms",
            "--model-server.interval=300ms",
        ])
        .arg(format!("--model-server.url={url}"));
    let mut exporter = Running::of(&mut exporter);
    let name = "LinearRegressionTrainer_0";
    let text = exporter.metrics_once(|text| in_use(text) == name);
    let joules = "kepler_node_cpu_joules_total{zone=\"platform\"";
    let total = |text: &str| figure(text, joules).unwrap();
    let before = total(&text);
    exporter.says("has answered");

    // From inside a pod, without curl.
    let said = ended(command().args(["doctor", &format!("--model-server={url}")]));
    assert!(
        said.out.contains("+ model of acpi: on (http://127.0.0.1:"),
        "{}",
        said.out
    );
    assert!(
        said.out.contains(&format!(
            "{name} of p, 8 CPUs, over bpf_page_cache_hit, bpf_cpu_time_ms; platform off by 1.50 W"
        )),
        "{}",
        said.out
    );
    assert!(
        said.out.contains("- model of rapl-sysfs: off"),
        "{}",
        said.out
    );
    assert_ne!(said.code, 1);

    drop(server);
    let text = exporter.metrics_once(|text| figure(text, ATTACHED) == Some(0.0));
    assert_eq!(in_use(&text), name);
    assert!(total(&text) >= before);
    assert_eq!(exporter.stop(), 0);
    let said = ended(command().args(["doctor", "--model-server=http://127.0.0.1:1"]));
    assert_eq!(said.code, 1, "{}", said.out);
    assert!(
        said.out
            .contains("- model of acpi: off (http://127.0.0.1:1/model: "),
        "{}",
        said.out
    );
}

#[test]
fn an_estimators_model_is_learnt_from_its_socket() {
    let folder = machine("estimator");
    let socket = folder.path().join("estimator.sock");
    let _server = model_server(&[&format!("--estimator-socket={}", socket.display())]);
    assert!(eventually(|| socket.exists()));
    let url = format!("unix:{}", socket.display());
    let exporter = exporter(&folder, &url, &[]);
    exporter
        .metrics_once(|text| in_use(text) == "estimator" && figure(text, ATTACHED) == Some(1.0));
    let said = ended(command().args(["doctor", "--model-server=unix:/nonexistent"]));
    assert_eq!(said.code, 1, "{}", said.out);
}

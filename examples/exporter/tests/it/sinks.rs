//! Other outputs, each read by a real peer: node_exporter's format by promtool, remote write by Prometheus, OpenTelemetry by
//! its own protocol definitions.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use crate::support::prometheus::Prometheus;
use crate::support::{Folder, Killed, Running, command, eventually, text};

#[test]
fn a_textfile_is_whole_at_any_time_and_passes_promtool() {
    let folder = Folder::new("textfile");
    let path = folder.path().join("kepler.prom");
    let flag = format!("--exporter.textfile={}", path.display());
    let _running = Running::of(command().args(["--fake", "--monitor.interval=100ms", &flag]));
    assert!(eventually(|| path.exists()));
    for _ in 0..200 {
        let page = text(&path);
        assert!(
            page.starts_with("# HELP kepler_build_info")
                && page.contains("\nprocess_resident_memory_bytes ")
        );
    }
    let checked = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(std::fs::OpenOptions::new().read(true).open(&path).unwrap())
        .output();
    if let Ok(checked) = checked {
        let said = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert!(!said.contains("error"), "{said}");
    } else {
        assert!(std::env::var_os("CI").is_none(), "promtool is missing");
    }
}

#[test]
fn standard_output_gets_tables_or_lines_of_json() {
    let first = |flags: &[&str]| -> Vec<String> {
        let mut child = command()
            .args([
                "--fake",
                "--web.listen-address=127.0.0.1:0",
                "--monitor.interval=100ms",
                "--exporter.stdout",
            ])
            .args(flags)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let lines = lines.map_while(Result::ok).take(12).collect();
        child.kill().unwrap();
        child.wait().unwrap();
        lines
    };
    let table = first(&[]).join("\n");
    assert!(table.contains("package") && table.contains(" W"), "{table}");
    for line in first(&["--exporter.stdout.format=json"]) {
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert!(
            line["node"]["domains"].as_array().unwrap().len() == 3,
            "{line}"
        );
    }
}

#[test]
fn a_reader_that_takes_nothing_and_a_server_that_is_dead_delay_no_sample() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = closed.local_addr().unwrap();
    let mut program = command();
    program.args([
        "--fake",
        "--monitor.interval=100ms",
        "--exporter.stdout",
        "--exporter.stdout.format=json",
    ]);
    program.arg(format!("--exporter.remote-write.url=http://{silent}/"));
    program.arg("--exporter.otlp.url=http://127.0.0.1:1/v1/metrics");
    program.arg("--exporter.textfile=/nowhere/kepler.prom");
    // A pipe that nobody reads is full after some 64 KiB.
    let mut running = Running::of(program.stdout(Stdio::piped()));
    running.says("otlp: ");
    running.says("textfile: cannot write /nowhere/kepler.prom");
    let samples = |text: &str| -> f64 {
        let line = text
            .lines()
            .find(|l| l.starts_with("kepler_exporter_samples_total "));
        line.unwrap().rsplit(' ').next().unwrap().parse().unwrap()
    };
    let before = samples(&running.get("/metrics"));
    let page = running.metrics_once(|text| samples(text) >= before + 20.0);
    assert!(
        page.contains("kepler_exporter_part_attached{part=\"otlp\"} 0"),
        "{page}"
    );
    assert!(
        page.contains("kepler_exporter_part_attached{part=\"textfile\"} 0"),
        "{page}"
    );
    assert_eq!(running.stop(), 0);
}

#[test]
fn a_real_prometheus_takes_what_is_written_to_it() {
    let folder = Folder::new("remote-write");
    let receive = ["--web.enable-remote-write-receiver"];
    let prometheus = Prometheus::start(folder.path(), "scrape_configs: []\n", &receive);
    let Some(prometheus) = prometheus else {
        return;
    };
    let port = prometheus.port;
    let url = format!("--exporter.remote-write.url=http://127.0.0.1:{port}/api/v1/write");
    let _running =
        Running::of(command().args(["--fake", "--monitor.interval=500ms", "--node-name=n1", &url]));
    let query = |expression: &str| prometheus.query(expression);
    let growing = "increase(kepler_node_cpu_joules_total{zone=\"package\",job=\"kepler-exporter\",instance=\"n1\"}[1m]) > 0";
    assert!(eventually(|| query(growing) > 0.0));
    // 20 W are 20 J a second.
    let watts = query("kepler_node_cpu_watts{zone=\"package\"}");
    assert!((watts - 20.0).abs() < 1.0, "{watts}");
    assert!(query("count(kepler_process_cpu_seconds_total{comm=~\".+\"})") > 3.0);
}

/// Decodes what is posted to it by OpenTelemetry's own definitions, and says what it found.
const COLLECTOR: &str = r#"
import http.server, sys
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest, ExportMetricsServiceResponse

class Collector(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        request = ExportMetricsServiceRequest()
        request.ParseFromString(body)
        assert self.path == "/v1/metrics" and self.headers["content-type"] == "application/x-protobuf"
        assert self.headers["x-token"] == "secret", self.headers
        for resource in request.resource_metrics:
            attributes = {a.key: a.value.string_value for a in resource.resource.attributes}
            for metric in resource.scope_metrics[0].metrics:
                kind = metric.WhichOneof("data")
                data = getattr(metric, kind)
                if kind == "sum":
                    assert data.is_monotonic and data.aggregation_temporality == 2, metric
                for point in data.data_points:
                    assert point.WhichOneof("value") == "as_double" and point.time_unix_nano > 10**18, point
                    assert kind == "gauge" or 10**18 < point.start_time_unix_nano <= point.time_unix_nano, point
                    zone = [a.value.string_value for a in point.attributes if a.key == "zone"]
                    print(attributes["service.name"], attributes["host.name"], metric.name, kind, metric.unit, *zone, point.as_double)
        self.send_response(200)
        self.send_header("content-type", "application/x-protobuf")
        self.end_headers()
        self.wfile.write(ExportMetricsServiceResponse().SerializeToString())
        sys.stdout.flush()

    def log_message(self, *_):
        pass

server = http.server.HTTPServer(("127.0.0.1", 0), Collector)
print(server.server_port, flush=True)
server.serve_forever()
"#;

#[test]
fn opentelemetry_understands_what_is_pushed() {
    let known = Command::new("python3")
        .args(["-c", "import opentelemetry.proto"])
        .stderr(Stdio::null())
        .status();
    if !known.is_ok_and(|status| status.success()) {
        crate::support::skip("Python's opentelemetry-proto is missing");
        return;
    }
    let mut collector = Command::new("python3")
        .args(["-c", COLLECTOR])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(collector.stdout.take().unwrap()).lines();
    let _collector = Killed(collector);
    let port = lines.next().unwrap().unwrap();
    let folder = Folder::new("otlp");
    let headers = folder.write("headers", "X-Token: secret\n");
    let flags = [
        format!("--exporter.otlp.url=http://127.0.0.1:{port}/v1/metrics"),
        format!("--exporter.headers-file={}", headers.display()),
    ];
    let _running = Running::of(
        command()
            .args(["--fake", "--monitor.interval=500ms", "--node-name=n1"])
            .args(flags),
    );
    let mut seen = Vec::new();
    let wanted = [
        "kepler-exporter n1 kepler_node_cpu_joules sum J package ",
        "kepler-exporter n1 kepler_node_cpu_watts gauge W dram ",
    ];
    for line in lines.map_while(Result::ok).take(20_000) {
        seen.extend(wanted.iter().filter(|w| line.starts_with(**w)));
        if wanted.iter().all(|w| seen.contains(&w)) {
            return;
        }
    }
    panic!("{seen:?}");
}

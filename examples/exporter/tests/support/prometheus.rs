//! A real Prometheus.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Killed, free_port};

/// A Prometheus that keeps its data in a folder.
pub(crate) struct Prometheus {
    _child: Killed,
    pub(crate) port: u16,
}

impl Prometheus {
    /// Starts one with this configuration, whose files are named from `folder`. `None` where there is none on this machine,
    /// which is no excuse in continuous integration.
    pub(crate) fn start(folder: &Path, config: &str, more: &[&str]) -> Option<Self> {
        std::fs::write(folder.join("prometheus.yml"), config).unwrap();
        let port = free_port();
        let child = Command::new("prometheus")
            .current_dir(folder)
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"])
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--log.level=error")
            .args(more)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(child) = child else {
            super::skip("prometheus is missing");
            return None;
        };
        Some(Self {
            _child: Killed(child),
            port,
        })
    }

    /// A configuration that scrapes `target` each second.
    pub(crate) fn scraping(target: &str) -> String {
        format!(
            "scrape_configs:\n- job_name: kepler\n  scrape_interval: 1s\n  static_configs:\n  - targets: ['{target}']\n"
        )
    }

    /// The figure of an instant query: the first of its results; 0 where it gives none, or no answer yet.
    pub(crate) fn query(&self, expression: &str) -> f64 {
        let first = self.results(expression).into_iter().next();
        first.unwrap_or(0.0)
    }

    /// The figures of an instant query.
    pub(crate) fn results(&self, expression: &str) -> Vec<f64> {
        let escaped: String = expression.bytes().map(|b| format!("%{b:02x}")).collect();
        let ask = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
            write!(
                stream,
                "GET /api/v1/query?query={escaped} HTTP/1.0\r\nHost: x\r\n\r\n"
            )?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        let answer = ask().unwrap_or_default();
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        let json: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
        let results = json["data"]["result"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let figures = results
            .iter()
            .filter_map(|r| r["value"][1].as_str()?.parse().ok());
        figures.collect()
    }
}

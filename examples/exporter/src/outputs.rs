//! Other outputs than the pages that are asked for: standard output, a file, and pushes to servers.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clap::{Args, ValueEnum};
use kepler_core::metrics::Format;
use kepler_core::monitor::{ExportMark, Snapshot};
use kepler_core::{Host, Note};
use kepler_service::duration;
use kepler_service::sinks::{Otlp, Outlet, Push, RemoteWrite, Textfile};

use crate::harden::give_up_all;
use crate::pages::Pages;
use crate::report;

/// Where figures go besides to those who ask.
#[derive(Debug, Args)]
#[command(next_help_heading = "Outputs")]
pub(crate) struct OutputArgs {
    /// Serve metrics over HTTP
    #[arg(long = "exporter.prometheus", value_name = "BOOL", default_value = "true", default_missing_value = "true",
          num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set)]
    pub(crate) prometheus: bool,
    /// Print each sample to standard output
    #[arg(long = "exporter.stdout")]
    stdout: bool,
    /// How it is printed
    #[arg(
        long = "exporter.stdout.format",
        value_name = "FORMAT",
        default_value = "table"
    )]
    stdout_format: StdoutFormat,
    /// Workloads of each level in a table
    #[arg(long = "exporter.stdout.rows", value_name = "N", default_value_t = 10)]
    stdout_rows: usize,
    /// Write a file for node_exporter's textfile collector, such as /var/lib/node_exporter/kepler.prom
    #[arg(long = "exporter.textfile", value_name = "FILE")]
    textfile: Option<PathBuf>,
    /// Push to a Prometheus by remote write, such as http://prometheus:9090/api/v1/write
    #[arg(long = "exporter.remote-write.url", value_name = "URL")]
    remote_write: Option<String>,
    /// Push to an OpenTelemetry collector, such as http://collector:4318/v1/metrics
    #[arg(long = "exporter.otlp.url", value_name = "URL")]
    otlp: Option<String>,
    /// A file of headers for pushes, `Name: value` a line, such as Authorization: Bearer ...
    #[arg(long = "exporter.headers-file", value_name = "FILE")]
    headers: Option<PathBuf>,
    /// Least time between two deliveries to one of these; 0 for each sample
    #[arg(long = "exporter.push-interval", value_name = "DURATION", default_value = "0s", value_parser = duration)]
    push_interval: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum StdoutFormat {
    /// The zones and the largest workloads, for people
    Table,
    /// A line of JSON a sample, all of it
    Json,
}

/// Running outputs.
pub(crate) struct Outputs(Vec<Output>);

struct Output {
    name: &'static str,
    outlet: Outlet<Arc<Snapshot>>,
}

/// What outputs are about.
pub(crate) struct Subject<'a> {
    /// Pages, for each output its own.
    pub(crate) pages: &'a dyn Fn() -> Pages,
    pub(crate) mark: &'a ExportMark,
    pub(crate) node_name: &'a str,
}

impl OutputArgs {
    /// Starts them; with `harden`, on threads without any capability.
    pub(crate) fn start(
        &self,
        subject: &Subject<'_>,
        harden: bool,
    ) -> Result<Outputs, Box<dyn std::error::Error>> {
        let mut outputs = Vec::new();
        let mut add = |name, deliver: Deliver| {
            let outlet = Outlet::start(name, self.push_interval, unprivileged(deliver, harden));
            outputs.push(Output { name, outlet });
        };
        if self.stdout {
            let (format, rows) = (self.stdout_format, self.stdout_rows);
            add("stdout", Box::new(move |s| print(s, format, rows)));
        }
        if let Some(path) = &self.textfile {
            let file = Textfile::at(path)?;
            add(
                "textfile",
                subject.deliver("textfile", move |text, _| file.write(text)),
            );
        }
        let headers = self.headers()?;
        if let Some(url) = &self.remote_write {
            let labels = [("job", JOB), ("instance", subject.node_name)];
            let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
            let target = RemoteWrite::new(Push::to(url, &headers)?, labels.into());
            add(
                "remote write",
                subject.deliver("remote write", move |text, time| target.write(text, time)),
            );
        }
        if let Some(url) = &self.otlp {
            let target = Otlp::new(
                Push::to(url, &headers)?,
                JOB,
                subject.node_name,
                SystemTime::now(),
            );
            add(
                "otlp",
                subject.deliver("otlp", move |text, time| target.push(text, time)),
            );
        }
        Ok(Outputs(outputs))
    }

    /// Whether they could start.
    pub(crate) fn check(&self) -> Result<(), Box<dyn std::error::Error>> {
        self.any()?;
        let headers = self.headers()?;
        for url in self.remote_write.iter().chain(&self.otlp) {
            Push::to(url, &headers)?;
        }
        self.textfile
            .iter()
            .try_for_each(|path| Textfile::at(path).map(drop))?;
        Ok(())
    }

    /// Whether any is wanted, pages included.
    pub(crate) fn any(&self) -> Result<(), &'static str> {
        let pushed = self.remote_write.is_some() || self.otlp.is_some();
        (self.prometheus || self.stdout || self.textfile.is_some() || pushed)
            .then_some(())
            .ok_or(
                "nothing is to be exported: exporter.prometheus is off, and no other output is on",
            )
    }

    fn headers(&self) -> kepler_core::Result<Vec<String>> {
        let Some(path) = &self.headers else {
            return Ok(Vec::new());
        };
        let text = Host::default().text(path)?;
        Ok(text.lines().map(str::to_owned).collect())
    }
}

type Deliver = Box<dyn FnMut(&Arc<Snapshot>) -> Result<(), String> + Send>;

const JOB: &str = "kepler-exporter";

impl Subject<'_> {
    /// Makes the page of a sample, has it delivered, and tells the monitor that it was shown where it arrived.
    fn deliver(
        &self,
        name: &str,
        deliver: impl Fn(&str, SystemTime) -> Result<(), String> + Send + 'static,
    ) -> Deliver {
        let (mut pages, mark) = ((self.pages)(), self.mark.of(name));
        Box::new(move |snapshot| {
            let page = pages.page(snapshot, Format::Text).into_text();
            deliver(&page, snapshot.time)?;
            mark.exported(snapshot);
            Ok(())
        })
    }
}

/// The same on a thread that gives up its capabilities first.
fn unprivileged(
    mut deliver: Deliver,
    harden: bool,
) -> impl FnMut(Arc<Snapshot>) -> Result<(), String> + Send {
    let mut privileged = harden;
    move |snapshot| {
        if privileged {
            give_up_all()?;
            privileged = false;
        }
        deliver(&snapshot)
    }
}

impl Outputs {
    /// Hands a sample to each. Waits for none.
    pub(crate) fn offer(&self, snapshot: &Arc<Snapshot>) {
        self.0
            .iter()
            .for_each(|output| output.outlet.offer(Arc::clone(snapshot)));
    }

    /// How each of them does.
    pub(crate) fn notes(&self) -> Vec<Note> {
        let note = |output: &Output| {
            let state = output.outlet.state();
            Note {
                part: output.name.to_owned(),
                active: state.failing.is_none(),
                why: state.failing.unwrap_or_default(),
                hint: String::new(),
            }
        };
        self.0.iter().map(note).collect()
    }
}

fn print(snapshot: &Snapshot, format: StdoutFormat, rows: usize) -> Result<(), String> {
    let text = match format {
        StdoutFormat::Table => report::table(snapshot, rows),
        StdoutFormat::Json => serde_json::to_string(snapshot).map_err(|e| e.to_string())? + "\n",
    };
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|e| format!("cannot write to standard output: {e}"))
}

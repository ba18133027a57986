//! What our hooks cost the measured: one load on one CPU, slices of time with the hooks off and on in turn, each compared with
//! its neighbour. Prints one line of JSON.
//!
//! ```text
//! alternate OPERATION PAIRS MILLISECONDS [all]    reads, tcp, switches or forks, under the default hooks or all of them
//! ```
//!
//! The median of many near pairs is steady where two long runs are not: what drifts (frequency, neighbours, caches) is the
//! same for both slices of a pair. Pairs begin with either state in turn, so that a steady trend cancels out. The interval is
//! that of the median by ranks, at 95 %. Behind it, the run time that the kernel itself counts for our programs.
#![expect(clippy::print_stdout, reason = "a program for a terminal")]

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use kepler_benches::Shared;
use kepler_core::Host;
use kepler_core::usage::ebpf::{Ebpf, Options};
use kepler_core::usage::{Counter, CounterSet};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// After a change: code is patched, caches fill.
const SETTLE: Duration = Duration::from_millis(30);
const STATS: &str = "/proc/sys/kernel/bpf_stats_enabled";

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [operation, pairs, milliseconds, rest @ ..] = words.as_slice() else {
        return Err("see the head of benches/src/bin/alternate.rs".into());
    };
    let (pairs, slice): (u32, _) = (pairs.parse()?, Duration::from_millis(milliseconds.parse()?));
    let mut options = Options::default();
    if rest.iter().any(|word| word == "all") {
        options.counters = Counter::ALL.into_iter().collect::<CounterSet>();
    }
    let mut load = Load::start(operation)?;
    // Away from the load's CPU: what this program does in between is not what is measured.
    kepler_benches::pin(1);
    let (mut ratios, mut hooks, mut off_ns) = (Vec::new(), None, Vec::new());
    for _ in 0..pairs.max(1) {
        let first = load.ns_each(slice)?;
        let was_on = hooks.is_some();
        hooks = match hooks {
            Some(_) => None,
            None => Some(Ebpf::open(&Host::default(), &options)?),
        };
        std::thread::sleep(SETTLE);
        let second = load.ns_each(slice)?;
        let (off, on) = if was_on {
            (second, first)
        } else {
            (first, second)
        };
        ratios.push(on / off);
        off_ns.push(off);
    }
    drop(hooks);
    let (bpf_ns, programs) = run_time(&mut load, &options)?;
    let percent = |ratio: f64| (ratio - 1.0) * 100.0;
    let [low, median, high] = median(&mut ratios).map(percent);
    let ns = median_of(&mut off_ns);
    println!(
        r#"{{"operation":"{operation}","pairs":{pairs},"slice_ms":{milliseconds},"ns":{ns:.1},"slower_percent":{median:.2},"low":{low:.2},"high":{high:.2},"bpf_ns":{bpf_ns:.1},"bpf_percent":{:.2},"programs":{{{programs}}}}}"#,
        bpf_ns / ns * 100.0,
    );
    Ok(())
}

/// Run time of our programs for each operation, and each program's runs and time a run, as the kernel counts them.
fn run_time(load: &mut Load, options: &Options) -> Result<(f64, String)> {
    let loaded = || aya::programs::loaded_programs().flatten();
    let others: Vec<u32> = loaded().map(|program| program.id()).collect();
    let _hooks = Ebpf::open(&Host::default(), options)?;
    std::thread::sleep(SETTLE);
    fs::write(STATS, "1")?;
    let before = load.done();
    std::thread::sleep(Duration::from_secs(1));
    let done = load.done() - before;
    fs::write(STATS, "0")?;
    let (mut total, mut each) = (0.0, Vec::new());
    for program in loaded().filter(|program| !others.contains(&program.id())) {
        let (runs, time) = (program.run_count(), program.run_time().as_secs_f64() * 1e9);
        if runs > 0 {
            let name = program.name_as_str().unwrap_or_default();
            each.push(format!(
                r#""{name}":{{"runs_each":{:.2},"ns":{:.0}}}"#,
                runs as f64 / done as f64,
                time / runs as f64
            ));
            total += time;
        }
    }
    Ok((total / done as f64, each.join(",")))
}

/// The median and the interval around it that holds the true one in 95 of 100 such runs.
fn median(values: &mut [f64]) -> [f64; 3] {
    let median = median_of(values);
    // The count of values below the true median is that of a fair coin: 0.98 times the root of all to each side.
    let (middle, reach) = (values.len() / 2, values.len().isqrt() + 1);
    let last = values.len() - 1;
    [
        values[middle.saturating_sub(reach)],
        median,
        values[(middle + reach).min(last)],
    ]
}

fn median_of(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A load that counts its operations where this program sees them.
struct Load {
    child: Child,
    counter: Shared,
    path: PathBuf,
}

impl Load {
    fn start(operation: &str) -> Result<Self> {
        let path = std::env::temp_dir().join(format!("kepler-alternate-{}", std::process::id()));
        fs::write(&path, [0; 8])?;
        let counter = Shared::open(&path)?;
        let program = std::env::current_exe()?.with_file_name("load");
        let child = Command::new(program)
            .args([operation, "86400"])
            .arg(&path)
            .stdout(Stdio::null())
            .spawn()?;
        let load = Self {
            child,
            counter,
            path,
        };
        std::thread::sleep(Duration::from_millis(500));
        if load.done() == 0 {
            return Err(format!("load {operation} does nothing").into());
        }
        Ok(load)
    }

    fn done(&self) -> u64 {
        self.counter.get()
    }

    /// Nanoseconds an operation over a slice of time.
    fn ns_each(&mut self, slice: Duration) -> Result<f64> {
        if let Some(status) = self.child.try_wait()? {
            return Err(format!("load ended: {status}").into());
        }
        let (before, start) = (self.done(), Instant::now());
        std::thread::sleep(slice);
        let done = self.done() - before;
        Ok(start.elapsed().as_secs_f64() * 1e9 / done.max(1) as f64)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.path);
    }
}

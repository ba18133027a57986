//! Counters that need hooks, on the running kernel.

use std::time::Duration;

use kepler_core::usage::ebpf::Options;
use kepler_core::usage::{Counter, Counters};

use crate::ebpf::{Watch, end, of_pid, shell};

/// Every counter, with software events where this machine has no hardware ones.
fn all() -> Options {
    let mut options = Options::default();
    options.counters = Counter::ALL.into_iter().collect();
    options.stand_ins = true;
    options
}

/// What a shell script did, until it was killed after `time`, and the whole machine meanwhile.
fn run(watch: &mut Watch, script: &str, time: Duration) -> (Counters, Counters, u64) {
    let child = shell(script);
    let pid = child.id();
    let (mut own, mut node) = (Counters::default(), Counters::default());
    let mut add = |usage: &kepler_core::usage::Usage| {
        own.add(&of_pid(usage, pid).map_or_else(Counters::default, |p| p.delta));
        node.add(&usage.node.counters);
    };
    for _ in 0..2 {
        std::thread::sleep(time / 2);
        add(watch.sample());
    }
    let cpu_ns = end(child, libc::SIGKILL);
    watch.settle(add);
    (own, node, cpu_ns)
}

#[test]
fn every_counter_is_collected_where_its_hook_is() {
    let Some(mut watch) = Watch::open(&all()) else {
        return;
    };
    let collected = watch.sample().collected;
    let notes: Vec<String> = watch.notes().iter().map(ToString::to_string).collect();
    for counter in Counter::ALL {
        assert!(collected.contains(counter), "{counter:?}: {notes:#?}");
    }
}

#[test]
fn counters_at_switches_follow_the_clock() {
    let Some(mut watch) = Watch::open(&all()) else {
        return;
    };
    watch.sample();
    let script = "while :; do :; done";
    let (own, node, cpu_ns) = run(&mut watch, script, Duration::from_secs(3));
    // The stand-in for cycles is a clock that runs on each CPU: a task's share of it is its time.
    #[expect(clippy::cast_precision_loss, reason = "some seconds in nanoseconds")]
    let ratio = own.cycles as f64 / cpu_ns as f64;
    assert!((0.95..1.05).contains(&ratio), "{} of {cpu_ns}", own.cycles);
    assert!(
        node.cycles >= own.cycles,
        "{} of {}",
        own.cycles,
        node.cycles
    );
    assert!(own.context_switches > 0);
}

#[test]
fn reads_of_cached_files_hit_the_page_cache() {
    let Some(mut watch) = Watch::open(&all()) else {
        return;
    };
    watch.sample();
    let script = "exec 3</dev/null; while :; do read -r line </etc/services; done";
    let (own, node, _) = run(&mut watch, script, Duration::from_secs(1));
    assert!(own.page_cache_hits > 100, "{}", own.page_cache_hits);
    assert!(node.page_cache_hits >= own.page_cache_hits);
}

#[test]
fn network_interrupts_are_counted() {
    let Some(mut watch) = Watch::open(&all()) else {
        return;
    };
    watch.sample();
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..2000 {
        socket.send_to(b"x", socket.local_addr().unwrap()).unwrap();
        socket.recv(&mut [0; 4]).unwrap();
    }
    let usage = watch.sample();
    assert!(
        usage.node.counters.net_rx_irq >= 1000,
        "{:?}",
        usage.node.counters
    );
    let me = of_pid(usage, std::process::id()).unwrap().delta;
    assert!(me.net_rx_irq >= 1000, "{me:?}");
}

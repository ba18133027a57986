//! Blocks of several threads at once, begun, looked at and ended in any order, nested or overlapping: each has what its own
//! clocks and the meter say, whatever the others do. What fails is told with the order that made it fail.

use std::time::{Duration, Instant};

use kepler_core::energy::{Domain, Scripted};
use kepler_core::monitor::{EnergyMeter, Measurement, Monitor, Scope, Window};
use kepler_core::{Host, Watts};
use proptest::collection::vec;
use proptest::prelude::*;

const WATTS: f64 = 30.0;

#[derive(Clone, Debug)]
enum Step {
    Begin(Scope),
    /// The figures so far of one of the blocks that are open.
    Look(usize),
    End(usize),
    Work(Duration),
}

/// What the clocks that a block goes by show.
#[derive(Clone, Copy)]
struct Clocks {
    cpu: Duration,
    wall: Instant,
}

impl Clocks {
    fn of(scope: &Scope) -> Self {
        let cpu = match scope {
            Scope::Thread => Host::thread_cpu_time(),
            _ => Host::process_cpu_time() + Host::children_cpu_time(),
        };
        let wall = Instant::now();
        Self { cpu, wall }
    }
}

/// A block, and clocks that were read right before and after it began.
struct Begun {
    window: Window,
    scope: Scope,
    before: Clocks,
    after: Clocks,
}

impl Begun {
    fn new(meter: &EnergyMeter, scope: Scope) -> Self {
        let before = Clocks::of(&scope);
        let window = meter.begin(scope.clone()).unwrap();
        let after = Clocks::of(&scope);
        Self {
            window,
            scope,
            before,
            after,
        }
    }

    /// Its figures lie between what the clocks around and inside of it say.
    fn check(&self, meter: &EnergyMeter) {
        let last = Clocks::of(&self.scope);
        let used = meter.end(&self.window).unwrap();
        let later = Clocks::of(&self.scope);
        let least = (last.cpu - self.after.cpu, last.wall - self.after.wall);
        let most = (later.cpu - self.before.cpu, later.wall - self.before.wall);
        assert!(
            least.0 <= used.cpu_time && used.cpu_time <= most.0,
            "{used}"
        );
        assert!(
            least.1 <= used.duration && used.duration <= most.1,
            "{used}"
        );
        check_joules(&used, least.1.as_secs_f64(), most.1.as_secs_f64());
    }
}

/// The meter gives so many watts all the time, of which the block has its CPU time's share of the time of all CPUs.
fn check_joules(used: &Measurement, least: f64, most: f64) {
    let exact = 1e-6;
    let (joules, node) = (used.joules.unwrap().0, used.node_joules.unwrap().0);
    assert!(
        WATTS * least <= node + exact && node <= WATTS * most + exact,
        "{node}: {used}"
    );
    let cpus = std::thread::available_parallelism().unwrap().get() as f64;
    let part = |wall: f64| node * (used.cpu_time.as_secs_f64() / (wall * cpus)).min(1.0);
    assert!(part(most) <= joules + exact, "{used}");
    assert!(least <= 0.0 || joules <= part(least) + exact, "{used}");
}

fn work(cpu: Duration) {
    let start = Host::thread_cpu_time();
    while Host::thread_cpu_time() - start < cpu {
        std::hint::black_box((0..100_u64).sum::<u64>());
    }
}

fn play(meter: &EnergyMeter, steps: &[Step]) {
    let mut open: Vec<Begun> = Vec::new();
    for step in steps {
        match step {
            Step::Begin(scope) => open.push(Begun::new(meter, scope.clone())),
            Step::Look(any) if !open.is_empty() => open[any % open.len()].check(meter),
            Step::End(any) if !open.is_empty() => {
                open.swap_remove(any % open.len()).check(meter);
            }
            Step::Work(cpu) => work(*cpu),
            _ => {}
        }
    }
    for block in open {
        block.check(meter);
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => prop_oneof![Just(Scope::Thread), Just(Scope::Process)].prop_map(Step::Begin),
        1 => any::<usize>().prop_map(Step::Look),
        2 => any::<usize>().prop_map(Step::End),
        2 => (0..200_u64).prop_map(|us| Step::Work(Duration::from_micros(us))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 16, max_shrink_iters: 64, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn blocks_in_any_order_on_many_threads_are_each_exact(threads in vec(vec(step(), 0..200), 1..8)) {
        let meter = Scripted::constant(&[(Domain::Package, Watts(WATTS))]);
        let meter = Monitor::builder().energy(vec![Box::new(meter)]).meter().unwrap();
        std::thread::scope(|scope| {
            let running: Vec<_> = threads.iter().map(|steps| scope.spawn(|| play(&meter, steps))).collect();
            for thread in running {
                thread.join().unwrap();
            }
        });
    }
}

//! What the whole machine did, from `/proc/stat`: measured apart from the tasks, so that the two can be compared.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::host::{Host, KeptFile};
use crate::units::{CLOCK_TICK_NS, count_to_f64, duration_ns};

use super::NodeUsage;

/// Reads `/proc/stat` on a kept descriptor.
///
/// Busy time is what is left of the time that the online CPUs were given: interval x CPUs - idle - iowait - steal. The
/// kernel clocks idle time to the microsecond whenever a CPU stops and starts (`NO_HZ`), and the `cpu` line adds the CPUs
/// up before it cuts to 10 ms, so this is right to some 20 ms over all CPUs however many there are. The user and system
/// columns are guessed from what runs at each tick on most kernels (`TICK_CPU_ACCOUNTING`): work between two ticks is
/// missing there, so they are not used, and neither are the guest columns, which are part of them.
#[derive(Debug)]
pub struct NodeReader {
    stat: KeptFile,
    live: bool,
    interrupts_apart: bool,
    last: Look,
    look: Look,
    /// Idle time that came too late for the interval it belongs to, to be taken from the next one's busy time.
    owed_ns: u64,
}

/// One reading of `/proc/stat`.
#[derive(Debug, Default)]
struct Look {
    /// When; `None` before the first reading.
    now: Option<Duration>,
    /// How long the machine was suspended since boot.
    asleep: Duration,
    all: Times,
    cpus: Vec<(u32, Times)>,
    switches: u64,
}

/// Columns of one line, in clock ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Times {
    /// Idle and iowait together: either may step back as a waiter moves, their sum does not.
    rest: u64,
    steal: u64,
    interrupts: u64,
    hard_interrupts: u64,
    sum: u64,
}

impl NodeReader {
    /// Opens `/proc/stat`.
    ///
    /// # Errors
    /// [`Error::Read`] when it cannot be opened.
    pub fn open(host: &Host) -> Result<Self> {
        Ok(Self {
            stat: host.open(host.proc("stat"))?,
            live: host.is_live(),
            interrupts_apart: keeps_interrupts_apart(host),
            last: Look::default(),
            look: Look::default(),
            owed_ns: 0,
        })
    }

    /// Fills `node` with what the machine did since the call before; zeros on the first.
    ///
    /// `now` is the time since boot; what of it the machine spent suspended is nobody's idle or busy time. Sets the context
    /// switches of [`NodeUsage::counters`], and zeroes the other counts.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Malformed`], and [`Error::Unsupported`] where the file holds no times (sandboxes).
    pub fn read(&mut self, now: Duration, node: &mut NodeUsage) -> Result<()> {
        self.look(now)?;
        self.book(node);
        Ok(())
    }

    /// The first half of [`NodeReader::read`]: looks, and leaves it open whether an interval ends here. Returns the
    /// CPUs that are online.
    pub(super) fn look(&mut self, now: Duration) -> Result<u32> {
        let asleep = if self.live {
            Host::suspended()
        } else {
            Duration::ZERO
        };
        let path = self.stat.path().display().to_string();
        parse_stat(self.stat.bytes()?, &mut self.look)
            .map_err(|found| Error::malformed(&path, "CPU times", found))?;
        if self.look.all.sum == 0 {
            return Err(Error::Unsupported {
                what: path,
                why: "it holds no CPU times".into(),
                hint: "this looks like a sandbox; run on the host".into(),
            });
        }
        (self.look.now, self.look.asleep) = (Some(now), asleep);
        Ok(count(&self.look))
    }

    /// The share of the CPUs' time that a hypervisor gave to others, 0 to 1, from boot to when it was read last.
    pub(crate) fn stolen(&self) -> f64 {
        let all = self.last.all;
        count_to_f64(all.steal) / count_to_f64(all.sum.max(1))
    }

    /// The second half: the interval ends at the last look. A sample of tasks that failed in between leaves it open, so that
    /// tasks and machine speak of the same time at the next.
    pub(super) fn book(&mut self, node: &mut NodeUsage) {
        self.advance(node);
        std::mem::swap(&mut self.last, &mut self.look);
    }

    /// What lies between `last` and `look`.
    fn advance(&mut self, node: &mut NodeUsage) {
        *node = NodeUsage {
            cpus: count(&self.look),
            interrupt_ns: (self.interrupts_apart && self.look.all.hard_interrupts > 0).then_some(0),
            ..NodeUsage::default()
        };
        let (Some(before), Some(now)) = (self.last.now, self.look.now) else {
            return;
        };
        node.interval = now.saturating_sub(before);
        let awake = duration_ns(node.interval.saturating_sub(slept(&self.last, &self.look)));
        let (cpus, grown) = grow(&self.last, &mut self.look, awake / CLOCK_TICK_NS);
        let given = awake.saturating_mul(cpus);
        let rest = grown.rest.saturating_mul(CLOCK_TICK_NS);
        let steal = grown.steal.saturating_mul(CLOCK_TICK_NS).min(given);

        let taken = rest.saturating_add(steal).saturating_add(self.owed_ns);
        node.busy_ns = given.saturating_sub(taken);
        // Each column is cut to a tick, so that much may come late. More than that is a clock that disagrees: forgotten.
        self.owed_ns = taken.saturating_sub(given).min(2 * CLOCK_TICK_NS);
        node.steal_ns = steal;
        node.idle_ns = (given - node.busy_ns).saturating_sub(steal);
        if let Some(interrupts) = &mut node.interrupt_ns {
            *interrupts = grown
                .interrupts
                .saturating_mul(CLOCK_TICK_NS)
                .min(node.busy_ns);
        }
        node.counters.context_switches = self.look.switches.saturating_sub(self.last.switches);
    }
}

fn count(look: &Look) -> u32 {
    u32::try_from(look.cpus.len()).unwrap_or(u32::MAX)
}

/// How many CPUs were online at both looks, and how their times grew.
fn grow(last: &Look, look: &mut Look, elapsed: u64) -> (u64, Times) {
    if (last.cpus.iter().map(|cpu| cpu.0)).eq(look.cpus.iter().map(|cpu| cpu.0)) {
        let cpus = look.cpus.len() as u64;
        let grown = look.all.grow(&last.all, elapsed.saturating_mul(cpus));
        return (cpus, grown);
    }
    // A CPU came or went. The first line counts absent ones in another way, so only those that stayed tell.
    let mut grown = (0, Times::default());
    for (id, times) in &mut look.cpus {
        if let Ok(place) = last.cpus.binary_search_by_key(id, |cpu| cpu.0) {
            let more = times.grow(&last.cpus[place].1, elapsed);
            grown.0 += 1;
            grown.1.rest += more.rest;
            grown.1.steal += more.steal;
            grown.1.interrupts += more.interrupts;
        }
    }
    grown
}

impl Times {
    /// The growth since `last`. Where a column stepped back by less than `most` the old value is kept, so that the way
    /// back up is not counted again; a longer fall is a new beginning.
    fn grow(&mut self, last: &Self, most: u64) -> Self {
        let column = |now: &mut u64, last: u64| {
            let growth = now.saturating_sub(last);
            if last.saturating_sub(*now) <= most {
                *now = last.max(*now);
            }
            growth
        };
        Self {
            rest: column(&mut self.rest, last.rest),
            steal: column(&mut self.steal, last.steal),
            interrupts: column(&mut self.interrupts, last.interrupts),
            ..Self::default()
        }
    }
}

/// How long the machine was suspended between two looks: the clock of `now` runs on then, the idle clock does not.
fn slept(last: &Look, look: &Look) -> Duration {
    let slept = look.asleep.saturating_sub(last.asleep);
    // Two clocks are read one after the other, so they differ by a little on a machine that never sleeps.
    if slept < SHORTEST_SLEEP {
        Duration::ZERO
    } else {
        slept
    }
}

const SHORTEST_SLEEP: Duration = Duration::from_millis(100);

/// Whether the kernel takes interrupts out of the tasks' CPU time (`CONFIG_IRQ_TIME_ACCOUNTING`). Unknown counts as no. The
/// kernel may still have switched it off at boot (an unstable clock); then the hard interrupt column stays at 0, which the
/// reader looks at as well.
fn keeps_interrupts_apart(host: &Host) -> bool {
    run_queue_has(host, b"\0prev_irq_time\0").unwrap_or(false)
}

/// Whether the kernel takes stolen time out of the tasks' CPU time (`CONFIG_PARAVIRT_TIME_ACCOUNTING`); `None` where it does not
/// tell.
pub(crate) fn keeps_steal_apart(host: &Host) -> Option<bool> {
    run_queue_has(host, b"\0prev_steal_time_rq\0").ok()
}

/// Whether the kernel's run queue has a field that it has only with an option, told by its type information.
fn run_queue_has(host: &Host, field: &[u8]) -> Result<bool> {
    host.contains(host.sys("kernel/btf/vmlinux"), field)
}

/// Parses `/proc/stat` into `look`, reusing its buffer. On failure gives what was found.
fn parse_stat(bytes: &[u8], look: &mut Look) -> Result<(), String> {
    let broken = |line: &[u8]| String::from_utf8_lossy(line).into_owned();
    look.cpus.clear();
    let mut all = None;
    for line in bytes.split(|byte| *byte == b'\n') {
        if let Some(rest) = line.strip_prefix(b"cpu") {
            let end = rest.iter().position(|byte| *byte == b' ');
            let (id, columns) = rest.split_at(end.unwrap_or(rest.len()));
            let times = parse_times(columns).ok_or_else(|| broken(line))?;
            if id.is_empty() {
                all = Some(times);
            } else {
                let id = std::str::from_utf8(id).ok().and_then(|id| id.parse().ok());
                look.cpus.push((id.ok_or_else(|| broken(line))?, times));
            }
        } else if let Some(count) = line.strip_prefix(b"ctxt ") {
            look.switches = number(count).ok_or_else(|| broken(line))?;
            break;
        }
    }
    look.all = all.ok_or_else(|| broken(bytes))?;
    if look.cpus.is_empty() {
        look.cpus.push((0, look.all));
    }
    Ok(())
}

/// `user nice system idle iowait irq softirq steal guest guest_nice`; the guest columns are part of the first two. Old
/// kernels end after idle.
fn parse_times(columns: &[u8]) -> Option<Times> {
    let mut values = [0_u64; 8];
    let mut found = 0;
    let words = columns
        .split(|byte| *byte == b' ')
        .filter(|w| !w.is_empty());
    for (value, word) in values.iter_mut().zip(words) {
        *value = number(word)?;
        found += 1;
    }
    let [_, _, _, idle, iowait, irq, softirq, steal] = values;
    (found >= 4).then(|| Times {
        rest: idle.saturating_add(iowait),
        steal,
        interrupts: irq.saturating_add(softirq),
        hard_interrupts: irq,
        sum: values
            .iter()
            .fold(0, |sum, value| sum.saturating_add(*value)),
    })
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;

    /// A machine whose `/proc/stat` is `text`; `NodeReader` keeps the file, so later texts go into the same one.
    struct Machine(tempfile::TempDir, NodeReader);

    impl Machine {
        fn new(text: &str, btf: &[u8]) -> Self {
            let root = tempfile::tempdir().unwrap();
            fs::create_dir_all(root.path().join("proc")).unwrap();
            fs::create_dir_all(root.path().join("sys/kernel/btf")).unwrap();
            fs::write(root.path().join("sys/kernel/btf/vmlinux"), btf).unwrap();
            fs::write(root.path().join("proc/stat"), text).unwrap();
            let reader = NodeReader::open(&Host::at(root.path())).unwrap();
            Self(root, reader)
        }

        fn read(&mut self, milliseconds: u64, text: &str) -> Result<NodeUsage> {
            fs::write(self.0.path().join("proc/stat"), text).unwrap();
            let mut node = NodeUsage::default();
            self.1
                .read(Duration::from_millis(milliseconds), &mut node)?;
            Ok(node)
        }
    }

    /// One CPU with these idle, iowait and steal ticks.
    fn one(idle: u64, iowait: u64, steal: u64) -> String {
        let times = format!("7 0 3 {idle} {iowait} 0 0 {steal} 5 0");
        format!("cpu  {times}\ncpu0 {times}\nintr 9 1 2\nctxt 100\nbtime 1\n")
    }

    const MS: u64 = 1_000_000;

    #[test]
    fn busy_is_what_was_given_and_neither_rested_nor_stolen() {
        let mut machine = Machine::new(&one(0, 0, 0), b"");
        let first = machine.read(1_000, &one(100, 10, 5)).unwrap();
        assert_eq!((first.busy_ns, first.interval), (0, Duration::ZERO));
        // 2 s of one CPU: 120 ticks idle, 20 in iowait, 10 stolen leave 50. The user column (7) never moved.
        let node = machine.read(3_000, &one(220, 30, 15)).unwrap();
        assert_eq!(node.busy_ns, 500 * MS);
        assert_eq!(node.idle_ns, 1_400 * MS);
        assert_eq!(node.steal_ns, 100 * MS);
        // 1 - (idle + iowait) / (total - steal) = 1 - 140 / 190
        assert!((node.busy_ratio().unwrap() - 50.0 / 190.0).abs() < 1e-12);
    }

    #[test]
    fn an_iowait_that_steps_back_is_counted_once() {
        let mut machine = Machine::new(&one(0, 0, 0), b"");
        machine.read(1_000, &one(100, 50, 0)).unwrap();
        let back = machine.read(2_000, &one(140, 0, 0)).unwrap();
        assert_eq!(
            back.busy_ns,
            1_000 * MS,
            "nothing rested that was not known before"
        );
        // 100 idle + 50 iowait at first, 240 + 0 now: 90 ticks rested in these two seconds.
        let node = machine.read(3_000, &one(240, 0, 0)).unwrap();
        assert_eq!(node.idle_ns, 900 * MS);
    }

    #[test]
    fn an_idle_machine_sampled_faster_than_the_tick_is_not_busy() {
        let mut machine = Machine::new(&one(0, 0, 0), b"");
        let mut busy = 0;
        for milliseconds in (1..600).step_by(3) {
            let node = machine
                .read(milliseconds, &one(milliseconds / 10, 0, 0))
                .unwrap();
            busy += node.busy_ns;
        }
        assert!(busy <= 10 * MS, "{busy} ns");
    }

    #[test]
    fn a_cpu_that_goes_offline_takes_no_time_along() {
        let text = |all: u64, cpus: &[(u32, u64)]| {
            let mut text = format!("cpu  1 1 1 {all} 0 0 0 0 0 0\n");
            for (id, idle) in cpus {
                text += &format!("cpu{id} 1 1 1 {idle} 0 0 0 0 0 0\n");
            }
            text + "ctxt 5\n"
        };
        let mut machine = Machine::new("", b"");
        machine
            .read(0, &text(1_000, &[(0, 500), (1, 500)]))
            .unwrap();
        let gone = machine.read(1_000, &text(540, &[(0, 540)])).unwrap();
        assert_eq!(
            (gone.cpus, gone.busy_ns, gone.idle_ns),
            (1, 600 * MS, 400 * MS)
        );
        let back = machine
            .read(2_000, &text(9_000, &[(0, 600), (1, 8_000)]))
            .unwrap();
        assert_eq!((back.cpus, back.busy_ns), (2, 400 * MS));
        let node = machine
            .read(3_000, &text(9_100, &[(0, 650), (1, 8_050)]))
            .unwrap();
        assert_eq!(node.busy_ns, 1_000 * MS);
    }

    #[test]
    fn interrupts_are_apart_only_where_the_kernel_keeps_them_so() {
        let text = |irq: u64| format!("cpu  1 1 1 50 0 {irq} 7 0 0 0\nctxt 1\n");
        let later = "cpu  1 1 1 60 0 14 9 0 0 0\nctxt 4\n";
        let mut sampled = Machine::new(&text(10), b"no such field");
        sampled.read(0, &text(10)).unwrap();
        assert_eq!(sampled.read(1_000, later).unwrap().interrupt_ns, None);
        let mut apart = Machine::new(&text(10), b"BTF\0prev_irq_time\0");
        apart.read(0, &text(10)).unwrap();
        let node = apart.read(1_000, later).unwrap();
        assert_eq!(node.interrupt_ns, Some(60 * MS)); // 4 hard and 2 soft
        assert_eq!(node.counters.context_switches, 3);
        let mut switched_off = Machine::new(&text(0), b"BTF\0prev_irq_time\0");
        assert_eq!(switched_off.read(0, &text(0)).unwrap().interrupt_ns, None);
    }

    #[test]
    fn a_sandbox_without_times_and_broken_files_are_errors() {
        let mut machine = Machine::new("", b"");
        for text in ["", "cpu\n", "cpu 1 2 x 4\n", "cpux 1 2 3 4\n", "intr 5\n"] {
            assert!(machine.read(0, text).is_err(), "{text:?}");
        }
        let zeros = machine.read(0, "cpu  0 0 0 0 0 0 0 0 0 0\ncpu0 0 0 0 0\n");
        assert_eq!(zeros.unwrap_err().kind(), crate::ErrorKind::Unsupported);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_text_panics_and_no_interval_is_busier_than_its_cpus(
            columns in prop::collection::vec(any::<u64>(), 16),
            milliseconds in 0_u64..10_000,
        ) {
            let line = |name: &str, columns: &[u64]| {
                let words: Vec<String> = columns.iter().map(u64::to_string).collect();
                format!("{name}  {}\n", words.join(" "))
            };
            let text = |columns: &[u64]| line("cpu", columns) + &line("cpu0", columns);
            let mut machine = Machine::new("", b"");
            machine.read(0, &text(&columns[..8])).unwrap();
            let node = machine.read(milliseconds, &text(&columns[8..])).unwrap();
            prop_assert_eq!(node.busy_ns + node.idle_ns + node.steal_ns, milliseconds * MS);
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut text = b"cpu ".to_vec();
            text.extend(bytes);
            let _ = parse_stat(&text, &mut Look::default());
        }
    }
}

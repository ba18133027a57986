//! What the families tell of the machine and of this process that is no part of a snapshot.

use std::time::Duration;

use crate::host::Host;

/// The machine as labels.
#[derive(Debug, Default)]
pub(super) struct Identity {
    pub(super) node_name: String,
    pub(super) cpus: Vec<Cpu>,
}

/// One logical CPU, as `/proc/cpuinfo` spells it; what it does not tell is empty.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Cpu {
    pub(super) processor: String,
    pub(super) vendor_id: String,
    pub(super) model_name: String,
    pub(super) physical_id: String,
    pub(super) core_id: String,
}

/// What this process used; `None` where the host is not the one it runs on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Own {
    /// CPU time since it was started, user and system together.
    pub cpu: Option<Duration>,
    /// Resident memory in bytes.
    pub resident_bytes: Option<u64>,
}

impl Identity {
    /// Reads `/proc/sys/kernel/hostname` and `/proc/cpuinfo`. What cannot be read stays empty.
    pub(super) fn read(host: &Host) -> Self {
        let text = |path: &str| host.text(host.proc(path)).unwrap_or_default();
        Self {
            node_name: text("sys/kernel/hostname").trim().to_owned(),
            cpus: parse_cpus(&text("cpuinfo")),
        }
    }
}

impl Own {
    /// Reads `/proc/self/stat` (10 ms steps) and `/proc/self/status`.
    pub fn read(host: &Host) -> Self {
        let text = |path: &str| host.text(host.proc(path)).unwrap_or_default();
        Self {
            cpu: parse_cpu_time(&text("self/stat")),
            resident_bytes: parse_resident(&text("self/status")),
        }
    }
}

fn parse_cpus(text: &str) -> Vec<Cpu> {
    let mut cpus = Vec::new();
    for line in text.lines() {
        let Some((key, value)) = line.split_once(':') else {
            continue;
        };
        let value = value.trim();
        if key.trim() == "processor" {
            cpus.push(Cpu {
                processor: value.to_owned(),
                ..Cpu::default()
            });
        }
        let Some(cpu) = cpus.last_mut() else { continue };
        let field = match key.trim() {
            "vendor_id" => &mut cpu.vendor_id,
            "model name" => &mut cpu.model_name,
            "physical id" => &mut cpu.physical_id,
            "core id" => &mut cpu.core_id,
            _ => continue,
        };
        value.clone_into(field);
    }
    cpus
}

/// User and system time, fields 14 and 15; the kernel shows them in hundredths of a second on every architecture.
fn parse_cpu_time(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_ascii_whitespace().skip(11);
    let user: u64 = times.next()?.parse().ok()?;
    let system: u64 = times.next()?.parse().ok()?;
    Some(Duration::from_millis(
        user.checked_add(system)?.checked_mul(10)?,
    ))
}

fn parse_resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_are_told_apart_and_missing_fields_are_empty() {
        let x86 = "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Xeon: big\nphysical id\t: 0\ncore id\t\t: 3\n\n\
            processor\t: 1\nvendor_id\t: GenuineIntel\nphysical id\t: 1\n";
        let cpus = parse_cpus(x86);
        assert_eq!(cpus.len(), 2);
        assert_eq!(cpus[0].model_name, "Xeon: big");
        assert_eq!(cpus[0].core_id, "3");
        assert_eq!(cpus[1].physical_id, "1");
        assert_eq!(cpus[1].model_name, "");
        assert_eq!(parse_cpus("nonsense\n: x\n"), []);
    }

    #[test]
    fn a_name_with_spaces_and_brackets_hides_no_field() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 1 0 5";
        assert_eq!(parse_cpu_time(stat), Some(Duration::from_secs(2)));
        assert_eq!(parse_cpu_time("7 (a"), None);
        assert_eq!(
            parse_resident("VmPeak: 9 kB\nVmRSS:\t  12 kB\n"),
            Some(12_288)
        );
        assert_eq!(parse_resident("VmRSS: many\n"), None);
    }
}

//! The checked-in BPF object is what its source says, and holds what the library asks for.

use std::path::PathBuf;
use std::process::Command;

use aya_obj::Object;

#[test]
fn the_object_was_made_from_this_source() {
    let checked = Command::new("sha256sum")
        .args(["--check", "--quiet", "kepler.bpf.sum"])
        .current_dir(folder())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&checked.stdout);
    assert!(checked.status.success(), "run `make bpf`: {said}");
}

#[test]
fn the_object_holds_every_program_and_map() {
    let bytes =
        aya::include_bytes_aligned!(concat!(env!("CARGO_MANIFEST_DIR"), "/bpf/kepler.bpf.o"));
    let object = Object::parse(bytes).unwrap();
    let mut programs: Vec<_> = object.programs.keys().map(String::as_str).collect();
    programs.sort_unstable();
    assert_eq!(
        programs,
        [
            "cgroup_made",
            "folio_accessed",
            "folio_dirtied",
            "pages_found",
            "process_free",
            "softirq",
            "switched",
            "task_exited",
            "task_made",
            "tasks",
        ]
    );
    let mut maps: Vec<_> = object.maps.keys().map(String::as_str).collect();
    maps.retain(|name| !name.starts_with('.'));
    maps.sort_unstable();
    assert_eq!(
        maps,
        [
            "cache_misses",
            "cycles",
            "dropped",
            "exits",
            "instructions",
            "lost",
            "mkdir_room",
            "mkdirs",
            "node_events",
            "pmu_state",
            "task_events",
        ]
    );
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("bpf")
}

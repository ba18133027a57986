//! libbpf sees in the checked-in object what aya sees, the kernel takes it from libbpf too, and libbpf's headers give it.

#![expect(
    clippy::disallowed_methods,
    reason = "files of the repository, not of a machine"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use kepler_bpf_check::{Object, write_headers};

const EPERM: i32 = 1;

/// `kepler-core/bpf`.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn object() -> Object {
    let bytes = fs::read(folder().join("kepler.bpf.o")).expect("the object is checked in");
    Object::open(&bytes).expect("libbpf parses it")
}

#[test]
fn libbpf_finds_the_programs_and_maps_of_the_source() {
    let source = fs::read_to_string(folder().join("kepler.bpf.c")).unwrap();
    let sections = source.matches("SEC(\"iter/").count()
        + source.matches("SEC(\"tp_btf/").count()
        + source.matches("SEC(\"fentry/").count();
    assert!(sections > 0);
    assert_eq!(object().programs().len(), sections);
    let maps = source.matches("SEC(\".maps\")").count();
    // Constants are a map too, whose name ends in the section's.
    let mut found = object().maps();
    found.retain(|name| !name.contains('.'));
    assert_eq!(found.len(), maps, "{found:?}");
}

/// Each program alone, so that one refused does not hide the others.
#[test]
fn the_kernel_takes_every_program_from_libbpf() {
    for (name, section) in object().programs() {
        match object().load_only(&name) {
            Ok(()) => {}
            // Function entry is not allowed everywhere, and the library does without it.
            Err(error) if section.starts_with("fentry/") => eprintln!("skipped: {name}: {error}"),
            // The verifier's refusal is another one (EACCES).
            Err(error) if error.raw_os_error() == Some(EPERM) => {
                eprintln!("skipped: loading {name} needs CAP_BPF and CAP_PERFMON: {error}");
            }
            Err(error) => panic!("{name} ({section}): {error}"),
        }
    }
}

#[test]
fn the_headers_of_libbpf_give_the_same_object() {
    let copy = tempfile::tempdir().unwrap();
    for file in ["kepler.bpf.c", "kepler.h", "kernel.h", "Makefile"] {
        fs::copy(folder().join(file), copy.path().join(file)).unwrap();
    }
    write_headers(&copy.path().join("include")).unwrap();
    // Clang looks there before the system's folders, so that Debian's headers are not seen.
    let clang = format!("CLANG=clang-19 -I{}", copy.path().join("include").display());
    let made = Command::new("make")
        .args(["kepler.bpf.o", &clang])
        .current_dir(copy.path())
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let built = fs::read(copy.path().join("kepler.bpf.o")).unwrap();
    let kept = fs::read(folder().join("kepler.bpf.o")).unwrap();
    assert!(built == kept, "run `make bpf`");
}

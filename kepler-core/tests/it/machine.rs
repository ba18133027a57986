//! What a machine says it is: the attributes that power models are chosen by, on machines of several makes.

use std::fs;

use kepler_core::{ErrorKind, Host, MachineSpec};

fn machine(name: &str) -> MachineSpec {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hosts/");
    MachineSpec::discover(&Host::at(format!("{root}{name}"))).unwrap()
}

fn spec(vendor: &str, processor: &str, numbers: [u32; 4], threads: u32) -> MachineSpec {
    let [cores, chips, memory, frequency] = numbers;
    MachineSpec {
        vendor: Some(vendor.into()),
        processor: Some(processor.into()),
        cores: Some(cores),
        chips: Some(chips),
        memory: Some(memory),
        frequency: (frequency > 0).then_some(frequency),
        threads_per_core: Some(threads),
        guest: false,
    }
}

#[test]
fn a_two_socket_xeon_is_what_the_model_index_calls_it() {
    // 395,946,252 kB are 377 GiB, as the public index has for this machine; cpufreq's 3.5 GHz beat the current 3.1.
    let expected = spec("intel", "intel_xeon_platinum_8259cl", [8, 2, 377, 3500], 2);
    assert_eq!(machine("xeon-two-sockets"), expected);
}

#[test]
fn an_epyc_loses_its_number_of_cores_from_the_name() {
    // 3057 MHz round to 3100, 98,651,464 kB are 94.08 GiB.
    assert_eq!(
        machine("epyc"),
        spec("amd", "amd_epyc_8024p", [4, 1, 94, 3100], 1)
    );
}

#[test]
fn arm_machines_are_told_by_cloud_and_chip() {
    let mut graviton = spec("arm", "aws_graviton2", [2, 1, 7, 0], 1);
    graviton.guest = true;
    assert_eq!(machine("graviton"), graviton);
    assert_eq!(
        machine("altra"),
        spec("arm", "ampere_altra", [4, 1, 251, 3000], 1)
    );
}

#[test]
fn a_mainframe_is_told_by_its_machine_type() {
    assert_eq!(machine("z16"), spec("ibm", "ibm_z16", [4, 1, 15, 5200], 2));
}

#[test]
fn a_guest_says_so() {
    let mut guest = spec("intel", "intel_xeon_platinum_8175m", [2, 1, 7, 2500], 2);
    guest.guest = true;
    assert_eq!(machine("guest"), guest);
}

#[test]
fn a_machine_that_tells_nothing_has_nothing_and_none_is_an_error() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("proc")).unwrap();
    fs::write(root.path().join("proc/cpuinfo"), "").unwrap();
    let nothing = MachineSpec::discover(&Host::at(root.path())).unwrap();
    assert_eq!(nothing, MachineSpec::default());
    let error = MachineSpec::discover(&Host::at("/nowhere")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[test]
fn this_machine_has_at_least_the_cores_that_this_process_may_use() {
    let here = MachineSpec::discover(&Host::default()).unwrap();
    let cores = std::thread::available_parallelism().unwrap().get();
    assert!(here.cores.unwrap() as usize >= cores, "{here:?}");
}

#[test]
fn a_word_is_found_wherever_it_stands() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    let host = Host::at(folder.path());
    let word = b"\0needle\0";
    // 65,536 bytes are read at a time: before, across and behind that edge, and at both ends of the file.
    for before in [0, 1, 65_530, 65_535, 65_536, 65_544, 200_000] {
        let mut bytes = vec![b'n'; before];
        bytes.extend_from_slice(word);
        fs::write(&file, &bytes).unwrap();
        assert!(host.contains(&file, word).unwrap(), "{before}");
        bytes.pop();
        fs::write(&file, &bytes).unwrap();
        assert!(!host.contains(&file, word).unwrap(), "{before}");
    }
    let missing = host.contains(folder.path().join("none"), word).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
}

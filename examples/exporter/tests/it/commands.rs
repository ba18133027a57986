//! The commands for people: what they print, their exit codes, and a screen driven through a terminal.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use crate::support::{Folder, command, ended, eventually};

#[test]
fn measure_tells_energy_and_ends_as_the_command_did() {
    let run = ended(command().args([
        "measure",
        "--fake",
        "--",
        "sh",
        "-c",
        "echo its own; exit 7",
    ]));
    assert_eq!((run.code, run.out.as_str()), (7, "its own\n"));
    for what in [
        "Energy of 'sh -c echo its own; exit 7':",
        " J    package\n",
        " J    package of the whole machine\n",
        " s    elapsed\n",
        "measured by fake",
    ] {
        assert!(run.err.contains(what), "{what}: {}", run.err);
    }
    assert_eq!(
        ended(command().args(["measure", "--fake", "sh", "-c", "kill -9 $$"])).code,
        137
    );
    let run = ended(command().args(["measure", "--fake", "-r3", "sleep", "0.05"]));
    assert_eq!(
        (
            run.code,
            run.err.contains("(3 runs)"),
            run.err.contains("( +- ")
        ),
        (0, true, true),
        "{}",
        run.err
    );
}

#[test]
fn measure_hands_on_the_commands_own_arguments_as_they_are() {
    let run = ended(command().args(["measure", "--fake", "echo", "--no-harden", "--no-fake"]));
    assert_eq!((run.code, run.out.as_str()), (0, "--no-harden --no-fake\n"));
    let mut program = command();
    program.args(["measure", "--fake", "--", "printf", "%s"]);
    let output = program
        .arg(OsStr::from_bytes(b"\xff\xfe"))
        .output()
        .unwrap();
    assert_eq!(output.stdout, b"\xff\xfe");
}

#[test]
fn measure_as_json_adds_up() {
    // 20 W and 4 W for a known time.
    let run = ended(command().args(["measure", "--fake", "--json", "sleep", "0.3"]));
    let figures: serde_json::Value = serde_json::from_str(&run.err).unwrap();
    let seconds = figures["duration"]["secs"].as_f64().unwrap()
        + figures["duration"]["nanos"].as_f64().unwrap() / 1e9;
    assert!(seconds >= 0.3, "{figures}");
    let node = figures["node_joules"].as_f64().unwrap();
    assert!(
        (node / seconds - 24.0).abs() < 2.4,
        "{node} J in {seconds} s"
    );
}

#[test]
fn a_command_that_does_not_start_is_one_line_and_code_1() {
    let run = ended(command().args(["measure", "--fake", "/nowhere/x"]));
    assert_eq!((run.code, run.err.lines().count()), (1, 1), "{}", run.err);
    assert!(run.err.contains("/nowhere/x"), "{}", run.err);
    let run = ended(command().arg("measure"));
    assert_eq!((run.code, run.err.lines().count()), (2, 1), "{}", run.err);
}

#[test]
fn doctor_tells_what_works_by_its_exit_code_too() {
    let run = ended(command().arg("doctor"));
    assert!(matches!(run.code, 0 | 3), "{} {}", run.code, run.err);
    let measured = run.out.contains("energy is measured");
    assert_eq!(
        run.code == 0,
        measured && run.out.contains("+ iter/task"),
        "{}",
        run.out
    );
    for part in ["rapl-powercap", "hwmon", "power model", "procfs"] {
        assert!(run.out.contains(part), "{}", run.out);
    }
    let json = ended(command().args(["doctor", "--json"]));
    let json: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(json["measured"].as_bool(), Some(measured));
    assert!(json["notes"].as_array().unwrap().len() >= 4);
    // It is about a monitor as it was asked for.
    for flags in [
        ["--monitor.usage=procfs", "--json"],
        ["--cpu.preferred-meters=rapl", "--monitor.usage=procfs"],
    ] {
        assert_eq!(
            ended(command().arg("doctor").args(flags)).code,
            3,
            "{flags:?}"
        );
    }
    let ebpf = ended(command().args(["doctor", "--monitor.usage=ebpf"]));
    assert_eq!(
        ebpf.code == 1,
        !ebpf.out.contains("+ iter/task"),
        "{}",
        ebpf.out
    );
    let run = ended(command().args(["doctor", "--fake"]));
    assert_eq!((run.code, run.err.lines().count()), (1, 1), "{}", run.err);
    let run = ended(command().args(["doctor", "--host.procfs=/nowhere"]));
    assert_eq!((run.code, run.err.lines().count()), (1, 1), "{}", run.err);
}

#[test]
fn completions_are_scripts_and_the_manual_is_a_page() {
    let run = ended(command().args(["completions", "bash"]));
    let checked = Command::new("bash")
        .args(["-n", "-c", &run.out])
        .output()
        .unwrap();
    assert!(checked.status.success(), "{checked:?}");
    assert!(run.out.contains("--monitor.interval") && run.out.contains("doctor"));
    for shell in ["zsh", "fish", "elvish"] {
        assert!(
            ended(command().args(["completions", shell]))
                .out
                .contains("kepler-exporter")
        );
    }
    assert_eq!(ended(command().args(["completions", "cobol"])).code, 2);
    let page = ended(command().arg("man")).out;
    assert!(page.contains(".TH kepler-exporter 1"), "{page}");
    let bare = page.replace('\\', "");
    for part in [
        "--monitor.interval",
        "kepler-exporter top [OPTIONS]",
        "--repeat",
        "--rows",
        "EXIT STATUS",
    ] {
        assert!(bare.contains(part), "{part}: {page}");
    }
    // No page of another name is spoken of, and a reader of pages has nothing to complain about.
    assert!(!bare.contains("kepler-exporter-"), "{page}");
    let folder = Folder::new("man");
    let path = folder.write("kepler-exporter.1", &page);
    let read = Command::new("man")
        .args(["--warnings", "-E", "UTF-8", "-l"])
        .arg(&path)
        .output();
    if let Ok(read) = read {
        assert!(read.status.success() && read.stderr.is_empty(), "{read:?}");
    }
}

#[test]
fn top_prints_tables_where_there_is_no_screen() {
    let run = ended(command().args(["top", "--fake", "-d", "200ms", "-n", "2", "--rows", "3"]));
    assert_eq!(run.code, 0, "{}", run.err);
    assert_eq!(run.out.matches("package W").count(), 2, "{}", run.out);
    let table = run.out.split("\n\n").next().unwrap();
    // The machine, its three zones, the titles, three rows.
    assert_eq!(table.lines().count(), 8, "{table}");
    assert!(
        table.contains("20.00 W [") && table.contains("measured by fake"),
        "{table}"
    );
}

/// A terminal that tmux plays.
struct Terminal(String);

impl Terminal {
    fn open(program: &str) -> Option<Self> {
        let name = format!("kepler-{}", std::process::id());
        let mut tmux = Command::new("tmux");
        tmux.env_remove("TMUX").args([
            "-L",
            &name,
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            "150",
            "-y",
            "40",
            program,
        ]);
        let started = tmux.status().ok()?;
        assert!(started.success());
        Some(Self(name))
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let output = Command::new("tmux")
            .args(["-L", &self.0])
            .args(arguments)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    fn keys(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    fn shows(&self, wanted: impl Fn(&str) -> bool) -> String {
        let mut last = String::new();
        let found = eventually(|| {
            last = self.screen();
            wanted(&last)
        });
        assert!(found, "{last}");
        last
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

#[test]
fn top_on_a_screen_sorts_filters_turns_and_ends() {
    let program = format!(
        "{} top --fake -d 250ms; echo ended $?; sleep 60",
        env!("CARGO_BIN_EXE_kepler-exporter")
    );
    let Some(terminal) = Terminal::open(&program) else {
        crate::support::skip("tmux is missing");
        return;
    };
    let screen = terminal.shows(|s| s.contains("20.00 W [") && s.contains("CPU%"));
    for part in [
        "kepler",
        "Processes",
        "Containers",
        "package Wv",
        "dram W",
        "NAME",
        "q quit",
    ] {
        assert!(screen.contains(part), "{part}: {screen}");
    }
    terminal.keys(&["e"]);
    terminal.shows(|s| s.contains(" Jv"));
    terminal.keys(&["/"]);
    terminal.keys(&["-l", "kepler-expo"]);
    terminal.keys(&["Enter"]);
    let screen = terminal
        .shows(|s| s.contains("filter: kepler-expo\n") || s.contains("filter: kepler-expo "));
    let rows = screen.lines().skip_while(|l| !l.starts_with("ID")).skip(1);
    let rows: Vec<&str> = rows
        .take_while(|l| !l.trim().is_empty() && !l.starts_with("q quit"))
        .collect();
    assert!(
        !rows.is_empty() && rows.iter().all(|row| row.contains("kepler-expo")),
        "{screen}"
    );
    terminal.keys(&["Space"]);
    terminal.shows(|s| s.contains("paused"));
    terminal.keys(&["q"]);
    terminal.shows(|s| s.contains("ended 0"));
}

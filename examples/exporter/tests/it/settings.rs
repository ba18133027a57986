//! Settings as an operator writes them: files, variables and flags, and what the program makes of them.

use std::process::Command;

use crate::support::{Folder, Running, command, ended, eventually, text};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/golden");

/// `--config.check` in the folder of the golden files.
fn check() -> Command {
    let mut command = command();
    command.current_dir(GOLDEN).arg("--config.check");
    command
}

/// The value and the place of a key in what `--config.check` printed.
fn line<'a>(printed: &'a str, key: &str) -> (&'a str, &'a str) {
    let prefix = format!("{key}: ");
    let line = printed.lines().find_map(|l| l.strip_prefix(&prefix));
    line.unwrap_or_else(|| panic!("no {key} in {printed}"))
        .split_once(" # ")
        .unwrap()
}

#[test]
fn every_key_of_0_11_is_read() {
    let checked = ended(check().arg("--config.file=every-key.yaml"));
    assert_eq!(checked.code, 0, "{}", checked.err);
    for (key, value, at) in [
        ("log.level", "warn", 3),
        ("log.format", "json", 4),
        ("monitor.interval", "3s", 6),
        ("monitor.maxTerminated", "'-1'", 8),
        ("monitor.minTerminatedEnergyThreshold", "20", 9),
        ("host.procfs", "/host/proc", 12),
        ("cpu.preferredMeters", "hwmon", 14),
        ("rapl.zones", "[Package, dram]", 16),
        ("exporter.prometheus.metricsLevel", "[node, pod]", 25),
        ("web.listenAddresses", "['127.0.0.1:9102', ':28282']", 33),
        ("kube.nodeName", "node-7", 38),
        ("dev.fake-cpu-meter.enabled", "true", 62),
    ] {
        let place = format!("every-key.yaml:{at}");
        assert_eq!(
            line(&checked.out, key),
            (value, place.as_str()),
            "{}",
            checked.out
        );
    }
}

#[test]
fn a_check_shows_no_passwords() {
    let remote = "--exporter.remote-write.url=https://me:p%40ss@h:1/api/v1/write?key=hush";
    let checked = ended(check().args([remote, "--model-server.url=http://h:8100"]));
    assert_eq!(checked.code, 0, "{}", checked.err);
    let shown = |key| line(&checked.out, key);
    assert_eq!(
        shown("exporter.remoteWrite.url"),
        (
            "'https://h:1/api/v1/write'",
            "command line, with a secret that is not shown"
        )
    );
    assert_eq!(
        shown("modelServer.url"),
        ("'http://h:8100'", "command line")
    );
    let all = checked.out + &checked.err;
    assert!(!all.contains("p%40ss") && !all.contains("hush"), "{all}");
}

#[test]
fn a_check_reads_the_files_that_settings_name() {
    let folder = Folder::new("named");
    let headers = folder.write("headers", "no header\n");
    let web = folder.write("web.yaml", "basic_auth_users: {u: secret}\n");
    let bmcs = folder.write(
        "bmcs.yaml",
        "nodes: {n: b}\nbmcs: {b: {endpoint: https://b}}\n",
    );
    let wrong = folder.write(
        "wrong.yaml",
        "nodes: {n: b}\nbmcs: {b: {endpoint: 10.0.0.1}}\n",
    );
    let redfish = "--experimental.platform.redfish";
    for (flags, code, said) in [
        (
            vec!["--web.config.file=/nowhere".to_owned()],
            1,
            "cannot read /nowhere: ",
        ),
        (
            vec![format!("--web.config.file={}", web.display())],
            2,
            "expected a bcrypt hash",
        ),
        (
            vec!["--web.listen-address=https://:1".to_owned()],
            2,
            "no certificate is set",
        ),
        (
            vec!["--exporter.otlp.url=collector:4318".to_owned()],
            2,
            "expected http://host:port",
        ),
        (
            vec!["--no-exporter.prometheus".to_owned()],
            1,
            "nothing is to be exported",
        ),
        (
            vec!["--exporter.textfile=/x/y.txt".to_owned()],
            2,
            "end in .prom",
        ),
        (
            vec![format!("--exporter.headers-file={}", headers.display())],
            0,
            "",
        ),
        (
            vec![
                format!("--exporter.headers-file={}", headers.display()),
                "--exporter.otlp.url=http://c/".to_owned(),
            ],
            2,
            "expected a header such as",
        ),
        (
            vec![
                format!("{redfish}.enabled"),
                format!("{redfish}.config-file={}", bmcs.display()),
                "--node-name=m".to_owned(),
            ],
            1,
            "no node \"m\" (known: n)",
        ),
        (
            vec![
                format!("{redfish}.enabled"),
                format!("{redfish}.config-file={}", wrong.display()),
                "--node-name=n".to_owned(),
            ],
            1,
            "is not http://... or https://...",
        ),
        (
            vec!["--vm.meter=/nowhere".to_owned()],
            1,
            "there is no /nowhere",
        ),
        (
            vec![
                "--kube.enable".to_owned(),
                "--kube.config=/nowhere".to_owned(),
            ],
            1,
            "/nowhere",
        ),
    ] {
        let checked = ended(check().args(&flags));
        assert_eq!(checked.code, code, "{flags:?}: {}", checked.err);
        assert!(checked.err.contains(said), "{flags:?}: {}", checked.err);
        assert_eq!(checked.out.is_empty(), code != 0, "{flags:?}");
        assert!(!checked.err.contains("secret"), "{}", checked.err);
    }
    // One that is nearly ours is told, though it may be another program's.
    let checked = ended(check().env("KEPLER_MONITOR_INTERVALS", "3s"));
    assert_eq!(checked.code, 0);
    assert!(
        checked.err.contains("is it KEPLER_MONITOR_INTERVAL?"),
        "{}",
        checked.err
    );
}

#[test]
fn labels_are_chosen_by_name_in_every_place() {
    let folder = Folder::new("labels");
    let file = folder.write("k.yaml", "metrics: {labels: [comm, pod_name]}\n");
    let in_file = ended(check().arg("--config.file").arg(&file));
    let place = format!("{}:1", file.display());
    let wanted = ("[comm, pod_name]", place.as_str());
    assert_eq!(line(&in_file.out, "metrics.labels"), wanted);
    let variable = ended(check().env("KEPLER_METRICS_LABELS", "podname"));
    assert_eq!(variable.code, 2);
    assert!(
        variable.err.contains("KEPLER_METRICS_LABELS") && variable.err.contains("known: pid, "),
        "{}",
        variable.err
    );
    let mut program = command();
    program.args(["--fake", "--metrics.labels=comm", "--metrics=process"]);
    let page = Running::of(&mut program).get("/metrics");
    let mine = page
        .lines()
        .filter(|l| l.starts_with("kepler_process_cpu_seconds_total{"));
    let mine: Vec<&str> = mine.collect();
    assert!(
        !mine.is_empty()
            && mine
                .iter()
                .all(|l| l.contains("{comm=") && !l.contains("pid="))
    );
}

#[test]
fn what_is_printed_is_a_file_that_says_the_same() {
    let folder = Folder::new("check");
    let flags = ["--config.file=every-key.yaml", "--metrics.families=own"];
    let first = ended(check().args(flags));
    let file = folder.write("printed.yaml", &first.out);
    let second = ended(check().arg("--config.file").arg(&file));
    assert_eq!(second.code, 0, "{}", second.err);
    let values = |printed: &str| -> Vec<String> {
        let lines = printed
            .lines()
            .map(|l| l.split(" # ").next().unwrap().to_owned());
        lines.collect()
    };
    assert_eq!(values(&first.out), values(&second.out));
    assert!(values(&first.out).len() > 15);
}

#[test]
fn the_command_line_goes_over_variables_over_the_file_over_the_older_keys() {
    let folder = Folder::new("places");
    let file = folder.write(
        "k.yaml",
        "monitor: {interval: 2s}\nlog: {level: warn}\nnode-name: f\n",
    );
    let file = file.to_str().unwrap();
    let mut check = check();
    check
        .env("SAMPLE_PERIOD_SEC", "9")
        .env("NODE_NAME", "older");
    check.env("EXPOSE_VM_METRICS", "false");
    let printed = ended(&mut check).out;
    assert_eq!(
        line(&printed, "monitor.interval"),
        ("9s", "SAMPLE_PERIOD_SEC")
    );
    assert_eq!(line(&printed, "kube.nodeName"), ("older", "NODE_NAME"));
    assert_eq!(line(&printed, "web.listenAddresses").1, "default");

    check.env("KEPLER_CONFIG_FILE", file);
    let printed = ended(&mut check).out;
    assert_eq!(
        line(&printed, "monitor.interval"),
        ("2s", format!("{file}:1").as_str())
    );
    assert_eq!(
        line(&printed, "kube.nodeName"),
        ("f", format!("{file}:3").as_str())
    );
    assert_eq!(
        line(&printed, "exporter.prometheus.metricsLevel").1,
        "EXPOSE_VM_METRICS"
    );

    check
        .env("KEPLER_LOG_LEVEL", "error")
        .env("KEPLER_METRICS", "node,vm");
    check
        .env("KEPLER_WEB_LISTEN_ADDRESS", "127.0.0.1:1, [::1]:2")
        .env("KEPLER_MONITOR_INTERVAL", "4s");
    check.args(["--monitor.interval=1s", "--no-fake"]);
    let printed = ended(&mut check).out;
    assert_eq!(line(&printed, "monitor.interval"), ("1s", "command line"));
    assert_eq!(
        line(&printed, "dev.fake-cpu-meter.enabled"),
        ("false", "command line")
    );
    assert_eq!(
        line(&printed, "exporter.prometheus.metricsLevel"),
        ("[node, vm]", "KEPLER_METRICS")
    );
    let listen = ("['127.0.0.1:1', '[::1]:2']", "KEPLER_WEB_LISTEN_ADDRESS");
    assert_eq!(line(&printed, "web.listenAddresses"), listen);
    assert_eq!(line(&printed, "log.level"), ("error", "KEPLER_LOG_LEVEL"));
    // A number is Kepler 0.7's.
    for (number, level) in [("1", "info"), ("5", "debug")] {
        let printed = ended(check.env("KEPLER_LOG_LEVEL", number)).out;
        assert_eq!(line(&printed, "log.level"), (level, "KEPLER_LOG_LEVEL"));
    }
    let printed = ended(check.env("KEPLER_LOG_LEVEL", "")).out;
    assert_eq!(
        line(&printed, "log.level"),
        ("warn", format!("{file}:2").as_str())
    );
}

#[test]
fn a_wrong_setting_is_one_line_with_its_place_and_code_2() {
    let folder = Folder::new("wrong");
    for (text, said) in [
        (
            "monitor:\n  intervals: 5s\n",
            "w.yaml:2: unknown key monitor.intervals; did you mean monitor.interval?",
        ),
        ("a: 1\n", "w.yaml:1: unknown key a"),
        (
            "monitor:\n  interval: soon\n",
            "w.yaml:2: invalid value 'soon'",
        ),
        ("monitor:\n  interval: 5\n", "w.yaml:2: invalid value '5'"),
        (
            "log: {level: loud}\n",
            "possible values: debug, info, warn, error",
        ),
        (
            "web:\n  listenAddresses: [{a: b}]\n",
            "w.yaml:2: web.listenAddresses: expected a value or a list of values",
        ),
        ("monitor: 5s\n", "w.yaml:1: monitor: expected keys below it"),
        ("monitor: [\n", "w.yaml: "),
        ("log: {level: info}\nlog: {level: warn}\n", "w.yaml: "),
        ("just text\n", "w.yaml: line 1: expected keys with values"),
    ] {
        folder.write("w.yaml", text);
        let checked = ended(
            check()
                .current_dir(folder.path())
                .arg("--config.file=w.yaml"),
        );
        assert_eq!(
            (checked.code, checked.err.lines().count()),
            (2, 1),
            "{text}: {}",
            checked.err
        );
        assert!(checked.err.contains(said), "{text}: {}", checked.err);
    }
    for (name, value) in [
        ("KEPLER_MONITOR_INTERVAL", "soon"),
        ("SAMPLE_PERIOD_SEC", "soon"),
        ("SAMPLE_PERIOD_SEC", "-3"),
        ("KEPLER_FAKE", "perhaps"),
        ("KEPLER_KUBE_KUBELET_URL", "node:10250"),
    ] {
        let checked = ended(check().env(name, value));
        assert_eq!(
            (checked.code, checked.err.lines().count()),
            (2, 1),
            "{}",
            checked.err
        );
        assert!(
            checked
                .err
                .contains(&format!("{name}: invalid value '{value}'")),
            "{}",
            checked.err
        );
    }
    let missing = ended(check().arg("--config.file=/nowhere/k.yaml"));
    assert_eq!(
        (missing.code, missing.err.lines().count()),
        (1, 1),
        "{}",
        missing.err
    );
    assert!(missing.err.contains("/nowhere/k.yaml"), "{}", missing.err);
}

#[test]
fn what_is_left_empty_is_as_if_it_were_not_there() {
    let folder = Folder::new("empty");
    // Sections of which everything is commented out, and variables that a manifest leaves to somebody else.
    let file = folder.write(
        "k.yaml",
        "kube:\nmonitor:\n  interval: 3s\nexperimental:\n  platform:\n    redfish:\nweb:\n  configFile: ''\n",
    );
    let mut check = check();
    check.arg("--config.file").arg(&file);
    for name in ["SAMPLE_PERIOD_SEC", "EXPOSE_VM_METRICS", "KEPLER_FAKE"] {
        check.env(name, "");
    }
    let checked = ended(&mut check);
    assert_eq!(checked.code, 0, "{}", checked.err);
    assert_eq!(line(&checked.out, "monitor.interval").0, "3s");
    let level = line(&checked.out, "exporter.prometheus.metricsLevel");
    assert_eq!(level, ("all", "default"));
}

#[test]
fn what_means_nothing_here_is_told_once_and_no_error() {
    let mut program = command();
    program
        .current_dir(GOLDEN)
        .args(["--fake", "--debug.pprof", "--monitor.interval=0s"]);
    program
        .env("ENABLE_EBPF_CGROUPID", "true")
        .env("KEPLER_MONITOR_INTERVALS", "1s");
    program.env("KEPLER_PORT_9102_TCP_ADDR", "10.0.0.1");
    let mut running = Running::of(&mut program);
    running.says("debug.pprof means nothing here");
    running.says("Kepler 0.7's keys these mean nothing here: ENABLE_EBPF_CGROUPID");
    running.says("KEPLER_MONITOR_INTERVALS is not known; is it KEPLER_MONITOR_INTERVAL?");
    running.says("one is taken each 5s");
    assert_eq!(running.stop(), 0);
}

#[test]
fn sighup_reads_settings_again_and_wrong_ones_change_nothing() {
    let folder = Folder::new("reload");
    let file = folder.write(
        "k.yaml",
        "monitor: {interval: 200ms}\nmetrics: [node, process]\nfake: true\n",
    );
    let flag = format!("--config.file={}", file.display());
    let page = folder.path().join("kepler.prom");
    let output = format!("--exporter.textfile={}", page.display());
    let running = Running::of(command().args([&flag, &output]));
    running.metrics_once(|text| text.contains("\nkepler_process_cpu_seconds_total{"));
    folder.write(
        "k.yaml",
        "monitor: {interval: 100ms, retention: 1m}\nmetrics: node\nnode-name: other\nfake: true\n\
         exporter: {otlp: {url: 'http://x'}}\n",
    );
    running.signal("-HUP");
    running.says("settings read again: monitor.interval, metrics, node-name");
    running.says("needs a restart: monitor.retention, exporter.otlp.url");
    let named = "kepler_node_cpu_usage_ratio{node_name=\"other\"}";
    let text_after = running.metrics_once(|text| text.contains(named));
    assert!(!text_after.contains("kepler_process_"), "{text_after}");
    // The other outputs hold the same.
    assert!(eventually(|| text(&page).contains(named)));
    assert!(!text(&page).contains("kepler_process_"));
    folder.write(
        "k.yaml",
        "metrics: [node, process]\nmetrics.families: [own, counters]\nfake: true\n",
    );
    running.signal("-HUP");
    running.says("counters is counted from a restart on");
    folder.write("k.yaml", "node-name: other\nfake: true\n");
    running.signal("-HUP");
    running.metrics_once(|text| text.contains(named));

    folder.write("k.yaml", "metrics: pods\n");
    running.signal("-HUP");
    running.says("settings stay as they were");
    assert!(running.get("/metrics").contains("node_name=\"other\""));
    assert!(text(&file).contains("pods"));
}

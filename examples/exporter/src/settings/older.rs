//! Keys of Kepler 0.7: variables, and one file a key in a folder that is a mounted ConfigMap.

use super::{Item, Origin};

/// Every key of it; those that are not used below mean nothing here.
pub(super) const KEYS: &[&str] = &[
    "BIND_ADDRESS",
    "CORE_USAGE_METRIC",
    "CPU_ARCH_OVERRIDE",
    "DRAM_USAGE_METRIC",
    "ENABLE_API_SERVER",
    "ENABLE_EBPF_CGROUPID",
    "ENABLE_GPU",
    "ENABLE_MSR",
    "ENABLE_PROCESS_METRICS",
    "ENABLE_QAT",
    "ESTIMATOR_MODEL",
    "ESTIMATOR_SELECT_FILTER",
    "EXPERIMENTAL_BPF_SAMPLE_RATE",
    "EXPOSE_BPF_METRICS",
    "EXPOSE_CGROUP_METRICS",
    "EXPOSE_COMPONENT_POWER",
    "EXPOSE_CONTAINER_METRICS",
    "EXPOSE_ESTIMATED_IDLE_POWER_METRICS",
    "EXPOSE_HW_COUNTER_METRICS",
    "EXPOSE_IRQ_COUNTER_METRICS",
    "EXPOSE_VM_METRICS",
    "GENERAL_USAGE_METRIC",
    "GPU_USAGE_METRIC",
    LEVEL,
    "KEPLER_NAMESPACE",
    "KUBE_CONFIG",
    "LIBVIRT_METADATA_TOKEN",
    "LIBVIRT_METADATA_URI",
    "MAX_LOOKUP_RETRY",
    "METRIC_PATH",
    "MOCK_ACPI_POWER_PATH",
    MODEL_CONFIG,
    "MODEL_SERVER_ENABLE",
    "MODEL_SERVER_MODEL_REQ_PATH",
    "MODEL_SERVER_PORT",
    "MODEL_SERVER_URL",
    "NODE_NAME",
    "NVIDIA_HOSTENGINE_ENDPOINT",
    "REDFISH_CRED_FILE_PATH",
    "REDFISH_PROBE_INTERVAL_IN_SECONDS",
    "REDFISH_SKIP_SSL_VERIFY",
    "SAMPLE_PERIOD_SEC",
    "UNCORE_USAGE_METRIC",
    "CONTAINER_COMPONENTS_ESTIMATOR",
    "CONTAINER_COMPONENTS_FILTERS",
    "CONTAINER_COMPONENTS_INIT_URL",
    "CONTAINER_COMPONENTS_LOCAL_REGRESSOR",
    "CONTAINER_COMPONENTS_TRAINER",
    "CONTAINER_TOTAL_ESTIMATOR",
    "CONTAINER_TOTAL_FILTERS",
    "CONTAINER_TOTAL_INIT_URL",
    "CONTAINER_TOTAL_LOCAL_REGRESSOR",
    "CONTAINER_TOTAL_TRAINER",
    "NODE_COMPONENTS_ESTIMATOR",
    "NODE_COMPONENTS_FILTERS",
    "NODE_COMPONENTS_INIT_URL",
    "NODE_COMPONENTS_LOCAL_REGRESSOR",
    "NODE_COMPONENTS_TRAINER",
    "NODE_TOTAL_ESTIMATOR",
    "NODE_TOTAL_FILTERS",
    "NODE_TOTAL_INIT_URL",
    "NODE_TOTAL_LOCAL_REGRESSOR",
    "NODE_TOTAL_TRAINER",
    "PROCESS_COMPONENTS_ESTIMATOR",
    "PROCESS_COMPONENTS_FILTERS",
    "PROCESS_COMPONENTS_INIT_URL",
    "PROCESS_COMPONENTS_LOCAL_REGRESSOR",
    "PROCESS_COMPONENTS_TRAINER",
    "PROCESS_TOTAL_ESTIMATOR",
    "PROCESS_TOTAL_FILTERS",
    "PROCESS_TOTAL_INIT_URL",
    "PROCESS_TOTAL_LOCAL_REGRESSOR",
    "PROCESS_TOTAL_TRAINER",
];

/// Lines of `KEY=VALUE`, of which each is a key as if it stood alone.
const MODEL_CONFIG: &str = "MODEL_CONFIG";

/// The log's level: a key of Kepler 0.7, and the variable of today's flag.
pub(super) const LEVEL: &str = "KEPLER_LOG_LEVEL";

/// One key that was found.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) key: &'static str,
    pub(super) value: String,
    /// The variable or the file.
    pub(super) origin: Origin,
}

/// The keys with those that stand in the lines of another.
pub(super) fn unfolded(found: Vec<Found>) -> Vec<Found> {
    let (folded, mut found): (Vec<Found>, _) =
        found.into_iter().partition(|f| f.key == MODEL_CONFIG);
    for text in folded {
        for line in text.value.lines() {
            let (name, value) = line.split_once('=').unwrap_or_default();
            let key = KEYS.iter().find(|key| **key == name.trim());
            if let Some(key) = key.filter(|key| found.iter().all(|f| f.key != **key)) {
                found.push(Found {
                    key,
                    value: value.trim().to_owned(),
                    origin: text.origin.clone(),
                });
            }
        }
    }
    found
}

/// What the keys say in today's flags, and the keys that say nothing here.
pub(super) fn translate(found: &[Found]) -> (Vec<Item>, Vec<&Found>) {
    let mut items = Vec::new();
    let mut used: Vec<&str> = Vec::new();
    let mut say = |keys: &[&'static str], flag: &str, value: String| {
        let mut origins = found.iter().filter(|f| keys.contains(&f.key));
        if let Some(first) = origins.next() {
            items.push(Item {
                flag: flag.to_owned(),
                values: vec![value],
                origin: first.origin.clone(),
            });
        }
    };
    // An empty value is none, as in a manifest that leaves it to somebody else.
    let of = |key: &str| (found.iter()).find(|f| f.key == key && !f.value.trim().is_empty());
    let text = |key: &str| of(key).map(|f| f.value.trim());
    // As the older program reads them: every other word is false.
    let flag = |key: &str| text(key).map(|value| value.eq_ignore_ascii_case("true"));

    for (key, to) in &SAME {
        if let Some(value) = text(key) {
            say(&[key], to, value.to_owned());
        }
        used.push(key);
    }
    for (key, to) in &SECONDS {
        if let Some(value) = text(key) {
            // What is no number stays as it was written, for whoever says so.
            let seconds = value.parse::<u32>().is_ok();
            let value = value.to_owned();
            say(&[key], to, if seconds { value + "s" } else { value });
        }
        used.push(key);
    }
    if let Some(on) = flag("ENABLE_MSR") {
        say(&["ENABLE_MSR"], "rapl.msr", on.to_string());
    }
    if let Some(on) = flag("ENABLE_GPU") {
        say(&["ENABLE_GPU"], "experimental.gpu.enabled", on.to_string());
    }
    if let Some(value) = text(LEVEL) {
        say(&[LEVEL], "log.level", level(value).to_owned());
    }
    used.extend(["ENABLE_MSR", "ENABLE_GPU", LEVEL]);
    if flag(SERVER[0]) == Some(true) {
        say(&SERVER[..1], "model-server.url", server(text));
    } else if ESTIMATORS.iter().any(|key| flag(key) == Some(true)) {
        say(&ESTIMATORS, "model-server.url", ESTIMATOR.to_owned());
    }
    used.extend(SERVER);
    used.extend(ESTIMATORS);
    // Models run in this program anyway.
    used.extend([
        "NODE_TOTAL_LOCAL_REGRESSOR",
        "NODE_COMPONENTS_LOCAL_REGRESSOR",
    ]);

    if LEVELS.iter().any(|(key, _)| of(key).is_some()) {
        let mut levels = vec!["node", "process", "pod"];
        levels.extend(
            LEVELS
                .iter()
                .filter_map(|(key, level)| flag(key).unwrap_or(true).then_some(*level)),
        );
        say(&LEVELS.map(|l| l.0), "metrics", levels.join(","));
    }
    if FAMILIES.iter().any(|(key, _)| of(key).is_some()) {
        let mut families = vec!["cpu", "joules", "own"];
        for (key, family) in FAMILIES {
            if flag(key) == Some(true) && !families.contains(&family) {
                families.push(family);
            }
        }
        say(
            &FAMILIES.map(|f| f.0),
            "metrics.families",
            families.join(","),
        );
    }
    used.extend(LEVELS.map(|l| l.0));
    used.extend(FAMILIES.map(|f| f.0));
    let unused = found.iter().filter(|f| !used.contains(&f.key));
    (items, unused.collect())
}

/// Today's level for the verbosity of older logs: 1 is the usual one, from 3 on it speaks of details. Words are as they are.
pub(super) fn level(text: &str) -> &str {
    match text.parse::<u32>() {
        Ok(0..=2) => "info",
        Ok(_) => "debug",
        Err(_) => text,
    }
}

/// Keys whose value is today's value.
const SAME: [(&str, &str); 13] = [
    ("NODE_NAME", "node-name"),
    ("BIND_ADDRESS", "web.listen-address"),
    ("KUBE_CONFIG", "kube.config"),
    ("ESTIMATOR_MODEL", "model-server.components-trainer"),
    ("ESTIMATOR_MODEL", "model-server.platform-trainer"),
    ("ESTIMATOR_SELECT_FILTER", "model-server.components-filter"),
    ("ESTIMATOR_SELECT_FILTER", "model-server.platform-filter"),
    ("NODE_COMPONENTS_TRAINER", "model-server.components-trainer"),
    ("NODE_COMPONENTS_FILTERS", "model-server.components-filter"),
    ("NODE_COMPONENTS_INIT_URL", "model-server.components-url"),
    ("NODE_TOTAL_TRAINER", "model-server.platform-trainer"),
    ("NODE_TOTAL_FILTERS", "model-server.platform-filter"),
    ("NODE_TOTAL_INIT_URL", "model-server.platform-url"),
];

/// Whether a model server is asked, and where it is.
const SERVER: [&str; 4] = [
    "MODEL_SERVER_ENABLE",
    "MODEL_SERVER_URL",
    "MODEL_SERVER_PORT",
    "MODEL_SERVER_MODEL_REQ_PATH",
];
const ESTIMATORS: [&str; 2] = ["NODE_TOTAL_ESTIMATOR", "NODE_COMPONENTS_ESTIMATOR"];
/// Where the older estimator listens.
const ESTIMATOR: &str = "unix:/tmp/estimator.sock";

/// The URL that the older program makes of host, port and path.
fn server<'a>(text: impl Fn(&str) -> Option<&'a str>) -> String {
    let of = |key: &str, default| text(key).unwrap_or(default);
    let host = of(SERVER[1], "kepler-model-server").trim_end_matches('/');
    let (scheme, host) = host.split_once("://").unwrap_or(("http", host));
    let port = match host.rsplit_once(':') {
        Some((_, port)) if port.parse::<u16>().is_ok() => String::new(),
        _ => {
            // For a service of that name Kubernetes sets it to tcp://ADDRESS:PORT.
            let port = of(SERVER[2], "8100");
            let (_, port) = port.rsplit_once(':').unwrap_or(("", port));
            format!(":{port}")
        }
    };
    let path = of(SERVER[3], "/model").trim_start_matches('/');
    format!("{scheme}://{host}{port}/{path}")
}

/// Keys whose value is a number of seconds.
const SECONDS: [(&str, &str); 1] = [("SAMPLE_PERIOD_SEC", "monitor.interval")];

/// Levels that are on unless a key says no.
const LEVELS: [(&str, &str); 2] = [
    ("EXPOSE_CONTAINER_METRICS", "container"),
    ("EXPOSE_VM_METRICS", "vm"),
];

/// Families that are off unless a key says yes.
const FAMILIES: [(&str, &str); 4] = [
    ("ENABLE_PROCESS_METRICS", "process-joules"),
    ("EXPOSE_BPF_METRICS", "counters"),
    ("EXPOSE_HW_COUNTER_METRICS", "counters"),
    ("EXPOSE_IRQ_COUNTER_METRICS", "counters"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn told(pairs: &[(&'static str, &str)]) -> (Vec<(String, String)>, Vec<&'static str>) {
        let found: Vec<Found> = pairs
            .iter()
            .map(|(key, value)| Found {
                key,
                value: (*value).to_owned(),
                origin: Origin::Variable((*key).to_owned()),
            })
            .collect();
        let found = unfolded(found);
        let (items, unused) = translate(&found);
        let items = items.into_iter().map(|i| (i.flag, i.values.join("|")));
        (items.collect(), unused.iter().map(|f| f.key).collect())
    }

    #[test]
    fn older_keys_say_what_they_meant() {
        for (pairs, flag, value) in [
            (vec![("SAMPLE_PERIOD_SEC", "3")], "monitor.interval", "3s"),
            (vec![("SAMPLE_PERIOD_SEC", "x")], "monitor.interval", "x"),
            (vec![("SAMPLE_PERIOD_SEC", "-3")], "monitor.interval", "-3"),
            (vec![("NODE_NAME", " n1\n")], "node-name", "n1"),
            (vec![("ENABLE_MSR", "TRUE")], "rapl.msr", "true"),
            (vec![("KEPLER_LOG_LEVEL", "5")], "log.level", "debug"),
            (vec![("KEPLER_LOG_LEVEL", "warn")], "log.level", "warn"),
            (
                vec![("MODEL_SERVER_ENABLE", "true"), ("MODEL_SERVER_URL", "")],
                "model-server.url",
                "http://kepler-model-server:8100/model",
            ),
            (
                vec![
                    ("MODEL_SERVER_ENABLE", "true"),
                    ("MODEL_SERVER_URL", "model-server"),
                    ("MODEL_SERVER_PORT", "tcp://10.96.0.5:8101"),
                ],
                "model-server.url",
                "http://model-server:8101/model",
            ),
            (
                vec![
                    ("MODEL_SERVER_ENABLE", "true"),
                    ("MODEL_SERVER_URL", "https://models.kepler.svc/"),
                    ("MODEL_SERVER_PORT", "8443"),
                    ("MODEL_SERVER_MODEL_REQ_PATH", "api/model"),
                ],
                "model-server.url",
                "https://models.kepler.svc:8443/api/model",
            ),
            (
                vec![("MODEL_CONFIG", "# models\nNODE_TOTAL_ESTIMATOR=true\n")],
                "model-server.url",
                "unix:/tmp/estimator.sock",
            ),
            (
                vec![(
                    "MODEL_CONFIG",
                    "NODE_COMPONENTS_FILTERS=mae:0.5;features:a=b\nUNKNOWN=1",
                )],
                "model-server.components-filter",
                "mae:0.5;features:a=b",
            ),
            (
                vec![("EXPOSE_VM_METRICS", "false")],
                "metrics",
                "node,process,pod,container",
            ),
            (
                vec![
                    ("EXPOSE_BPF_METRICS", "true"),
                    ("EXPOSE_IRQ_COUNTER_METRICS", "true"),
                    ("ENABLE_PROCESS_METRICS", "false"),
                ],
                "metrics.families",
                "cpu,joules,own,counters",
            ),
        ] {
            assert_eq!(
                told(&pairs),
                (vec![(flag.into(), value.into())], vec![]),
                "{pairs:?}"
            );
        }
        assert_eq!(
            told(&[
                ("CORE_USAGE_METRIC", "x"),
                ("NODE_NAME", ""),
                ("SAMPLE_PERIOD_SEC", ""),
                ("EXPOSE_VM_METRICS", " ")
            ]),
            (vec![], vec!["CORE_USAGE_METRIC"])
        );
        let workloads = ("MODEL_CONFIG", "PROCESS_TOTAL_TRAINER=x");
        assert_eq!(
            told(&[
                workloads,
                ("MODEL_SERVER_ENABLE", "false"),
                ("MODEL_SERVER_URL", "h")
            ]),
            (vec![], vec!["PROCESS_TOTAL_TRAINER"])
        );
    }
}

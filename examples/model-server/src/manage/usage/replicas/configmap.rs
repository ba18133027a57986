//! Several servers and one ConfigMap.

use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use super::cluster::Cluster;
use super::{LONG, PATIENCE, shows, use_models};
use crate::manage::usage::Usage;
use crate::manage::usage::certificates::Certificates;

#[test]
fn three_servers_that_write_a_configmap_at_once_add_up_exactly() {
    let cluster = Cluster::start();
    let replicas: [Usage; 3] = std::array::from_fn(|_| cluster.usage());
    std::thread::scope(|scope| {
        for replica in &replicas {
            scope.spawn(move || {
                for _ in 0..20 {
                    use_models(replica, 3, Duration::ZERO);
                    let _ = replica.fresh_view(PATIENCE);
                }
            });
        }
    });
    replicas.iter().for_each(|replica| shows(replica, 180));
    assert!(
        cluster.kept.lock().unwrap().conflicts > 0,
        "no two of them met"
    );
    let data = cluster.data();
    assert_eq!(data["models"]["a"]["requests"], 60);
    assert_eq!(data["writers"].as_object().unwrap().len(), 3);
    // What was counted last is written at the end.
    let [first, second, _] = replicas;
    use_models(&first, 30, Duration::ZERO);
    drop(first);
    shows(&second, 210);
    second.reset().unwrap();
    assert_eq!(cluster.data()["models"], json!({}));
}

#[test]
fn a_cluster_is_spoken_to_by_tls_with_its_own_authority_and_a_token_that_changes() {
    let certificates = Certificates::new("IP:127.0.0.1");
    let cluster = Cluster::start_tls(&certificates);
    let usage = cluster.usage();
    use_models(&usage, 30, Duration::ZERO);
    shows(&usage, 30);
    cluster.renew("the-next-token");
    use_models(&usage, 30, Duration::ZERO);
    shows(&usage, 60);
    assert_eq!(cluster.data()["models"]["a"]["requests"], 20);
    // Who does not know the authority sends neither figures nor token.
    drop(usage);
    let calls = cluster.kept.lock().unwrap().calls;
    cluster.trust(&Certificates::new("IP:127.0.0.1"));
    let stranger = cluster.usage();
    use_models(&stranger, 3, Duration::ZERO);
    let failing = stranger.fresh_view(PATIENCE).failing.unwrap();
    assert!(failing.contains("certificate"), "{failing}");
    assert_eq!(cluster.kept.lock().unwrap().calls, calls);
}

#[test]
fn a_configmap_keeps_its_size_and_the_sums() {
    let cluster = Cluster::start();
    let usage = cluster.usage();
    let models: Value = (0..12_000)
        .map(|n| {
            let used = humantime::format_rfc3339_seconds(
                SystemTime::UNIX_EPOCH + Duration::from_secs(n + 1),
            );
            (
                format!("model-{n:05}"),
                json!({"requests": 2, "last_used": used.to_string()}),
            )
        })
        .collect::<serde_json::Map<_, _>>()
        .into();
    usage
        .import(json!({"models": models}).to_string().as_bytes())
        .unwrap();
    let begun = Instant::now();
    while cluster.kept.lock().unwrap().map.is_none() {
        assert!(begun.elapsed() < LONG);
        let _ = usage.fresh_view(PATIENCE);
    }
    let view = usage.fresh_view(PATIENCE);
    let text = cluster.kept.lock().unwrap().map.as_ref().unwrap()["data"]["usage_data"]
        .as_str()
        .unwrap()
        .len();
    assert!((400 << 10..=900 << 10).contains(&text), "{text} bytes");
    assert_eq!(
        view.models.values().map(|f| f.requests).sum::<u64>(),
        24_000
    );
    assert!(view.models.contains_key("model-11999") && !view.models.contains_key("model-00000"));
    assert!(view.models["(others)"].requests > 0);
}

//! Several servers and one PostgreSQL.

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::database::Server;
use super::{PATIENCE, shows, use_models};
use crate::manage::usage::certificates::Certificates;
use crate::manage::usage::{Place, Usage};

#[test]
fn a_database_is_reached_by_tls_with_an_authority_of_its_own() {
    let Some(mut server) = Server::new() else {
        return;
    };
    let (certificates, others) = (
        Certificates::new("IP:127.0.0.1"),
        Certificates::new("DNS:elsewhere"),
    );
    server.start_tls(
        &certificates.path("server.pem"),
        &certificates.path("server.key"),
    );
    let port = server.port.unwrap();
    let usage = |host: &str, roots: &Path| {
        let roots = roots.display();
        let url =
            format!("postgres://kepler@{host}:{port}/postgres?sslmode=require&sslrootcert={roots}");
        Usage::open(url.parse().unwrap())
    };
    let good = usage("127.0.0.1", &certificates.path("authority.pem")).unwrap();
    use_models(&good, 30, Duration::ZERO);
    shows(&good, 30);
    // Encrypted indeed, by what the server says.
    let mut client = postgres::Client::connect(&server.url(), postgres::NoTls).unwrap();
    let encrypted = "SELECT count(*) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) \
        WHERE s.ssl AND a.application_name = 'kepler-model-server'";
    let count: i64 = client.query_one(encrypted, &[]).unwrap().get(0);
    assert_eq!(count, 1);
    // A server that the authority did not sign for, or another authority: nothing is sent.
    for (host, roots) in [
        ("127.0.0.1", others.path("authority.pem")),
        ("localhost", certificates.path("authority.pem")),
    ] {
        let stranger = usage(host, &roots).unwrap();
        use_models(&stranger, 30, Duration::ZERO);
        let failing = stranger.fresh_view(PATIENCE).failing.unwrap();
        assert!(failing.contains("certificate"), "{failing}");
    }
    let absent = usage("127.0.0.1", Path::new("/nonexistent.pem"));
    assert!(absent.err().unwrap().contains("/nonexistent.pem"));
    shows(&good, 30);
}

#[test]
fn three_servers_and_a_database_that_goes_away_add_up_exactly() {
    let Some(mut server) = Server::new() else {
        return;
    };
    // Away at first, too: a server begins without it.
    let place: Place = server.url().parse().unwrap();
    let replicas: [Usage; 3] = std::array::from_fn(|_| Usage::open(place.clone()).unwrap());
    use_models(&replicas[0], 30, Duration::ZERO);
    server.start();
    replicas.iter().for_each(|replica| shows(replica, 30));

    let longest = std::thread::scope(|scope| {
        let load =
            |replica| scope.spawn(move || use_models(replica, 600, Duration::from_millis(5)));
        let loads = replicas.each_ref().map(load);
        std::thread::sleep(Duration::from_millis(700));
        server.stop();
        std::thread::sleep(Duration::from_millis(1500));
        server.start();
        loads.map(|l| l.join().unwrap()).into_iter().max().unwrap()
    });
    replicas.iter().for_each(|replica| shows(replica, 1830));
    // Far below what one try to reach the database takes, on a busy machine too.
    assert!(
        longest < Duration::from_secs(1),
        "a request was held up for {longest:?}"
    );

    // One that ends writes what it has, and what the others wrote is there for one that begins.
    let [first, second, third] = replicas;
    use_models(&first, 30, Duration::ZERO);
    drop(first);
    let fourth = Usage::open(place).unwrap();
    [&second, &third, &fourth]
        .into_iter()
        .for_each(|replica| shows(replica, 1860));
    // A sum that a database cannot hold stays at the largest number, and nothing waits behind it.
    let most = json!({"models": {"d": {"errors": i64::MAX}}}).to_string();
    for _ in 0..2 {
        fourth.import(most.as_bytes()).unwrap();
    }
    let view = fourth.fresh_view(PATIENCE);
    let errors = view.models["d"].errors;
    assert_eq!((errors, view.failing), (i64::MAX.unsigned_abs(), None));
    fourth.reset().unwrap();
    assert!(second.fresh_view(PATIENCE).models.is_empty());
}

//! Platform power by Redfish, from a server that answers in the shapes of several makers.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kepler_core::ErrorKind;
use kepler_core::energy::{Bmc, Domain, EnergySource, PowerPart, Reading, Redfish, Trust};
use serde_json::{Value, json};

type Answers = Arc<Mutex<BTreeMap<String, Value>>>;

/// A controller with these resources, a number being the status that it answers instead, that wants the account `root:calvin`.
fn controller(resources: &[(&str, Value)]) -> (Bmc, Answers) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answers: Answers = Arc::default();
    set(&answers, resources);
    let shared = Arc::clone(&answers);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || serve(BufReader::new(stream), &shared));
        }
    });
    let mut bmc = Bmc::new(format!("http://{address}/"));
    bmc.account = Some(("root".into(), "calvin".into()));
    bmc.interval = Duration::from_millis(50);
    (bmc, answers)
}

fn serve(mut stream: BufReader<std::net::TcpStream>, answers: &Answers) -> Option<()> {
    loop {
        let (mut first, mut known) = (String::new(), false);
        stream.read_line(&mut first).ok().filter(|read| *read > 0)?;
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).ok().filter(|read| *read > 0)?;
            // base64 of root:calvin
            known |= line.trim().to_lowercase() == "authorization: basic cm9vddpjywx2aw4=";
            if line.trim().is_empty() {
                break;
            }
        }
        let path = first.split(' ').nth(1)?.trim_end_matches('/').to_owned();
        let (answer, delay) = {
            let answers = answers.lock().unwrap();
            (answers.get(&path).cloned(), answers.get("delay").cloned())
        };
        let delay = delay.and_then(|ms| ms.as_u64()).unwrap_or(0);
        std::thread::sleep(Duration::from_millis(delay));
        let (status, body) = match answer {
            _ if !known => (401, Value::Null),
            Some(Value::Number(status)) => (status.as_u64()?, Value::Null),
            Some(answer) => (200, answer),
            None => (404, Value::Null),
        };
        let body = body.to_string();
        write!(
            stream.get_mut(),
            "HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .ok()?;
    }
}

fn set(answers: &Answers, resources: &[(&str, Value)]) {
    let mut answers = answers.lock().unwrap();
    answers.extend(
        resources
            .iter()
            .map(|(path, value)| ((*path).to_owned(), value.clone())),
    );
}

fn link(path: &str) -> Value {
    json!({"@odata.id": path})
}

fn members(paths: &[&str]) -> Value {
    json!({"Members": paths.iter().map(|path| link(path)).collect::<Vec<_>>()})
}

fn root() -> (&'static str, Value) {
    (
        "/redfish/v1",
        json!({"Chassis": link("/redfish/v1/Chassis")}),
    )
}

/// The mean power over two readings, once it is told.
fn watts(source: &mut Redfish) -> f64 {
    let begun = Instant::now();
    let (mut readings, mut now) = (Vec::new(), kepler_core::Host::since_boot());
    loop {
        source.read(now, &mut readings);
        if let Reading::Energy { joules, over, .. } = readings[0] {
            return joules.0 / over.as_secs_f64();
        }
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "{:?}",
            readings[0]
        );
        std::thread::sleep(Duration::from_millis(20));
        now = kepler_core::Host::since_boot();
    }
}

fn failure(source: &mut Redfish) -> String {
    let begun = Instant::now();
    let mut readings = Vec::new();
    loop {
        source.read(kepler_core::Host::since_boot(), &mut readings);
        match &readings[0] {
            Reading::Failed(error) if !error.to_string().contains("yet") => {
                return error.to_string();
            }
            other => assert!(begun.elapsed() < Duration::from_secs(30), "{other:?}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn power_supplies_are_added_up_and_empty_bays_are_not_there() {
    let psu = |n: u32| format!("/redfish/v1/Chassis/1/PowerSubsystem/PowerSupplies/{n}");
    let (bmc, answers) = controller(&[
        root(),
        ("/redfish/v1/Chassis", members(&["/redfish/v1/Chassis/1"])),
        (
            "/redfish/v1/Chassis/1",
            json!({"PowerSubsystem": link("/redfish/v1/Chassis/1/PowerSubsystem"), "Power": link("/redfish/v1/Chassis/1/Power")}),
        ),
        (
            "/redfish/v1/Chassis/1/PowerSubsystem",
            json!({"PowerSupplies": link("/redfish/v1/Chassis/1/PowerSubsystem/PowerSupplies")}),
        ),
        (
            "/redfish/v1/Chassis/1/PowerSubsystem/PowerSupplies",
            members(&[&psu(0), &psu(1), &psu(2)]),
        ),
        (
            &psu(0),
            json!({"Metrics": link(&format!("{}/Metrics", psu(0))), "Name": "Left"}),
        ),
        (
            &psu(1),
            json!({"Metrics": link(&format!("{}/Metrics", psu(1)))}),
        ),
        (&psu(2), json!({"Status": {"State": "Absent"}})),
        (
            &format!("{}/Metrics", psu(0)),
            json!({"InputPowerWatts": {"Reading": 210.5}, "OutputPowerWatts": {"Reading": 190.0}}),
        ),
        (
            &format!("{}/Metrics", psu(1)),
            json!({"InputPowerWatts": {"Reading": null}, "OutputPowerWatts": {"Reading": 100}}),
        ),
    ]);
    let mut source = Redfish::open(&bmc).unwrap();
    assert_eq!(source.zones()[0].domain, Domain::Platform);
    assert!((watts(&mut source) - 310.5).abs() < 1e-6);
    let part = |p: &PowerPart| (p.chassis.clone(), p.id.clone(), p.name.clone(), p.watts.0);
    let parts: Vec<_> = source.parts().iter().map(part).collect();
    let told = [("0", "Left", 210.5), ("1", "", 100.0)];
    let told =
        told.map(|(id, name, watts)| ("1".to_owned(), id.to_owned(), name.to_owned(), watts));
    assert_eq!(parts, told);
    assert_eq!(source.parts()[0].controller, bmc.endpoint);
    assert_eq!(source.parts()[0].kind, "PowerSupply");
    // A supply is pulled: what tells power is looked for anew.
    answers
        .lock()
        .unwrap()
        .remove(&format!("{}/Metrics", psu(1)));
    let begun = Instant::now();
    while (watts(&mut source) - 210.5).abs() > 1e-6 {
        assert!(begun.elapsed() < Duration::from_secs(30));
    }
}

#[test]
fn older_controllers_tell_it_by_chassis_and_parts_of_the_machine_are_not_added() {
    // As Lenovo's and Dell's: the server first, then its processors; an enclosure beside it without power of its own.
    let control = json!([
        {"Name": "Server Power Control", "PowerConsumedWatts": 344},
        {"Name": "CPU Sub-system Power", "PhysicalContext": "CPU", "PowerConsumedWatts": 120},
    ]);
    let (bmc, _) = controller(&[
        root(),
        (
            "/redfish/v1/Chassis",
            members(&[
                "/redfish/v1/Chassis/System",
                "/redfish/v1/Chassis/Enclosure",
            ]),
        ),
        (
            "/redfish/v1/Chassis/System",
            json!({"Power": link("/redfish/v1/Chassis/System/Power")}),
        ),
        (
            "/redfish/v1/Chassis/System/Power",
            json!({"PowerControl": control}),
        ),
        (
            "/redfish/v1/Chassis/Enclosure",
            json!({"Power": link("/redfish/v1/Chassis/Enclosure/Power")}),
        ),
        (
            "/redfish/v1/Chassis/Enclosure/Power",
            json!({"PowerControl": []}),
        ),
    ]);
    assert!((watts(&mut Redfish::open(&bmc).unwrap()) - 344.0).abs() < 1e-6);
}

#[test]
fn a_chassis_within_one_that_tells_its_power_is_not_counted_twice() {
    let (bmc, _) = controller(&[
        root(),
        (
            "/redfish/v1/Chassis",
            members(&["/redfish/v1/Chassis/Rack", "/redfish/v1/Chassis/Sled"]),
        ),
        (
            "/redfish/v1/Chassis/Rack",
            json!({"EnvironmentMetrics": link("/redfish/v1/Chassis/Rack/EnvironmentMetrics")}),
        ),
        (
            "/redfish/v1/Chassis/Rack/EnvironmentMetrics",
            json!({"PowerWatts": {"Reading": 900}}),
        ),
        (
            "/redfish/v1/Chassis/Sled",
            json!({"Links": {"ContainedBy": link("/redfish/v1/Chassis/Rack")}, "Power": link("/redfish/v1/Chassis/Sled/Power")}),
        ),
        (
            "/redfish/v1/Chassis/Sled/Power",
            json!({"PowerSupplies": [{"PowerInputWatts": 400}, {"LastPowerOutputWatts": 50}]}),
        ),
    ]);
    assert!((watts(&mut Redfish::open(&bmc).unwrap()) - 900.0).abs() < 1e-6);
}

#[test]
fn trouble_is_a_failure_that_says_what_to_do_and_ends_by_itself() {
    let (mut bmc, answers) = controller(&[root(), ("/redfish/v1/Chassis", members(&[]))]);
    let mut source = Redfish::open(&bmc).unwrap();
    assert!(failure(&mut source).contains("no power of any chassis"));
    set(
        &answers,
        &[
            ("/redfish/v1/Chassis", members(&["/redfish/v1/Chassis/1"])),
            (
                "/redfish/v1/Chassis/1",
                json!({"Power": link("/redfish/v1/Chassis/1/Power")}),
            ),
            (
                "/redfish/v1/Chassis/1/Power",
                json!({"PowerControl": [{"PowerConsumedWatts": 99.0}]}),
            ),
        ],
    );
    assert!((watts(&mut source) - 99.0).abs() < 1e-6);
    // Firmware that says "unknown" by a value with all bits set, and a link that leads to another server.
    set(
        &answers,
        &[(
            "/redfish/v1/Chassis/1/Power",
            json!({"PowerControl": [{"PowerConsumedWatts": 65535}]}),
        )],
    );
    assert!(failure(&mut source).contains("what a machine can draw"));
    set(
        &answers,
        &[(
            "/redfish/v1",
            json!({"Chassis": link("https://elsewhere/")}),
        )],
    );
    assert!(failure(&mut Redfish::open(&bmc).unwrap()).contains("a path of its own"));
    bmc.account = None;
    assert!(failure(&mut Redfish::open(&bmc).unwrap()).contains("check the account"));
    assert!(!format!("{bmc:?}").contains("calvin"));
}

#[test]
fn a_part_that_does_not_answer_now_is_waited_for_and_not_left_out() {
    let supply = |n: u32| format!("/redfish/v1/Chassis/1/Supplies/{n}");
    let metrics = |watts: u32| json!({"InputPowerWatts": {"Reading": watts}});
    let (mut bmc, answers) = controller(&[
        root(),
        ("/redfish/v1/Chassis", members(&["/redfish/v1/Chassis/1"])),
        (
            "/redfish/v1/Chassis/1",
            json!({"PowerSubsystem": link("/sub")}),
        ),
        ("/sub", json!({"PowerSupplies": link("/supplies")})),
        ("/supplies", members(&[&supply(0), &supply(1)])),
        (&supply(0), json!({"Metrics": link("/a")})),
        (&supply(1), json!({"Metrics": link("/b")})),
        ("/a", metrics(100)),
        ("/b", json!(503)),
    ]);
    bmc.interval = Duration::from_millis(20);
    let mut source = Redfish::open(&bmc).unwrap();
    assert!(failure(&mut source).contains("503"));
    set(&answers, &[("/b", metrics(50))]);
    assert!((watts(&mut source) - 150.0).abs() < 1e-6);
    // It is busy for a while: the power before holds, and no reading fails.
    set(&answers, &[("/b", json!(503))]);
    let mut readings = Vec::new();
    for _ in 0..10 {
        std::thread::sleep(Duration::from_millis(20));
        source.read(kepler_core::Host::since_boot(), &mut readings);
        assert!(
            matches!(readings[0], Reading::Energy { .. }),
            "{readings:?}"
        );
    }
    // For longer than patience, as a clock says that runs ahead.
    let later = kepler_core::Host::since_boot() + Duration::from_secs(60);
    source.read(later, &mut readings);
    assert!(matches!(&readings[0], Reading::Failed(e) if e.to_string().contains("503")));
    set(&answers, &[("/b", metrics(60))]);
    let begun = Instant::now();
    while (watts(&mut source) - 160.0).abs() > 1e-6 {
        assert!(begun.elapsed() < Duration::from_secs(30));
    }
}

#[test]
fn a_controller_without_end_is_not_followed_without_end() {
    // 64 enclosures with 64 supplies each, all of which lead to each other.
    let many = members(&["/redfish/v1/Chassis/1"; 64]);
    let everything = json!({"PowerSubsystem": link("/redfish/v1/Chassis"), "PowerSupplies": link("/redfish/v1/Chassis"),
        "Members": many["Members"], "Metrics": link("/nothing")});
    let (bmc, answers) = controller(&[
        root(),
        ("/redfish/v1/Chassis", everything.clone()),
        ("/redfish/v1/Chassis/1", everything),
    ]);
    let mut source = Redfish::open(&bmc).unwrap();
    let why = failure(&mut source);
    assert!(why.contains("questions") && why.contains("512"), "{why}");
    // A link longer than any is none.
    let long = format!("/{}", "x".repeat(2000));
    set(
        &answers,
        &[
            ("/redfish/v1/Chassis", members(&["/redfish/v1/Chassis/1"])),
            ("/redfish/v1/Chassis/1", json!({"Power": link(&long)})),
            (&long, json!({"PowerControl": [{"PowerConsumedWatts": 99}]})),
        ],
    );
    let begun = Instant::now();
    while !failure(&mut source).contains("no power of any chassis") {
        assert!(begun.elapsed() < Duration::from_secs(30));
    }
}

#[test]
fn a_poll_takes_no_longer_than_a_few_slow_answers() {
    // Each answers in time, and all of them together do not.
    let (mut bmc, _) = controller(&[
        ("delay", json!(100)),
        root(),
        (
            "/redfish/v1/Chassis",
            members(&["/redfish/v1/Chassis/1"; 64]),
        ),
        ("/redfish/v1/Chassis/1", json!({})),
    ]);
    bmc.timeout = Duration::from_millis(200);
    let mut source = Redfish::open(&bmc).unwrap();
    let begun = Instant::now();
    while !failure(&mut source).contains("has taken its time") {
        assert!(begun.elapsed() < Duration::from_secs(60));
    }
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let kind = |bmc: &Bmc| Redfish::open(bmc).unwrap_err().kind();
    assert_eq!(kind(&Bmc::new("ftp://x")), ErrorKind::InvalidInput);
    let mut bmc = Bmc::new("https://127.0.0.1:1");
    bmc.trust = Trust::File("/nowhere/ca.pem".into());
    assert_eq!(kind(&bmc), ErrorKind::NotFound);
    bmc.trust = Trust::Anyone;
    bmc.interval = Duration::ZERO;
    assert_eq!(kind(&bmc), ErrorKind::InvalidInput);
}

//! What one look at the energy meters costs: kept descriptors, one `pread` a zone.

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use kepler_core::Host;
use kepler_core::energy::{EnergySource, Powercap};

fn powercap(criterion: &mut Criterion) {
    let hosts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../kepler-core/tests/hosts");
    let host = Host::at(hosts.join("powercap-two-sockets"));
    let mut rapl = Powercap::open(&host).expect("the fixture has four zones");
    let (mut now, mut readings) = (Duration::ZERO, Vec::new());
    criterion.bench_function("powercap: read 4 zones", |bench| {
        bench.iter(|| {
            now += Duration::from_millis(1);
            rapl.read(now, &mut readings);
            black_box(readings.len())
        });
    });
}

criterion_group!(benches, powercap);
criterion_main!(benches);

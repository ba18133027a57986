//! How much a zone can draw at most: `constraint_*_max_power_uw` and `constraint_*_power_limit_uw`.

use std::path::Path;

use crate::energy::{Domain, meter};
use crate::host::Host;
use crate::units::{Microwatts, Watts};

/// The power above which a zone's figures are not believed.
///
/// Four times the largest limit that the zone's constraints name, for limits are means over a while and may be raised
/// later. Never below a tenth of what the largest parts of the kind draw (a small limit is a cap that somebody set, which
/// idle power alone may exceed), and never above that (4,095 W stands for "no limit"). Without any limit, it is that.
pub(super) fn ceiling(host: &Host, zone: &Path, parent: Option<&Path>, domain: Domain) -> Watts {
    let inherits = matches!(domain, Domain::Core | Domain::Uncore);
    let limit =
        largest(host, zone).or_else(|| parent.filter(|_| inherits).and_then(|p| largest(host, p)));
    let most = meter::ceiling(domain);
    limit.map_or(most, |limit| {
        Watts((limit.0 * 4.0).clamp(most.0 / 10.0, most.0))
    })
}

/// The largest power that a zone's constraints name; 0 stands for none there.
fn largest(host: &Host, zone: &Path) -> Option<Watts> {
    let files = (0..CONSTRAINTS).flat_map(|number| {
        ["max_power", "power_limit"].map(|what| format!("constraint_{number}_{what}_uw"))
    });
    files
        .filter_map(|file| host.optional(zone.join(file)).ok().flatten())
        .filter_map(|text| text.parse().ok())
        .max()
        .filter(|limit| *limit > 0)
        .map(|limit| Microwatts(limit).watts())
}

/// The kernel knows long term, short term and peak power.
const CONSTRAINTS: usize = 3;

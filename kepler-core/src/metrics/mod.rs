//! Snapshots as Prometheus text and OpenMetrics. No sockets: a service serves the text on its own server.
//!
//! [`FAMILIES`] is the one table of what can be exported. [`Exposition`] holds what is chosen of it and the label text of
//! every process seen; a [`Page`] is one scrape, written piece by piece so that it never lies in memory as a whole.
//!
//! ```no_run
//! use kepler_core::Host;
//! use kepler_core::metrics::{Exposition, Format, Selection};
//! # fn sample() -> std::sync::Arc<kepler_core::monitor::Snapshot> { unimplemented!() }
//!
//! let mut exposition = Exposition::new(&Selection::default(), Host::default());
//! let text = exposition.page(&sample(), Format::Text).into_text();
//! ```

mod family;
mod identity;
mod labels;
mod node;
mod page;
mod selection;
mod text;

pub use family::{FAMILIES, Family, Group, Kind, Level};
pub use page::{Exposition, Page};
pub use selection::Selection;
pub use text::Format;

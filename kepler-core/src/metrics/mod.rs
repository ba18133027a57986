//! Snapshots as Prometheus text and OpenMetrics. No sockets: a service serves the text on its own server.
//!
//! [`FAMILIES`] is the one table of what can be exported. [`Exposition`] holds what is chosen of it and the label text of
//! every process seen; a [`Page`] is one scrape, written piece by piece so that it never lies in memory as a whole.
//!
//! ```
//! use kepler_core::Host;
//! use kepler_core::metrics::{Exposition, Format, Selection};
//! use kepler_core::monitor::Monitor;
//!
//! let mut monitor = Monitor::builder().fake().build()?;
//! let mut exposition = Exposition::new(&Selection::default(), Host::default());
//! let text = exposition.page(&monitor.sample()?, Format::Text).into_text();
//! assert!(text.contains("kepler_node_cpu_joules_total{zone=\"package\""));
//! # Ok::<(), kepler_core::Error>(())
//! ```

mod ends;
mod family;
mod identity;
mod labels;
mod merge;
mod node;
mod page;
mod rows;
mod selection;
mod text;

pub use family::{FAMILIES, Family, Group, Kind, Level};
pub use identity::Own;
pub use page::{Exposition, Page};
pub use selection::Selection;
pub use text::Format;

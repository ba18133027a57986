//! Hands virtual machines what they used, on a thread of its own: a folder that hangs delays no sample.

use std::path::Path;
use std::time::Duration;

use kepler_core::share::VmShare;
use kepler_service::log;

use crate::sampler::View;

/// How often it is looked whether there is a new snapshot.
const TICK: Duration = Duration::from_millis(200);

/// Begins to share into a folder.
pub(crate) fn start(folder: &Path, view: View) -> Result<(), Box<dyn std::error::Error>> {
    let mut share = VmShare::open(folder)?;
    let write = move || {
        let (mut shown, mut said) = (0, String::new());
        loop {
            let snapshot = view.whole();
            if snapshot.sequence != shown {
                shown = snapshot.sequence;
                let trouble = share.write(&snapshot).err().map(|e| e.to_string());
                let trouble = trouble.unwrap_or_default();
                // The same trouble again is no news.
                if !trouble.is_empty() && trouble != said {
                    log::warn(&format!("vm.share: {trouble}"));
                }
                said = trouble;
            }
            std::thread::sleep(TICK);
        }
    };
    std::thread::Builder::new()
        .name("share".into())
        .spawn(write)?;
    Ok(())
}

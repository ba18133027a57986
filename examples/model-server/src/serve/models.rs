//! Where the served models come from.

use std::path::Path;
use std::time::Instant;

use kepler_core::model::ModelRegistry;
use kepler_core::protocol::Catalog;
use kepler_service::log;

/// Opens what is named: folders, zips or URLs of pipelines. Nothing named means the embedded models.
///
/// # Errors
/// A line that names the place and what is wrong there.
pub(super) fn open(places: &[String]) -> Result<Catalog, String> {
    let started = Instant::now();
    let mut registry: Option<ModelRegistry> = None;
    for place in places {
        let path = Path::new(place.strip_prefix("file://").unwrap_or(place));
        match &mut registry {
            Some(registry) => registry.add(path).map_err(|e| e.to_string())?,
            None => registry = Some(ModelRegistry::open(path).map_err(|e| e.to_string())?),
        }
    }
    let Some(registry) = registry else {
        log::info("serving the embedded models");
        return Ok(Catalog::embedded());
    };
    for (file, error) in registry.skipped() {
        log::warn(&format!("{file} is left out: {error}"));
    }
    let pipelines: Vec<&str> = registry.pipelines().map(|(name, _)| name).collect();
    log::info(&format!(
        "serving {} models of {} (indexed in {:.2} s)",
        registry.entries().len(),
        pipelines.join(", "),
        started.elapsed().as_secs_f64()
    ));
    Ok(Catalog::new(registry))
}

//! What the model manager has of the server: its routes, and the models in memory.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use super::meters::Use;
use super::models;
use super::reply::{Form, json};
use super::routes::{reading, writing};
use super::site::Site;
use crate::manage::check::Report;
use crate::manage::manager::{Manager, ROUTES, Serving};

/// The manager's routes.
pub(super) fn routes(manager: &Arc<Manager>) -> Router<Arc<Site>> {
    let mut router = Router::new();
    for (method, path, _) in ROUTES {
        let manager = Arc::clone(manager);
        let answer = move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
            let manager = Arc::clone(&manager);
            async move { answered(manager, method, uri, headers, body).await }
        };
        router = router.route(
            path,
            match method {
                "GET" => reading(get(answer)),
                _ => writing(post(answer)),
            },
        );
    }
    router
}

/// The manager reads files and waits for stores, so that it is asked on a thread of its own.
async fn answered(
    manager: Arc<Manager>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let work = tokio::task::spawn_blocking(move || {
        manager.answer(method.as_str(), uri.path(), &headers, &body)
    });
    match work.await {
        Ok(Some(answer)) => {
            let status = StatusCode::from_u16(answer.status);
            let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, json(&answer.body)).into_response()
        }
        Ok(None) => Form::Json.refuse(StatusCode::NOT_FOUND, "there is nothing here"),
        Err(error) => Form::Json.refuse(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// The models that a site serves.
pub(super) struct Served {
    site: Arc<Site>,
    places: Mutex<Vec<String>>,
}

impl Served {
    /// The models of a site, which were opened from these places.
    pub(super) fn new(site: Arc<Site>, places: Vec<String>) -> Self {
        Self {
            site,
            places: Mutex::new(places),
        }
    }
}

impl Serving for Served {
    fn reload(&self, _name: &str, path: &Path) -> Result<(), String> {
        // One at a time: each opens what the one before it added.
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = places.clone();
        let path = path.display().to_string();
        if !all.contains(&path) {
            all.push(path);
        }
        self.site.serve(models::open(&all)?);
        *places = all;
        Ok(())
    }

    fn reported(&self, report: &Report) {
        self.site.meters.reported(report);
    }

    fn infer(&self, pipeline: &str) -> Result<String, String> {
        let catalog = self.site.catalog();
        let first = catalog
            .listings()
            .find(|listing| listing.id.pipeline == pipeline);
        let id = first
            .ok_or_else(|| format!("no pipeline {pipeline:?} is served"))?
            .id;
        let model = catalog.model_at(&id).map_err(|e| e.to_string())?;
        let model = model.ok_or_else(|| format!("{id} is gone"))?;
        let started = Instant::now();
        let middle = |feature: &kepler_core::model::FeatureSpec| match (feature.min, feature.max) {
            (Some(low), Some(high)) => f64::midpoint(low, high),
            _ => 1.0,
        };
        let row: Vec<f64> = model.file().features.iter().map(middle).collect();
        let prediction = model.predict_one(&row).map_err(|e| format!("{id}: {e}"))?;
        self.site.predicted(&id, Use::Estimate, started.elapsed());
        let watts = prediction.watts.iter().map(|(c, w)| format!("{c} {w}"));
        Ok(format!("{id}: {}", watts.collect::<Vec<_>>().join(", ")))
    }
}

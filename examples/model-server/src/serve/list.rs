//! Lists of what is served, and a model's card.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use kepler_core::MachineSpec;
use kepler_core::model::{Component, FeatureSpec, HeldOut, PowerModel, Training};
use kepler_core::protocol::{Catalog, Listing, MachineType, ModelId, Refusal};
use serde::Serialize;

use super::reply::{Form, json, refused};
use super::routes::{items, off_the_loop};
use super::site::Site;

/// Models on a page unless a request says otherwise.
const LIMIT: usize = 100;
/// Models on a page at most.
const MOST: usize = 1000;

/// A page of models.
#[derive(Serialize)]
struct Models {
    /// How many there are that fit.
    total: usize,
    offset: usize,
    models: Vec<Listing>,
}

/// Which models are asked for.
#[derive(Default)]
struct Asked {
    wanted: Vec<(String, String)>,
    offset: usize,
    limit: usize,
}

impl Asked {
    fn parse(items: Vec<(String, String)>) -> Result<Self, Refusal> {
        let mut asked = Self {
            limit: LIMIT,
            ..Self::default()
        };
        for (name, value) in items {
            let number = || {
                value
                    .parse()
                    .map_err(|_| refused(format!("{name} is {value:?}: expected a number from 0")))
            };
            match name.as_str() {
                "offset" => asked.offset = number()?,
                "limit" => asked.limit = number()?.min(MOST),
                "node-type" => {
                    number()?;
                    asked.wanted.push((name, value));
                }
                "pipeline" | "source" | "output-type" | "group" | "trainer" | "feature" => {
                    asked.wanted.push((name, value));
                }
                _ => {}
            }
        }
        Ok(asked)
    }

    fn admits(&self, model: &Listing) -> bool {
        self.wanted.iter().all(|(name, value)| match name.as_str() {
            "pipeline" => model.id.pipeline == *value,
            "source" => model.id.source.as_str() == value,
            "output-type" => model.id.output_type.as_str() == value,
            "group" => model.id.group == *value,
            "trainer" => model.trainer == *value,
            "feature" => model.features.contains(value),
            _ => model.node_type.map(|n| n.to_string()).as_ref() == Some(value),
        })
    }
}

pub(super) async fn models(State(site): State<Arc<Site>>, RawQuery(query): RawQuery) -> Response {
    let asked = match Asked::parse(items(query.as_deref())) {
        Ok(asked) => asked,
        Err(refusal) => return Form::Json.refusal(&refusal),
    };
    let catalog = site.catalog();
    let mut total = 0;
    let mut models = Vec::new();
    for model in catalog.listings().filter(|m| asked.admits(m)) {
        if total >= asked.offset && models.len() < asked.limit {
            models.push(model);
        }
        total += 1;
    }
    json(&Models {
        total,
        offset: asked.offset,
        models,
    })
}

/// All that is told of one model.
#[derive(Serialize)]
struct Card<'a> {
    #[serde(flatten)]
    listing: Listing,
    machine: &'a MachineSpec,
    inputs: &'a [FeatureSpec],
    components: BTreeMap<Component, Part<'a>>,
    training: &'a Training,
    /// The same for a person to read.
    text: String,
}

#[derive(Serialize)]
struct Part<'a> {
    kind: &'static str,
    errors: &'a [HeldOut],
}

type Place = (String, String, String, String, String);

pub(super) async fn model(
    State(site): State<Arc<Site>>,
    headers: HeaderMap,
    place: Result<Path<Place>, PathRejection>,
) -> Response {
    let place = match place {
        Ok(Path(place)) => place,
        Err(rejection) => return Form::of(&headers).refusal(&refused(rejection.body_text())),
    };
    let work = off_the_loop(&site, move |catalog, _| card(catalog, place));
    work.await
        .unwrap_or_else(|refusal| Form::of(&headers).refusal(&refusal))
}

fn card(catalog: &Catalog, place: Place) -> Result<Response, Refusal> {
    let (pipeline, source, output_type, group, name) = place;
    let missing = || Refusal {
        status: 404,
        ..refused("there is no such model; /models lists all".to_owned())
    };
    let id = ModelId {
        pipeline,
        source: source.parse().map_err(|_| missing())?,
        output_type: output_type.parse().map_err(|_| missing())?,
        group,
        name,
    };
    let listing = catalog.listing_at(&id).ok_or_else(missing)?;
    let read = |e: kepler_core::Error| Refusal {
        status: 500,
        ..refused(e.to_string())
    };
    let model: PowerModel = catalog.model_at(&id).map_err(read)?.ok_or_else(missing)?;
    let file = model.file();
    let part = |(component, part): (&Component, &'_ kepler_core::model::ComponentModel)| {
        (*component, part.estimator.kind(), part.errors.clone())
    };
    let parts: Vec<_> = file.components.iter().map(part).collect();
    let components = parts.iter().map(|(component, kind, errors)| {
        let part = Part { kind, errors };
        (*component, part)
    });
    Ok(json(&Card {
        listing,
        machine: &file.machine,
        inputs: &file.features,
        components: components.collect(),
        training: &file.training,
        text: model.to_string(),
    }))
}

#[derive(Serialize)]
struct NodeTypes {
    node_types: Vec<MachineType>,
}

pub(super) async fn node_types(
    State(site): State<Arc<Site>>,
    RawQuery(query): RawQuery,
) -> Response {
    let items = items(query.as_deref());
    let pipeline = items.iter().find(|(name, _)| name == "pipeline");
    let catalog = site.catalog();
    let node_types = catalog.machine_types();
    let node_types = node_types.filter(|t| pipeline.is_none_or(|(_, p)| *p == t.pipeline));
    json(&NodeTypes {
        node_types: node_types.collect(),
    })
}

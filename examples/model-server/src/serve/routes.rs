//! The routes and what answers them.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, MatchedPath, RawQuery, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use kepler_core::protocol::{
    BestQuery, Catalog, Estimate, EstimateQuery, ModelAnswer, ModelQuery, Refusal, Rules,
};

#[cfg(feature = "arrow")]
use super::arrow;
use super::meters::Use;
use super::reply::{Form, json, json_text, refused, tag_of, tagged};
use super::site::Site;
use super::{list, managed, page};
use crate::manage::manager::Manager;

/// A body that is read in no time worth telling.
const SMALL: usize = 64 << 10;

type Shared = State<Arc<Site>>;

/// Every route of the server.
pub(super) fn router(site: Arc<Site>, manager: &Arc<Manager>) -> Router {
    managed::routes(manager)
        .route("/", kept(get(page::index)))
        .route("/page.js", kept(get(page::script)))
        .route("/page.css", kept(get(page::style)))
        .route("/openapi.json", kept(get(page::openapi)))
        .route("/model", writing(post(model)))
        .route("/best-models", kept(get(best_models)))
        .route("/models", kept(get(list::models)))
        .route(
            "/models/{pipeline}/{source}/{output_type}/{group}/{name}",
            kept(get(list::model)),
        )
        .route("/node-types", kept(get(list::node_types)))
        .route("/estimate", writing(post(estimate)))
        .route("/health", reading(get(healthy)))
        .route("/healthz", reading(get(healthy)))
        .route("/ready", reading(get(ready)))
        .route("/readyz", reading(get(ready)))
        .route("/metrics", reading(get(metrics)))
        .fallback(nothing)
        .layer(middleware::from_fn_with_state(Arc::clone(&site), measured))
        // The service bounds bodies, and says so in its own words.
        .layer(DefaultBodyLimit::disable())
        .with_state(site)
}

/// A route that is read, whose answers a client may keep and ask for again by their tags.
fn kept(routes: MethodRouter<Arc<Site>>) -> MethodRouter<Arc<Site>> {
    reading(routes.layer(middleware::from_fn(tagged)))
}

/// A route that is read.
pub(super) fn reading(routes: MethodRouter<Arc<Site>>) -> MethodRouter<Arc<Site>> {
    with_methods(routes, "GET, HEAD, OPTIONS")
}

/// A route that is written to.
pub(super) fn writing(routes: MethodRouter<Arc<Site>>) -> MethodRouter<Arc<Site>> {
    with_methods(routes, "POST, OPTIONS")
}

/// A route that says which methods it has, as the older server does.
fn with_methods(routes: MethodRouter<Arc<Site>>, allow: &'static str) -> MethodRouter<Arc<Site>> {
    let allow = HeaderValue::from_static(allow);
    routes.fallback(move |method: Method, headers: HeaderMap| {
        let allow = allow.clone();
        async move {
            let mut response = if method == Method::OPTIONS {
                StatusCode::OK.into_response()
            } else {
                let why = format!("{method} is not answered here");
                Form::of(&headers).refuse(StatusCode::METHOD_NOT_ALLOWED, &why)
            };
            response.headers_mut().insert(header::ALLOW, allow);
            response
        }
    })
}

async fn measured(State(site): Shared, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let route = matched.as_ref().map_or("other", MatchedPath::as_str);
    site.meters
        .answered(route, response.status().as_u16(), started.elapsed());
    response
}

async fn nothing(headers: HeaderMap) -> Response {
    Form::of(&headers).refuse(
        StatusCode::NOT_FOUND,
        "there is nothing here; /openapi.json lists what there is",
    )
}

async fn model(State(site): Shared, headers: HeaderMap, body: Bytes) -> Response {
    let form = Form::of(&headers);
    if !is_json(&headers) {
        return unsupported(form);
    }
    // A large body takes its time to be read, and a model that is not at hand comes from a disk: meanwhile others are answered.
    let answer = if body.len() > SMALL {
        off_the_loop(&site, move |catalog, rules| {
            catalog.answer(&ModelQuery::parse(&body, rules)?)
        })
        .await
    } else {
        match ModelQuery::parse(&body, site.rules)
            .and_then(|query| Ok((site.catalog().answer_at_hand(&query)?, query)))
        {
            Ok((Some(answer), _)) => Ok(answer),
            Ok((None, query)) => {
                off_the_loop(&site, move |catalog, _| catalog.answer(&query)).await
            }
            Err(refusal) => Err(refusal),
        }
    };
    match answer {
        Ok((id, ModelAnswer::Weights(text))) => {
            site.handed_out(&id, Use::Weights);
            json_text(text)
        }
        Ok((id, ModelAnswer::Zip { name, bytes })) => {
            site.handed_out(&id, Use::Zip);
            zip(&name, bytes)
        }
        Err(refusal) => form.refusal(&refusal),
    }
}

/// Has a thread that may block answer.
pub(super) async fn off_the_loop<T: Send + 'static>(
    site: &Arc<Site>,
    answer: impl FnOnce(&Catalog, Rules) -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let (catalog, rules) = (site.catalog(), site.rules);
    let work = tokio::task::spawn_blocking(move || answer(&catalog, rules));
    work.await.unwrap_or_else(|error| {
        Err(Refusal {
            status: 500,
            ..refused(error.to_string())
        })
    })
}

fn zip(name: &str, bytes: Arc<[u8]>) -> Response {
    // Model names come from files: anything that would end the header's value is left out.
    let name: String = name
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c))
        .collect();
    let tag = format!("\"{:016x}\"", tag_of(&bytes));
    let headers = [
        (header::CONTENT_TYPE, "application/zip".to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename={name}"),
        ),
        (header::CACHE_CONTROL, "no-cache".to_owned()),
        (header::ETAG, tag),
    ];
    (headers, Bytes::from_owner(bytes)).into_response()
}

async fn best_models(
    State(site): Shared,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let items = items(query.as_deref());
    let items = items.iter().map(|(k, v)| (k.as_str(), v.as_str()));
    let best = BestQuery::parse(items).and_then(|query| site.catalog().best_models(&query));
    match best {
        Ok(best) => json(&best),
        Err(refusal) => Form::of(&headers).refusal(&refusal),
    }
}

async fn estimate(
    State(site): Shared,
    #[cfg(feature = "arrow")] RawQuery(asked): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    // This route has no older clients: errors are JSON.
    let Some(from) = Rows::of(&headers) else {
        return Form::Json.refuse(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the rows are neither JSON nor an Arrow stream: Content-Type says so",
        );
    };
    let to = from.wanted(&headers);
    // Thousands of rows take their time, in which others are answered.
    let counted = Arc::clone(&site);
    let work = off_the_loop(&site, move |catalog, _| {
        let started = Instant::now();
        let query = match from {
            Rows::Json => EstimateQuery::parse(&body)?,
            #[cfg(feature = "arrow")]
            Rows::Arrow => arrow::query(items(asked.as_deref()), &body)?,
        };
        let estimate = catalog.estimate(&query)?;
        counted.predicted(&estimate.model, Use::Estimate, started.elapsed());
        to.answer(&estimate)
    });
    work.await
        .unwrap_or_else(|refusal| Form::Json.refusal(&refusal))
}

/// How rows and watts are written.
#[derive(Clone, Copy)]
enum Rows {
    Json,
    #[cfg(feature = "arrow")]
    Arrow,
}

impl Rows {
    /// As the request's are; none for what is not known.
    fn of(headers: &HeaderMap) -> Option<Self> {
        #[cfg(feature = "arrow")]
        if media_type(headers) == arrow::KIND {
            return Some(Self::Arrow);
        }
        is_json(headers).then_some(Self::Json)
    }

    /// As the answer's are to be: as the client names it, else as its own.
    fn wanted(self, headers: &HeaderMap) -> Self {
        let accept = headers.get(header::ACCEPT).and_then(|a| a.to_str().ok());
        match accept {
            #[cfg(feature = "arrow")]
            Some(accept) if accept.contains(arrow::KIND) => Self::Arrow,
            Some(accept) if accept.contains("json") => Self::Json,
            _ => self,
        }
    }

    fn answer(self, estimate: &Estimate) -> Result<Response, Refusal> {
        Ok(match self {
            Self::Json => json(estimate),
            #[cfg(feature = "arrow")]
            Self::Arrow => {
                let kind = [(header::CONTENT_TYPE, arrow::KIND)];
                (kind, arrow::answer(estimate)?).into_response()
            }
        })
    }
}

async fn healthy() -> &'static str {
    "ok\n"
}

async fn ready(State(site): Shared, headers: HeaderMap) -> Response {
    if site.is_ready() {
        return healthy().await.into_response();
    }
    Form::of(&headers).refuse(
        StatusCode::SERVICE_UNAVAILABLE,
        "the expected models are being fetched",
    )
}

async fn metrics(State(site): Shared) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], site.meters.page()).into_response()
}

/// A query's items, decoded.
pub(super) fn items(query: Option<&str>) -> Vec<(String, String)> {
    let query = format!("/?{}", query.unwrap_or_default());
    let uri = query.parse().ok();
    let parsed = uri.and_then(|uri| axum::extract::Query::try_from_uri(&uri).ok());
    parsed.map_or_else(Vec::new, |axum::extract::Query(items)| items)
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = media_type(headers);
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

/// What a request's body is said to be, without parameters.
fn media_type(headers: &HeaderMap) -> String {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|k| k.to_str().ok());
    let kind = kind.and_then(|k| k.split(';').next()).unwrap_or_default();
    kind.trim().to_ascii_lowercase()
}

fn unsupported(form: Form) -> Response {
    form.refuse(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "the body must be JSON: Content-Type is not application/json",
    )
}

//! Answers in the forms that clients ask for: JSON, or the older server's small pages.

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use kepler_core::protocol::Refusal;
use kepler_service::escaped;
use serde::Serialize;

/// The form in which a client wants to hear of errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    Page,
}

impl Form {
    /// JSON where the client names it, else what the older server answers.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let accept = headers.get(header::ACCEPT).and_then(|a| a.to_str().ok());
        match accept {
            Some(accept) if accept.contains("json") => Self::Json,
            _ => Self::Page,
        }
    }

    /// What is wrong with a request, or with this server.
    pub(super) fn refuse(self, status: StatusCode, reason: &str) -> Response {
        let title = status.canonical_reason().unwrap_or("Error");
        match self {
            Self::Json => (status, json(&serde_json::json!({ "error": reason }))).into_response(),
            Self::Page => page(
                status,
                &format!(
                    "<!doctype html>\n<html lang=en>\n<title>{} {title}</title>\n<h1>{title}</h1>\n<p>{}</p>\n",
                    status.as_u16(),
                    escaped(reason)
                ),
            ),
        }
    }

    /// A request that is not met.
    pub(super) fn refusal(self, refusal: &Refusal) -> Response {
        let status = StatusCode::from_u16(refusal.status);
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if self == Self::Page && refusal.known {
            return page(status, &escaped(&refusal.reason));
        }
        self.refuse(status, &refusal.reason)
    }
}

/// A request that makes no sense.
pub(super) fn refused(reason: String) -> Refusal {
    Refusal {
        status: 400,
        reason,
        known: false,
    }
}

/// Gives an answer to `GET` a tag, and leaves its body out where the client has that already.
pub(super) async fn tagged(request: Request, next: Next) -> Response {
    let is_get = request.method() == Method::GET;
    let known = request.headers().get(header::IF_NONE_MATCH).cloned();
    let response = next.run(request).await;
    if !is_get || response.status() != StatusCode::OK {
        return response;
    }
    // All of these were made from a text in memory: nothing is waited for.
    let (mut parts, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, usize::MAX).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let tag = format!("\"{:016x}\"", tag_of(&bytes));
    let is_known = known.is_some_and(|known| names(&known, &tag));
    if let Ok(tag) = HeaderValue::try_from(tag) {
        parts.headers.insert(header::ETAG, tag);
    }
    let ask_again = HeaderValue::from_static("no-cache");
    parts
        .headers
        .entry(header::CACHE_CONTROL)
        .or_insert(ask_again);
    if is_known {
        parts.status = StatusCode::NOT_MODIFIED;
        parts.headers.remove(header::CONTENT_TYPE);
        parts.headers.remove(header::CONTENT_LENGTH);
        return Response::from_parts(parts, Body::empty());
    }
    Response::from_parts(parts, Body::from(bytes))
}

/// Whether an `If-None-Match` names a tag.
fn names(known: &HeaderValue, tag: &str) -> bool {
    let known = known.to_str().unwrap_or_default();
    let weak = |part: &str| part.trim().trim_start_matches("W/") == tag;
    known.trim() == "*" || known.split(',').any(weak)
}

/// FNV-1a: the same bytes have the same tag, whenever and wherever they are served.
pub(super) fn tag_of(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// A value as JSON, with the line's end that the older server puts there.
pub(super) fn json(value: &impl Serialize) -> Response {
    match serde_json::to_string(value) {
        Ok(text) => json_text(text),
        Err(error) => Form::Json.refuse(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

pub(super) fn json_text(mut text: String) -> Response {
    text.push('\n');
    let kind = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

fn page(status: StatusCode, text: &str) -> Response {
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    (status, [(header::CONTENT_TYPE, kind)], text.to_owned()).into_response()
}

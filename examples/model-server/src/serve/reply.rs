//! Answers in the forms that clients ask for: JSON, or the older server's small pages.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use kepler_core::protocol::Refusal;
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

/// Requests are told back in pages: nothing of them may be markup.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

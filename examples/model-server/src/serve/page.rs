//! The web page, its parts and the description of the routes: all compiled in.

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

/// The description of all routes.
pub(super) const OPENAPI: &str = include_str!("page/openapi.json");

pub(super) async fn index() -> Response {
    part("text/html; charset=utf-8", include_str!("page/index.html"))
}

pub(super) async fn script() -> Response {
    part(
        "text/javascript; charset=utf-8",
        include_str!("page/page.js"),
    )
}

pub(super) async fn style() -> Response {
    part("text/css; charset=utf-8", include_str!("page/page.css"))
}

pub(super) async fn openapi() -> Response {
    part("application/json", OPENAPI)
}

fn part(kind: &'static str, text: &'static str) -> Response {
    ([(CONTENT_TYPE, kind)], text).into_response()
}

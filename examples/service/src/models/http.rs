//! Models by HTTP: asked of a model server, or read from where one lies.

use std::time::Duration;

use kepler_core::protocol::Want;
use ureq::Body;
use ureq::http::Response;

use super::Answer;
use crate::client::agent;

/// A question and its answer may take so long, however slowly it comes.
const PATIENCE: Duration = Duration::from_secs(30);
/// The largest answer in bytes.
const LIMIT: u64 = 32 << 20;
/// What of an answer without a model is told.
const TOLD: usize = 200;
/// A file may lie elsewhere than its URL says; a server that answers questions may not.
const REDIRECTS: u32 = 3;

pub(super) fn post(url: &str, want: &Want) -> Result<Answer, String> {
    let request = agent(PATIENCE, 0).post(url);
    let request = request
        .header("content-type", "application/json")
        .header("accept", "application/zip, application/json;q=0.9");
    let response = request.send(want.request());
    read(want, response)
}

pub(super) fn get(url: &str, want: &Want) -> Result<Answer, String> {
    read(want, agent(PATIENCE, REDIRECTS).get(url).call())
}

/// Who was asked is known to whoever asked.
fn read(want: &Want, response: Result<Response<Body>, ureq::Error>) -> Result<Answer, String> {
    let mut response = response.map_err(|e| e.to_string())?;
    let status = response.status().as_u16();
    let answer = response.body_mut().with_config().limit(LIMIT).read_to_vec();
    let advice = match status {
        200 => {
            let bytes = answer.map_err(|e| e.to_string())?;
            let model = want.read(&bytes);
            let model = model.map_err(|e| format!("it answered no model: {e}"))?;
            return Ok(model.map_or(Answer::Family, |model| Answer::Model(model.into())));
        }
        300..=399 => "it points elsewhere, where it is not followed: give that address",
        401 | 403 => "it wants to know who asks",
        404 | 405 => "it is no model server, or not there: check address and path",
        _ => "",
    };
    let said = reason(&answer.unwrap_or_default());
    let by = response.headers().get("server");
    let by = by.and_then(|v| v.to_str().ok()).unwrap_or("a server");
    // The contract's way to say that nothing suits.
    if status == 400 {
        return Ok(Answer::None(format!(
            "{by} has none of {}: {said}",
            want.source
        )));
    }
    Err(format!("{by} answered {status} {advice} {said}")
        .trim_end()
        .to_owned())
}

/// Why a server gave nothing, in its words: those of its JSON, else the first line.
fn reason(answer: &[u8]) -> String {
    let text = String::from_utf8_lossy(answer);
    let json: Option<Refusal> = serde_json::from_str(&text).ok();
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let words = match &json {
        Some(refusal) => refusal.error.as_str(),
        None => lines.next().unwrap_or_default(),
    };
    words.chars().take(TOLD).collect()
}

#[derive(serde::Deserialize)]
struct Refusal {
    error: String,
}

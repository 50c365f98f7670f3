//! The page: a few files that the program has in itself. There is no build step, and they ask no other host.

use axum::body::Body;
use axum::extract::Path;
use axum::http::header::{self, HeaderValue};
use axum::http::{Response, StatusCode};

use super::answer::{self, Answer, Refusal};

/// Shown once the token was right, on the way to the page itself.
pub(super) const WELCOME: &str = include_str!("page/welcome.html");
/// Shown where the token is wanted.
pub(super) const ASK: &str = include_str!("page/ask.html");

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Name, type and text of each.
const FILES: [(&str, &str, &str); 9] = [
    ("style.css", "text/css; charset=utf-8", include_str!("page/style.css")),
    ("icon.svg", "image/svg+xml", include_str!("page/icon.svg")),
    ("app.js", SCRIPT, include_str!("page/app.js")),
    ("tools.js", SCRIPT, include_str!("page/tools.js")),
    ("wall.js", SCRIPT, include_str!("page/wall.js")),
    ("source.js", SCRIPT, include_str!("page/source.js")),
    ("details.js", SCRIPT, include_str!("page/details.js")),
    ("spectrogram.js", SCRIPT, include_str!("page/spectrogram.js")),
    ("player.js", SCRIPT, include_str!("page/player.js")),
];

pub(super) async fn index() -> Response<Body> {
    answer::html(StatusCode::OK, include_str!("page/index.html"))
}

pub(super) async fn asset(Path(name): Path<String>) -> Answer {
    let found = FILES.iter().find(|(known, ..)| *known == name);
    let (_, content, text) = found.ok_or_else(Refusal::missing)?;
    let mut answer = answer::with_type(StatusCode::OK, content, *text);
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(answer)
}

pub(super) async fn icon() -> Answer {
    asset(Path("icon.svg".into())).await
}

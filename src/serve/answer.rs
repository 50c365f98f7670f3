//! Answers: refusals in plain text, JSON, and names for downloads.

use axum::body::Body;
use axum::http::header::{self, HeaderValue};
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use serde_json::Value;

use crate::error::{Error, ErrorKind};

/// Why a request is not met.
pub(super) struct Refusal(StatusCode, String);

/// What handlers give.
pub(super) type Answer = Result<Response<Body>, Refusal>;

impl Refusal {
    pub fn new(status: StatusCode, text: impl Into<String>) -> Refusal {
        Refusal(status, text.into())
    }

    pub fn missing() -> Refusal {
        Refusal::new(StatusCode::NOT_FOUND, "there is nothing of that number")
    }

    pub fn busy() -> Refusal {
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "too much at once; try again soon")
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response<Body> {
        let mut answer = plain(self.0, self.1);
        if self.0 == StatusCode::SERVICE_UNAVAILABLE {
            answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        answer
    }
}

impl From<Error> for Refusal {
    /// The sentence without the path, which is of no concern to who asks.
    fn from(e: Error) -> Refusal {
        let status = match e.kind() {
            ErrorKind::Missing => StatusCode::NOT_FOUND,
            ErrorKind::Usage => StatusCode::BAD_REQUEST,
            ErrorKind::Limit | ErrorKind::Interrupted => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::Unsupported => StatusCode::UNPROCESSABLE_ENTITY,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Refusal(status, e.message())
    }
}

/// Runs something that blocks, off the threads that serve.
pub(super) async fn blocking<T: Send + 'static>(
    body: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let gone = |_| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the request could not be finished");
    tokio::task::spawn_blocking(body).await.map_err(gone)?
}

pub(super) fn with_type(status: StatusCode, content: &'static str, body: impl Into<Body>) -> Response<Body> {
    let mut answer = Response::new(body.into());
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content));
    answer
}

pub(super) fn plain(status: StatusCode, text: impl Into<String>) -> Response<Body> {
    with_type(status, "text/plain; charset=utf-8", format!("{}\n", text.into()))
}

pub(super) fn html(status: StatusCode, text: &'static str) -> Response<Body> {
    with_type(status, "text/html; charset=utf-8", text)
}

pub(super) fn json(value: &Value) -> Response<Body> {
    with_type(StatusCode::OK, "application/json", value.to_string())
}

/// What is asked for is not there. Nothing is ever listed.
pub(super) async fn nothing() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "there is no such page")
}

/// `Content-Disposition: attachment` for any name: an ASCII form for all, and RFC 8187's for those who read it.
pub(super) fn attachment(name: &str) -> HeaderValue {
    let odd = |c: char| c.is_control() || "/\\<>:\"|?*".contains(c) || is_direction(c);
    let name: String = name.chars().map(|c| if odd(c) { '_' } else { c }).collect();
    let ascii: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || " ._-()+,=@".contains(c) { c } else { '_' }).collect();
    let mut encoded = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"._-".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    let text = format!("attachment; filename=\"{ascii}\"; filename*=UTF-8''{encoded}");
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("attachment"))
}

/// Marks that turn writing around, with which `gnp.exe` looks like `exe.png`.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// Percent-encoding undone.
pub(super) fn unescaped(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        let hex = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        if let Some(byte) = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            out.push(byte);
            at += 3;
        } else {
            out.push(if bytes[at] == b'+' { b' ' } else { bytes[at] });
            at += 1;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_gets_out_of_its_header() {
        let text = |name| attachment(name).to_str().unwrap().to_owned();
        assert_eq!(text("a b.flac"), "attachment; filename=\"a b.flac\"; filename*=UTF-8''a%20b.flac");
        let odd = text("\"; x=\r\nSet-Cookie: a\u{202e}/../é.wav");
        let (plain, encoded) = ("__ x=__Set-Cookie_ a__..__.wav", "_%3B%20x%3D__Set-Cookie_%20a__.._%C3%A9.wav");
        assert_eq!(odd, format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}"));
    }

    #[test]
    fn percent_encoding_is_undone() {
        assert_eq!(unescaped("a%2Fb+c%zz%C3%A9%"), "a/b c%zzé%");
    }
}

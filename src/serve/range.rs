//! Byte ranges and validators (RFC 9110, sections 8.8, 13 and 14): one range a request.

use axum::body::Body;
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Response, StatusCode};

/// What is to be sent of something `len` bytes long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it.
    Whole,
    /// First byte, and the byte behind the last.
    Range(u64, u64),
    /// The client has it already.
    Unchanged,
    /// No byte of it was asked for.
    Outside,
}

/// What a request's headers ask for. `etag` is a strong one, in quotes.
pub(super) fn asked(headers: &HeaderMap, etag: &str, len: u64) -> Part {
    let text = |name: HeaderName| headers.get(name).and_then(|v| v.to_str().ok());
    if let Some(known) = text(header::IF_NONE_MATCH)
        && known.split(',').map(str::trim).any(|t| t == "*" || t.strip_prefix("W/").unwrap_or(t) == etag)
    {
        return Part::Unchanged;
    }
    // A part of something else is of no use to who has the beginning of that.
    if text(header::IF_RANGE).is_some_and(|known| known.trim() != etag) {
        return Part::Whole;
    }
    let mut ranges = headers.get_all(header::RANGE).iter();
    match (ranges.next().and_then(|r| r.to_str().ok()), ranges.next()) {
        (Some(range), None) => parse(range, len),
        _ => Part::Whole,
    }
}

/// Several ranges at once, and what is no range of bytes, are answered with the whole, as the RFC allows.
fn parse(text: &str, len: u64) -> Part {
    let Some((unit, range)) = text.split_once('=') else { return Part::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") || range.contains(',') {
        return Part::Whole;
    }
    let Some((first, last)) = range.trim().split_once('-') else { return Part::Whole };
    let number = |text: &str| -> Option<u64> {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        // More than can be counted is beyond any end.
        digits.then(|| text.parse().unwrap_or(u64::MAX))
    };
    match (first.is_empty(), number(first), last.is_empty(), number(last)) {
        (true, _, false, Some(0)) => Part::Outside,
        (true, _, false, Some(n)) if len > 0 => Part::Range(len.saturating_sub(n), len),
        (true, _, false, Some(_)) => Part::Outside,
        (false, Some(first), true, _) if first < len => Part::Range(first, len),
        (false, Some(first), false, Some(last)) if first <= last && first < len => {
            Part::Range(first, last.saturating_add(1).min(len))
        }
        (false, Some(first), false, Some(last)) if first > last => Part::Whole,
        (false, Some(_), true, _) | (false, Some(_), false, Some(_)) => Part::Outside,
        _ => Part::Whole,
    }
}

/// The answer without its body: status, length, place and validator; and the bytes to send, if any.
pub(super) fn begin(
    headers: &HeaderMap,
    etag: &str,
    len: u64,
    content: &'static str,
) -> (Response<Body>, Option<(u64, u64)>) {
    let mut answer = Response::new(Body::empty());
    let part = asked(headers, etag, len);
    let (status, bytes) = match part {
        Part::Whole => (StatusCode::OK, Some((0, len))),
        Part::Range(from, to) => (StatusCode::PARTIAL_CONTENT, Some((from, to))),
        Part::Unchanged => (StatusCode::NOT_MODIFIED, None),
        Part::Outside => (StatusCode::RANGE_NOT_SATISFIABLE, None),
    };
    *answer.status_mut() = status;
    let mut put = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            answer.headers_mut().insert(name, value);
        }
    };
    put(header::ACCEPT_RANGES, "bytes");
    put(header::ETAG, etag);
    // Kept by the browser, and asked about each time.
    put(header::CACHE_CONTROL, "private, no-cache");
    match part {
        Part::Range(from, to) => put(header::CONTENT_RANGE, &format!("bytes {from}-{}/{len}", to - 1)),
        Part::Outside => put(header::CONTENT_RANGE, &format!("bytes */{len}")),
        _ => {}
    }
    if let Some((from, to)) = bytes {
        put(header::CONTENT_LENGTH, &(to - from).to_string());
        put(header::CONTENT_TYPE, content);
    }
    (answer, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_rfc_says() {
        for (text, part) in [
            ("bytes=0-1", Part::Range(0, 2)),
            ("bytes=0-", Part::Range(0, 100)),
            ("bytes=99-", Part::Range(99, 100)),
            ("bytes=90-1000", Part::Range(90, 100)),
            ("bytes=0-18446744073709551615", Part::Range(0, 100)),
            ("bytes=0-99999999999999999999999", Part::Range(0, 100)),
            ("bytes=-1", Part::Range(99, 100)),
            ("bytes=-1000", Part::Range(0, 100)),
            ("BYTES = 5-5", Part::Range(5, 6)),
            ("bytes=-0", Part::Outside),
            ("bytes=100-", Part::Outside),
            ("bytes=100-200", Part::Outside),
            ("bytes=99999999999999999999999-", Part::Outside),
            ("bytes=2-1", Part::Whole),
            ("bytes=0-1,5-6", Part::Whole),
            ("bytes=", Part::Whole),
            ("bytes=-", Part::Whole),
            ("bytes=a-b", Part::Whole),
            ("bytes=+1-2", Part::Whole),
            ("bytes=1--2", Part::Whole),
            ("lines=1-2", Part::Whole),
            ("", Part::Whole),
        ] {
            assert_eq!(parse(text, 100), part, "{text}");
        }
        assert_eq!(parse("bytes=0-", 0), Part::Outside);
        assert_eq!(parse("bytes=-5", 0), Part::Outside);
    }

    #[test]
    fn validators_decide_before_ranges() {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, HeaderValue::from_static("bytes=1-2"));
        assert_eq!(asked(&headers, "\"a\"", 9), Part::Range(1, 3));
        headers.insert(header::IF_RANGE, HeaderValue::from_static("\"b\""));
        assert_eq!(asked(&headers, "\"a\"", 9), Part::Whole);
        headers.insert(header::IF_RANGE, HeaderValue::from_static("\"a\""));
        assert_eq!(asked(&headers, "\"a\"", 9), Part::Range(1, 3));
        headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static("\"x\", W/\"a\""));
        assert_eq!(asked(&headers, "\"a\"", 9), Part::Unchanged);
        headers.append(header::RANGE, HeaderValue::from_static("bytes=3-4"));
        headers.remove(header::IF_NONE_MATCH);
        assert_eq!(asked(&headers, "\"a\"", 9), Part::Whole, "one range a request");
    }
}

//! Who may ask what.
//!
//! The server is asked by a browser that other sites use as well, so every request is looked at before anything is done for
//! it: only GET and HEAD without a body, only by a name that is ours (against DNS rebinding), never on behalf of another
//! site (Fetch Metadata), and, where a token is set, only with it. Every answer says that nothing of it is for others.

use std::net::IpAddr;

use axum::body::Body;
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, Request, Response, StatusCode, Uri};

use super::answer;
use crate::manifest::Sha256Sum;

/// Characters of a token, at least.
pub const LEAST_TOKEN: usize = 16;
/// Bytes of path and query, at most.
const LONGEST_URI: usize = 2048;

/// What who asks has to know. Only checksums of it are kept.
pub struct Token {
    secret: Sha256Sum,
    /// What the browser keeps in place of the token.
    cookie: String,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

impl Token {
    /// A token of at least [`LEAST_TOKEN`] characters, none of them a space or beyond ASCII.
    pub fn new(text: &str) -> Option<Token> {
        let fit = text.len() >= LEAST_TOKEN && text.len() <= 512 && text.bytes().all(|b| b.is_ascii_graphic());
        fit.then(|| Token {
            secret: Sha256Sum::of(text.as_bytes()),
            cookie: Sha256Sum::of(format!("tiff2flac serve, cookie\n{text}").as_bytes()).to_string(),
        })
    }

    fn is(&self, text: &str) -> bool {
        same(self.secret.as_bytes(), Sha256Sum::of(text.as_bytes()).as_bytes())
    }

    fn is_cookie(&self, text: &str) -> bool {
        let (own, given) = (Sha256Sum::of(self.cookie.as_bytes()), Sha256Sum::of(text.as_bytes()));
        same(own.as_bytes(), given.as_bytes())
    }
}

/// Compares in a time that does not depend on where the bytes differ.
fn same(a: &[u8; 32], b: &[u8; 32]) -> bool {
    std::hint::black_box(a.iter().zip(b).fold(0, |all, (a, b)| all | (a ^ b))) == 0
}

/// The rules.
pub(super) struct Guard {
    token: Option<Token>,
    hosts: Vec<String>,
    port: u16,
    cookie_name: String,
}

type Refused = Box<Response<Body>>;

impl Guard {
    pub fn new(token: Option<Token>, hosts: Vec<String>, port: u16) -> Guard {
        let hosts = hosts.into_iter().map(|h| h.to_ascii_lowercase()).collect();
        // Cookies know no ports: two servers of one machine would overwrite each other's.
        Guard { token, hosts, port, cookie_name: format!("audio-tiff-{port}") }
    }

    /// Lets a request that came in at the address `local` pass, or answers it.
    pub fn admit<B: hyper::body::Body>(&self, request: &Request<B>, local: IpAddr) -> Result<(), Refused> {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            let mut answer = answer::plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD");
            answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return Err(answer.into());
        }
        if request.uri().path_and_query().map_or(0, |p| p.as_str().len()) > LONGEST_URI {
            return Err(answer::plain(StatusCode::URI_TOO_LONG, "the address is too long").into());
        }
        if !request.body().is_end_stream() {
            return Err(answer::plain(StatusCode::BAD_REQUEST, "a request has no body here").into());
        }
        if !self.is_ours(request.uri(), request.headers(), local) {
            let text = "this server does not go by that name; see --host";
            return Err(answer::plain(StatusCode::MISDIRECTED_REQUEST, text).into());
        }
        let site = request.headers().get("sec-fetch-site").map(HeaderValue::as_bytes);
        let own = matches!(site, None | Some(b"same-origin" | b"none"));
        let path = request.uri().path();
        if !own && path != "/" {
            return Err(answer::plain(StatusCode::FORBIDDEN, "not for other sites").into());
        }
        match &self.token {
            Some(token) if !path.starts_with("/page/") => self.know(token, request),
            _ => Ok(()),
        }
    }

    /// Whether the request is for this server by a name that no other site can make its own.
    fn is_ours(&self, uri: &Uri, headers: &HeaderMap, local: IpAddr) -> bool {
        let mut hosts = headers.get_all(header::HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
        let Ok(host) = host.to_str() else { return false };
        self.is_name(host, local) && uri.authority().is_none_or(|a| self.is_name(a.as_str(), local))
    }

    fn is_name(&self, host: &str, local: IpAddr) -> bool {
        let host = host.to_ascii_lowercase();
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !port.ends_with(']') => (name, port.parse().ok()),
            _ => (host.as_str(), Some(80)),
        };
        if port != Some(self.port) {
            return false;
        }
        let literal = name.strip_prefix('[').and_then(|n| n.strip_suffix(']')).unwrap_or(name);
        let local = local.to_canonical();
        match literal.parse::<IpAddr>() {
            Ok(address) => address == local,
            Err(_) => name == "localhost" && local.is_loopback() || self.hosts.iter().any(|h| h == name),
        }
    }

    /// Whether who asks knows the token: by the cookie, in `Authorization`, or, once, in the address.
    fn know<B>(&self, token: &Token, request: &Request<B>) -> Result<(), Refused> {
        let headers = request.headers();
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|c| c.to_str().ok());
        let mut pairs = cookies.flat_map(|c| c.split(';')).filter_map(|pair| pair.trim().split_once('='));
        if pairs.any(|(name, value)| name == self.cookie_name && token.is_cookie(value)) {
            return Ok(());
        }
        let bearer = headers.get(header::AUTHORIZATION).and_then(|a| a.to_str().ok()?.strip_prefix("Bearer "));
        if bearer.is_some_and(|given| token.is(given.trim())) {
            return Ok(());
        }
        let given = request.uri().query().and_then(|q| q.split('&').find_map(|pair| pair.strip_prefix("token=")));
        if request.uri().path() == "/" && given.is_some_and(|given| token.is(&answer::unescaped(given))) {
            // Not a redirect: after one, a browser that came from elsewhere would not send a strict cookie.
            let mut answer = answer::html(StatusCode::OK, super::page::WELCOME);
            let cookie = format!("{}={}; Path=/; HttpOnly; SameSite=Strict", self.cookie_name, token.cookie);
            if let Ok(cookie) = HeaderValue::from_str(&cookie) {
                answer.headers_mut().insert(header::SET_COOKIE, cookie);
            }
            answer.headers_mut().insert(header::REFRESH, HeaderValue::from_static("0; url=/"));
            return Err(answer.into());
        }
        let mut answer = answer::html(StatusCode::UNAUTHORIZED, super::page::ASK);
        answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        Err(answer.into())
    }

    /// What every answer says.
    pub fn finish(headers: &mut HeaderMap) {
        const SAID: [(HeaderName, &str); 6] = [
            (
                header::CONTENT_SECURITY_POLICY,
                "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'self'; frame-ancestors 'none'; \
                 require-trusted-types-for 'script'",
            ),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "no-referrer"),
            (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
            (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
            (header::X_FRAME_OPTIONS, "DENY"),
        ];
        for (name, value) in SAID {
            headers.insert(name, HeaderValue::from_static(value));
        }
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_no_other_site_can_take_are_ours() {
        let guard = Guard::new(None, vec!["Archive.example".into()], 8000);
        let loopback: IpAddr = "127.0.0.1".parse().unwrap();
        let outside: IpAddr = "192.0.2.7".parse().unwrap();
        for (host, at_home, at_large) in [
            ("127.0.0.1:8000", true, false),
            ("localhost:8000", true, false),
            ("LOCALHOST:8000", true, false),
            ("192.0.2.7:8000", false, true),
            ("archive.example:8000", true, true),
            ("127.0.0.1:8001", false, false),
            ("127.0.0.1", false, false),
            ("localhost", false, false),
            ("evil.example:8000", false, false),
            ("localhost.evil.example:8000", false, false),
            ("127.0.0.1.evil.example:8000", false, false),
            ("127.0.0.1:8000:8000", false, false),
            ("127.1:8000", false, false),
            ("", false, false),
            (":8000", false, false),
        ] {
            assert_eq!(guard.is_name(host, loopback), at_home, "{host} at home");
            assert_eq!(guard.is_name(host, outside), at_large, "{host} at large");
        }
        assert!(guard.is_name("[::1]:8000", "::1".parse().unwrap()));
        assert!(Guard::new(None, Vec::new(), 80).is_name("localhost", loopback));
    }

    #[test]
    fn tokens_are_long_and_plain() {
        assert!(Token::new("short").is_none() && Token::new("with a space in it").is_none());
        let token = Token::new("0123456789abcdef").unwrap();
        assert!(token.is("0123456789abcdef") && !token.is("0123456789abcdeg") && !token.is(""));
        assert!(token.is_cookie(&token.cookie.clone()) && !token.is_cookie("0123456789abcdef"));
        assert_eq!(format!("{token:?}"), "Token");
    }
}

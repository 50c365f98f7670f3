//! What `tiff2flac serve` refuses, and what it never lets out: hosts, methods, origins, tokens, paths, names, limits.
#![cfg(feature = "serve")]

mod common;
mod serve_support;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use common::*;
use serve_support::{Reply, Server};

fn short(seed: u64) -> Vec<u8> {
    wav(1, 8000, 16, &sound(8000, 1, 16, seed))
}

fn example(scratch: &Scratch) -> PathBuf {
    scratch.put("in/a.wav", &short(1));
    let out = scratch.path("archive");
    archive(&scratch.path("in"), &out, &[]).exits(0);
    out
}

fn serve(archive: &Path, more: &[&str]) -> Run {
    run_within(120, tiff2flac().arg("serve").arg(archive).args(["--port", "0"]).args(more))
}

#[test]
fn only_this_machine_unless_an_address_and_a_token_are_given() {
    let scratch = Scratch::new();
    let dir = example(&scratch);
    serve(&dir, &["--listen", "0.0.0.0"]).exits(2).says("--token");
    serve(&dir, &["--listen", "127.0.0.1", "--token", "short"]).exits(2).says("16 characters");
    serve(&dir, &["--token", "with a space in the middle"]).exits(2);
    serve(&dir, &["--listen", "somewhere", "--token", "0123456789abcdef"]).exits(2);
    serve(&scratch.path("nowhere"), &[]).exits(1);
    // What is bound is the loopback address and nothing else.
    let server = Server::start(&dir, &[]);
    assert_eq!(server.get("/").status, 200);
    if let Some(run) = witness("hostname", &["-I"]) {
        for address in run.stdout.split_whitespace().filter(|a| a.contains('.') && !a.starts_with("127.")) {
            assert!(TcpStream::connect((address, server.port)).is_err(), "{address} answers");
        }
    }
}

#[test]
fn a_token_opens_once_and_a_strict_cookie_afterwards() {
    let scratch = Scratch::new();
    let token = "correct+horse/battery&staple=7";
    let server = Server::start(&example(&scratch), &["--listen", "127.0.0.1", "--token", token]);
    for path in [
        "/",
        "/api/archive",
        "/api/chunks",
        "/chunk/1/flac",
        "/source/1/original",
        "/nothing",
        "/?token=",
        "/?token=wrong",
    ] {
        let refused = server.get(path);
        assert_eq!(refused.status, 401, "{path}");
        assert!(refused.header("set-cookie").is_none() && refused.header("www-authenticate").is_some());
    }
    let escaped = "correct%2Bhorse%2Fbattery%26staple%3D7";
    assert_eq!(server.get(&format!("/api/archive?token={escaped}")).status, 401, "in the address of the page only");
    let opened = server.get(&format!("/?token={escaped}"));
    assert_eq!((opened.status, opened.header("refresh")), (200, Some("0; url=/")));
    // The token stands in no answer, and no page hands on where it was.
    assert!(!format!("{opened:?}").contains("horse") && !opened.text().contains("horse"));
    assert_eq!(opened.header("referrer-policy"), Some("no-referrer"));
    let cookie = opened.header("set-cookie").expect("a cookie").to_owned();
    assert!(
        cookie.contains("; HttpOnly") && cookie.contains("; SameSite=Strict") && !cookie.contains("horse"),
        "{cookie}"
    );
    let pair = cookie.split(';').next().expect("a pair");
    assert_eq!(server.ask("GET", "/api/archive", &[("Cookie", &format!("other=1; {pair}"))]).status, 200);
    assert_eq!(server.ask("GET", "/", &[("Cookie", pair)]).status, 200);
    let (name, value) = pair.split_once('=').expect("a pair");
    let last = if value.ends_with('0') { "1" } else { "0" };
    let near = format!("{name}={}{last}", &value[..value.len() - 1]);
    assert_eq!(server.ask("GET", "/api/archive", &[("Cookie", &near)]).status, 401);
    assert_eq!(server.ask("GET", "/api/archive", &[("Cookie", &format!("{name}={token}"))]).status, 401);
    assert_eq!(server.ask("GET", "/api/archive", &[("Authorization", &format!("Bearer {token}"))]).status, 200);
    assert_eq!(server.ask("GET", "/api/archive", &[("Authorization", &format!("Bearer {token}8"))]).status, 401);
    assert_eq!(server.ask("GET", "/api/archive", &[("Authorization", "Basic Og==")]).status, 401);
    // Host, method and origin are looked at first, whoever asks.
    assert_eq!(server.ask("GET", "/", &[("Cookie", pair), ("Host", "evil.example")]).status, 421);
}

#[test]
fn names_that_another_site_can_take_are_not_answered() {
    let scratch = Scratch::new();
    let server = Server::start(&example(&scratch), &["--host", "archive.example"]);
    let port = server.port;
    for host in [format!("127.0.0.1:{port}"), format!("localhost:{port}"), format!("Archive.Example:{port}")] {
        assert_eq!(server.ask("GET", "/api/archive", &[("Host", &host)]).status, 200, "{host}");
    }
    for host in [
        "evil.example".to_owned(),
        format!("evil.example:{port}"),
        format!("127.0.0.1.evil.example:{port}"),
        format!("192.0.2.1:{port}"),
        "127.0.0.1".to_owned(),
        format!("127.0.0.1:{}", port ^ 1),
        format!("[::1]:{port}"),
        "".to_owned(),
    ] {
        let refused = server.ask("GET", "/api/archive", &[("Host", &host)]);
        assert!(refused.status == 421 || refused.status == 400, "{host}: {}", refused.status);
    }
    let two = format!("GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
    assert_ne!(Reply::parse(&server.raw(two.as_bytes())).status, 200);
    let none = "GET / HTTP/1.0\r\n\r\n";
    assert_ne!(Reply::parse(&server.raw(none.as_bytes())).status, 200);
    // The whole address in the request line has to be ours, too.
    let own = server.host();
    assert_eq!(server.get(&format!("http://{own}/api/archive")).status, 200);
    assert_eq!(server.get("http://evil.example/api/archive").status, 421);
}

#[test]
fn only_get_and_head_without_a_body() {
    let scratch = Scratch::new();
    let server = Server::start(&example(&scratch), &[]);
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "get"] {
        let refused = server.ask(method, "/api/archive", &[]);
        assert_eq!((refused.status, refused.header("allow")), (405, Some("GET, HEAD")), "{method}");
    }
    assert_ne!(
        Reply::parse(&server.raw(b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n")).status,
        200
    );
    assert_eq!(server.ask("GET", "/", &[("Content-Length", "5")]).status, 400);
    assert_eq!(server.ask("GET", "/", &[("Transfer-Encoding", "chunked")]).status, 400);
    assert_eq!(server.ask("HEAD", "/", &[]).body.len(), 0);
}

#[test]
fn other_sites_get_nothing() {
    let scratch = Scratch::new();
    let server = Server::start(&example(&scratch), &[]);
    for path in
        ["/api/archive", "/api/chunks", "/api/chunk/1/check", "/chunk/1/flac", "/chunk/1/thumb", "/source/1/original"]
    {
        for site in ["cross-site", "same-site", "else"] {
            assert_eq!(server.ask("GET", path, &[("Sec-Fetch-Site", site)]).status, 403, "{path} from {site}");
        }
        for site in ["same-origin", "none"] {
            assert_eq!(server.ask("GET", path, &[("Sec-Fetch-Site", site)]).status, 200, "{path} from {site}");
        }
    }
    assert_eq!(server.ask("GET", "/", &[("Sec-Fetch-Site", "cross-site")]).status, 200, "a link may lead to the page");
}

#[test]
fn every_answer_says_that_it_is_for_its_own_page_only() {
    let scratch = Scratch::new();
    let server = Server::start(&example(&scratch), &[]);
    let mut answers = vec![server.ask("POST", "/", &[]), server.ask("GET", "/", &[("Host", "evil.example")])];
    for path in [
        "/",
        "/page/app.js",
        "/page/style.css",
        "/page/../x",
        "/api/archive",
        "/api/source/9",
        "/chunk/1/flac",
        "/nothing",
    ] {
        answers.push(server.get(path));
    }
    answers.push(server.range("/chunk/1/flac", "bytes=99999999-"));
    for answer in answers {
        let policy = answer.header("content-security-policy").expect("a policy");
        assert!(policy.starts_with("default-src 'self'; ") && !policy.contains("unsafe"), "{policy}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-resource-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{answer:?}");
        }
        assert!(answer.header("cache-control").is_some_and(|c| !c.contains("public")));
        assert!(answer.header("access-control-allow-origin").is_none());
    }
}

#[test]
fn numbers_are_all_that_addresses_name() {
    let scratch = Scratch::new();
    let dir = example(&scratch);
    scratch.put("secret.txt", b"kept to itself");
    let server = Server::start(&dir, &[]);
    for path in [
        "/manifest.json",
        "/a_chunk_000000.tiff",
        "/../secret.txt",
        "/..%2fsecret.txt",
        "/%2e%2e/secret.txt",
        "/page/../../secret.txt",
        "/page/..%2f..%2fsecret.txt",
        "/page/%2e%2e%2fmod.rs",
        "/page/",
        "/page",
        "/chunk/",
        "/chunk/1",
        "/chunk/1/",
        "/chunk/a_chunk_000000.tiff/flac",
        "/chunk/..%2f..%2fsecret.txt/flac",
        "/chunk/1%2f..%2f..%2fsecret.txt",
        "/chunk/-1/flac",
        "/chunk/99999999999999999999/flac",
        "/chunk/1/flac/../../../secret.txt",
        "/source/1/..%5csecret.txt",
        "//secret.txt",
        "/index.sqlite",
        "/api/",
        "/etc/passwd",
    ] {
        let refused = server.get(path);
        assert!(refused.status == 404 || refused.status == 400, "{path}: {}", refused.status);
        // What was asked for may be repeated, as plain text; nothing else is told.
        let text = refused.text();
        assert!(!text.contains("itself") && (path.contains("chunk_0") || !text.contains("chunk_0")), "{path}: {text}");
    }
    // Paths in messages would tell what the machine is like.
    fs::remove_file(dir.join("a_chunk_000000.tiff")).expect("removed");
    for path in ["/chunk/1/flac", "/source/1/wav", "/source/1/tile/5/0"] {
        let refused = server.get(path);
        assert!(refused.status >= 400 && !refused.text().contains(dir.to_str().expect("a path")), "{}", refused.text());
    }
}

#[cfg(unix)]
#[test]
fn links_out_of_the_archive_are_not_followed() {
    let scratch = Scratch::new();
    scratch.put("in/a.wav", &short(1));
    scratch.put("in/day/b.wav", &short(2));
    let dir = scratch.path("archive");
    archive(&scratch.path("in"), &dir, &[]).exits(0);
    let server = Server::start(&dir, &[]);
    let (a, b) = (server.source("a.wav"), server.source("b.wav"));
    let (chunk_a, chunk_b) = (server.chunks(a)[0]["id"].clone(), server.chunks(b)[0]["id"].clone());
    let paths = |source: i64, chunk: &serde_json::Value| {
        [
            format!("/chunk/{chunk}/flac"),
            format!("/chunk/{chunk}/thumb"),
            format!("/chunk/{chunk}/preview"),
            format!("/source/{source}/wav"),
            format!("/source/{source}/tile/5/0"),
            format!("/source/{source}/passage"),
        ]
    };
    assert_eq!(server.get(&paths(a, &chunk_a)[3]).status, 200, "and is at hand now");
    // The very file, but by a link to outside; and a whole folder likewise.
    let outside = scratch.path("outside");
    fs::create_dir(&outside).expect("a folder");
    fs::rename(dir.join("a_chunk_000000.tiff"), outside.join("a.tiff")).expect("moved");
    std::os::unix::fs::symlink(outside.join("a.tiff"), dir.join("a_chunk_000000.tiff")).expect("a link");
    fs::rename(dir.join("day"), outside.join("day")).expect("moved");
    std::os::unix::fs::symlink(outside.join("day"), dir.join("day")).expect("a link");
    for path in paths(a, &chunk_a).iter().chain(&paths(b, &chunk_b)) {
        let reply = server.get(path);
        assert!(reply.status >= 400, "{path}: {}", reply.status);
    }
    assert_eq!(server.json(&format!("/api/chunk/{chunk_a}/check"))["ok"], false);
    assert!(server.refuses(&format!("/source/{a}/original")));
    // A link within the archive is as good as a file.
    fs::remove_file(dir.join("a_chunk_000000.tiff")).expect("removed");
    fs::create_dir(dir.join("elsewhere")).expect("a folder");
    fs::copy(outside.join("a.tiff"), dir.join("elsewhere/a.tiff")).expect("copied");
    std::os::unix::fs::symlink(dir.join("elsewhere/a.tiff"), dir.join("a_chunk_000000.tiff")).expect("a link");
    assert_eq!(server.get(&paths(a, &chunk_a)[0]).status, 200);
}

/// Names that become code, or other names, wherever they are not taken for mere text.
#[cfg(unix)]
const HOSTILE: [&str; 7] = [
    "<img src=x onerror=document.title=1>.wav",
    "\"quote'and\\back.wav",
    "line\r\nSet-Cookie: evil=1\r\n\r\n.wav",
    "\u{202E}vaw.exe.wav",
    "</script><script>alert(1)<!--.wav",
    "a;b=c%0d%0aX: y.wav",
    "鳥 é.wav",
];

#[cfg(unix)]
#[test]
fn hostile_names_stay_names() {
    let scratch = Scratch::new();
    for (n, name) in HOSTILE.iter().enumerate() {
        scratch.put(&format!("in/{}", name.replace('/', "_")), &short(n as u64));
    }
    let dir = scratch.path("archive");
    archive(&scratch.path("in"), &dir, &[]).exits(0);
    let server = Server::start(&dir, &[]);
    for name in HOSTILE.map(|name| name.replace('/', "_")) {
        // JSON that any reader takes for the same text again, under a type that no browser renders.
        let source = server.source(&name);
        let chunk = server.chunks(source)[0]["id"].clone();
        for path in [
            format!("/chunk/{chunk}/flac?download=1"),
            format!("/source/{source}/wav?download=1"),
            format!("/source/{source}/original"),
            format!("/source/{source}/passage"),
        ] {
            let reply = server.get(&path);
            assert!(reply.status == 200 && reply.is_complete(), "{path} of {name:?}");
            assert!(reply.header("set-cookie").is_none() && reply.header("x").is_none());
            let disposition = reply.header("content-disposition").expect("a name");
            let plain = disposition.strip_prefix("attachment; filename=\"").and_then(|rest| rest.split_once('"'));
            let (plain, rest) = plain.expect("a quoted name");
            assert!(plain.bytes().all(|b| (b' '..=b'~').contains(&b) && !b"<>\\/%;:".contains(&b)), "{disposition}");
            let encoded = rest.strip_prefix("; filename*=UTF-8''").expect("an encoded name");
            assert!(encoded.bytes().all(|b| b.is_ascii_alphanumeric() || b"%._-".contains(&b)), "{disposition}");
            assert!(
                !encoded.contains("%E2%80%AE") && !encoded.contains("%0D") && !encoded.contains("%2F"),
                "{disposition}"
            );
        }
    }
}

#[test]
fn the_page_makes_nothing_of_text_but_text_and_asks_nobody_else() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/serve/page");
    let files = tree(&folder);
    assert!(files.len() > 8);
    for (name, bytes) in files {
        let text = String::from_utf8(bytes).expect("text");
        for word in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            "srcdoc",
            "javascript:",
        ] {
            assert!(!text.contains(word), "{name} has {word}");
        }
        let without = text.replace("http://www.w3.org/", "");
        assert!(
            !without.contains("http://") && !without.contains("https://") && !text.contains("\"//"),
            "{name} names a host"
        );
        if name.ends_with(".html") {
            assert!(!text.contains(" style=") && !text.contains("<style"), "{name} has style of its own");
            assert!(!text.contains(" on") || !text.contains("=\"javascript"), "{name}");
            assert_eq!(text.matches("<script").count(), text.matches("<script type=\"module\" src=").count(), "{name}");
        }
    }
}

#[test]
fn long_requests_are_refused() {
    let scratch = Scratch::new();
    let server = Server::start(&example(&scratch), &[]);
    assert_eq!(server.get(&format!("/api/chunks?q={}", "a".repeat(1500))).status, 200);
    assert_eq!(server.get(&format!("/api/chunks?q={}", "a".repeat(3000))).status, 414);
    assert_eq!(server.ask("GET", "/", &[("X-Filler", &"a".repeat(40_000))]).status, 431);
    let many: Vec<(String, String)> = (0..200).map(|n| (format!("X-{n}"), "1".into())).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    assert_eq!(server.ask("GET", "/", &many).status, 431);
    for junk in [
        &b"\x16\x03\x01\x02\x00\x01\x00"[..],
        b"\r\n\r\n\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        &[0; 50_000],
    ] {
        server.raw(junk);
    }
    assert_eq!(server.get("/").status, 200, "it goes on");
}

/// Status lines of all answers that a client gets for these bytes.
fn statuses(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    text.match_indices("HTTP/1.1 ").map(|(at, _)| text[at + 9..].chars().take(3).collect()).collect()
}

#[test]
fn requests_one_behind_the_other_are_answered_in_their_order_and_no_body_is_taken_for_one() {
    let scratch = Scratch::new();
    let server = Server::start(&example(&scratch), &[]);
    let host = server.host();
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let last = format!("GET /nothing HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let many = [get("/api/archive"), get("/chunk/1/flac"), get("/chunk/99/flac"), get("/"), last].concat();
    assert_eq!(statuses(&server.raw(many.as_bytes())), ["200", "200", "404", "200", "404"]);
    // What is refused for its body is the last of its connection, or its body is passed over.
    let inner = get("/api/archive");
    for smuggled in [
        format!("POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\n\r\n{inner}", inner.len()),
        format!("GET / HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\n\r\n{inner}", inner.len()),
        format!(
            "GET / HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{inner}\r\n0\r\n\r\n",
            inner.len()
        ),
        format!(
            "GET / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{inner}"
        ),
        format!("GET / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n{inner}"),
        format!("GET / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0, 5\r\n\r\n{inner}"),
        format!("GET / HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: x\r\n\r\n{inner}"),
        format!("GET / HTTP/1.1\r\nHost : {host}\r\n\r\n{inner}"),
        format!("GET / HTTP/1.1\r\nHost: {host}\r\n X: folded\r\n\r\n{inner}"),
    ] {
        let answers = statuses(&server.raw(smuggled.as_bytes()));
        assert!(answers.iter().all(|s| s == "400" || s == "405"), "{smuggled:?}: {answers:?}");
    }
    // With a token, each request on a connection has to show it for itself.
    let server = Server::start(&scratch.path("archive"), &["--token", "0123456789abcdef"]);
    let host = server.host();
    let known = format!("GET /api/archive HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer 0123456789abcdef\r\n\r\n");
    let unknown = format!("GET /api/archive HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    assert_eq!(statuses(&server.raw((known + &unknown).as_bytes())), ["200", "401"]);
}

#[test]
fn head_says_what_get_would() {
    let scratch = Scratch::new();
    let server = Server::start(&example(&scratch), &[]);
    for path in [
        "/",
        "/page/app.js",
        "/api/archive",
        "/api/chunks",
        "/api/source/1",
        "/chunk/1/flac",
        "/chunk/1/thumb",
        "/chunk/1/preview",
        "/source/1/tile/5/0",
        "/source/1/wav",
        "/source/1/passage?from=1&to=100",
        "/source/1/original",
        "/source/9/wav",
        "/nothing",
    ] {
        let (head, get) = (server.ask("HEAD", path, &[]), server.get(path));
        assert!(head.status == get.status && head.body.is_empty(), "{path}: {head:?}");
        for name in ["content-type", "etag", "content-disposition", "accept-ranges", "cache-control"] {
            assert_eq!(head.header(name), get.header(name), "{path}: {name}");
        }
        assert!(get.is_complete(), "{path}");
        let length = head.header("content-length");
        assert!(length.is_none() || length == get.header("content-length"), "{path}: {length:?}");
    }
    for path in ["/chunk/1/flac", "/source/1/wav"] {
        let etag = server.get(path).header("etag").expect("a validator").to_owned();
        let known = server.ask("GET", path, &[("If-None-Match", &format!("\"x\", {etag}"))]);
        assert_eq!((known.status, known.body.len(), known.header("etag")), (304, 0, Some(etag.as_str())));
        let other = server.ask("GET", path, &[("If-None-Match", "\"x\"")]);
        assert_eq!(other.status, 200);
        for (validator, status) in [(etag.as_str(), 206), ("\"x\"", 200), ("Wed, 21 Oct 2026 07:28:00 GMT", 200)] {
            let part = server.ask("GET", path, &[("Range", "bytes=0-1"), ("If-Range", validator)]);
            assert_eq!(part.status, status, "{path}: {validator}");
        }
        // A validator that could match by chance is none for a part.
        let weak = server.ask("GET", path, &[("Range", "bytes=0-1"), ("If-Range", &format!("W/{etag}"))]);
        assert_eq!(weak.status, 200);
    }
}

#[test]
fn who_says_nothing_is_left_and_others_get_their_turn() {
    let scratch = Scratch::new();
    let server = Server::start(&example(&scratch), &[]);
    // More connections than there are places for, each with the beginning of a request.
    let mut silent: Vec<TcpStream> = (0..150).map(|_| server.connect()).collect();
    for (n, stream) in silent.iter_mut().enumerate() {
        match n % 3 {
            0 => drop(stream.write_all(b"GET / HTTP/1.1\r\nHost:")),
            // Nothing at all, or one request and then nothing.
            1 => {}
            _ => drop(write!(stream, "GET /nothing HTTP/1.1\r\nHost: {}\r\n\r\n", server.host())),
        }
    }
    // Whoever comes next waits until the silent ones are left, and is answered then.
    assert_eq!(server.get("/api/archive").status, 200);
    for stream in &mut silent[..100] {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        let text = String::from_utf8_lossy(&rest);
        assert!(["", "HTTP/1.1 408", "HTTP/1.1 404"].iter().any(|s| text.starts_with(s)), "{text}");
        assert!(statuses(&rest).len() <= 2, "left without an answer to what was no request");
    }
}

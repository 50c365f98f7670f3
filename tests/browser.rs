//! The page in a real browser: Debian's chromium, driven through chromium-driver (WebDriver), behind a proxy of the test's own
//! that sees every byte the browser gets.
#![cfg(feature = "serve")]

mod common;
mod serve_support;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use audio_tiff::manifest::Sha256Sum;
use common::*;
use serde_json::{Value, json};
use serve_support::Server;

/// What went through the proxy: the bytes of audio by path, as far as they have come.
#[derive(Default)]
struct Seen {
    media: BTreeMap<String, Vec<Option<u8>>>,
}

/// An HTTP proxy for one server; any other host (chromium itself asks some) gets no answer.
struct Proxy {
    port: u16,
    seen: Arc<Mutex<Seen>>,
}

impl Proxy {
    fn start(server: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("a port").port();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let shared = seen.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let seen = shared.clone();
                std::thread::spawn(move || serve_one(client, server, &seen));
            }
        });
        Proxy { port, seen }
    }

    /// How much of an answer has come, and its bytes once all have.
    fn media(&self, path: &str) -> (usize, Option<Vec<u8>>) {
        let seen = self.seen.lock().expect("seen");
        let Some(bytes) = seen.media.get(path) else { return (0, None) };
        let there = bytes.iter().filter(|b| b.is_some()).count();
        (there, bytes.iter().copied().collect())
    }
}

/// One request a connection, so that what comes back until its end is one answer.
fn serve_one(mut client: TcpStream, server: u16, seen: &Mutex<Seen>) -> Option<()> {
    let mut reader = BufReader::new(client.try_clone().ok()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let address = head.split(' ').nth(1)?.to_owned();
    let host = address.strip_prefix("http://").unwrap_or(&address).split('/').next()?.to_owned();
    if host != format!("127.0.0.1:{server}") {
        return client.write_all(b"HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\n\r\n").ok();
    }
    let path = address.splitn(4, '/').nth(3).map(|p| format!("/{p}"))?;
    let mut up = TcpStream::connect(("127.0.0.1", server)).ok()?;
    let closing = head
        .lines()
        .filter(|l| !l.to_lowercase().starts_with("connection:") && !l.to_lowercase().starts_with("proxy-"));
    let request: String = closing.filter(|l| !l.is_empty()).map(|l| format!("{l}\r\n")).collect();
    up.write_all(format!("{request}Connection: close\r\n\r\n").as_bytes()).ok()?;
    let (mut answer, mut buf, mut place) = (Vec::new(), vec![0; 64 << 10], None);
    loop {
        let n = up.read(&mut buf).ok().filter(|n| *n > 0)?;
        let mut fresh = &buf[..n];
        if place.is_none() {
            answer.extend_from_slice(fresh);
            if let Some(end) = answer.windows(4).position(|w| w == b"\r\n\r\n") {
                place = Some(first_byte(&answer[..end], &path, seen));
                fresh = &answer[end + 4..];
            } else {
                fresh = &[];
            }
        }
        let fresh = fresh.to_vec();
        // Only what the browser has taken counts.
        client.write_all(&buf[..n]).ok()?;
        if let (Some(Some(at)), Ok(mut seen)) = (&mut place, seen.lock())
            && let Some(all) = seen.media.get_mut(&path)
        {
            for byte in fresh {
                if let Some(slot) = all.get_mut(*at) {
                    *slot = Some(byte);
                }
                *at += 1;
            }
        }
    }
}

/// Where an answer's body belongs in the whole, if it is audio.
fn first_byte(head: &[u8], path: &str, seen: &Mutex<Seen>) -> Option<usize> {
    let head = String::from_utf8_lossy(head).to_lowercase();
    let value = |name: &str| head.lines().find_map(|l| l.strip_prefix(name)).map(str::to_owned);
    if !value("content-type: ")?.starts_with("audio/") {
        return None;
    }
    let (first, total) = match value("content-range: bytes ") {
        Some(range) => {
            let (span, total) = range.split_once('/')?;
            (span.split_once('-')?.0.parse().ok()?, total.parse().ok()?)
        }
        None => (0, value("content-length: ")?.parse().ok()?),
    };
    seen.lock().ok()?.media.entry(path.to_owned()).or_insert_with(|| vec![None; total]);
    Some(first)
}

/// A browser session.
struct Browser {
    driver: Child,
    port: u16,
    session: String,
    _profile: tempfile::TempDir,
}

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

impl Browser {
    /// Nothing where chromium and its driver are not installed; under CI they have to be.
    fn start(proxy: u16) -> Option<Browser> {
        let chromium =
            ["/usr/bin/chromium", "/usr/bin/chromium-browser"].iter().map(PathBuf::from).find(|p| p.exists());
        let Some(chromium) = chromium.filter(|_| witness("chromedriver", &["--version"]).is_some()) else {
            assert!(std::env::var_os("CI").is_none(), "chromium and chromium-driver must be there under CI");
            eprintln!("chromium is not installed; this test was left out");
            return None;
        };
        let mut driver = Command::new("chromedriver");
        let mut driver =
            driver.arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("chromedriver");
        let mut lines = BufReader::new(driver.stdout.take().expect("stdout"));
        let port = loop {
            let mut line = String::new();
            assert!(lines.read_line(&mut line).expect("a line") > 0, "chromedriver says its port");
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                break port.trim().trim_end_matches('.').parse().expect("a port");
            }
        };
        std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        let profile = tempfile::tempdir().expect("a folder");
        let mut arguments: Vec<String> = [
            "headless",
            "no-sandbox",
            "disable-gpu",
            "disable-quic",
            "disable-dev-shm-usage",
            "no-first-run",
            "disable-background-networking",
            "disable-component-update",
            "disable-sync",
            "autoplay-policy=no-user-gesture-required",
            "window-size=1280,900",
            "proxy-bypass-list=<-loopback>",
        ]
        .map(|a| format!("--{a}"))
        .into();
        arguments.push(format!("--user-data-dir={}", profile.path().display()));
        arguments.push(format!("--proxy-server=http://127.0.0.1:{proxy}"));
        let options = json!({ "binary": chromium, "args": arguments });
        let mut browser = Browser { driver, port, session: String::new(), _profile: profile };
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" } } } });
        let made = browser.call("POST", "/session", &wanted);
        browser.session = format!("/session/{}", made["sessionId"].as_str().unwrap_or_else(|| panic!("{made}")));
        Some(browser)
    }

    /// One command of WebDriver.
    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = body.to_string();
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("chromedriver");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.port,
            body.len()
        )
        .expect("asked");
        let mut reader = BufReader::new(stream);
        let (mut length, mut line) = (0, String::new());
        while reader.read_line(&mut line).expect("a header") > 2 {
            if let Some(n) = line.to_lowercase().strip_prefix("content-length:") {
                length = n.trim().parse().expect("a length");
            }
            line.clear();
        }
        let mut answer = vec![0; length];
        reader.read_exact(&mut answer).expect("an answer");
        serde_json::from_slice::<Value>(&answer).expect("JSON")["value"].clone()
    }

    fn command(&self, path: &str, body: Value) -> Value {
        let value = self.call("POST", &format!("{}{path}", self.session), &body);
        assert!(value.get("error").is_none(), "{path}: {value}");
        value
    }

    fn run(&self, script: &str) -> Value {
        self.command("/execute/sync", json!({ "script": script, "args": [] }))
    }

    /// Asks again and again until the answer is something.
    #[track_caller]
    fn until(&self, what: &str, script: &str) -> Value {
        let began = Instant::now();
        loop {
            let value = self.run(script);
            if !matches!(value, Value::Null | Value::Bool(false)) {
                return value;
            }
            if began.elapsed() > PATIENCE {
                let text = self.run("return document.body.innerText.slice(0, 2000)");
                panic!("{what} does not come; the page says {text}, its console {}", self.console());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn keys(&self, keys: &str) {
        let actions: Vec<Value> = keys
            .chars()
            .flat_map(|key| [json!({ "type": "keyDown", "value": key }), json!({ "type": "keyUp", "value": key })])
            .collect();
        self.command("/actions", json!({ "actions": [{ "type": "key", "id": "keys", "actions": actions }] }));
    }

    fn click(&self, selector: &str) {
        let element = self.command("/element", json!({ "using": "css selector", "value": selector }));
        let id =
            element.as_object().and_then(|e| e.values().next()).and_then(Value::as_str).expect("an element").to_owned();
        self.command(&format!("/element/{id}/click"), json!({}));
    }

    fn console(&self) -> Value {
        self.command("/se/log", json!({ "type": "browser" }))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() && !std::thread::panicking() {
            self.call("DELETE", &self.session, &json!({}));
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

const ENTER: &str = "\u{E007}";
const ESCAPE: &str = "\u{E00C}";
const RIGHT: &str = "\u{E014}";

#[test]
fn a_person_searches_opens_zooms_and_listens() {
    let scratch = Scratch::new();
    scratch.put("in/talks/harbour.wav", &wav(1, 16_000, 16, &sound(240_000, 1, 16, 1)));
    scratch.put("in/talks/<img src=x onerror=document.title=1>.wav", &wav(1, 16_000, 16, &sound(48_000, 1, 16, 2)));
    for n in 0..40 {
        scratch.put(&format!("in/field/minute{n:02}.wav"), &wav(1, 8000, 16, &sound(8000, 1, 16, n)));
    }
    let archive_dir = scratch.path("archive");
    archive(&scratch.path("in"), &archive_dir, &["--chunk-seconds", "10"]).exits(0);
    let server = Server::start(&archive_dir, &[]);
    let proxy = Proxy::start(server.port);
    let Some(browser) = Browser::start(proxy.port) else { return };
    browser.command("/url", json!({ "url": format!("http://{}/", server.host()) }));
    browser.until("the wall", "return document.querySelectorAll('.card img').length > 5");
    browser.until("a picture", "return [...document.querySelectorAll('.card img')].some(i => i.naturalWidth > 50)");
    // Search as it is typed, by the keyboard alone.
    browser.keys("/harbour");
    browser.until(
        "the hit",
        "const n = [...document.querySelectorAll('.card .name')]; \
         return n.length === 2 && n.every(e => e.textContent === 'harbour.wav')",
    );
    browser.keys(ENTER);
    browser.until("the focus on it", "return document.activeElement.matches('.card a')");
    browser.keys(ENTER);
    browser.until(
        "the recording",
        "return document.querySelector('#play') && document.querySelector('h1').textContent === 'harbour.wav'",
    );
    // Zoom, until the server has to make tiles, and these are drawn: levels of grey and colour where the picture is.
    browser.keys("+++");
    browser.until(
        "tiles",
        "return performance.getEntriesByType('resource').some(r => r.name.includes('/tile/') && r.responseEnd > 0)",
    );
    let colors = "const c = document.querySelector('#spectrogram'); const p = c.getContext('2d').getImageData(80, 60, 200, 150).data; \
                  const seen = new Set(); for (let i = 0; i < p.length; i += 4) seen.add(p[i] << 16 | p[i + 1] << 8 | p[i + 2]); \
                  return seen.size > 50";
    browser.until("a drawn spectrogram", colors);
    // Play from the start: time goes on, over the border between the chunks and to the end.
    let time = "const [m, s] = document.querySelector('#now').value.split(':'); return m * 60 + Number(s)";
    let now = || browser.run(time).as_f64().expect("a time");
    browser.keys(" ");
    browser.until("sound", &format!("const t = (() => {{ {time} }})(); return t > 0.5"));
    let before = now();
    browser.until("more of it", &format!("const t = (() => {{ {time} }})(); return t > {}", before + 0.5));
    // Back at the wall and out of a field with Esc; the arrow keys go on in the recording.
    browser.keys(RIGHT);
    browser.until("5 seconds on", &format!("const t = (() => {{ {time} }})(); return t > {}", before + 5.0));
    browser.until("the second chunk", &format!("const t = (() => {{ {time} }})(); return t > 10.5"));
    // What the browser got to play is the FLAC, to the byte.
    let id = server.source("harbour.wav");
    for chunk in server.chunks(id) {
        let path = format!("/chunk/{}/flac", chunk["id"]);
        let began = Instant::now();
        let bytes = loop {
            match proxy.media(&path) {
                (_, Some(bytes)) => break bytes,
                (there, None) => assert!(began.elapsed() < PATIENCE, "{there} bytes of {path} came"),
            }
            std::thread::sleep(Duration::from_millis(100));
        };
        assert_eq!(Sha256Sum::of(&bytes).to_string(), chunk["flac_sha256"].as_str().expect("a checksum"));
    }
    // As WAV, from another place.
    browser.run(
        "const f = document.querySelector('#form'); f.value = 'wav'; f.dispatchEvent(new Event('change')); return 1",
    );
    browser.run("document.querySelector('canvas#spectrogram').focus(); return 1");
    browser.keys("\u{E011}");
    browser.until("sound", &format!("const t = (() => {{ {time} }})(); return t > 0.2 && t < 9 && document.querySelector('#form').value === 'wav'"));
    assert!(proxy.media(&format!("/source/{id}/wav?from=0&to=240000")).0 > 0);
    // Verified by hand.
    browser.click("#check-all");
    browser.until("the checks", "return document.querySelectorAll('.state.good').length === 2");
    browser.keys(ESCAPE);
    browser.until(
        "the wall again",
        "return !document.querySelector('#wall-view').hidden && document.querySelectorAll('.card').length === 2",
    );
    // A hostile name is text and nothing else.
    browser.run("const w = document.querySelector('#words'); w.value = 'onerror'; w.dispatchEvent(new Event('input')); return 1");
    browser.until(
        "its card",
        "return [...document.querySelectorAll('.card .name')].some(e => e.textContent.startsWith('<img src=x'))",
    );
    assert_ne!(browser.run("return document.title"), "1");
    browser.click(".card a");
    browser.until("its page", "return document.querySelector('h1')?.textContent.startsWith('<img src=x')");
    assert_ne!(browser.run("return document.title"), "1");
    assert_eq!(
        browser
            .run("return document.querySelectorAll('main img').length - document.querySelectorAll('.card img').length"),
        0
    );
    // Nothing was blocked or went wrong, and nobody else was asked by the page.
    let console = browser.console();
    let bad: Vec<&Value> = console.as_array().into_iter().flatten().filter(|line| line["level"] == "SEVERE").collect();
    assert!(bad.is_empty(), "{bad:?}");
    let own = format!("http://{}/", server.host());
    let log = browser.command("/se/log", json!({ "type": "performance" }));
    let mut asked = 0;
    for line in log.as_array().expect("a log") {
        let event: Value = serde_json::from_str(line["message"].as_str().expect("a message")).expect("JSON");
        let (method, about) = (&event["message"]["method"], &event["message"]["params"]);
        if method == "Network.requestWillBeSent" && about["documentURL"].as_str().is_some_and(|d| d.starts_with(&own)) {
            let address = about["request"]["url"].as_str().expect("an address");
            assert!(address.starts_with(&own), "the page asked for {address}");
            asked += 1;
        }
    }
    assert!(asked > 20, "{asked} requests of the page are in the log");
}

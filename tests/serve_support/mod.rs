//! A running `tiff2flac serve`, and a client that says to it exactly what a test wants to say.
#![allow(dead_code)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::common::tiff2flac;

/// The real program, on a port of its own.
pub struct Server {
    child: Child,
    pub port: u16,
    stderr: Option<std::thread::JoinHandle<String>>,
}

impl Server {
    pub fn start(archive: &Path, more: &[&str]) -> Server {
        let mut command = tiff2flac();
        command.arg("serve").arg(archive).args(["--port", "0"]).args(more);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("tiff2flac starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("stdout")).read_line(&mut line).expect("its first line");
        let mut stderr = child.stderr.take().expect("stderr");
        let stderr = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = stderr.read_to_string(&mut text);
            text
        });
        let port = line.trim().trim_end_matches('/').rsplit(':').next().and_then(|port| port.parse().ok());
        let port = port.unwrap_or_else(|| panic!("no address in {line:?}"));
        Server { child, port, stderr: Some(stderr) }
    }

    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(120))).expect("a time limit");
        stream
    }

    /// Sends these very bytes and reads all that comes back.
    pub fn raw(&self, request: &[u8]) -> Vec<u8> {
        let mut stream = self.connect();
        // A server that has refused already need not read the rest.
        let _ = stream.write_all(request);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        answer
    }

    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
        Reply::parse(&self.answer(method, path, headers))
    }

    /// Whether the server breaks off in the midst of a body that it has begun.
    pub fn breaks_off(&self, path: &str) -> bool {
        let answer = self.answer("GET", path, &[]);
        if answer.is_empty() {
            return true;
        }
        let reply = Reply::parse(&answer);
        reply.status == 200 && !reply.is_complete()
    }

    /// Whether the server says that it cannot give this: an error with a sentence, whole.
    pub fn refuses(&self, path: &str) -> bool {
        let reply = self.get(path);
        let plain = reply.header("content-type").is_some_and(|t| t.starts_with("text/plain"));
        reply.status >= 400 && plain && reply.is_complete() && reply.text().len() > 10
    }

    fn answer(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
        let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            request.push_str(&format!("Host: {}\r\n", self.host()));
        }
        headers.iter().for_each(|(name, value)| request.push_str(&format!("{name}: {value}\r\n")));
        request.push_str("\r\n");
        self.raw(request.as_bytes())
    }

    pub fn get(&self, path: &str) -> Reply {
        self.ask("GET", path, &[])
    }

    pub fn range(&self, path: &str, range: &str) -> Reply {
        self.ask("GET", path, &[("Range", range)])
    }

    #[track_caller]
    pub fn json(&self, path: &str) -> Value {
        let reply = self.get(path);
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        assert_eq!(reply.header("content-type"), Some("application/json"));
        serde_json::from_slice(&reply.body).expect("JSON")
    }

    /// The number of the source whose name this is.
    #[track_caller]
    pub fn source(&self, name: &str) -> i64 {
        let list = self.json("/api/chunks");
        let items = list["items"].as_array().expect("items");
        let item = items.iter().find(|item| item["name"] == name).unwrap_or_else(|| panic!("{name} is not in {list}"));
        item["source"].as_i64().expect("a number")
    }

    /// Numbers of its chunks.
    pub fn chunks(&self, source: i64) -> Vec<Value> {
        self.json(&format!("/api/source/{source}"))["chunks"].as_array().expect("chunks").clone()
    }

    /// Ctrl-C; gives exit status and stderr.
    pub fn interrupt(mut self) -> (Option<i32>, String) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().expect("kill runs").success());
        let status = self.child.wait().expect("an end");
        let stderr = self.stderr.take().expect("once").join().expect("stderr");
        (status.code(), stderr)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn parse(bytes: &[u8]) -> Reply {
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no header in {:?}", String::from_utf8_lossy(bytes)));
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let mut lines = head.lines();
        let status = lines.next().and_then(|l| l.split(' ').nth(1)?.parse().ok()).expect("a status line");
        let headers = lines.filter_map(|l| l.split_once(": ")).map(|(n, v)| (n.to_lowercase(), v.to_owned()));
        Reply { status, headers: headers.collect(), body: bytes[end + 4..].to_vec() }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// `Content-Length`, and whether so many bytes came.
    pub fn is_complete(&self) -> bool {
        self.header("content-length").and_then(|n| n.parse::<usize>().ok()) == Some(self.body.len())
    }
}

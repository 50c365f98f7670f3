//! `tiff2flac serve` through the real program and a plain socket: what it sends is what the archive holds.
#![cfg(feature = "serve")]

mod common;
mod original_support;
mod serve_support;

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use audio_tiff::manifest::Sha256Sum;
use common::*;
use serde_json::Value;
use serve_support::{Reply, Server};

/// A stereo recording in five chunks, one of floats, one with a time, a speaker and a header of its own, and a coded one.
fn example(scratch: &Scratch) -> PathBuf {
    scratch.put("in/field/20260501T043000+0200_reed.wav", &wav(2, 8000, 16, &sound(36_001, 2, 16, 1)));
    scratch.put("in/floats.wav", &float_wav(30_000, 1, 2));
    scratch.put("in/anna.wav", &wav(1, 8000, 24, &sound(20_000, 1, 24, 3)));
    fs::copy(fixtures().join("recordings/interview-broadcast.mp3"), scratch.path("in/talk.mp3")).expect("a copy");
    let metadata = scratch.put("metadata.json", r#"{ "anna.wav": { "speaker": "Anna Grün" } }"#.as_bytes());
    let out = scratch.path("archive");
    let metadata = metadata.to_str().expect("a path");
    archive(&scratch.path("in"), &out, &["--metadata", metadata, "--chunk-seconds", "1"]).exits(0);
    out
}

fn cut(archive: &Path, source: &str, from: u64, to: u64) -> Vec<u8> {
    let (from, to) = (format!("{from}samples"), format!("{to}samples"));
    let mut command = tiff2flac();
    command.arg("cut").arg(archive).args(["--source", source, "--from", &from, "--to", &to, "-o", "-"]);
    let output = command.output().expect("runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().expect("items").iter().map(|i| i["name"].as_str().expect("a name")).collect()
}

#[test]
fn a_flac_is_served_by_byte_range_out_of_its_tiff() {
    let scratch = Scratch::new();
    let server = Server::start(&example(&scratch), &[]);
    let chunks = server.chunks(server.source("20260501T043000+0200_reed.wav"));
    assert_eq!(chunks.len(), 5);
    let (id, sum) = (&chunks[1]["id"], chunks[1]["flac_sha256"].as_str().expect("a checksum"));
    let path = format!("/chunk/{id}/flac");
    let whole = server.get(&path);
    let (flac, etag) = (&whole.body, format!("\"{sum}\""));
    assert_eq!((whole.status, whole.header("content-type")), (200, Some("audio/flac")));
    assert_eq!(Sha256Sum::of(flac).to_string(), sum);
    assert_eq!((whole.header("etag"), whole.header("accept-ranges")), (Some(etag.as_str()), Some("bytes")));
    let n = flac.len();
    for (range, from, to) in [
        ("bytes=0-1", 0, 2),
        ("bytes=0-", 0, n),
        ("bytes=100-299", 100, 300),
        ("bytes=7000-999999999", 7000, n),
        ("bytes=-10", n - 10, n),
        (&format!("bytes={}-", n - 1), n - 1, n),
    ] {
        let part = server.range(&path, range);
        assert_eq!((part.status, &part.body[..]), (206, &flac[from..to]), "{range}");
        assert_eq!(part.header("content-range"), Some(format!("bytes {from}-{}/{n}", to - 1).as_str()));
        assert!(part.is_complete());
    }
    let outside = server.range(&path, &format!("bytes={n}-"));
    assert_eq!((outside.status, outside.header("content-range")), (416, Some(format!("bytes */{n}").as_str())));
    // One range a request: several are answered with the whole, which the RFC allows.
    assert_eq!(server.range(&path, "bytes=0-1,5-6").body.len(), n);
    let known = server.ask("GET", &path, &[("If-None-Match", &etag)]);
    assert_eq!((known.status, known.body.len()), (304, 0));
    let same = server.ask("GET", &path, &[("Range", "bytes=2-3"), ("If-Range", &etag)]);
    assert_eq!((same.status, same.body.len()), (206, 2));
    let other = server.ask("GET", &path, &[("Range", "bytes=2-3"), ("If-Range", "\"other\"")]);
    assert_eq!((other.status, other.body.len()), (200, n));
    let head = server.ask("HEAD", &path, &[]);
    let length = n.to_string();
    assert_eq!((head.status, head.body.len(), head.header("content-length")), (200, 0, Some(length.as_str())));
    let head = server.ask("HEAD", &path, &[("Range", "bytes=0-1")]);
    assert_eq!((head.status, head.body.len(), head.header("content-length")), (206, 0, Some("2")));
    let download = server.get(&format!("{path}?download=1"));
    assert!(download.header("content-disposition").is_some_and(|d| d.starts_with("attachment; ")));
}

#[test]
fn every_byte_of_a_wav_has_its_sample() {
    let scratch = Scratch::new();
    let dir = example(&scratch);
    let server = Server::start(&dir, &[]);
    for (name, from, to) in [
        ("20260501T043000+0200_reed.wav", 0, 36_001),
        ("20260501T043000+0200_reed.wav", 7_990, 24_007),
        ("floats.wav", 15_999, 16_001),
        ("floats.wav", 0, 30_000),
        ("anna.wav", 3, 20_000),
        ("talk.mp3", 100, 60_000),
    ] {
        let id = server.source(name);
        let path = format!("/source/{id}/wav?from={from}&to={to}");
        let expected = cut(&dir, name, from, to);
        let whole = server.get(&path);
        assert!(whole.status == 200 && whole.body == expected, "{name} {from} to {to}");
        let n = expected.len();
        for (a, b) in [(0, 2), (43, 46), (n / 2 + 1, n), (n / 3, n / 3 + 5), (n - 1, n), (n / 2, n / 2 + 5000)] {
            let (a, b) = (a.min(n - 1), b.min(n));
            let part = server.range(&path, &format!("bytes={a}-{}", b - 1));
            assert!(
                part.status == 206 && part.body == expected[a..b],
                "{name} {from} to {to}, bytes {a} to {b} of {n}"
            );
        }
        let head = server.ask("HEAD", &path, &[("Range", "bytes=-1")]);
        assert_eq!((head.status, head.header("content-length")), (206, Some("1")));
        assert_eq!(whole.header("etag"), head.header("etag"));
    }
    let id = server.source("anna.wav");
    for bad in ["from=5&to=5", "from=9&to=3", "to=20001", "from=20000", "from=-1", "from=x", "to=99999999999999999999"]
    {
        assert_eq!(server.get(&format!("/source/{id}/wav?{bad}")).status, 400, "{bad}");
    }
}

#[test]
fn search_time_and_order_choose_what_is_on_the_wall() {
    let scratch = Scratch::new();
    let server = Server::start(&example(&scratch), &[]);
    let all = server.json("/api/chunks");
    assert_eq!((&all["sources"], all["total"].as_u64()), (&4.into(), Some(names(&all).len() as u64)));
    let total = names(&all).len();
    let mut paged = Vec::new();
    for offset in (0..total + 3).step_by(3) {
        let page = server.json(&format!("/api/chunks?offset={offset}&limit=3"));
        paged.extend(page["items"].as_array().expect("items").clone());
    }
    assert_eq!(paged, *all["items"].as_array().expect("items"));
    let found = |query: &str| {
        let list = server.json(&format!("/api/chunks?{query}"));
        let mut names: Vec<String> = names(&list).into_iter().map(str::to_owned).collect();
        names.dedup();
        names
    };
    assert_eq!(found("q=ANN"), ["anna.wav"]);
    assert_eq!(found("q=grun"), ["anna.wav"]);
    assert_eq!(found("q=speaker%3Agr%C3%BCn"), ["anna.wav"]);
    assert_eq!(found("q=speaker%3A%22anna+gr%C3%BCn%22"), ["anna.wav"]);
    assert!(found("q=speaker%3Areed").is_empty());
    assert_eq!(found("q=container%3Amp3"), ["talk.mp3"]);
    assert_eq!(found("order=time")[0], "20260501T043000+0200_reed.wav");
    let span = server.json("/api/chunks?from=2026-05-01T04:30:01.5&to=2026-05-01T04:30:03");
    let numbers: Vec<_> = span["items"].as_array().expect("items").iter().map(|i| i["number"].as_i64()).collect();
    assert_eq!(numbers, [Some(1), Some(2)], "chunks of one second each");
    assert_eq!(span["items"][0]["clock"], "2026-05-01T04:30:01+02:00");
    for odd in ["%22", "*", "%28", "a%20AND", "%27%3B--", "%00", "%E2%80%AE", "x%3A%22"] {
        found(&format!("q={odd}"));
    }
    assert_eq!(server.get("/api/chunks?from=soon").status, 400);
    let archive = server.json("/api/archive");
    assert_eq!((&archive["sources"], &archive["name"]), (&4.into(), &"archive".into()));
}

#[test]
fn passages_and_originals_come_out_right_or_not_at_all() {
    let scratch = Scratch::new();
    let dir = example(&scratch);
    let server = Server::start(&dir, &[]);
    let reed = server.source("20260501T043000+0200_reed.wav");
    let flac = server.get(&format!("/source/{reed}/passage?from=7000&to=17001"));
    assert!(flac.status == 200 && flac.is_complete() && flac.body.starts_with(b"fLaC"));
    let file = scratch.put("passage.flac", &flac.body);
    let decoded: Vec<u8> = claxon::FlacReader::open(&file)
        .expect("a FLAC")
        .samples()
        .flat_map(|s| (s.expect("a sample") as i16).to_le_bytes())
        .collect();
    assert!(decoded == sound(36_001, 2, 16, 1)[7000 * 4..17_001 * 4]);
    for name in ["20260501T043000+0200_reed.wav", "floats.wav", "talk.mp3"] {
        let source = server.source(name);
        let original = server.get(&format!("/source/{source}/original"));
        let path = tree(&scratch.path("in")).into_iter().find(|(path, _)| path.ends_with(name)).expect("the source");
        assert!(original.status == 200 && original.body == path.1, "{name}");
        let head = server.ask("HEAD", &format!("/source/{source}/original"), &[]);
        let length = path.1.len().to_string();
        assert_eq!((head.body.len(), head.header("content-length")), (0, Some(length.as_str())));
    }
    // Verified, and the index remembers it.
    let chunks = server.chunks(reed);
    let check = |n: usize| server.json(&format!("/api/chunk/{}/check", chunks[n]["id"]));
    assert_eq!(check(2)["ok"], true);
    assert_eq!(server.chunks(reed)[2]["ok"], true);
    assert_eq!(server.chunks(reed)[3]["ok"], Value::Null);
    // A damaged frame: the check says so, and neither passage nor original is ever a whole answer.
    let tiff = dir.join(chunks[2]["tiff"].as_str().expect("a path"));
    let bytes = fs::read(&tiff).expect("a TIFF");
    let start = bytes.windows(4).position(|w| w == b"fLaC").expect("a FLAC");
    flip(&tiff, (start + chunks[2]["flac_size"].as_u64().expect("a size") as usize - 3000) as u64);
    let found = check(2);
    assert_eq!(found["ok"], false, "{found}");
    assert!(!found["message"].as_str().expect("why").is_empty());
    assert_eq!(server.chunks(reed)[2]["ok"], false);
    // Found before anything has gone out, it is an error with a status of its own.
    for path in ["original", "passage?from=7000&to=25000", "wav?from=7000&to=25000", "wav?from=16000&to=24000"] {
        assert!(server.refuses(&format!("/source/{reed}/{path}")), "{path}: what cannot be proved is never complete");
    }
    assert!(server.get(&format!("/source/{reed}/wav?from=0&to=16000")).is_complete(), "what is whole stays to be had");
}

#[test]
fn what_fails_late_breaks_off_and_what_fails_at_once_is_an_error() {
    let scratch = Scratch::new();
    let long = scratch.put("in/long.wav", &wav(2, 48_000, 16, &sound(2_000_000, 2, 16, 4)));
    let dir = scratch.path("archive");
    archive(&long, &dir, &["--chunk-seconds", "10"]).exits(0);
    let server = Server::start(&dir, &[]);
    let id = server.source("long.wav");
    let last = server.chunks(id).last().expect("chunks").clone();
    let tiff = dir.join(last["tiff"].as_str().expect("a path"));
    let bytes = fs::read(&tiff).expect("a TIFF");
    let start = bytes.windows(4).position(|w| w == b"fLaC").expect("a FLAC");
    flip(&tiff, start as u64 + last["flac_size"].as_u64().expect("a size") - 3000);
    // Megabytes before it are gone out by then.
    assert!(server.breaks_off(&format!("/source/{id}/wav")));
    assert!(server.breaks_off(&format!("/source/{id}/original")));
    let (from, to) = (1_999_000, 2_000_000);
    assert!(server.refuses(&format!("/source/{id}/wav?from={from}&to={to}")));
    let whole = server.ask("HEAD", &format!("/source/{id}/wav"), &[]);
    let len: usize = whole.header("content-length").and_then(|n| n.parse().ok()).expect("a length");
    let part = server.range(&format!("/source/{id}/wav"), &format!("bytes={}-", len - 4000));
    assert!(part.status == 500 && part.header("content-range").is_none(), "{part:?}");
    // And where the TIFF is gone.
    fs::remove_file(&tiff).expect("removed");
    for path in [
        format!("/chunk/{}/flac", last["id"]),
        format!("/source/{id}/wav?from={from}&to={to}"),
        format!("/source/{id}/passage?from={from}&to={to}"),
    ] {
        assert_eq!(server.get(&path).status, 404, "{path}");
    }
}

#[test]
fn flacs_of_the_original_programs_are_played_wherever_they_are() {
    let scratch = Scratch::new();
    let (dir, flacs, whole) = original_support::original_archive(&scratch, 3);
    let before = tree(&dir);
    let index = scratch.path("index.sqlite");
    let server = Server::start(&dir, &["--index", index.to_str().expect("a path")]);
    let id = server.source("long.wav");
    let chunks = server.chunks(id);
    assert_eq!(chunks.len(), 3);
    // As it is, compressed, and alone in its TIFF.
    for (chunk, flac) in chunks.iter().zip(&flacs) {
        assert_eq!((&chunk["playable"], chunk["flac_size"].as_u64()), (&true.into(), Some(flac.len() as u64)));
        let path = format!("/chunk/{}/flac", chunk["id"]);
        let whole = server.get(&path);
        assert!(whole.status == 200 && whole.body == *flac && whole.is_complete());
        assert_eq!(whole.header("etag"), Some(format!("\"{}\"", original_support::sha(flac)).as_str()));
        let n = flac.len();
        for (range, from, to) in [
            ("bytes=0-1", 0, 2),
            ("bytes=-100", n - 100, n),
            ("bytes=5000-5999", 5000, 6000),
            ("bytes=3-9", 3, 10),
            (&format!("bytes={}-", n / 2), n / 2, n),
        ] {
            let part = server.range(&path, range);
            assert!(part.status == 206 && part.body == flac[from..to], "{range}");
        }
        let head = server.ask("HEAD", &path, &[("Range", "bytes=0-1")]);
        assert_eq!((head.status, head.header("content-length")), (206, Some("2")));
    }
    // What the list of these programs does not say, the FLACs do.
    let about = server.json(&format!("/api/source/{id}"));
    for (key, value) in [("rate", 8000.0), ("channels", 2.0), ("bits", 16.0), ("samples", 20_000.0), ("seconds", 2.5)] {
        assert_eq!(about[key].as_f64(), Some(value), "{key}");
    }
    let spans: Vec<_> = chunks.iter().map(|c| (c["start"].as_f64(), c["end"].as_f64())).collect();
    assert_eq!(spans, [(Some(0.0), Some(1.0)), (Some(1.0), Some(2.0)), (Some(2.0), Some(2.5))]);
    // All of it as WAV, in order and from any place.
    let total = 20_000;
    let samples = &whole[44..];
    let wav = server.get(&format!("/source/{id}/wav"));
    assert!(wav.status == 200 && wav.is_complete() && wav.body.ends_with(samples));
    let head = wav.body.len() - samples.len();
    for frame in [7_999, 15_000, 8_000, 100, total - 1] {
        let at = head + frame * 4 + 1;
        let part = server.range(&format!("/source/{id}/wav"), &format!("bytes={at}-{}", at + 999));
        assert!(part.body == wav.body[at..(at + 1000).min(wav.body.len())], "from {frame}");
    }
    assert_eq!(server.get(&format!("/source/{id}/tile/5/0")).status, 200);
    assert!(server.get(&format!("/source/{id}/passage?from=7000&to=17000")).body.starts_with(b"fLaC"));
    // The grey previews of these programs are shown, too; a TIFF that is nothing but the FLAC has none.
    let pictures: Vec<u16> = chunks.iter().map(|c| server.get(&format!("/chunk/{}/thumb", c["id"])).status).collect();
    assert_eq!(pictures[..2], [200, 200]);
    assert!(pictures[2] >= 400);
    assert_eq!(server.json(&format!("/api/chunk/{}/check", chunks[1]["id"]))["ok"], true);
    assert!(before == tree(&dir), "nothing is written to the archive");
}

#[test]
fn pictures_are_made_on_demand() {
    let scratch = Scratch::new();
    let dir = example(&scratch);
    let server = Server::start(&dir, &[]);
    let reed = server.source("20260501T043000+0200_reed.wav");
    let about = server.json(&format!("/api/source/{reed}"));
    let jpeg = |path: String| {
        let reply = server.get(&path);
        assert_eq!((reply.status, reply.header("content-type")), (200, Some("image/jpeg")), "{path}");
        assert!(reply.body.starts_with(b"\xff\xd8\xff") && reply.is_complete());
        reply.body
    };
    let (least, most) = (about["levels"]["least"].as_u64().expect("a level"), about["levels"]["most"].as_u64());
    for level in least..=most.expect("a level") {
        let last = 36_000 >> (8 + level);
        let tile = jpeg(format!("/source/{reed}/tile/{level}/{last}"));
        assert_eq!(tile, jpeg(format!("/source/{reed}/tile/{level}/{last}")), "from the cache");
        assert_eq!(server.get(&format!("/source/{reed}/tile/{level}/{}", last + 1)).status, 404);
    }
    for bad in ["4/0", "18/0", "255/0", "5/18446744073709551615", "5/-1", "x/0", "256/0"] {
        let status = server.get(&format!("/source/{reed}/tile/{bad}")).status;
        assert!(status == 404 || status == 400, "{bad}: {status}");
    }
    for chunk in server.chunks(reed) {
        let id = chunk["id"].as_i64().expect("a number");
        let thumb = jpeg(format!("/chunk/{id}/thumb"));
        assert_eq!(thumb, jpeg(format!("/chunk/{id}/thumb")), "from the index");
        jpeg(format!("/chunk/{id}/preview"));
    }
    for missing in
        ["/chunk/999/thumb", "/chunk/999/preview", "/source/999/wav", "/source/999/tile/5/0", "/api/source/999"]
    {
        assert_eq!(server.get(missing).status, 404, "{missing}");
    }
}

#[test]
fn the_index_may_be_kept_elsewhere_and_changes_are_seen() {
    let scratch = Scratch::new();
    let dir = example(&scratch);
    let before = tree(&dir);
    let index = scratch.path("index.sqlite");
    let server = Server::start(&dir, &["--index", index.to_str().expect("a path")]);
    let chunk = server.chunks(server.source("anna.wav"))[0]["id"].clone();
    assert_eq!(server.json(&format!("/api/chunk/{chunk}/check"))["ok"], true);
    assert_eq!(server.get(&format!("/chunk/{chunk}/thumb")).status, 200);
    assert_eq!(before, tree(&dir), "nothing is written to the archive");
    // A recording that is archived while the page is open is there once the index is brought up to date.
    scratch.put("in/later.wav", &wav(1, 8000, 16, &sound(9000, 1, 16, 9)));
    archive(&scratch.path("in"), &dir, &["--resume", "--chunk-seconds", "1"]);
    assert_eq!(server.json("/api/archive")["sources"], 4);
    let update = |more: &[&str]| {
        let mut command = tiff2flac();
        Run::of(command.arg("index").arg(&dir).arg("--index").arg(&index).args(more).output().expect("runs")).exits(0);
    };
    update(&[]);
    assert_eq!(server.json("/api/chunks?q=later")["sources"], 1);
    // Made anew, it is another file.
    update(&["--rebuild"]);
    assert_eq!(server.json("/api/chunks")["sources"], 5);
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_it_whatever_is_being_sent() {
    let scratch = Scratch::new();
    let long = scratch.put("in/long.wav", &wav(2, 48_000, 16, &sound(4_000_000, 2, 16, 4)));
    let out = scratch.path("archive");
    archive(&long, &out, &[]).exits(0);
    let server = Server::start(&out, &[]);
    let id = server.source("long.wav");
    // Clients that have begun to read and go no further: FLAC, WAV and original.
    let chunk = server.chunks(id)[0]["id"].clone();
    let mut clients = Vec::new();
    for path in [format!("/chunk/{chunk}/flac"), format!("/source/{id}/wav"), format!("/source/{id}/original")] {
        let mut stream = server.connect();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", server.host()).expect("asked");
        let mut begun = [0; 1000];
        stream.read_exact(&mut begun).expect("an answer begins");
        assert_eq!(Reply::parse(&begun).status, 200);
        clients.push(stream);
    }
    let (code, stderr) = server.interrupt();
    assert_eq!(code, Some(130), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
}

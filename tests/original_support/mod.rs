//! TIFFs as the original Python scripts wrote them.
#![allow(dead_code)]

use std::path::PathBuf;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::common::{Scratch, archive, made_tiff, reconstruct, sound, tree, wav};

pub fn sha(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// A page of a TIFF as the original scripts wrote it.
struct Page {
    json: String,
    width: u32,
    height: u32,
    bytes: Vec<u8>,
    deflate: bool,
}

/// With two ImageDescriptions, the JSON first.
fn tiff(pages: &[Page]) -> Vec<u8> {
    let shape = |page: &Page| format!("{{\"shape\": [{}, {}]}}", page.height, page.width);
    let stored = |page: &Page| if page.deflate { zlib(&page.bytes) } else { page.bytes.clone() };
    let parts: Vec<_> = pages.iter().map(|page| (shape(page), stored(page))).collect();
    let texts: Vec<_> = pages.iter().zip(&parts).map(|(page, (shape, _))| [page.json.as_str(), shape]).collect();
    let made = pages.iter().zip(&parts).zip(&texts).map(|((page, (_, stored)), texts)| {
        (&texts[..], if page.deflate { 8 } else { 1 }, page.width, page.height, &stored[..])
    });
    made_tiff(&made.collect::<Vec<_>>())
}

/// A zlib stream of stored blocks.
fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0x78, 0x01];
    let mut blocks = bytes.chunks(65_535).peekable();
    while let Some(block) = blocks.next() {
        out.push(u8::from(blocks.peek().is_none()));
        out.extend_from_slice(&(block.len() as u16).to_le_bytes());
        out.extend_from_slice(&(!(block.len() as u16)).to_le_bytes());
        out.extend_from_slice(block);
    }
    let (mut a, mut b) = (1u32, 0u32);
    for &byte in bytes {
        a = (a + u32::from(byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    out.extend_from_slice(&(b << 16 | a).to_be_bytes());
    out
}

fn preview() -> Page {
    let json = r#"{"metadata": {"chunk_id": "chunk_000000", "start_time_seconds": 0, "encoding": "FLAC"}}"#.to_owned();
    Page { json, width: 4, height: 3, bytes: vec![7; 12], deflate: false }
}

/// A TIFF of the second version (the FLAC uncompressed), of the first with Deflate, or of the FLAC alone.
pub fn archive_tiff(flac: &[u8], kind: usize) -> Vec<u8> {
    let json = r#"{"embedded_flac_bytes": true}"#.to_owned();
    let page = Page { json, width: flac.len() as u32, height: 1, bytes: flac.to_vec(), deflate: kind == 1 };
    match kind {
        2 => tiff(&[page]),
        _ => tiff(&[preview(), page]),
    }
}

/// FLACs with the samples of one recording, one after the other, and a WAV of all of it.
pub fn flacs(seed: u64) -> (Vec<Vec<u8>>, Vec<u8>) {
    let s = Scratch::new();
    let whole = wav(2, 8000, 16, &sound(20_000, 2, 16, seed));
    s.put("in/a.wav", &whole);
    archive(&s.path("in"), &s.path("archive"), &["--chunk-seconds", "1"]).exits(0);
    reconstruct(&s.path("archive"), &s.path("back"), &[]).exits(0);
    (tree(&s.path("back/flac")).into_values().collect(), whole)
}

/// An archive of one recording, `long.wav`, in three chunks, one in each layout; gives its folder, the FLACs and the recording.
pub fn original_archive(s: &Scratch, seed: u64) -> (PathBuf, Vec<Vec<u8>>, Vec<u8>) {
    let (flacs, whole) = flacs(seed);
    let mut chunks: Vec<Value> = Vec::new();
    for (n, flac) in flacs.iter().enumerate() {
        let name = format!("chunk_00000{n}.tiff");
        s.put(&format!("old/{name}"), &archive_tiff(flac, n));
        chunks.push(json!({
            "chunk_id": format!("chunk_00000{n}"), "tiff_path": format!("/srv/out/{name}"), "flac_sha256": sha(flac),
            "start_time_seconds": n, "size_bytes": 1, "preview_included": n < 2,
        }));
    }
    let manifest =
        json!({"input_dir": "/in", "chunk_seconds": 1, "files": [{"source_file": "/in/long.wav", "chunks": chunks}]});
    s.put("old/manifest.json", manifest.to_string().as_bytes());
    (s.path("old"), flacs, whole)
}

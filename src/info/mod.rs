//! All about one TIFF: its pages, what it says about itself and its source, what it restores to, and whether it is whole.
//!
//! [`examine`] gives one JSON object, [`text`] the same for a person. Any TIFF is described; what is no TIFF of an archive is
//! said to be none. Whether one is whole is what [`crate::verify`] finds with everything decoded: by the manifest in its
//! folder or in one above, where there is one that names it, else by what it says about itself.

mod text;

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::container::{self, Limits, Page};
use crate::error::Result;
use crate::events::SCHEMA_VERSION;
use crate::extract::tiff::{ChunkTiff, FlacPage};
use crate::extract::{self, Chunk, Source};
use crate::flac::Metadata;
use crate::format::{ChunkMetadata, RESTORE_ORIGINAL, Role};
use crate::interrupt::Interrupt;
use crate::manifest::MANIFEST_NAME;
use crate::verify::{self, Finding};
pub use text::text;

/// Folders above a TIFF in which its manifest is looked for.
const LEVELS: usize = 16;

/// What is known of a TIFF.
#[derive(Debug)]
pub struct Info {
    /// Everything, as one object of the JSON report.
    pub json: Value,
    /// Whether it is whole; `None` for a TIFF that is none of an archive.
    pub whole: Option<bool>,
}

/// Looks at the TIFF at `path`, and decodes all that is in it.
///
/// # Errors
/// `Missing`, `Io`; `Malformed` where it is no TIFF or its page directories are damaged; `Interrupted`.
pub fn examine(path: &Path, interrupt: &Interrupt) -> Result<Info> {
    let tiff = ChunkTiff::open(path)?;
    let directories = container::read_directories(&tiff.file, &Limits::default()).map_err(|e| e.at_path(path))?;
    let mut info = Map::new();
    let mut put = |key: &str, value: Value| drop(info.insert(key.to_owned(), value));
    put("schema_version", json!(SCHEMA_VERSION));
    put("type", json!("tiff"));
    put("item", json!(path.to_string_lossy()));
    put("size_bytes", json!(tiff.len));
    put(
        "tiff",
        json!(match directories.kind {
            container::Kind::Classic => "classic",
            container::Kind::Big => "BigTIFF",
        }),
    );
    put("origin", json!(origin(&tiff)));
    put("pages", tiff.pages.iter().map(|page| self::page(&tiff, page)).collect());
    if let Some(about) = &tiff.metadata {
        put("chunk", chunk_json(about));
        put("source", source_json(about));
        put("metadata", Value::Object(about.tags.clone()));
    }
    put("restores_to", json!(restores_to(&tiff)));
    if tiff.flacs.is_empty() && tiff.source_bytes.is_empty() {
        return Ok(Info { json: Value::Object(info), whole: None });
    }
    let (listed, source, chunk) = match listed(path, interrupt)? {
        Some((root, source, chunk)) => (Some(root), source, chunk),
        None => by_itself(&tiff, path),
    };
    let findings = verify::check_tiff(&source, &chunk, interrupt)?;
    let whole = !findings.iter().any(Finding::counts);
    let mut state = Map::new();
    state.insert("whole".to_owned(), json!(whole));
    state.insert("checked".to_owned(), json!(checked(&chunk)));
    state.insert(
        "manifest".to_owned(),
        json!(listed.map(|root| root.join(MANIFEST_NAME).to_string_lossy().into_owned())),
    );
    state.insert("findings".to_owned(), findings.iter().map(Finding::to_json).collect());
    info.insert("state".to_owned(), Value::Object(state));
    Ok(Info { json: Value::Object(info), whole: Some(whole) })
}

fn origin(tiff: &ChunkTiff) -> &'static str {
    match (&tiff.metadata, tiff.flacs.is_empty()) {
        (Some(_), _) => "audio-tiff",
        (None, false) => "original",
        (None, true) => "foreign",
    }
}

/// What the check has gone by.
fn checked(chunk: &Chunk) -> &'static str {
    match (chunk.tiff_sha256, chunk.flac_sha256.iter().any(Option::is_some)) {
        (Some(_), _) => "SHA-256 of the TIFF and of each FLAC by the manifest, every page, every frame, MD5",
        (None, true) => "SHA-256 of the FLAC by the manifest, every page, every frame, MD5",
        (None, false) => "every page, every frame, MD5; no manifest names this TIFF",
    }
}

fn restores_to(tiff: &ChunkTiff) -> String {
    match &tiff.metadata {
        Some(about) if about.restore == RESTORE_ORIGINAL => format!(
            "{}: the original file's own bytes ({} bytes, SHA-256 {}), from all {} chunks{}",
            about.relative_path,
            about.source_size_bytes,
            about.source_sha256,
            about.chunk_count,
            if tiff.flacs.is_empty() { "" } else { "; the FLAC is a copy to listen to" }
        ),
        Some(about) => format!(
            "{}: the same file, byte for byte ({} bytes, SHA-256 {}), from all {} chunks",
            about.relative_path, about.source_size_bytes, about.source_sha256, about.chunk_count
        ),
        None if !tiff.flacs.is_empty() => {
            "a FLAC file, and a WAV of its samples; made by the original programs, which kept no more".to_owned()
        }
        None => "nothing: this is no TIFF of an archive".to_owned(),
    }
}

fn chunk_json(about: &ChunkMetadata) -> Value {
    let seconds = |sample: u64| if about.sample_rate > 0 { sample as f64 / f64::from(about.sample_rate) } else { 0.0 };
    json!({
        "chunk_id": about.chunk_id, "chunk_index": about.chunk_index, "chunk_count": about.chunk_count,
        "start_sample": about.start_sample, "num_samples": about.num_samples,
        "start_seconds": seconds(about.start_sample),
        "end_seconds": seconds(about.start_sample.saturating_add(about.num_samples)),
        "created_by": about.created_by, "format_version": about.format_version,
    })
}

fn source_json(about: &ChunkMetadata) -> Value {
    json!({
        "relative_path": about.relative_path, "sha256": about.source_sha256, "size_bytes": about.source_size_bytes,
        "container": about.container, "sample_format": about.sample_format, "sample_rate": about.sample_rate,
        "channels": about.channels, "bits_per_sample": about.bits_per_sample, "total_samples": about.total_samples,
        "restore": about.restore, "decoder": about.decoder, "notes": about.notes,
    })
}

fn page(tiff: &ChunkTiff, page: &Page) -> Value {
    let flac = tiff.flacs.iter().find(|flac| flac.page == page.index);
    let role = match (Role::of(page), flac) {
        (Some(Role::Remainder { .. }), _) => "remainder",
        (Some(Role::SourceBytes { .. }), _) => "source-bytes",
        (_, Some(_)) => "flac",
        _ if page.index == 0 => "preview",
        _ => "other",
    };
    let stored: u64 = page.strips.iter().fold(0, |sum, strip| sum.saturating_add(strip.len));
    let mut value = json!({
        "page": page.index, "role": role, "width": page.width, "height": page.height,
        "offset": page.strips.first().map(|strip| strip.offset), "stored_bytes": stored,
        "image_bytes": page.image_bytes().ok(), "strips": page.strips.len(),
        "compression": match page.compression { 1 => json!("none"), 8 | 32946 => json!("deflate"), other => json!(other) },
        "directory_offset": page.directory_offset,
    });
    if let Err(e) = page.check() {
        value["unreadable"] = json!(e.message());
    }
    let names = page.text_tags.iter().map(|(tag, text)| (tag_name(*tag), json!(text)));
    let tags: Map<String, Value> = names.collect();
    if !tags.is_empty() {
        value["tags"] = Value::Object(tags);
    }
    if let Some((offset, len)) = page.xmp {
        value["xmp"] = json!({ "offset": offset, "bytes": len });
    }
    if let Some(flac) = flac {
        value["flac"] = flac_json(tiff, flac);
    }
    value
}

fn tag_name(tag: u16) -> String {
    match tag {
        container::DOCUMENT_NAME => "DocumentName".to_owned(),
        container::SOFTWARE => "Software".to_owned(),
        container::DATE_TIME => "DateTime".to_owned(),
        container::ARTIST => "Artist".to_owned(),
        container::HOST_COMPUTER => "HostComputer".to_owned(),
        container::COPYRIGHT => "Copyright".to_owned(),
        other => format!("tag {other}"),
    }
}

fn flac_json(tiff: &ChunkTiff, flac: &FlacPage) -> Value {
    let Some((start, len)) = flac.place else {
        return json!({ "note": "compressed in the TIFF; extract it to see its header" });
    };
    let metadata = match Metadata::read(&tiff.file, start, start.saturating_add(len)) {
        Ok(metadata) => metadata,
        Err(e) => return json!({ "offset": start, "bytes": len, "unreadable": e.message() }),
    };
    let info = metadata.stream_info;
    let comment = metadata.vorbis_comment(&tiff.file).ok().flatten();
    let points = metadata.seek_table(&tiff.file).ok().flatten().map_or(0, |table| table.points.len());
    let md5: String = info.md5.iter().map(|byte| format!("{byte:02x}")).collect();
    let seconds = if info.sample_rate > 0 { info.total_samples as f64 / f64::from(info.sample_rate) } else { 0.0 };
    json!({
        "offset": start, "bytes": len, "first_channel": u64::from(flac.first_channel) + 1, "channels": info.channels,
        "sample_rate": info.sample_rate, "bits_per_sample": info.bits_per_sample, "total_samples": info.total_samples,
        "seconds": seconds, "min_block_size": info.min_block_size, "max_block_size": info.max_block_size,
        "min_frame_bytes": info.min_frame_bytes, "max_frame_bytes": info.max_frame_bytes,
        "md5": if info.has_md5() { json!(md5) } else { Value::Null },
        "seek_points": points, "frames_offset": metadata.frames_offset,
        "vendor": comment.as_ref().map(|c| c.vendor.clone()),
        "comments": comment.map_or(Vec::new(), |c| c.fields.into_iter().map(|(k, v)| format!("{k}={v}")).collect()),
    })
}

/// The manifest's account of a TIFF: that of the folder it lies in, or of one above.
fn listed(path: &Path, interrupt: &Interrupt) -> Result<Option<(PathBuf, Source, Chunk)>> {
    let Ok(real) = path.canonicalize() else { return Ok(None) };
    for root in real.ancestors().skip(1).take(LEVELS).filter(|dir| dir.join(MANIFEST_NAME).is_file()) {
        // A manifest.json of something else is none of ours.
        let Ok(found) = extract::find(root, interrupt) else { continue };
        for source in found.sources.iter().filter_map(Result::ok) {
            let same = |chunk: &&Chunk| chunk.path.canonicalize().is_ok_and(|path| path == real);
            // Names first: looking at every file of an archive takes long.
            let named = source.chunks.iter().filter(|chunk| chunk.path.file_name() == real.file_name());
            if let Some(chunk) = named.clone().find(same) {
                let chunk = chunk.clone();
                return Ok(Some((root.to_path_buf(), source.into_owned(), chunk)));
            }
        }
    }
    Ok(None)
}

/// A TIFF as it describes itself.
fn by_itself(tiff: &ChunkTiff, path: &Path) -> (Option<PathBuf>, Source, Chunk) {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut source = Source::default();
    let mut chunk = Chunk { path: path.to_path_buf(), output: name.clone(), tiff_path: name, ..Chunk::default() };
    if let Some(about) = &tiff.metadata {
        source.ours = true;
        source.relative_path.clone_from(&about.relative_path);
        source.sha256 = about.source_sha256.parse().ok();
        source.total_samples = Some(about.total_samples);
        source.sample_rate = Some(about.sample_rate.into());
        chunk.chunk_id.clone_from(&about.chunk_id);
        chunk.start_sample = Some(about.start_sample);
        chunk.num_samples = Some(about.num_samples);
    }
    (None, source, chunk)
}

//! One TIFF: what its directories and page 0 say, as far as it goes into the index.

use std::path::Path;
use std::time::UNIX_EPOCH;

use serde_json::Value;

use super::thumbnail::{Thumbnail, thumbnail};
use crate::error::{Error, Result};
use crate::extract::tiff::ChunkTiff;
use crate::extract::{Chunk, Source};

/// Length and time of last change of a file: what tells that it was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct FileState {
    pub size: i64,
    pub mtime_ns: i64,
}

impl FileState {
    /// Of what is at `path`; `None` where nothing is.
    pub fn of(path: &Path) -> Option<FileState> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(FileState { size: i64::try_from(metadata.len()).unwrap_or(i64::MAX), mtime_ns: nanos(&metadata) })
    }
}

pub(super) fn nanos(metadata: &std::fs::Metadata) -> i64 {
    let since = metadata.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok());
    since.map_or(0, |d| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX))
}

/// A FLAC of a chunk.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct FlacRow {
    pub page: i64,
    pub first_channel: i64,
    pub channels: i64,
    pub place: Option<(i64, i64)>,
    pub sha256: Option<String>,
}

/// What page 0 shows.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Picture {
    pub x: u64,
    pub y: u64,
    pub width: u64,
    pub height: u64,
    pub color_map: Option<String>,
    pub db: Option<(f64, f64)>,
    pub frequencies: Option<(f64, f64)>,
}

/// A chunk as it stands in the index.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct ChunkRow {
    pub state: Option<FileState>,
    pub flacs: Vec<FlacRow>,
    pub picture: Option<Picture>,
    /// Why the TIFF could not be read.
    pub problem: Option<String>,
}

/// Reads the directories of a chunk's TIFF. A TIFF that cannot be read gives a row that says why.
pub(super) fn chunk_row(source: &Source, chunk: &Chunk) -> (ChunkRow, Option<Error>) {
    let state = FileState::of(&chunk.path);
    match read(source, chunk) {
        Ok((flacs, picture)) => (ChunkRow { state, flacs, picture, problem: None }, None),
        Err(e) => (ChunkRow { state, problem: Some(e.message()), ..ChunkRow::default() }, Some(e)),
    }
}

fn read(source: &Source, chunk: &Chunk) -> Result<(Vec<FlacRow>, Option<Picture>)> {
    let tiff = ChunkTiff::open(&chunk.path)?;
    crate::extract::belongs(source, chunk, &tiff)?;
    let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let flacs = tiff.flacs.iter().enumerate().map(|(i, flac)| FlacRow {
        page: i64::try_from(flac.page).unwrap_or(i64::MAX),
        first_channel: i64::from(flac.first_channel),
        channels: i64::from(flac.channels),
        place: flac.place.map(|(start, len)| (signed(start), signed(len))),
        sha256: chunk.flac_sha256.get(i).copied().flatten().map(|sum| sum.to_string()),
    });
    Ok((flacs.collect(), picture(&tiff)))
}

/// Where the plot lies on page 0, and what its colours mean.
fn picture(tiff: &ChunkTiff) -> Option<Picture> {
    let page = tiff.pages.first().filter(|p| p.samples_per_pixel == 3)?;
    let whole = Picture { width: page.width, height: page.height, ..Picture::default() };
    let Some(Value::Object(about)) = page.description_json().and_then(|mut d| d.remove("spectrogram")) else {
        return Some(whole);
    };
    let pair = |low: &str, high: &str| Some((about.get(low)?.as_f64()?, about.get(high)?.as_f64()?));
    let plot = about.get("plot").and_then(|plot| {
        let number = |key: &str| plot.get(key)?.as_u64();
        let (x, y, width, height) = (number("x")?, number("y")?, number("width")?, number("height")?);
        let fits = x.checked_add(width)? <= page.width && y.checked_add(height)? <= page.height;
        (fits && width > 0 && height > 0).then_some((x, y, width, height))
    });
    let (x, y, width, height) = plot.unwrap_or((0, 0, page.width, page.height));
    Some(Picture {
        x,
        y,
        width,
        height,
        color_map: about.get("color_map").and_then(Value::as_str).map(str::to_owned),
        db: pair("db_low", "db_high"),
        frequencies: pair("fmin", "fmax"),
    })
}

/// The thumbnail of a chunk's TIFF: of the plot on page 0.
pub(super) fn chunk_thumbnail(path: &Path) -> Result<Thumbnail> {
    let tiff = ChunkTiff::open(path)?;
    let part = picture(&tiff).map(|p| (p.x, p.y, p.width, p.height));
    let page = tiff.pages.first().ok_or_else(|| Error::malformed("the TIFF has no pages").at_path(path))?;
    thumbnail(&tiff.file, page, part).map_err(|e| e.at_path(path))
}

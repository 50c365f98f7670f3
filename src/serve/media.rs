//! FLACs by byte range straight out of their TIFFs, and the pictures that are in the archive already.

use std::io::Read;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::header::{self, HeaderValue};
use axum::http::{HeaderMap, Method, Response, StatusCode};
use jpeg_encoder::{ColorType, Encoder};
use rusqlite::OptionalExtension;
use serde::Deserialize;

use super::answer::{self, Answer, Refusal};
use super::api::blocking;
use super::cache::Key;
use super::store::ChunkFile;
use super::{Shared, body, range};
use crate::error::{Error, Result};
use crate::extract::tiff::ChunkTiff;
use crate::index::{self, Thumbnail};
use crate::positioned::{self, ReadAt};

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Which {
    /// Which FLAC of a chunk of more than 8 channels.
    n: u32,
    download: Option<String>,
}

/// `GET /chunk/ID/flac`: the FLAC's own bytes.
pub(super) async fn flac(
    State(state): State<Shared>,
    Path(id): Path<i64>,
    Query(which): Query<Which>,
    method: Method,
    headers: HeaderMap,
) -> Answer {
    let (chunk, flac, file) = blocking(move || {
        let chunk = state.store.chunk(id)?;
        let flac = state.store.flac(id, which.n)?;
        let file =
            positioned::open(&state.store.resolve(&chunk.tiff_path)?).map_err(|e| Error::io("opening the TIFF", e))?;
        Ok((chunk, flac, file))
    })
    .await?;
    let inside = |place: &(u64, u64)| {
        let end = place.0.checked_add(place.1);
        end.is_some_and(|end| ReadAt::len(&file).is_ok_and(|len| end <= len))
    };
    let Some((at, len)) = flac.place.filter(inside) else {
        let text = "the FLAC does not lie in one piece in its TIFF, or not any more";
        return Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, text));
    };
    // Without a checksum, place and size have to do.
    let etag = format!("\"{}\"", flac.sha256.unwrap_or_else(|| format!("{id}-{}-{at}-{len}", which.n)));
    let (mut answer, bytes) = range::begin(&headers, &etag, len, "audio/flac");
    if which.download.is_some() {
        let name = name_of_flac(&chunk, which.n);
        answer.headers_mut().insert(header::CONTENT_DISPOSITION, answer::attachment(&name));
    }
    if let Some((from, to)) = bytes
        && method != Method::HEAD
    {
        *answer.body_mut() = body::of_file(file, at + from, at + to);
    }
    Ok(answer)
}

/// `interview_chunk_000000.flac`, as `tiff2flac` calls it.
fn name_of_flac(chunk: &ChunkFile, n: u32) -> String {
    let file = chunk.tiff_path.rsplit(['/', '\\']).next().unwrap_or_default();
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    if n == 0 { format!("{stem}.flac") } else { format!("{stem}_{n}.flac") }
}

/// A picture that the browser may keep: its address changes with what it shows.
pub(super) fn picture(jpeg: Bytes) -> Response<Body> {
    let mut answer = answer::with_type(StatusCode::OK, "image/jpeg", jpeg);
    let lasting = HeaderValue::from_static("private, max-age=604800, immutable");
    answer.headers_mut().insert(header::CACHE_CONTROL, lasting);
    answer
}

/// `GET /chunk/ID/thumb`: the small picture in the index, made where it is missing.
pub(super) async fn thumb(State(state): State<Shared>, Path(id): Path<i64>) -> Answer {
    let known = {
        let state = state.clone();
        blocking(move || {
            let text = "SELECT jpeg FROM thumbnails WHERE chunk_id = ?1";
            let found: Option<Option<Vec<u8>>> =
                state.store.sql(|db| db.prepare_cached(text)?.query_row([id], |row| row.get(0)).optional())?;
            Ok(found)
        })
        .await?
    };
    let none = || Refusal::new(StatusCode::NOT_FOUND, "there is no picture");
    if let Some(jpeg) = known {
        return Ok(picture(jpeg.ok_or_else(none)?.into()));
    }
    // Where the index cannot be written to, the cache has it.
    let slot = state.pictures.slot(&Key::Thumb(id));
    let mut place = slot.lock().await;
    if let Some(jpeg) = &*place {
        return Ok(picture(jpeg.clone()));
    }
    let _permit = state.drawing.acquire().await.map_err(|_| Refusal::busy())?;
    let made = {
        let state = state.clone();
        blocking(move || {
            let chunk = state.store.chunk(id)?;
            let made = make_thumb(&state, &chunk);
            state.store.write(|db| index::put_thumbnail(db, id, made.as_ref().ok()));
            Ok(made?)
        })
        .await?
    };
    let jpeg = Bytes::from(made.jpeg);
    *place = Some(jpeg.clone());
    state.pictures.keep(&Key::Thumb(id), jpeg.len());
    Ok(picture(jpeg))
}

fn make_thumb(state: &Shared, chunk: &ChunkFile) -> Result<Thumbnail> {
    let tiff = ChunkTiff::open(&state.store.resolve(&chunk.tiff_path)?)?;
    let page = tiff.pages.first().ok_or_else(|| Error::malformed("the TIFF has no pages"))?;
    index::thumbnail(&tiff.file, page, chunk.plot)
}

/// `GET /chunk/ID/preview`: the plot on page 0, without its axes.
pub(super) async fn preview(State(state): State<Shared>, Path(id): Path<i64>) -> Answer {
    let _permit = state.drawing.acquire().await.map_err(|_| Refusal::busy())?;
    let jpeg = {
        let state = state.clone();
        blocking(move || {
            let chunk = state.store.chunk(id)?;
            Ok(plot(&state, &chunk)?)
        })
        .await?
    };
    Ok(picture(jpeg.into()))
}

/// Pixels of a plot that is shown as it is; larger ones are shown small.
const MOST_PIXELS: u64 = 4 << 20;

fn plot(state: &Shared, chunk: &ChunkFile) -> Result<Vec<u8>> {
    let tiff = ChunkTiff::open(&state.store.resolve(&chunk.tiff_path)?)?;
    let page = tiff.pages.first().ok_or_else(|| Error::malformed("the TIFF has no pages"))?;
    let rgb = page.samples_per_pixel == 3 && page.bits_per_sample.iter().all(|b| *b == 8);
    let fits = |&(x, y, w, h): &(u64, u64, u64, u64)| {
        let inside = |at: u64, len: u64, all: u64| len > 0 && at.checked_add(len).is_some_and(|end| end <= all);
        inside(x, w, page.width) && inside(y, h, page.height) && w.saturating_mul(h) <= MOST_PIXELS && w < 1 << 16
    };
    let plot = chunk.plot.filter(fits).filter(|_| rgb && page.width < 1 << 16);
    let Some((x, y, width, height)) = plot else {
        return Ok(index::thumbnail(&tiff.file, page, chunk.plot)?.jpeg);
    };
    let mut reader = page.reader(&tiff.file)?;
    let mut row = vec![0; page.width as usize * 3];
    let mut pixels = Vec::with_capacity((width * height * 3) as usize);
    for number in 0..y + height {
        reader.read_exact(&mut row).map_err(|e| Error::malformed(format!("the picture cannot be read: {e}")))?;
        if number >= y {
            pixels.extend_from_slice(&row[x as usize * 3..(x + width) as usize * 3]);
        }
    }
    jpeg(&pixels, width as usize, height as usize)
}

/// 8-bit RGB pixels as JPEG.
pub(super) fn jpeg(pixels: &[u8], width: usize, height: usize) -> Result<Vec<u8>> {
    let small = |n: usize| u16::try_from(n).map_err(|_| Error::limit("the picture is too large"));
    let mut out = Vec::with_capacity(64 << 10);
    Encoder::new(&mut out, 90)
        .encode(pixels, small(width)?, small(height)?, ColorType::Rgb)
        .map_err(|e| Error::unsupported(format!("the picture cannot be made: {e}")))?;
    Ok(out)
}

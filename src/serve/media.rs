//! FLACs by byte range straight out of their TIFFs, and the pictures that are in the archive already.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::header::{self, HeaderValue};
use axum::http::{HeaderMap, Method, Response, StatusCode};
use rusqlite::OptionalExtension;
use serde::Deserialize;

use super::answer::{self, Answer, Refusal, blocking};
use super::cache::Key;
use super::store::{ChunkFile, Store};
use super::{Shared, body, range};
use crate::error::{Error, ErrorKind, Result};
use crate::extract::tiff::ChunkTiff;
use crate::index::{self, Drawer, FileState, Picture, Size};
use crate::positioned::ReadAt;

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
    let download = which.download.is_some();
    let flac = blocking(move || Ok(Flac::find(&state.store, id, which.n)?)).await?;
    let (mut answer, bytes) = range::begin(&headers, &flac.etag, flac.len, "audio/flac");
    if download {
        answer.headers_mut().insert(header::CONTENT_DISPOSITION, answer::attachment(&flac.name));
    }
    if let Some((from, to)) = bytes
        && method != Method::HEAD
    {
        *answer.body_mut() = body::of_bytes(flac.bytes, flac.at + from, flac.at + to).body().await?;
    }
    Ok(answer)
}

/// A FLAC of a chunk, where its TIFF has it: in one piece, or compressed (archives of the original programs).
struct Flac {
    bytes: Arc<dyn ReadAt>,
    at: u64,
    len: u64,
    etag: String,
    name: String,
}

impl Flac {
    fn find(store: &Store, id: i64, n: u32) -> Result<Flac> {
        let chunk = store.chunk(id)?;
        let path = store.resolve(&chunk.tiff_path)?;
        let sum = store.flac_sum(id, &chunk, n, &path)?;
        let tiff = ChunkTiff::open(&path)?;
        let missing = || Error::new(ErrorKind::Missing, "there is no FLAC of that number");
        let flac = usize::try_from(n).ok().and_then(|n| tiff.flacs.get(n)).ok_or_else(missing)?;
        let (at, len) = match flac.place {
            Some(place) => place,
            None => (0, tiff.pages[flac.page].image_bytes()?),
        };
        // Without a checksum, place, size and time have to do.
        let etag =
            sum.unwrap_or_else(|| format!("{id}-{n}-{at}-{len}-{}", FileState::of(&path).unwrap_or_default().mtime_ns));
        let name = name_of_flac(&chunk, n);
        let bytes: Arc<dyn ReadAt> = match flac.place {
            Some(_) => Arc::new(tiff.file),
            None => store.inflated.get(&tiff, flac)?,
        };
        Ok(Flac { bytes, at, len, etag: format!("\"{etag}\""), name })
    }
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
            let made = drawn(&state, id, Size::Small);
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

fn drawn(state: &Shared, id: i64, size: Size) -> Result<Picture> {
    let chunk = state.store.chunk(id)?;
    Drawer::default().draw(&state.store.resolve(&chunk.tiff_path)?, size)
}

/// `GET /chunk/ID/preview`: the plot on page 0, without its axes.
pub(super) async fn preview(State(state): State<Shared>, Path(id): Path<i64>) -> Answer {
    let _permit = state.drawing.acquire().await.map_err(|_| Refusal::busy())?;
    let drawn = {
        let state = state.clone();
        blocking(move || Ok(drawn(&state, id, Size::AsItIs)?)).await?
    };
    Ok(picture(drawn.jpeg.into()))
}

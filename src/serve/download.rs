//! Passages as FLAC, and sources as they were.
//!
//! A rebuilt source is sent while it is decoded, but its last piece only once the SHA-256 of all of it is the source's: a
//! download that is complete is proved, one that could not be proved ends too early, and every client sees that it did.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::header::{self, HeaderValue};
use axum::http::{HeaderMap, Method, Response, StatusCode};

use super::answer::{self, Answer, Refusal, blocking};
use super::api::from_the_page;
use super::body::{PIECE, Pieces};
use super::tiles::Watch;
use super::wav::{Passage, load};
use super::{Shared, body};
use crate::durable;
use crate::error::{Error, Result};
use crate::events::Silent;
use crate::extract::check::check_complete;
use crate::extract::rebuild::Output;
use crate::extract::{Context, Source, cut, restored};
use crate::interrupt::Interrupt;
use crate::positioned::ReadAt;

/// Samples of all channels of a passage that is made a FLAC here; `tiff2flac cut` makes longer ones.
const LONGEST: u64 = 1 << 30;

/// `GET /source/ID/passage?from=&to=`: a passage as a FLAC of its own.
pub(super) async fn passage(
    State(state): State<Shared>,
    Path(id): Path<i64>,
    Query(passage): Query<Passage>,
    method: Method,
    headers: HeaderMap,
) -> Answer {
    from_the_page(&headers)?;
    let loaded = load(&state, id).await?;
    let range = passage.frames(&loaded)?;
    if (range.1 - range.0).saturating_mul(u64::from(loaded.recording.channels)) > LONGEST {
        let text = "the passage is too long to be made a FLAC here: take it as WAV, or with `tiff2flac cut`";
        return Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, text));
    }
    let name = cut::suggested_name(&loaded.source, range.0, loaded.recording.sample_rate, "flac");
    let name = answer::attachment(&name.to_string_lossy());
    if method == Method::HEAD {
        let mut answer = answer::with_type(StatusCode::OK, "audio/flac", body::of_unknown_length());
        answer.headers_mut().insert(header::CONTENT_DISPOSITION, name);
        return Ok(answer);
    }
    let permit = state.heavy.clone().acquire_owned().await.map_err(|_| Refusal::busy())?;
    let watch = Watch::new();
    let interrupt = watch.interrupt();
    let (file, len) = blocking(move || {
        let _permit = permit;
        let scratch = Scratch::new()?;
        let target = scratch.0.join("passage.flac");
        cut::cut_to_file(&loaded.source, &loaded.recording, range, &target, false, &interrupt)?;
        let file = File::open(&target).map_err(Error::while_("opening the passage", &target))?;
        let len = ReadAt::len(&file).map_err(Error::while_("looking at the passage", &target))?;
        Ok((file, len))
    })
    .await?;
    let body = body::of_bytes(Arc::new(file), 0, len).body().await?;
    let mut answer = answer::with_type(StatusCode::OK, "audio/flac", body);
    answer.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(len));
    answer.headers_mut().insert(header::CONTENT_DISPOSITION, name);
    Ok(answer)
}

/// A folder of our own for one file; gone with this value. (The open file stays readable where names can go before it.)
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Scratch> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("tiff2flac-{}-{number}", std::process::id()));
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        // One that is there already is somebody else's.
        builder.create(&path).map_err(Error::while_("creating a folder", &path))?;
        Ok(Scratch(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        durable::remove_quietly(&self.0.join("passage.flac"));
        let _ = fs::remove_dir(&self.0);
    }
}

/// `GET /source/ID/original`: the source file, byte for byte.
pub(super) async fn original(
    State(state): State<Shared>,
    Path(id): Path<i64>,
    method: Method,
    headers: HeaderMap,
) -> Answer {
    from_the_page(&headers)?;
    let source = {
        let state = state.clone();
        blocking(move || Ok(state.store.source(id)?)).await?
    };
    let (Some(len), Some(sum)) = (source.size_bytes, source.sha256) else {
        let text =
            "the archive does not say what the source was to the byte: `tiff2flac --reconstruct` makes a WAV of it";
        return Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, text));
    };
    check_complete(&source)?;
    let mut answer = Response::new(axum::body::Body::empty());
    let name = source.relative_path.rsplit('/').next().unwrap_or_default();
    let put = answer.headers_mut();
    put.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    put.insert(header::CONTENT_DISPOSITION, answer::attachment(name));
    put.insert(header::CONTENT_LENGTH, HeaderValue::from(len));
    if let Ok(etag) = HeaderValue::from_str(&format!("\"{sum}\"")) {
        put.insert(header::ETAG, etag);
    }
    if method == Method::HEAD {
        return Ok(answer);
    }
    let permit = state.heavy.clone().try_acquire_owned().map_err(|_| Refusal::busy())?;
    let (start, pieces) = body::streamed(len);
    let pieces = Arc::new(pieces);
    tokio::task::spawn_blocking(move || {
        let sent = rebuild(&state, &source, pieces.clone());
        drop(permit);
        if let (Err(e), Some(pieces)) = (sent, Arc::into_inner(pieces)) {
            pieces.fail(e);
        }
    });
    *answer.body_mut() = start.body().await?;
    Ok(answer)
}

fn rebuild(state: &Shared, source: &Source, pieces: Arc<Pieces>) -> Result<()> {
    // Threads of its own: these wait for the client, and nothing else may wait for them.
    let threads = state.workers.clamp(2, 4);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = pool.map_err(|e| Error::limit(format!("the threads could not be started: {e}")))?;
    let interrupt = Interrupt::new();
    let held =
        Arc::new(Mutex::new(Held { bytes: Vec::with_capacity(2 * PIECE), pieces, server: state.interrupt.clone() }));
    let output = Output::taken_by(Box::new(Taker(held.clone())));
    pool.install(|| restored(&Context::new(2, &interrupt, &Silent), source, 1, output))?;
    let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
    let last = std::mem::take(&mut held.bytes);
    held.pieces.send(last.into()).map_err(|e| Error::io("sending", e))
}

/// What has been rebuilt and is not yet sent: never nothing, until it is proved.
struct Held {
    bytes: Vec<u8>,
    pieces: Arc<Pieces>,
    server: Interrupt,
}

struct Taker(Arc<Mutex<Held>>);

impl Write for Taker {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.server.is_stopped() || held.pieces.is_closed() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let n = bytes.len().min(PIECE);
        if held.bytes.len() + n > PIECE {
            let ready = std::mem::replace(&mut held.bytes, Vec::with_capacity(2 * PIECE));
            if !ready.is_empty() {
                held.pieces.send(Bytes::from(ready))?;
            }
        }
        held.bytes.extend_from_slice(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

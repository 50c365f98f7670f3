//! Any part of a source as WAV, decoded while it is sent. Every byte has its sample: a range begins at the frame that holds its
//! first byte, and what stands before is neither decoded (seek table) nor sent.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, Method, header};
use serde::Deserialize;

use super::answer::{self, Answer, Refusal, blocking};
use super::body::{PIECE, Pieces};
use super::store::Loaded;
use super::{Shared, body, range};
use crate::error::{Error, ErrorKind, Result};
use crate::extract::cut;
use crate::interrupt::Interrupt;
use crate::manifest::Sha256Sum;

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Passage {
    /// First frame.
    pub from: u64,
    /// The frame behind the last.
    pub to: Option<u64>,
    pub download: Option<String>,
}

impl Passage {
    /// The frames, if there are any.
    pub fn frames(&self, loaded: &Loaded) -> Result<(u64, u64), Refusal> {
        let total = loaded.recording.frames();
        let to = self.to.unwrap_or(total);
        if self.from < to && to <= total {
            return Ok((self.from, to));
        }
        let text = format!("there are no samples {} to {to} in this recording of {total}", self.from);
        Err(Error::new(ErrorKind::Usage, text).into())
    }
}

/// `GET /source/ID/wav?from=&to=`: the frames `from..to` of a source.
pub(super) async fn wav(
    State(state): State<Shared>,
    Path(id): Path<i64>,
    Query(passage): Query<Passage>,
    method: Method,
    headers: HeaderMap,
) -> Answer {
    let loaded = load(&state, id).await?;
    let (from, to) = passage.frames(&loaded)?;
    let recording = &loaded.recording;
    let format = cut::wav_format(recording);
    let frame = u64::from(recording.channels) * format.bytes_per_sample() as u64;
    let data = (to - from).saturating_mul(frame);
    let about = cut::about(&loaded.source, recording, from, to);
    let rate = recording.sample_rate.round().clamp(0.0, f64::from(u32::MAX)) as u32;
    let head = cut::wav_header(format, recording.channels, rate, data, &about)?;
    let len = (head.len() as u64).saturating_add(data).saturating_add(data % 2);
    let etag = Sha256Sum::of(format!("wav {} {from} {to} {}", loaded.stamp, head.len()).as_bytes());
    let (mut answer, bytes) = range::begin(&headers, &format!("\"{etag}\""), len, "audio/wav");
    if passage.download.is_some() {
        let name = cut::suggested_name(&loaded.source, from, recording.sample_rate, "wav");
        let name = answer::attachment(&name.to_string_lossy());
        answer.headers_mut().insert(header::CONTENT_DISPOSITION, name);
    }
    let Some((first, end)) = bytes.filter(|_| method != Method::HEAD) else { return Ok(answer) };
    let place = state.streams.clone().try_acquire_owned().map_err(|_| Refusal::busy())?;
    let (start, pieces) = body::streamed(end - first);
    let samples = Samples { loaded, frame, from, head };
    tokio::task::spawn_blocking(move || {
        let sent = samples.send(&state, &pieces, first, end);
        drop(place);
        if let Err(e) = sent {
            pieces.fail(e);
        }
    });
    *answer.body_mut() = start.body().await?;
    Ok(answer)
}

struct Samples {
    loaded: Arc<Loaded>,
    /// Bytes of a frame.
    frame: u64,
    /// First frame of the WAV.
    from: u64,
    head: Vec<u8>,
}

impl Samples {
    /// Sends the bytes `first..end` of the WAV.
    fn send(&self, state: &Shared, pieces: &Pieces, first: u64, end: u64) -> Result<()> {
        let gone = |e| Error::io("sending", e);
        let head = self.head.len() as u64;
        let mut out = Vec::with_capacity(PIECE + PIECE / 2);
        if first < head {
            let place = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).min(self.head.len());
            out.extend_from_slice(&self.head[place(first)..place(end)]);
        }
        let recording = &self.loaded.recording;
        let start = first.saturating_sub(head);
        let mut skip = usize::try_from(start % self.frame).unwrap_or(0);
        let mut left = end.saturating_sub(first.max(head));
        let begin = self.from + start / self.frame;
        let stop = self.from.saturating_add(end.saturating_sub(head).div_ceil(self.frame)).min(recording.frames());
        let format = cut::wav_format(recording);
        let interrupt = Interrupt::new();
        let mut bytes = Vec::new();
        let decoding = || state.decoding.try_acquire().or_else(|_| tokio_wait(state));
        if begin < stop && left > 0 {
            let mut permit = Some(decoding()?);
            recording.read(begin, stop, &interrupt, &mut |block| {
                block.wav_bytes(format, &mut bytes)?;
                let from = skip.min(bytes.len());
                skip -= from;
                let n = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len() - from);
                out.extend_from_slice(&bytes[from..from + n]);
                left -= n as u64;
                if out.len() >= PIECE {
                    let piece = Bytes::from(std::mem::replace(&mut out, Vec::with_capacity(PIECE + PIECE / 2)));
                    if let Some(piece) = pieces.offer(piece).map_err(gone)? {
                        // While the client takes its time, others decode.
                        permit = None;
                        pieces.send(piece).map_err(gone)?;
                    }
                    if permit.is_none() {
                        permit = Some(decoding()?);
                    }
                    state.interrupt.check()?;
                }
                Ok(())
            })?;
        }
        // The byte that makes the data chunk even.
        if left > 0 {
            out.push(0);
        }
        if !out.is_empty() {
            pieces.send(out.into()).map_err(gone)?;
        }
        Ok(())
    }
}

/// Waits for a permit to decode, on a thread that may block.
fn tokio_wait(state: &Shared) -> Result<tokio::sync::SemaphorePermit<'_>> {
    let waited = tokio::runtime::Handle::current().block_on(state.decoding.acquire());
    waited.map_err(|_| Error::interrupted())
}

/// The source of that number.
pub(super) async fn load(state: &Shared, id: i64) -> Result<Arc<Loaded>, Refusal> {
    let state = state.clone();
    blocking(move || Ok(state.store.loaded(id)?)).await
}

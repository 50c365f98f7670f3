//! JSON for the page. Texts go out as they are: the page shows them as text and as nothing else.

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, Response, StatusCode};
use rusqlite::{OptionalExtension, Row, params};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Shared;
use super::answer::{self, Answer, Refusal, blocking};
use super::list::Wanted;
use super::tiles;
use crate::extract::check::check_chunk;
use crate::index::{ChunkOrder, Recorded};
use crate::timestamp;

/// Chunks of a page of JSON.
const PAGE: usize = 200;
/// Chunks of a source that its page lists.
const LISTED: usize = 20_000;

/// `GET /api/archive`: what the archive is called and how much is in it.
pub(super) async fn archive(State(state): State<Shared>) -> Answer {
    blocking(move || {
        let mut value = state.store.sql(|db| {
            let text = "SELECT (SELECT count(*) FROM sources), (SELECT count(*) FROM chunks), \
                        (SELECT sum(duration_seconds) FROM sources), (SELECT min(recorded) FROM sources), \
                        (SELECT max(recorded) FROM sources)";
            db.query_row(text, [], |row| {
                Ok(json!({
                    "sources": row.get::<_, i64>(0)?, "chunks": row.get::<_, i64>(1)?,
                    "seconds": row.get::<_, Option<f64>>(2)?, "first": row.get::<_, Option<String>>(3)?,
                    "last": row.get::<_, Option<String>>(4)?,
                }))
            })
        })?;
        value["name"] = json!(state.store.name());
        Ok(answer::json(&value))
    })
    .await
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Page {
    q: String,
    from: String,
    to: String,
    order: String,
    offset: usize,
    limit: Option<usize>,
}

/// `GET /api/chunks`: a page of the wall.
pub(super) async fn chunks(State(state): State<Shared>, Query(page): Query<Page>) -> Answer {
    blocking(move || {
        let order = if page.order == "time" { ChunkOrder::Time } else { ChunkOrder::Path };
        let wanted = Wanted { text: page.q, from: page.from, to: page.to, order };
        let list = state.lists.get(&state.store, &wanted)?;
        let from = page.offset.min(list.chunks.len());
        let to = from.saturating_add(page.limit.unwrap_or(PAGE).min(PAGE)).min(list.chunks.len());
        let items = state.store.sql(|db| {
            let text = "SELECT c.id, c.source_id, s.name, s.folder, c.number, c.start_seconds, c.end_seconds, \
                        s.recorded, s.sample_rate, s.channels, substr(c.tiff_sha256, 1, 12), c.problem, t.width, k.ok \
                        FROM chunks c JOIN sources s ON s.id = c.source_id \
                        LEFT JOIN thumbnails t ON t.chunk_id = c.id LEFT JOIN checks k ON k.chunk_id = c.id \
                        WHERE c.id = ?1";
            let mut statement = db.prepare_cached(text)?;
            let mut items = Vec::with_capacity(to - from);
            for id in &list.chunks[from..to] {
                items.push(statement.query_row([id], card).optional()?.unwrap_or(Value::Null));
            }
            Ok(items)
        })?;
        let value = json!({
            "total": list.chunks.len(), "sources": list.sources, "offset": from, "items": items,
        });
        Ok(answer::json(&value))
    })
    .await
}

fn clock(recorded: Option<&str>, seconds: f64) -> Option<String> {
    Some(Recorded::parse(recorded?)?.clock.plus_seconds(seconds)?.to_string())
}

fn card(row: &Row<'_>) -> rusqlite::Result<Value> {
    let start: f64 = row.get::<_, Option<f64>>(5)?.unwrap_or(0.0);
    let recorded: Option<String> = row.get(7)?;
    let problem: Option<String> = row.get(11)?;
    // A width of 0 says that no picture can be made.
    let picture = problem.is_none() && row.get::<_, Option<i64>>(12)? != Some(0);
    Ok(json!({
        "id": row.get::<_, i64>(0)?, "source": row.get::<_, i64>(1)?, "name": row.get::<_, String>(2)?,
        "folder": row.get::<_, String>(3)?, "number": row.get::<_, i64>(4)?, "start": start,
        "end": row.get::<_, Option<f64>>(6)?, "clock": clock(recorded.as_deref(), start),
        "rate": row.get::<_, Option<f64>>(8)?, "channels": row.get::<_, Option<i64>>(9)?,
        "version": row.get::<_, Option<String>>(10)?, "problem": problem, "picture": picture,
        "ok": row.get::<_, Option<bool>>(13)?,
    }))
}

/// `GET /api/source/ID`: all about a source, and its chunks.
pub(super) async fn source(State(state): State<Shared>, Path(id): Path<i64>) -> Answer {
    blocking(move || {
        let found = state.store.sql(|db| {
            let text = "SELECT relative_path, name, folder, sha256, size_bytes, modified, container, sample_format, \
                        sample_rate, channels, bits_per_sample, total_samples, duration_seconds, restore, complete, \
                        recorded, recorded_from, metadata FROM sources WHERE id = ?1";
            let Some(mut value) = db.prepare_cached(text)?.query_row([id], about).optional()? else { return Ok(None) };
            let text = "SELECT c.id, c.number, c.start_sample, c.num_samples, c.start_seconds, c.end_seconds, \
                        c.tiff_path, c.tiff_sha256, c.problem, c.picture_width, c.picture_height, c.db_low, c.db_high, \
                        c.fmin, c.fmax, k.ok, k.message, k.checked, c.tiff_size, \
                        (SELECT count(*) FROM flacs f WHERE f.chunk_id = c.id), f.flac_size, f.flac_sha256, \
                        f.flac_size IS NOT NULL FROM chunks c LEFT JOIN checks k ON k.chunk_id = c.id \
                        LEFT JOIN flacs f ON f.chunk_id = c.id AND f.number = 0 \
                        WHERE c.source_id = ?1 ORDER BY c.number LIMIT ?2";
            let mut statement = db.prepare_cached(text)?;
            let rows = statement.query_map(params![id, LISTED as i64], chunk)?;
            value["chunks"] = Value::Array(rows.collect::<rusqlite::Result<_>>()?);
            value["id"] = json!(id);
            Ok(Some(value))
        })?;
        let mut value = found.ok_or_else(Refusal::missing)?;
        let channels = value["channels"].as_u64().unwrap_or(1);
        value["levels"] =
            json!({ "least": tiles::LEAST_LEVEL, "most": tiles::most_level(channels), "tile": tiles::WIDTH });
        Ok(answer::json(&value))
    })
    .await
}

fn about(row: &Row<'_>) -> rusqlite::Result<Value> {
    let metadata: Option<String> = row.get(17)?;
    let metadata: Option<Map<String, Value>> = metadata.and_then(|text| serde_json::from_str(&text).ok());
    let recorded: Option<String> = row.get(15)?;
    Ok(json!({
        "path": row.get::<_, String>(0)?, "name": row.get::<_, String>(1)?, "folder": row.get::<_, String>(2)?,
        "sha256": row.get::<_, Option<String>>(3)?, "size": row.get::<_, Option<i64>>(4)?,
        "modified": row.get::<_, Option<String>>(5)?, "container": row.get::<_, Option<String>>(6)?,
        "format": row.get::<_, Option<String>>(7)?, "rate": row.get::<_, Option<f64>>(8)?,
        "channels": row.get::<_, Option<i64>>(9)?, "bits": row.get::<_, Option<i64>>(10)?,
        "samples": row.get::<_, Option<i64>>(11)?, "seconds": row.get::<_, Option<f64>>(12)?,
        "restore": row.get::<_, Option<String>>(13)?, "complete": row.get::<_, bool>(14)?,
        "recorded": recorded, "recorded_from": row.get::<_, Option<String>>(16)?, "metadata": metadata,
    }))
}

fn chunk(row: &Row<'_>) -> rusqlite::Result<Value> {
    Ok(json!({
        "id": row.get::<_, i64>(0)?, "number": row.get::<_, i64>(1)?, "first": row.get::<_, Option<i64>>(2)?,
        "samples": row.get::<_, Option<i64>>(3)?, "start": row.get::<_, Option<f64>>(4)?,
        "end": row.get::<_, Option<f64>>(5)?, "tiff": row.get::<_, String>(6)?,
        "tiff_sha256": row.get::<_, Option<String>>(7)?, "problem": row.get::<_, Option<String>>(8)?,
        "picture": row.get::<_, Option<i64>>(9)?.zip(row.get::<_, Option<i64>>(10)?),
        "db": row.get::<_, Option<f64>>(11)?.zip(row.get::<_, Option<f64>>(12)?),
        "hz": row.get::<_, Option<f64>>(13)?.zip(row.get::<_, Option<f64>>(14)?),
        "ok": row.get::<_, Option<bool>>(15)?, "message": row.get::<_, Option<String>>(16)?,
        "checked": row.get::<_, Option<String>>(17)?, "tiff_size": row.get::<_, Option<i64>>(18)?,
        "flacs": row.get::<_, i64>(19)?, "flac_size": row.get::<_, Option<i64>>(20)?,
        "flac_sha256": row.get::<_, Option<String>>(21)?, "playable": row.get::<_, Option<bool>>(22)?.unwrap_or(false),
    }))
}

/// Refuses what costs a lot to anything but the page itself, or to programs that send no Fetch Metadata.
pub(super) fn from_the_page(headers: &HeaderMap) -> Result<(), Refusal> {
    match headers.get("sec-fetch-site").map(|v| v.as_bytes()) {
        None | Some(b"same-origin" | b"none") => Ok(()),
        Some(_) => Err(Refusal::new(StatusCode::FORBIDDEN, "not for other sites")),
    }
}

/// `GET /api/chunk/ID/check`: reads all of a chunk's TIFF and compares it with its checksums. The outcome is kept in the index.
pub(super) async fn check(State(state): State<Shared>, Path(id): Path<i64>, headers: HeaderMap) -> Answer {
    from_the_page(&headers)?;
    let permit = state.heavy.clone().acquire_owned().await.map_err(|_| Refusal::busy())?;
    let watch = tiles::Watch::new();
    let interrupt = watch.interrupt();
    let answer: Response<Body> = blocking(move || {
        let chunk = state.store.chunk(id)?;
        let source = state.store.source(chunk.source)?;
        let number = usize::try_from(chunk.number).unwrap_or(usize::MAX);
        let listed = source.chunks.get(number).ok_or_else(Refusal::missing)?;
        let result = check_chunk(&source, listed, &interrupt);
        interrupt.check()?;
        drop(permit);
        let (ok, message) = match &result {
            Ok(()) => (true, String::new()),
            Err(e) => (false, e.message()),
        };
        let checked = timestamp::to_text(std::time::SystemTime::now()).unwrap_or_default();
        state.store.write(|db| {
            let text = "INSERT OR REPLACE INTO checks (chunk_id, ok, message, checked) \
                        SELECT ?1, ?2, ?3, ?4 WHERE EXISTS (SELECT 1 FROM chunks WHERE id = ?1)";
            db.execute(text, params![id, ok, message, checked]).map(drop)
        });
        Ok(answer::json(&json!({ "ok": ok, "message": message, "checked": checked })))
    })
    .await?;
    Ok(answer)
}

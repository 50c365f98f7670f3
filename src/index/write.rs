//! Rows into the index, inside whatever transaction the caller has begun.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::{Map, Value};

use super::picture::Picture;
use super::read::{ChunkRow, FileState};
use super::wall::Recorded;
use super::words;
use crate::extract::{Chunk, Source};

type SqlResult<T> = rusqlite::Result<T>;

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// A value that stands for the whole index.
pub(super) fn put_meta(db: &Connection, key: &str, value: &str) -> SqlResult<()> {
    db.prepare_cached("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)")?.execute(params![key, value])?;
    Ok(())
}

pub(super) fn meta(db: &Connection, key: &str) -> SqlResult<Option<String>> {
    db.prepare_cached("SELECT value FROM meta WHERE key = ?1")?.query_row([key], |row| row.get(0)).optional()
}

/// Relative path → id and stamp of every source.
pub(super) fn stamps(db: &Connection) -> SqlResult<HashMap<String, (i64, String)>> {
    let mut statement = db.prepare("SELECT relative_path, id, stamp FROM sources")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?;
    rows.collect()
}

/// A chunk that the index knows: its source's path, its TIFF, the state of the file, and what was wrong with it.
pub(super) struct Known {
    pub source: String,
    pub tiff_path: String,
    pub state: Option<FileState>,
    pub problem: Option<String>,
}

pub(super) fn known_chunks(db: &Connection) -> SqlResult<Vec<Known>> {
    let mut statement = db.prepare(
        "SELECT s.relative_path, c.tiff_path, c.tiff_size, c.tiff_mtime_ns, c.problem \
         FROM chunks c JOIN sources s ON s.id = c.source_id",
    )?;
    let rows = statement.query_map([], |row| {
        let size: Option<i64> = row.get(2)?;
        let mtime_ns: Option<i64> = row.get(3)?;
        Ok(Known {
            source: row.get(0)?,
            tiff_path: row.get(1)?,
            state: size.zip(mtime_ns).map(|(size, mtime_ns)| FileState { size, mtime_ns }),
            problem: row.get(4)?,
        })
    })?;
    rows.collect()
}

/// Takes a source out, with all that belongs to it.
pub(super) fn remove_source(db: &Connection, id: i64) -> SqlResult<()> {
    for text in [
        "DELETE FROM words WHERE rowid = ?1",
        "DELETE FROM field_words WHERE rowid IN (SELECT id FROM fields WHERE source_id = ?1)",
        "DELETE FROM sources WHERE id = ?1",
    ] {
        db.prepare_cached(text)?.execute([id])?;
    }
    Ok(())
}

/// Puts a source in, without its chunks; `id` where it had one before. Gives its id.
pub(super) fn put_source(db: &Connection, id: Option<i64>, source: &Source, stamp: &str) -> SqlResult<i64> {
    let metadata = source.metadata.as_ref().map(|m| m.object()).unwrap_or_default();
    let recorded_text = metadata.get("recorded").and_then(Value::as_str);
    let recorded = recorded_text.and_then(Recorded::parse);
    let rate = source.sample_rate.map(|r| r.get()).filter(|r| *r > 0.0);
    let seconds = source.total_samples.zip(rate).map(|(n, rate)| n as f64 / rate);
    let (folder, name) = source.relative_path.rsplit_once('/').unwrap_or(("", &source.relative_path));
    db.prepare_cached(
        "INSERT INTO sources (id, relative_path, name, folder, sha256, size_bytes, modified, container, sample_format, \
         sample_rate, channels, bits_per_sample, total_samples, duration_seconds, restore, complete, recorded, \
         recorded_from, recorded_local, recorded_utc, metadata, stamp) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22)",
    )?
    .execute(params![
        id,
        source.relative_path,
        name,
        folder,
        source.sha256.map(|s| s.to_string()),
        source.size_bytes.map(signed),
        source.modified,
        source.container,
        source.sample_format,
        rate,
        source.channels,
        source.bits_per_sample,
        source.total_samples.map(signed),
        seconds,
        source.restore.as_ref().map(|r| r.as_str()),
        !source.incomplete,
        recorded_text,
        metadata.get("recorded_from").and_then(Value::as_str),
        recorded.map(|r| r.local),
        recorded.and_then(|r| r.utc),
        source.metadata.as_ref().map(|m| m.text()),
        stamp,
    ])?;
    let id = db.last_insert_rowid();
    let mut all = String::new();
    for (key, value) in fields(&metadata) {
        let mut insert = db.prepare_cached("INSERT INTO fields (source_id, key, value) VALUES (?1, ?2, ?3)")?;
        let field = insert.insert(params![id, key, value])?;
        let spaced = words::spaced(&value);
        db.prepare_cached("INSERT INTO field_words (rowid, value) VALUES (?1, ?2)")?.execute(params![field, spaced])?;
        all.push_str(&spaced);
        all.push('\n');
    }
    db.prepare_cached("INSERT INTO words (rowid, path, metadata) VALUES (?1, ?2, ?3)")?.execute(params![
        id,
        words::spaced(&source.relative_path),
        all
    ])?;
    Ok(id)
}

/// Metadata as keys and values: the common keys as they are, a source's own fields by their own lower-case names where they
/// say something else than these.
fn fields(metadata: &Map<String, Value>) -> Vec<(String, String)> {
    let text = |value: &Value| match value {
        Value::String(s) => Some(s.clone()),
        Value::Number(n) => Some(n.to_string()),
        Value::Bool(b) => Some(b.to_string()),
        _ => None,
    };
    let mut found: Vec<(String, String)> = metadata
        .iter()
        .filter(|(key, _)| *key != "recorded_from")
        .filter_map(|(key, value)| Some((key.to_lowercase(), text(value)?)))
        .collect();
    for field in metadata.get("fields").and_then(Value::as_array).into_iter().flatten() {
        let pair = field.get("key").and_then(Value::as_str).zip(field.get("value").and_then(Value::as_str));
        if let Some((key, value)) = pair
            && !found.iter().any(|(_, known)| known == value)
        {
            found.push((key.to_lowercase(), value.to_owned()));
        }
    }
    found
}

/// Puts a chunk of a source in.
pub(super) fn put_chunk(
    db: &Connection,
    source_id: i64,
    number: usize,
    source: &Source,
    chunk: &Chunk,
    row: &ChunkRow,
) -> SqlResult<()> {
    let rate = source.sample_rate.map(|r| r.get()).filter(|r| *r > 0.0);
    let seconds = |n: Option<u64>| n.zip(rate).map(|(n, rate)| n as f64 / rate);
    let end = chunk.start_sample.zip(chunk.num_samples).and_then(|(start, n)| start.checked_add(n));
    let picture = row.picture.as_ref();
    let id = db
        .prepare_cached(
            "INSERT INTO chunks (source_id, number, chunk_id, tiff_path, start_sample, num_samples, start_seconds, \
             end_seconds, tiff_sha256, tiff_size, tiff_mtime_ns, problem, picture_x, picture_y, picture_width, \
             picture_height, color_map, db_low, db_high, fmin, fmax) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21)",
        )?
        .insert(params![
            source_id,
            i64::try_from(number).unwrap_or(i64::MAX),
            chunk.chunk_id,
            chunk.tiff_path,
            chunk.start_sample.map(signed),
            chunk.num_samples.map(signed),
            seconds(chunk.start_sample),
            seconds(end),
            chunk.tiff_sha256.map(|s| s.to_string()),
            row.state.map(|s| s.size),
            row.state.map(|s| s.mtime_ns),
            row.problem,
            picture.map(|p| signed(p.x)),
            picture.map(|p| signed(p.y)),
            picture.map(|p| signed(p.width)),
            picture.map(|p| signed(p.height)),
            picture.and_then(|p| p.color_map.as_deref()),
            picture.and_then(|p| p.db).map(|db| db.0),
            picture.and_then(|p| p.db).map(|db| db.1),
            picture.and_then(|p| p.frequencies).map(|f| f.0),
            picture.and_then(|p| p.frequencies).map(|f| f.1),
        ])?;
    for (number, flac) in row.flacs.iter().enumerate() {
        db.prepare_cached(
            "INSERT INTO flacs (chunk_id, number, page, first_channel, channels, flac_offset, flac_size, flac_sha256) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            id,
            i64::try_from(number).unwrap_or(i64::MAX),
            flac.page,
            flac.first_channel,
            flac.channels,
            flac.offset,
            flac.size,
            flac.sha256,
        ])?;
    }
    Ok(())
}

/// Puts the thumbnail of a chunk in; `None` where none can be made, so that it is not tried again and again.
///
/// # Errors
/// What SQLite says.
pub fn put_thumbnail(db: &Connection, chunk: i64, thumbnail: Option<&Picture>) -> SqlResult<()> {
    db.prepare_cached(
        "INSERT OR REPLACE INTO thumbnails (chunk_id, width, height, jpeg) \
         SELECT ?1, ?2, ?3, ?4 WHERE EXISTS (SELECT 1 FROM chunks WHERE id = ?1)",
    )?
    .execute(params![
        chunk,
        thumbnail.map_or(0, |t| t.width),
        thumbnail.map_or(0, |t| t.height),
        thumbnail.map(|t| t.jpeg.as_slice()),
    ])?;
    Ok(())
}

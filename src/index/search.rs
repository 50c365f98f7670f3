//! Finding sources by words, fields and time.
//!
//! Words are looked for in path and metadata ([`words`]); of up to [`RANKED`] hits the best come first (SQLite's bm25, the
//! path counting most), more than that come by path, or by time where a time was asked for.

use rusqlite::types::Value as Sql;
use rusqlite::{Row, params_from_iter};
use serde_json::{Value, json};

use super::wall::{Bound, Recorded};
use super::{Database, words};
use crate::error::Result;

/// Of more hits than this the best ones are not sought: that many are no answer.
const RANKED: u64 = 2000;

/// What to look for; all of it has to be so.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// Words, in any order, each the beginning of a word in path or metadata; `"in quotes"` word for word.
    pub text: String,
    /// The recording goes on after this.
    pub from: Option<Bound>,
    /// The recording begins before this.
    pub to: Option<Bound>,
    /// Fields that hold these words; an empty value: that the field is there.
    pub fields: Vec<(String, String)>,
    /// Hits to give, at most.
    pub limit: u32,
    /// Hits to pass over.
    pub offset: u32,
}

/// A source that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// Its number in the index.
    pub id: i64,
    /// Its path below the folder that was archived.
    pub relative_path: String,
    /// SHA-256 of the source, in hexadecimal.
    pub sha256: Option<String>,
    /// The container's short word.
    pub container: Option<String>,
    /// Form of the samples, or codec.
    pub sample_format: Option<String>,
    /// Hz.
    pub sample_rate: Option<f64>,
    /// Channels.
    pub channels: Option<u32>,
    /// Seconds.
    pub duration_seconds: Option<f64>,
    /// When it began, ISO 8601, with the offset from UTC where that is known.
    pub recorded: Option<String>,
    /// The part of it that lies in the range of time, seconds from its start; all of it where no range was given.
    pub span: Option<(f64, f64)>,
    /// Chunks in the archive.
    pub chunks: u32,
    /// Nothing of it is missing.
    pub complete: bool,
    /// The TIFFs that hold the span.
    pub tiffs: Vec<String>,
    /// Metadata as in the manifest.
    pub metadata: Option<String>,
}

/// An answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Hits {
    /// Sources in all.
    pub total: u64,
    /// As many as were asked for.
    pub hits: Vec<Hit>,
    /// Recordings that could not be compared, since their offset from UTC is not known.
    pub without_offset: u64,
}

/// TIFFs that are listed with a hit, at most.
const TIFFS: usize = 64;

impl Hit {
    /// The moment of `seconds` into the recording, where it says when it began.
    pub fn clock(&self, seconds: f64) -> Option<String> {
        let start = Recorded::parse(self.recorded.as_deref()?)?;
        Some(start.clock.plus_seconds(seconds)?.to_string())
    }

    /// As an object for reports.
    pub fn to_json(&self) -> Value {
        let metadata: Option<Value> = self.metadata.as_deref().and_then(|m| serde_json::from_str(m).ok());
        json!({
            "relative_path": self.relative_path, "sha256": self.sha256, "container": self.container,
            "sample_format": self.sample_format, "sample_rate": self.sample_rate, "channels": self.channels,
            "duration_seconds": self.duration_seconds, "recorded": self.recorded,
            "utc_offset_known": self.recorded.as_deref().and_then(Recorded::parse).map(|r| r.utc.is_some()),
            "from_seconds": self.span.map(|s| s.0), "to_seconds": self.span.map(|s| s.1),
            "from_clock": self.span.and_then(|s| self.clock(s.0)), "to_clock": self.span.and_then(|s| self.clock(s.1)),
            "chunks": self.chunks, "complete": self.complete, "tiffs": self.tiffs, "metadata": metadata,
        })
    }
}

/// The conditions of a query, as SQL over `sources s`.
pub(super) struct Conditions {
    matching: Option<String>,
    text: String,
    values: Vec<Sql>,
}

impl Conditions {
    pub(super) fn of(query: &Query) -> Option<Conditions> {
        let matching = words::query(&query.text);
        if matching.is_none() && !query.text.trim().is_empty() {
            return None;
        }
        let mut all = Conditions { matching, text: String::new(), values: Vec::new() };
        for (bound, begins) in [(query.from, false), (query.to, true)] {
            let Some(bound) = bound else { continue };
            let (column, value) = match bound {
                Bound::Local(value) => ("s.recorded_local", value),
                Bound::Utc(value) => ("s.recorded_utc", value),
            };
            if begins {
                all.and(&format!("{column} < ?"), [Sql::Real(value)]);
            } else {
                all.and(&format!("{column} + coalesce(s.duration_seconds, 0) > ?"), [Sql::Real(value)]);
            }
        }
        for (key, value) in &query.fields {
            all.field(key, value)?;
        }
        Some(all)
    }

    fn and(&mut self, text: &str, values: impl IntoIterator<Item = Sql>) {
        self.text.push_str(" AND ");
        self.text.push_str(text);
        self.values.extend(values);
    }

    fn field(&mut self, key: &str, value: &str) -> Option<()> {
        let key = key.trim().to_lowercase();
        let column = ["container", "sample_format", "sample_rate", "channels", "folder", "name", "sha256"]
            .into_iter()
            .find(|column| *column == key);
        let words = words::query(value);
        match (column, words) {
            (Some(column), _) if !value.trim().is_empty() => {
                let number = value.trim().parse().map_or(Sql::Null, Sql::Real);
                let text = Sql::Text(value.trim().to_lowercase());
                self.and(&format!("(lower(s.{column}) = ? OR s.{column} = ?)"), [text, number]);
            }
            (Some(column), _) => self.and(&format!("s.{column} IS NOT NULL"), []),
            (None, Some(words)) => self.and(
                "s.id IN (SELECT f.source_id FROM field_words w CROSS JOIN fields f ON f.id = w.rowid \
                 WHERE field_words MATCH ? AND f.key = ?)",
                [Sql::Text(words), Sql::Text(key)],
            ),
            (None, None) if value.trim().is_empty() => {
                self.and("s.id IN (SELECT source_id FROM fields WHERE key = ?)", [Sql::Text(key)]);
            }
            // A value without a letter or digit is found nowhere.
            (None, None) => return None,
        }
        Some(())
    }

    /// `FROM …` with all conditions, and the values in their order.
    pub(super) fn from(&self) -> (String, Vec<Sql>) {
        let mut values: Vec<Sql> = Vec::new();
        let start = match &self.matching {
            Some(matching) => {
                values.push(Sql::Text(matching.clone()));
                "FROM words CROSS JOIN sources s ON s.id = words.rowid WHERE words MATCH ?"
            }
            None => "FROM sources s WHERE 1",
        };
        values.extend(self.values.iter().cloned());
        (format!("{start}{}", self.text), values)
    }
}

/// Looks for sources. Nothing that is typed is an error; at worst nothing is found.
///
/// # Errors
/// What SQLite says of a damaged index.
pub fn search(database: &Database, query: &Query) -> Result<Hits> {
    let failed = database.failed("searching the index");
    let db = &database.connection;
    let mut answer = Hits::default();
    let utc = |bound: &Option<Bound>| matches!(bound, Some(Bound::Utc(_)));
    if utc(&query.from) || utc(&query.to) {
        let text = "SELECT count(*) FROM sources WHERE recorded_utc IS NULL AND recorded_local IS NOT NULL";
        let n: i64 = db.query_row(text, [], |row| row.get(0)).map_err(&failed)?;
        answer.without_offset = u64::try_from(n).unwrap_or(0);
    }
    let Some(conditions) = Conditions::of(query) else { return Ok(answer) };
    let (from, values) = conditions.from();
    // Words alone are counted without looking at the sources that have them.
    let counted = match &conditions.matching {
        Some(_) if conditions.text.is_empty() => "FROM words WHERE words MATCH ?",
        _ => &from,
    };
    let total: i64 = db
        .prepare_cached(&format!("SELECT count(*) {counted}"))
        .and_then(|mut s| s.query_row(params_from_iter(&values), |row| row.get(0)))
        .map_err(&failed)?;
    answer.total = u64::try_from(total).unwrap_or(0);
    let ranked = conditions.matching.is_some() && answer.total <= RANKED;
    let order = if query.from.is_some() || query.to.is_some() {
        "s.recorded_local, s.relative_path"
    } else if ranked {
        "bm25(words, 4.0, 1.0), s.relative_path"
    } else if conditions.matching.is_some() {
        // Rows were put in by path when the index was made; sorting all of them would cost more than it is worth.
        "words.rowid"
    } else {
        "s.relative_path"
    };
    let text = format!(
        "SELECT s.id, s.relative_path, s.sha256, s.container, s.sample_format, s.sample_rate, s.channels, \
         s.duration_seconds, s.recorded, s.recorded_local, s.recorded_utc, s.complete, s.metadata \
         {from} ORDER BY {order} LIMIT {} OFFSET {}",
        query.limit, query.offset
    );
    let mut statement = db.prepare_cached(&text).map_err(&failed)?;
    let rows = statement.query_map(params_from_iter(&values), |row| hit(query, row)).map_err(&failed)?;
    answer.hits = rows.collect::<rusqlite::Result<_>>().map_err(&failed)?;
    for hit in &mut answer.hits {
        tiffs(database, hit)?;
    }
    Ok(answer)
}

fn hit(query: &Query, row: &Row<'_>) -> rusqlite::Result<Hit> {
    let duration: Option<f64> = row.get(7)?;
    let (local, utc): (Option<f64>, Option<f64>) = (row.get(9)?, row.get(10)?);
    let within = |bound: Option<Bound>| match bound? {
        Bound::Local(at) => Some(at - local?),
        Bound::Utc(at) => Some(at - utc?),
    };
    let span = duration.map(|duration| {
        let from = within(query.from).unwrap_or(0.0).clamp(0.0, duration);
        (from, within(query.to).unwrap_or(duration).clamp(from, duration))
    });
    Ok(Hit {
        id: row.get(0)?,
        relative_path: row.get(1)?,
        sha256: row.get(2)?,
        container: row.get(3)?,
        sample_format: row.get(4)?,
        sample_rate: row.get(5)?,
        channels: row.get(6)?,
        duration_seconds: duration,
        recorded: row.get(8)?,
        span,
        chunks: 0,
        complete: row.get(11)?,
        tiffs: Vec::new(),
        metadata: row.get(12)?,
    })
}

/// Adds how many chunks a hit has, and the TIFFs of its span.
fn tiffs(database: &Database, hit: &mut Hit) -> Result<()> {
    let failed = database.failed("searching the index");
    let db = &database.connection;
    let mut count = db.prepare_cached("SELECT count(*) FROM chunks WHERE source_id = ?1").map_err(&failed)?;
    hit.chunks = count.query_row([hit.id], |row| row.get(0)).map_err(&failed)?;
    let mut statement = db
        .prepare_cached(
            "SELECT tiff_path FROM chunks WHERE source_id = ?1 AND coalesce(end_seconds >= ?2, 1) \
             AND coalesce(start_seconds <= ?3, 1) ORDER BY number LIMIT ?4",
        )
        .map_err(&failed)?;
    let (from, to) = hit.span.unwrap_or((0.0, f64::MAX));
    let rows = statement.query_map((hit.id, from, to, TIFFS as i64), |row| row.get(0)).map_err(&failed)?;
    hit.tiffs = rows.collect::<rusqlite::Result<_>>().map_err(&failed)?;
    Ok(())
}

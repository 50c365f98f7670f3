//! The chunks of the sources that a search finds, as numbers in their order: for lists that are paged through.

use rusqlite::params_from_iter;
use rusqlite::types::Value as Sql;

use super::Database;
use super::search::{Conditions, Query};
use super::wall::Bound;
use crate::error::Result;

/// Order of chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ChunkOrder {
    /// By path.
    #[default]
    Path,
    /// By the clocks of the recordings; those that do not say when they began come last.
    Time,
}

/// Ids of all chunks of the sources that meet the query (its `limit` and `offset` are not looked at), those outside its range
/// of time left out, and the number of their sources.
///
/// # Errors
/// What SQLite says of a damaged index.
pub fn matching_chunks(database: &Database, query: &Query, order: ChunkOrder) -> Result<(Vec<i64>, u64)> {
    let failed = database.failed("searching the index");
    let Some(conditions) = Conditions::of(query) else { return Ok((Vec::new(), 0)) };
    let (from, mut values) = conditions.from();
    let mut within = String::new();
    for (bound, begins) in [(query.from, false), (query.to, true)] {
        let Some(bound) = bound else { continue };
        let (start, value) = match bound {
            Bound::Local(value) => ("recorded_local", value),
            Bound::Utc(value) => ("recorded_utc", value),
        };
        let (column, sign) = if begins { ("start_seconds", "<") } else { ("end_seconds", ">") };
        within.push_str(&format!(" AND m.{start} + coalesce(c.{column}, 0) {sign} ?"));
        values.push(Sql::Real(value));
    }
    let order = match order {
        ChunkOrder::Path => "m.relative_path, c.number",
        ChunkOrder::Time => {
            "m.recorded_local IS NULL, m.recorded_local + coalesce(c.start_seconds, 0), m.relative_path, c.number"
        }
    };
    let text = format!(
        "SELECT c.id, c.source_id FROM (SELECT s.id, s.relative_path, s.recorded_local, s.recorded_utc {from}) m \
         CROSS JOIN chunks c ON c.source_id = m.id WHERE 1{within} ORDER BY {order}"
    );
    let mut statement = database.connection.prepare_cached(&text).map_err(&failed)?;
    let mut rows = statement.query(params_from_iter(&values)).map_err(&failed)?;
    let (mut ids, mut sources) = (Vec::new(), Vec::new());
    while let Some(row) = rows.next().map_err(&failed)? {
        let (id, source): (i64, i64) = (row.get(0).map_err(&failed)?, row.get(1).map_err(&failed)?);
        ids.push(id);
        if sources.last() != Some(&source) {
            sources.push(source);
        }
    }
    sources.sort_unstable();
    sources.dedup();
    Ok((ids, sources.len() as u64))
}

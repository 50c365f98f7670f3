//! The chunks that a search finds, in order, kept while they are paged through: any page of 100,000 costs the same.

use std::sync::{Arc, Mutex, PoisonError};

use super::store::Store;
use crate::error::Result;
use crate::index::{self, Bound, ChunkOrder, Query};

/// What is looked for, as it was typed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Wanted {
    pub text: String,
    pub from: String,
    pub to: String,
    pub order: ChunkOrder,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct List {
    pub chunks: Vec<i64>,
    pub sources: u64,
}

/// Lists that are kept, at most.
const KEPT: usize = 12;
/// Chunks in all of them together, unless the newest alone has more.
const MOST: usize = 1 << 20;

type Entry = (Wanted, String, Arc<List>);

#[derive(Default)]
pub(super) struct Lists(Mutex<Vec<Entry>>);

impl Lists {
    /// The list, made anew where it is not at hand or the index has changed.
    pub fn get(&self, store: &Store, wanted: &Wanted) -> Result<Arc<List>> {
        let identity = store.identity()?;
        {
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            kept.retain(|(_, of, _)| *of == identity);
            if let Some(at) = kept.iter().position(|(of, ..)| of == wanted) {
                let entry = kept.remove(at);
                let list = entry.2.clone();
                kept.push(entry);
                return Ok(list);
            }
        }
        let query = query(store, wanted)?;
        let (chunks, sources) = store.with(|db| index::matching_chunks(db, &query, wanted.order))?;
        let list = Arc::new(List { chunks, sources });
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push((wanted.clone(), identity, list.clone()));
        while kept.len() > 1 && (kept.len() > KEPT || kept.iter().map(|e| e.2.chunks.len()).sum::<usize>() > MOST) {
            kept.remove(0);
        }
        Ok(list)
    }
}

/// What was typed, as a query: `speaker:anna` looks in that field, where recordings have one of that name.
fn query(store: &Store, wanted: &Wanted) -> Result<Query> {
    let bound = |text: &str, end: bool| match text.trim() {
        "" => Ok(None),
        text => Bound::parse(text, end).map(Some),
    };
    let mut query = Query { from: bound(&wanted.from, false)?, to: bound(&wanted.to, true)?, ..Query::default() };
    let mut words = Vec::new();
    for part in parts(&wanted.text) {
        match part.split_once(':') {
            Some((key, value)) if !value.is_empty() && is_field(store, key)? => {
                query.fields.push((key.to_owned(), value.replace('"', " ")));
            }
            _ => words.push(part),
        }
    }
    query.text = words.join(" ");
    Ok(query)
}

/// Words, with what is in quotes left together.
fn parts(text: &str) -> Vec<&str> {
    let mut quoted = false;
    let split = text.split(|c: char| {
        quoted ^= c == '"';
        c.is_whitespace() && !quoted
    });
    split.filter(|part| !part.is_empty()).collect()
}

fn is_field(store: &Store, key: &str) -> Result<bool> {
    let key = key.to_lowercase();
    if ["container", "sample_format", "sample_rate", "channels", "folder", "name"].contains(&key.as_str()) {
        return Ok(true);
    }
    store.sql(|db| db.prepare_cached("SELECT 1 FROM fields WHERE key = ?1 LIMIT 1")?.exists([key]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_keep_words_together() {
        assert_eq!(parts("a speaker:\"anna grün\"  \"b c\" d"), ["a", "speaker:\"anna grün\"", "\"b c\"", "d"]);
        assert_eq!(parts("\"a b"), ["\"a b"]);
        assert!(parts(" \t ").is_empty());
    }
}

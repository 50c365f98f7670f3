//! What the index says, and where that is on the disk.
//!
//! Requests name things by their numbers in the index alone. Paths come from there, are taken for paths below the archive's
//! folder, and are followed only as far as no symbolic link leads out of it, each time before a file is opened.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::error::{Error, ErrorKind, Result};
use crate::extract::cut::{InflatedFlacs, Recording};
use crate::extract::{Chunk, Source};
use crate::index::{self, Database, FileState};
use crate::manifest::{self, JsonText, Real, Restore, Sha256Sum};

/// Connections that are kept open.
const CONNECTIONS: usize = 4;
/// Sources that are kept at hand.
const AT_HAND: usize = 8;

/// The archive.
pub(super) struct Store {
    root: PathBuf,
    index: PathBuf,
    idle: Mutex<Vec<(FileNumber, Database)>>,
    at_hand: Mutex<Vec<(i64, String, Arc<Loaded>)>>,
    /// Compressed FLACs of all sources.
    pub inflated: Arc<InflatedFlacs>,
}

/// A source that is listened to.
pub(super) struct Loaded {
    pub source: Source,
    pub recording: Recording,
    /// Changes when any of its audio does.
    pub stamp: Sha256Sum,
}

/// A chunk's row, as far as its bytes are concerned.
pub(super) struct ChunkFile {
    pub source: i64,
    pub tiff_path: String,
    pub number: i64,
    /// The TIFF when the index was made.
    state: Option<FileState>,
}

type FileNumber = (u64, u64);

#[cfg(unix)]
fn file_number(path: &Path) -> FileNumber {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).map_or((0, 0), |m| (m.dev(), m.ino()))
}

#[cfg(not(unix))]
fn file_number(_: &Path) -> FileNumber {
    (0, 0)
}

impl Store {
    pub fn open(root: &Path, index: &Path) -> Result<Store> {
        let root = fs::canonicalize(root).map_err(Error::while_("finding the archive", root))?;
        index::open_read_only(index)?;
        Ok(Store {
            root,
            index: index.to_path_buf(),
            idle: Mutex::default(),
            at_hand: Mutex::default(),
            inflated: Arc::default(),
        })
    }

    /// The last part of the archive's path.
    pub fn name(&self) -> String {
        self.root.file_name().map_or_else(|| "archive".into(), |n| n.to_string_lossy().into_owned())
    }

    /// Runs something on a connection to the index as it is now: one that was replaced meanwhile is opened again.
    pub fn with<T>(&self, body: impl FnOnce(&Database) -> Result<T>) -> Result<T> {
        let now = file_number(&self.index);
        let kept = {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.retain(|(number, _)| *number == now);
            idle.pop()
        };
        let (number, database) = match kept {
            Some(kept) => kept,
            None => {
                let database = index::open_read_only(&self.index)?;
                // Several connections share what one may take.
                let less = database.connection.execute_batch("PRAGMA cache_size = -2048;");
                less.map_err(|e| index::sql_error("opening the index", &self.index, &e))?;
                (now, database)
            }
        };
        let result = body(&database);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < CONNECTIONS {
            idle.push((number, database));
        }
        result
    }

    /// As [`Store::with`], for plain SQL.
    pub fn sql<T>(&self, body: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        self.with(|database| {
            body(&database.connection).map_err(|e| index::sql_error("reading the index", &database.path, &e))
        })
    }

    /// Writes to the index, where that can be done: what is written can be found out again.
    pub fn write(&self, body: impl FnOnce(&Connection) -> rusqlite::Result<()>) {
        if let Ok(database) = index::open_writable(&self.index) {
            let _ = body(&database.connection);
        }
    }

    /// Changes when the index is brought up to date.
    pub fn identity(&self) -> Result<String> {
        let number = file_number(&self.index);
        let text = "SELECT value FROM meta WHERE key = 'identity'";
        let identity: Option<String> =
            self.sql(|db| db.prepare_cached(text)?.query_row([], |r| r.get(0)).optional())?;
        Ok(format!("{number:?} {}", identity.unwrap_or_default()))
    }

    /// Where a TIFF of the archive is.
    ///
    /// # Errors
    /// `Missing` for what would be outside the archive's folder, or is not there.
    pub fn resolve(&self, tiff_path: &str) -> Result<PathBuf> {
        let missing = || Error::new(ErrorKind::Missing, "the TIFF is not there");
        let inside = manifest::safe_relative_path(tiff_path).ok().map(|p| self.root.join(p)).filter(|p| p.exists());
        // The original programs wrote paths of their own time and place; the TIFFs lie beside the manifest.
        let name = tiff_path.rsplit(['/', '\\']).next().unwrap_or_default();
        let path = match inside {
            Some(path) => path,
            None => self.root.join(manifest::safe_relative_path(name).map_err(|_| missing())?),
        };
        let real = fs::canonicalize(path).map_err(|_| missing())?;
        if real.starts_with(&self.root) && real.is_file() { Ok(real) } else { Err(missing()) }
    }

    pub fn chunk(&self, id: i64) -> Result<ChunkFile> {
        let found = self.sql(|db| {
            let text = "SELECT source_id, tiff_path, number, tiff_size, tiff_mtime_ns FROM chunks WHERE id = ?1";
            db.prepare_cached(text)?.query_row([id], chunk_file).optional()
        })?;
        found.ok_or_else(|| Error::new(ErrorKind::Missing, "there is no chunk of that number"))
    }

    /// SHA-256 of a FLAC of a chunk, as the archive's list has it, if the TIFF is still the one that was indexed.
    pub fn flac_sum(&self, id: i64, chunk: &ChunkFile, flac: u32, path: &Path) -> Result<Option<String>> {
        if chunk.state.is_none() || FileState::of(path) != chunk.state {
            return Ok(None);
        }
        let found = self.sql(|db| {
            let text = "SELECT flac_sha256 FROM flacs WHERE chunk_id = ?1 AND number = ?2";
            db.prepare_cached(text)?.query_row(params![id, flac], |row| row.get(0)).optional()
        })?;
        Ok(found.flatten())
    }

    /// A source with all of its chunks, as [`crate::extract::find`] gives it; paths as they are now.
    pub fn source(&self, id: i64) -> Result<Source> {
        let found = self.sql(|db| {
            let text = "SELECT relative_path, sha256, size_bytes, modified, total_samples, restore, container, \
                        sample_format, sample_rate, channels, bits_per_sample, metadata, complete \
                        FROM sources WHERE id = ?1";
            let Some(mut source) = db.prepare_cached(text)?.query_row([id], source_row).optional()? else {
                return Ok(None);
            };
            let text = "SELECT id, chunk_id, tiff_path, tiff_sha256, start_sample, num_samples FROM chunks \
                        WHERE source_id = ?1 ORDER BY number";
            let mut statement = db.prepare_cached(text)?;
            let rows = statement.query_map([id], |row| Ok((row.get::<_, i64>(0)?, chunk_row(row)?)))?;
            let mut chunks = rows.collect::<rusqlite::Result<Vec<_>>>()?;
            let mut sums = db.prepare_cached("SELECT flac_sha256 FROM flacs WHERE chunk_id = ?1 ORDER BY number")?;
            for (id, chunk) in &mut chunks {
                let rows = sums.query_map([*id], |row| sum(row, 0))?;
                chunk.flac_sha256 = rows.collect::<rusqlite::Result<_>>()?;
            }
            source.chunks = chunks.into_iter().map(|(_, chunk)| chunk).collect();
            Ok(Some(source))
        })?;
        let mut source = found.ok_or_else(|| Error::new(ErrorKind::Missing, "there is no source of that number"))?;
        for chunk in &mut source.chunks {
            // One that is not there is found missing when it is opened.
            chunk.path = self.resolve(&chunk.tiff_path).unwrap_or_default();
        }
        Ok(source)
    }

    /// A source as a run of samples, kept at hand for the next request.
    pub fn loaded(&self, id: i64) -> Result<Arc<Loaded>> {
        let identity = self.identity()?;
        {
            let mut kept = self.at_hand.lock().unwrap_or_else(PoisonError::into_inner);
            kept.retain(|(_, of, _)| *of == identity);
            if let Some(at) = kept.iter().position(|(number, ..)| *number == id) {
                let entry = kept.remove(at);
                // A link may have been put in a TIFF's place since.
                let chunks = &entry.2.source.chunks;
                if chunks.iter().all(|c| self.resolve(&c.tiff_path).unwrap_or_default() == c.path) {
                    let loaded = entry.2.clone();
                    kept.push(entry);
                    return Ok(loaded);
                }
            }
        }
        let source = self.source(id)?;
        let recording = Recording::with(&source, self.inflated.clone())?;
        let mut text = format!("{} {:?} {:?}\n", source.relative_path, source.sha256, source.total_samples);
        source.chunks.iter().for_each(|c| text.push_str(&format!("{:?} {:?}\n", c.tiff_sha256, c.flac_sha256)));
        let loaded = Arc::new(Loaded { source, recording, stamp: Sha256Sum::of(text.as_bytes()) });
        let mut kept = self.at_hand.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= AT_HAND {
            kept.remove(0);
        }
        kept.push((id, identity, loaded.clone()));
        Ok(loaded)
    }
}

fn chunk_file(row: &Row<'_>) -> rusqlite::Result<ChunkFile> {
    let (size, mtime_ns): (Option<i64>, Option<i64>) = (row.get(3)?, row.get(4)?);
    let state = size.zip(mtime_ns).map(|(size, mtime_ns)| FileState { size, mtime_ns });
    Ok(ChunkFile { source: row.get(0)?, tiff_path: row.get(1)?, number: row.get(2)?, state })
}

/// A number that is none where it is negative, which the program never writes.
fn natural(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<u64>> {
    Ok(row.get::<_, Option<i64>>(at)?.and_then(|n| u64::try_from(n).ok()))
}

fn sum(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Sha256Sum>> {
    Ok(row.get::<_, Option<String>>(at)?.and_then(|text| text.parse().ok()))
}

fn source_row(row: &Row<'_>) -> rusqlite::Result<Source> {
    let sha256 = sum(row, 1)?;
    let metadata: Option<String> = row.get(11)?;
    Ok(Source {
        relative_path: row.get(0)?,
        sha256,
        size_bytes: natural(row, 2)?,
        modified: row.get(3)?,
        total_samples: natural(row, 4)?,
        restore: row.get::<_, Option<String>>(5)?.map(|word| Restore::of_word(&word)),
        container: row.get::<_, Option<String>>(6)?.unwrap_or_default(),
        sample_format: row.get(7)?,
        sample_rate: row.get::<_, Option<f64>>(8)?.and_then(Real::new),
        channels: row.get(9)?,
        bits_per_sample: row.get(10)?,
        metadata: metadata.and_then(|text| serde_json::from_str(&text).ok()).map(|value| JsonText::new(&value)),
        ours: sha256.is_some(),
        incomplete: !row.get::<_, bool>(12)?,
        chunks: Vec::new(),
    })
}

fn chunk_row(row: &Row<'_>) -> rusqlite::Result<Chunk> {
    Ok(Chunk {
        chunk_id: row.get(1)?,
        tiff_path: row.get(2)?,
        tiff_sha256: sum(row, 3)?,
        start_sample: natural(row, 4)?,
        num_samples: natural(row, 5)?,
        ..Chunk::default()
    })
}

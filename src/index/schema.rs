//! The tables, and the file they are in.
//!
//! The file says what it is: `application_id` is [`APPLICATION_ID`], `user_version` is [`SCHEMA_VERSION`]. Any other
//! version, older or newer, is made anew; a database of some other program is never touched.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::{Database, sql_error};
use crate::error::{Error, ErrorKind, Result};

/// `atix`: what `file` and SQLite's `PRAGMA application_id` tell about an index.
pub const APPLICATION_ID: i32 = 0x6174_6978;

/// Rises whenever a table changes its meaning.
pub const SCHEMA_VERSION: i32 = 2;

const TABLES: &str = include_str!("schema.sql");

/// How long a reader or writer waits for another one.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is there under the index's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing.
    Absent,
    /// An index in the schema of this program.
    Current,
    /// An index to be made anew, for this reason.
    Replaceable(&'static str),
}

/// Looks at the file, and refuses what is no index.
pub(super) fn state(path: &Path) -> Result<State> {
    let mut head = [0; 100];
    let read = match fs::File::open(path) {
        Ok(mut file) => {
            let mut at = 0;
            while at < head.len() {
                match file.read(&mut head[at..]).map_err(Error::while_("reading", path))? {
                    0 => break,
                    n => at += n,
                }
            }
            at
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(State::Absent),
        Err(e) => return Err(Error::io("opening the index", e).at_path(path)),
    };
    let number = |at: usize| i32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    if read == 0 {
        return Ok(State::Replaceable("it was empty"));
    }
    if read < head.len() || !head.starts_with(b"SQLite format 3\0") || number(68) != APPLICATION_ID {
        let text = "is there, but it is no index of this program: move it away, or name another file with --index";
        return Err(Error::new(ErrorKind::Usage, text).at_path(path));
    }
    match number(60) {
        SCHEMA_VERSION => Ok(State::Current),
        v if v < SCHEMA_VERSION => Ok(State::Replaceable("it was written by an older version")),
        _ => Ok(State::Replaceable("it was written by a newer version")),
    }
}

/// Opens an index of this schema for reading.
///
/// # Errors
/// `Missing` where there is none, or none of this schema; `Usage` where the file is something else; what SQLite says.
pub fn open_read_only(path: &Path) -> Result<Database> {
    match state(path)? {
        State::Current => open(path, OpenFlags::SQLITE_OPEN_READ_ONLY),
        _ => Err(Error::new(ErrorKind::Missing, "there is no index; make it with `tiff2flac index`").at_path(path)),
    }
}

/// Opens an index of this schema for reading and writing.
///
/// # Errors
/// As [`open_read_only`].
pub fn open_writable(path: &Path) -> Result<Database> {
    match state(path)? {
        State::Current => open(path, OpenFlags::SQLITE_OPEN_READ_WRITE),
        _ => Err(Error::new(ErrorKind::Missing, "there is no index; make it with `tiff2flac index`").at_path(path)),
    }
}

fn open(path: &Path, flags: OpenFlags) -> Result<Database> {
    let failed = |e: rusqlite::Error| sql_error("opening the index", path, &e);
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(failed)?;
    connection.busy_timeout(PATIENCE).map_err(failed)?;
    // 8 MiB of pages; views and triggers of a foreign file may not call functions that do things.
    connection
        .execute_batch("PRAGMA foreign_keys = ON; PRAGMA cache_size = -8192; PRAGMA trusted_schema = OFF;")
        .map_err(failed)?;
    Ok(Database { connection, path: path.to_path_buf() })
}

/// Creates an index without rows in an empty file. Nothing is synced until the caller does so: it is a file that gets its
/// name only when it is whole.
pub(super) fn create(path: &Path) -> Result<Database> {
    let database = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
    let settings = format!(
        "PRAGMA page_size = 16384; PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION}; \
         PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -32768;"
    );
    let made = database.connection.execute_batch(&settings).and_then(|()| database.connection.execute_batch(TABLES));
    made.map_err(database.failed("creating the index"))?;
    Ok(database)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_of_the_file_says_what_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.sqlite");
        assert_eq!(state(&path).unwrap(), State::Absent);
        drop(create(&path).unwrap());
        assert_eq!(state(&path).unwrap(), State::Current);
        for (version, expected) in [(0, "older"), (SCHEMA_VERSION + 1, "newer")] {
            Connection::open(&path).unwrap().pragma_update(None, "user_version", version).unwrap();
            assert!(matches!(state(&path).unwrap(), State::Replaceable(why) if why.contains(expected)));
        }
        Connection::open(&path).unwrap().pragma_update(None, "application_id", 1).unwrap();
        assert_eq!(state(&path).unwrap_err().kind(), ErrorKind::Usage);
        fs::write(&path, b"my thesis").unwrap();
        assert_eq!(state(&path).unwrap_err().kind(), ErrorKind::Usage);
    }
}

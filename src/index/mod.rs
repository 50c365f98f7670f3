//! The search index of an archive: an SQLite database beside the manifest, made from the manifest and the TIFFs' page
//! directories, without reading any audio.
//!
//! It is a cache. Nothing in it is needed to restore anything, it is in no checksum list, and it is made anew whenever
//! its schema is not the one of this program. `docs/INDEX.md` describes its tables for readers with other tools.
//!
//! ```text
//! manifest.json ─► find ─┬─► changes ─► write ─► index.sqlite ─► search
//! *.tiff (page 0, directories) ─► read ┘   └─► thumbnails ◄─ page 0
//! ```
//!
//! | file | what it is |
//! |---|---|
//! | `schema` | the tables, their version, opening and replacing the file |
//! | `update` | what has changed since the last time, and taking it in |
//! | `read` | one TIFF: what goes into the index |
//! | `write` | rows in and out |
//! | `words` | text for and queries of the full-text tables |
//! | `picture` | page 0 → a JPEG of its plot |
//! | `search` | finding sources by words, fields and time |
//! | `chunks` | the chunks of what a search finds, in order |
//! | `wall` | times of day as numbers that compare |

mod chunks;
mod picture;
mod read;
mod schema;
mod search;
mod update;
mod wall;
mod words;
mod write;

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::error::{Error, ErrorKind};
use crate::manifest::{INDEX_NAME, archive_dir, bag_around};
pub use chunks::{ChunkOrder, matching_chunks};
pub use picture::{Drawer, Picture, Size, jpeg};
#[cfg(feature = "serve")]
pub(crate) use read::FileState;
pub use schema::{APPLICATION_ID, SCHEMA_VERSION, open_read_only, open_writable};
pub use search::{Hit, Hits, Query, search};
pub use update::{Changes, Options, update};
pub use wall::{Bound, Recorded};
pub use write::put_thumbnail;

/// Where the index of an archive is, unless it is kept elsewhere: in the archive's folder, or, since the payload of a bag
/// has to be as it is listed, in the bag's.
pub fn default_path(dir: &Path) -> PathBuf {
    let root = archive_dir(dir);
    bag_around(&root).unwrap_or(root).join(INDEX_NAME)
}

/// What to do where the archive's folder cannot be written to.
const READ_ONLY: &str = "; where the archive cannot be written to, keep its index in another place with --index FILE, \
                         or search and serve one that is there as it is with --no-update";

/// An error of SQLite as one of ours.
pub fn sql_error(doing: &str, path: &Path, e: &rusqlite::Error) -> Error {
    let kind = match e.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase | rusqlite::ErrorCode::DatabaseCorrupt) => ErrorKind::Malformed,
        Some(rusqlite::ErrorCode::OperationInterrupted) => ErrorKind::Interrupted,
        _ => ErrorKind::Io,
    };
    let advice = match e.sqlite_error_code() {
        Some(rusqlite::ErrorCode::ReadOnly) => READ_ONLY,
        _ => "",
    };
    Error::new(kind, format!("{doing}: {e}{advice}")).at_path(path)
}

/// A connection together with the file's name, for messages.
pub struct Database {
    /// The open database.
    pub connection: Connection,
    /// Its file.
    pub path: PathBuf,
}

impl Database {
    /// For `map_err`.
    fn failed<'a>(&'a self, doing: &'a str) -> impl Fn(rusqlite::Error) -> Error + 'a {
        move |e| sql_error(doing, &self.path, &e)
    }
}

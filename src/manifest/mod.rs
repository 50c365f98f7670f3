//! `manifest.json`, what stands around it, and how it survives crashes.
//!
//! - `model`: [`SourceRecord`], [`ChunkRecord`]: the JSON with the original keys and ours; keys that this
//!   version does not know are kept at every level. `record` and `values` are what the model is built of.
//! - `file`: the [`Manifest`] as a whole: reading with bounds, writing atomically; `document` finds where the values are, `files` keeps of a source no more
//!   than that; `digest`: names looked up in little memory.
//! - `journal`, `renames`: the write-ahead log `temp/journal.jsonl`, so that a manifest of many small files is not rewritten for
//!   each of them and nothing that was reported as done is lost.
//! - `lock`: one writer at a time for an archive.
//! - `home`: archives inside of bags.
//! - `names`: what TIFFs are called.
//! - `paths`: names from a manifest as paths, never out of the folder they belong to.
//! - `sums`: `SHA256SUMS` for `sha256sum -c`.
//! - `original`, `resolve`, `index`: manifests of the original Python scripts, and the one normalised form of both that the
//!   extracting side works on.
//!
//! A run of the encoder: take the [`ArchiveLock`], read the manifest, open the [`Journal`] (which gives what an earlier
//! run left behind), append an [`Entry`] per finished source, fold them all into the manifest at the end, write it and
//! `SHA256SUMS`, remove the journal, release the lock.

mod atomic;
mod digest;
mod document;
mod file;
mod files;
mod home;
mod index;
mod journal;
mod lock;
mod model;
mod names;
mod original;
mod paths;
mod record;
mod renames;
mod resolve;
mod sums;
mod values;

pub(crate) use atomic::clear_partial;
pub use atomic::{sync_dir, write_atomically};
pub(crate) use digest::{NameMap, NameSet};
pub use file::{FORMAT, FORMAT_VERSION, MANIFEST_NAME, Manifest, ReadLimits, SIGNATURE_NAME, created_by};
pub use files::{Files, Place};
pub use home::{PAYLOAD_DIR, archive_dir, bag_around, side_dir};
pub use index::{ArchiveIndex, ChunkEntry, FailedChunk, Finding, Origin, Severity, SourceEntries, SourceEntry};
pub use journal::{Entry, EntryKind, JOURNAL_NAME, Journal, Rename, Replay, STATE_NAME, TEMP_DIR, replay};
pub use lock::{ArchiveLock, LOCK_NAME, TempFolder};
pub use model::{ChunkRecord, Chunks, GroupRecord, Restore, SourceRecord};
pub use names::{INDEX_NAME, TiffNames, chunk_id, chunk_tiff_name, is_index_file, is_tiff_name, stem_of_tiff};
pub use paths::{confine, path_to_text, safe_foreign_path, safe_relative_path};
pub use renames::{finish_renames, recover_renames};
pub use sums::{SUMS_NAME, Sums};
pub use values::{Extra, JsonText, Real, Sha256Sum};

//! What a run tells while it goes on.
//!
//! The library prints nothing: it hands [`Event`]s to an [`Observer`], and the programs turn them into bars, lines on
//! stderr or JSON Lines. [`Event::to_json`] is the one place that knows the report's field names; fields are only ever
//! added, and [`SCHEMA_VERSION`] rises if a meaning should ever have to change.

use serde_json::{Map, Value, json};

use crate::error::Error;

/// Version of the JSON Lines report.
pub const SCHEMA_VERSION: u32 = 1;

/// How an item came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// A source was archived and proved.
    Archived,
    /// A FLAC was extracted, or a source rebuilt, and its checksum matched.
    Restored,
    /// Everything that was asked to be checked is as it should be.
    Verified,
    /// Nothing had to be done (resumed work, already archived, not audio).
    Skipped,
    /// Recovery data was added to a TIFF.
    Protected,
    /// A damaged TIFF, or its recovery data, is again as it was.
    Repaired,
    /// A dry run would have done this.
    Planned,
}

impl Status {
    /// The word used in reports.
    pub fn word(self) -> &'static str {
        match self {
            Status::Archived => "archived",
            Status::Restored => "restored",
            Status::Verified => "verified",
            Status::Skipped => "skipped",
            Status::Protected => "protected",
            Status::Repaired => "repaired",
            Status::Planned => "planned",
        }
    }
}

/// One thing that happened. Paths of items are relative to the input or archive folder, with `/`.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The work is known: how many items, how many bytes of them will be read.
    Planned {
        /// Number of sources or chunks.
        items: u64,
        /// Bytes to go through.
        bytes: u64,
    },
    /// Work on an item began.
    Started {
        /// The item.
        item: &'a str,
        /// Its size in bytes.
        bytes: u64,
    },
    /// Part of an item is done.
    Advanced {
        /// The item.
        item: &'a str,
        /// Bytes gone through since the last event of this kind.
        bytes: u64,
    },
    /// A source file or a rebuilt file is done with.
    File {
        /// Relative path of the source.
        item: &'a str,
        /// How it came out.
        status: Status,
        /// One sentence, empty where the status says it all.
        message: &'a str,
        /// Further fields for the JSON report.
        details: Map<String, Value>,
    },
    /// A chunk (one TIFF, one FLAC) is done with.
    Chunk {
        /// Relative path of the TIFF.
        item: &'a str,
        /// How it came out.
        status: Status,
        /// One sentence, empty where the status says it all.
        message: &'a str,
        /// Further fields for the JSON report.
        details: Map<String, Value>,
    },
    /// Something a person should know that is no failure.
    Note {
        /// The item concerned.
        item: &'a str,
        /// One sentence.
        message: &'a str,
    },
    /// An item could not be archived, verified or restored.
    Failed {
        /// The item concerned.
        item: &'a str,
        /// Why, with file and place.
        error: &'a Error,
    },
    /// A check found something.
    Found {
        /// The item concerned.
        item: &'a str,
        /// A stable word for what it is, see `docs/VERIFY.md`.
        code: &'a str,
        /// Whether it counts as an error; else it is worth knowing.
        counts: bool,
        /// What is wrong, with file and place.
        error: &'a Error,
        /// What to do about it; empty where nothing is to be done.
        remedy: &'a str,
        /// Further fields for the JSON report.
        details: Map<String, Value>,
    },
    /// Work on an item ended, well or not; closes `Started`.
    Ended {
        /// The item.
        item: &'a str,
    },
}

/// Receives events, from several threads at once.
pub trait Observer: Sync {
    /// Called for each event; should return quickly.
    fn on(&self, event: &Event<'_>);
}

/// An observer that does not care.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn on(&self, _event: &Event<'_>) {}
}

impl Event<'_> {
    /// The event as one object of the JSON Lines report, or `None` for events that are only progress.
    pub fn to_json(&self) -> Option<Value> {
        let (kind, item, status, message, details) = match self {
            Event::File { item, status, message, details } => ("file", *item, status.word(), *message, Some(details)),
            Event::Chunk { item, status, message, details } => ("chunk", *item, status.word(), *message, Some(details)),
            Event::Note { item, message } => ("note", *item, "note", *message, None),
            Event::Failed { item, error } => {
                let v = json!({
                    "schema_version": SCHEMA_VERSION, "type": "error", "item": item, "status": "failed",
                    "code": error.kind().code(), "message": error.message(),
                });
                return Some(placed(v, error));
            }
            Event::Found { item, code, counts, error, remedy, details } => {
                let (kind, status) = if *counts { ("error", "failed") } else { ("note", "note") };
                let mut v = json!({
                    "schema_version": SCHEMA_VERSION, "type": kind, "item": item, "status": status,
                    "code": code, "kind": error.kind().code(), "message": error.message(), "remedy": remedy,
                });
                if let Some(object) = v.as_object_mut() {
                    object.extend(details.clone());
                }
                return Some(placed(v, error));
            }
            _ => return None,
        };
        let mut v = Map::new();
        v.insert("schema_version".into(), json!(SCHEMA_VERSION));
        v.insert("type".into(), json!(kind));
        v.insert("item".into(), json!(item));
        v.insert("status".into(), json!(status));
        if !message.is_empty() {
            v.insert("message".into(), json!(message));
        }
        if let Some(details) = details {
            v.extend(details.clone());
        }
        Some(Value::Object(v))
    }
}

/// Adds file and position of an error.
fn placed(mut value: Value, error: &Error) -> Value {
    if let Some(path) = error.path() {
        value["path"] = json!(path.to_string_lossy());
    }
    if let Some(offset) = error.offset() {
        value["offset"] = json!(offset);
    }
    value
}

/// What a run came to; the programs derive their exit status from it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Items done and proved.
    pub ok: u64,
    /// Items left alone (resumed, already there, not audio).
    pub skipped: u64,
    /// Items that could not be archived, verified or restored.
    pub errors: u64,
    /// Bytes read of the sources (archiving) or written for them (restoring).
    pub source_bytes: u64,
    /// Bytes of the TIFFs written or checked.
    pub archive_bytes: u64,
}

impl Summary {
    /// The line a run ends with.
    pub fn line(&self) -> String {
        format!("ok: {}, skipped: {}, errors/mismatches: {}", self.ok, self.skipped, self.errors)
    }

    /// The summary as the last object of the JSON Lines report.
    pub fn to_json(&self) -> Value {
        json!({
            "schema_version": SCHEMA_VERSION, "type": "summary", "ok": self.ok, "skipped": self.skipped,
            "errors": self.errors, "source_bytes": self.source_bytes, "archive_bytes": self.archive_bytes,
        })
    }
}

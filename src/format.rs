//! What the pages of an archive's TIFFs say about themselves.
//!
//! Each page carries one ASCII JSON object in its ImageDescription: page 0 describes the chunk and its source, every other
//! page names its role. The archiving side writes these types, the extracting side reads them; nothing else is needed to
//! use a TIFF on its own.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::container::Page;
use crate::error::{Error, Result};
use crate::manifest::{self, Real};

/// `format` in manifests and in page 0.
pub const FORMAT: &str = manifest::FORMAT;

/// `format_version` in manifests and in page 0; a reader refuses higher ones.
pub const FORMAT_VERSION: u32 = manifest::FORMAT_VERSION;

/// `created_by` of what this build writes.
pub const CREATED_BY: &str = concat!("audio2tiff ", env!("CARGO_PKG_VERSION"));

/// A source comes back with the same SHA-256, its samples being kept as FLAC.
pub const RESTORE_IDENTICAL: &str = "byte-identical";

/// A source comes back because its own bytes are kept; the FLACs are an access copy.
pub const RESTORE_ORIGINAL: &str = "original-bytes";

/// Page 0's account of the source and of this chunk of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChunkMetadata {
    /// Always [`FORMAT`].
    pub format: String,
    /// See [`FORMAT_VERSION`].
    pub format_version: u32,
    /// Program and version.
    pub created_by: String,
    /// The source's path relative to the input folder, with `/`.
    pub relative_path: String,
    /// SHA-256 of the whole source file.
    pub source_sha256: String,
    /// Length of the whole source file, bytes.
    pub source_size_bytes: u64,
    /// The source's container ("wav", "flac", "mp3"…).
    pub container: String,
    /// How one sample lies in the source ("s24le"), or the name of its coding ("mp3").
    pub sample_format: String,
    /// Hz.
    pub sample_rate: u32,
    /// Channels of the source.
    pub channels: u32,
    /// Bits of one sample in the source; of the access copy for coded sources.
    pub bits_per_sample: u32,
    /// Frames (samples a channel) of the whole source.
    pub total_samples: u64,
    /// How the source comes back: [`RESTORE_IDENTICAL`] or [`RESTORE_ORIGINAL`].
    pub restore: String,
    /// Which decoder made the access copy of a coded source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoder: Option<String>,
    /// Length of a full chunk, seconds.
    pub chunk_seconds: u64,
    /// `chunk_000000`, counted from 0.
    pub chunk_id: String,
    /// Number of this chunk, from 0.
    pub chunk_index: u64,
    /// Chunks of the source in all.
    pub chunk_count: u64,
    /// First frame of this chunk in the source.
    pub start_sample: u64,
    /// Frames in this chunk.
    pub num_samples: u64,
    /// `start_sample / sample_rate`.
    pub start_time_seconds: Option<Real>,
    /// Oddities of the source, in plain words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Who, where, when: as the source said or the keeper added.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub tags: Map<String, Value>,
    /// Keys that this version does not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// What a page other than the preview holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "kebab-case")]
pub enum Role {
    /// A FLAC file: channels `first_channel..first_channel + channel_count` of the chunk.
    Flac {
        /// Always true; what the original extractor and ours look for.
        embedded_flac_bytes: bool,
        /// Length of the FLAC file, bytes; all of the page.
        flac_size_bytes: u64,
        /// First channel of the source in it.
        first_channel: u32,
        /// Channels in it, 1 to 8.
        channel_count: u32,
        /// Where the chunk's samples begin in the source file, if the source is rebuilt from them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        samples_offset: Option<u64>,
        /// Where these very bytes stand in the source file, if the source is a FLAC.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source_offset: Option<u64>,
        /// Frames of one block in it; 0 where blocks vary.
        block_size: u32,
    },
    /// What the samples have beyond the FLAC's 24-bit steps (see `source::remainder`).
    Remainder {
        /// Bytes of the page that count; the rest is zero.
        length: u64,
    },
    /// Bytes of the source file as they were.
    SourceBytes {
        /// Where they stand in the source file.
        source_offset: u64,
        /// Bytes of the page that count; the rest is zero.
        length: u64,
    },
}

impl Role {
    /// The role as the JSON text of an ImageDescription.
    ///
    /// # Errors
    /// `Malformed`, where it cannot be put into words.
    pub fn to_description(&self) -> Result<String> {
        let value = serde_json::to_value(self).map_err(|e| Error::malformed(format!("a page's description: {e}")))?;
        Ok(crate::container::to_ascii_json(&value))
    }

    /// Reads the role of a page; `None` where it names none that this version knows.
    pub fn of(page: &Page) -> Option<Role> {
        serde_json::from_value(Value::Object(page.description_json()?)).ok()
    }
}

impl ChunkMetadata {
    /// Reads page 0 of one of our TIFFs; `None` for a TIFF that is not one of ours.
    ///
    /// # Errors
    /// `Unsupported` for a later version of the format; `Malformed` where it does not describe a chunk.
    pub fn of(page: &Page) -> Result<Option<ChunkMetadata>> {
        let Some(mut object) = page.description_json() else { return Ok(None) };
        let Some(metadata) = object.remove("metadata") else { return Ok(None) };
        if metadata.get("format").and_then(Value::as_str) != Some(FORMAT) {
            return Ok(None);
        }
        match metadata.get("format_version").and_then(Value::as_u64) {
            Some(v) if v <= u64::from(FORMAT_VERSION) => {}
            Some(v) => {
                return Err(Error::unsupported(format!(
                    "written in version {v} of the archive format, this program reads up to {FORMAT_VERSION}; use a newer one"
                )));
            }
            None => return Err(Error::malformed("page 0 does not say which version of the archive format it is in")),
        }
        serde_json::from_value(metadata)
            .map(Some)
            .map_err(|e| Error::malformed(format!("page 0 does not describe its chunk rightly: {e}")))
    }
}

//! The manifest's records. Keys and meanings of the original scripts are kept; the others are this format's own.

use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

use super::record::{Absent, record};
use super::values::{JsonText, Real, Sha256Sum};

record! {
    /// One source file.
    pub struct SourceRecord {
        /// Its path on the machine it was archived on.
        pub source_file: String,
        /// Its path below the input folder, with `/`; the key of a source in the archive.
        pub relative_path: String,
        /// SHA-256 of the whole source file.
        pub sha256: Option<Sha256Sum>,
        /// Its length in bytes.
        pub size_bytes: Option<u64>,
        /// When it was last modified, RFC 3339 in UTC.
        pub modified: Option<String>,
        /// The container as a short word: `wav`, `rf64`, `aiff`, `flac`, `mp3`…
        pub container: Option<String>,
        /// The form of the samples: `s24le`, `f32be`… or the codec of a coded source.
        pub sample_format: Option<String>,
        /// Sample rate in Hz; a few old containers have fractions.
        pub sample_rate: Option<Real>,
        /// Channels of the source.
        pub channels: Option<u32>,
        /// Bits of a sample in its container.
        pub bits_per_sample: Option<u32>,
        /// Samples per channel in the whole source.
        pub total_samples: Option<u64>,
        /// What restoring gives.
        pub restore: Option<Restore>,
        /// Where the samples begin in the source, in bytes.
        pub data_offset: Option<u64>,
        /// The decoder, with version, that made the access copy of a coded source.
        pub decoder: Option<String>,
        /// Descriptive metadata: an object.
        pub metadata: Option<JsonText>,
        /// Remarks for a person.
        pub notes: Vec<String>,
        /// What was odd about the source, for a person.
        pub warnings: Vec<String>,
        /// The chunks in order.
        pub chunks: Chunks,
    }
}

record! {
    /// One chunk: one TIFF.
    pub struct ChunkRecord {
        /// `chunk_000000`, counted within the source.
        pub chunk_id: String,
        /// The TIFF, relative to the manifest, with `/`.
        pub tiff_path: String,
        /// SHA-256 of the FLAC (of the first, where there are several).
        pub flac_sha256: Option<Sha256Sum>,
        /// `start_sample / sample_rate` ([`Real::seconds`]).
        pub start_time_seconds: Option<Real>,
        /// Length of the TIFF in bytes.
        pub size_bytes: Option<u64>,
        /// First sample (per channel) of the chunk, counted in the source.
        pub start_sample: Option<u64>,
        /// Samples (per channel) in the chunk.
        pub num_samples: Option<u64>,
        /// Length of the FLAC in bytes.
        pub flac_size_bytes: Option<u64>,
        /// Where the FLAC begins in the TIFF, in bytes.
        pub flac_offset: Option<u64>,
        /// SHA-256 of the TIFF.
        pub tiff_sha256: Option<Sha256Sum>,
        /// The FLACs of all channel groups, where there are several.
        pub groups: Vec<GroupRecord>,
    }
}

record! {
    /// The FLAC of one channel group of a chunk.
    pub struct GroupRecord {
        /// Its page in the TIFF, from 0.
        pub page: u32,
        /// Its channels.
        pub channels: u32,
        /// SHA-256 of the FLAC.
        pub flac_sha256: Option<Sha256Sum>,
        /// Length of the FLAC in bytes.
        pub flac_size_bytes: Option<u64>,
        /// Where the FLAC begins in the TIFF, in bytes.
        pub flac_offset: Option<u64>,
    }
}

/// What `tiff2flac --reconstruct` gives for a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Restore {
    /// The source file rebuilt from its samples and what stood around them: `byte-identical`.
    ByteIdentical,
    /// The source file as it was kept beside an access copy: `original-bytes`.
    OriginalBytes,
    /// A word of a later version.
    Other(Box<str>),
}

impl Restore {
    /// The word in the JSON.
    pub fn as_str(&self) -> &str {
        match self {
            Restore::ByteIdentical => "byte-identical",
            Restore::OriginalBytes => "original-bytes",
            Restore::Other(word) => word,
        }
    }

    /// What a word in the JSON means.
    pub fn of_word(word: &str) -> Restore {
        match word {
            "byte-identical" => Restore::ByteIdentical,
            "original-bytes" => Restore::OriginalBytes,
            _ => Restore::Other(word.into()),
        }
    }
}

impl Serialize for Restore {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Restore {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Restore::of_word(&String::deserialize(deserializer)?))
    }
}

/// The chunks of a source; the key is written even where there are none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Chunks(pub Vec<ChunkRecord>);

impl std::ops::Deref for Chunks {
    type Target = Vec<ChunkRecord>;
    fn deref(&self) -> &Vec<ChunkRecord> {
        &self.0
    }
}

impl std::ops::DerefMut for Chunks {
    fn deref_mut(&mut self) -> &mut Vec<ChunkRecord> {
        &mut self.0
    }
}

impl From<Vec<ChunkRecord>> for Chunks {
    fn from(chunks: Vec<ChunkRecord>) -> Self {
        Chunks(chunks)
    }
}

impl Absent for Chunks {
    fn is_absent(&self) -> bool {
        false
    }
}

impl Serialize for Chunks {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Chunks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut chunks = Vec::deserialize(deserializer)?;
        // Most sources have one; room for the usual four would be most of a large manifest's memory.
        chunks.shrink_to_fit();
        Ok(Chunks(chunks))
    }
}

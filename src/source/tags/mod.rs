//! Metadata that travels inside a source: who, where, when, with what.
//!
//! In: the file and, for chunked containers, the chunks that a scanner has found. Out: [`Tags`], the fields as they stand under
//! their own names and origins, and from them a small set of common keys (see [`COMMON_KEYS`]) that are the same
//! whatever the origin. Nothing is guessed: a time of which the file does not tell the zone is given without one.
//!
//! Read are: BWF `bext` (EBU Tech 3285), LIST/INFO, iXML, GUANO, AudioMoth comments, Wildlife Acoustics `wamd`, `cart` (AES46),
//! ID3v1 and ID3v2.2–2.4, APEv2, Vorbis comments (Ogg, FLAC), MP4 and QuickTime user data, the text chunks of AIFF, and CAF
//! `info`.
//!
//! Everything is bounded: [`MAX_VALUE`] bytes a field, [`MAX_TOTAL`] in all, [`MAX_FIELDS`] fields. What a file has beyond
//! that, and what cannot be read, is told in [`Tags::notes`]; damaged metadata is no error, since the archive keeps the
//! source's own bytes. Pictures and other binary data are not taken over, but named with type and size.

mod ape;
mod audiomoth;
mod collect;
mod guano;
mod id3;
mod iff;
mod ixml;
mod mp4;
mod text;
mod time;
mod unique;
mod user;
mod vorbis;
mod wave;

pub use text::{vorbis_key, vorbis_value};
pub use user::{MetadataFile, glob_matches, parse_meta_arg};

use std::collections::BTreeMap;
use std::fmt;

use crate::error::{Error, Result};
use crate::positioned::ReadAt;

use collect::Collector;

/// The most bytes of one value; a longer one is cut, and a note says so.
pub const MAX_VALUE: usize = 64 * 1024;

/// The most bytes of all keys and values together.
pub const MAX_TOTAL: usize = 1024 * 1024;

/// The most fields.
pub const MAX_FIELDS: usize = 2000;

/// The common keys that readers fill in [`Tags::common`], in the order in which they are best shown.
pub const COMMON_KEYS: [&str; 33] = [
    "title",
    "artist",
    "originator",
    "reference",
    "album",
    "date",
    "description",
    "copyright",
    "license",
    "location",
    "latitude",
    "longitude",
    "elevation",
    "project",
    "scene",
    "take",
    "tape",
    "note",
    "device",
    "serial",
    "firmware",
    "software",
    "gain",
    "battery",
    "temperature",
    "humidity",
    "deployment",
    "species",
    "genre",
    "track",
    "language",
    "keywords",
    "coding_history",
];

/// Which kind of metadata a field comes from. In the order of trust: where two tell different things under a common key,
/// the earlier one is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Origin {
    /// GUANO, in a `guan` chunk.
    Guano,
    /// A comment in the words of AudioMoth recorders.
    AudioMoth,
    /// Wildlife Acoustics' `wamd` chunk.
    Wamd,
    /// iXML.
    Ixml,
    /// BWF `bext`.
    Bext,
    /// AES46 `cart`.
    Cart,
    /// Vorbis comments.
    Vorbis,
    /// MP4 or QuickTime user data.
    Mp4,
    /// ID3v2.
    Id3v2,
    /// APEv1 or v2.
    Ape,
    /// LIST/INFO of RIFF.
    ListInfo,
    /// Text chunks of AIFF.
    Aiff,
    /// `info` of CAF.
    Caf,
    /// ID3v1.
    Id3v1,
}

impl Origin {
    /// A stable lower-case word for reports; words are only ever added.
    pub fn code(self) -> &'static str {
        match self {
            Origin::Guano => "guano",
            Origin::AudioMoth => "audiomoth",
            Origin::Wamd => "wamd",
            Origin::Ixml => "ixml",
            Origin::Bext => "bext",
            Origin::Cart => "cart",
            Origin::Vorbis => "vorbis",
            Origin::Mp4 => "mp4",
            Origin::Id3v2 => "id3v2",
            Origin::Ape => "ape",
            Origin::ListInfo => "list-info",
            Origin::Aiff => "aiff",
            Origin::Caf => "caf",
            Origin::Id3v1 => "id3v1",
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// One field as it stands in the source.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Field {
    /// Its name in its own kind of metadata: "INAM", "Loc Position", "SPEED/MASTER_SPEED", "TXXX:Software"…
    pub key: String,
    /// Its value, with control characters other than line feed and tab taken out.
    pub value: String,
    /// Where it comes from.
    pub origin: Origin,
}

/// When the recording began.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordedAt {
    /// ISO 8601, as exact as the source: "2020-02-04T19:00:00-05:00", "2020-02-04T19:00:00" (of no known zone), "2020-02-04",
    /// "2020".
    pub iso8601: String,
    /// Minutes east of UTC; `None` where the source does not tell.
    pub utc_offset_minutes: Option<i32>,
    /// Where it comes from.
    pub origin: Origin,
}

/// A picture or other binary data, which is named but not taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attachment {
    /// Where it comes from.
    pub origin: Origin,
    /// Its name there: "APIC", "covr", "PRIV:…"
    pub key: String,
    /// Its media type as told, or "application/octet-stream".
    pub media_type: String,
    /// Bytes.
    pub size: u64,
}

/// All metadata of a source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tags {
    /// The fields as they stand, in file order, kind by kind.
    pub fields: Vec<Field>,
    /// Common keys and values.
    pub common: BTreeMap<String, String>,
    /// When the recording began, where the source tells.
    pub recorded: Option<RecordedAt>,
    /// Pictures and other binary data.
    pub attachments: Vec<Attachment>,
    /// What was cut off or could not be read.
    pub notes: Vec<String>,
}

impl Tags {
    /// Whether there is nothing at all.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.attachments.is_empty()
    }
}

/// What kind of file the metadata is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TagContainer {
    /// RIFF, RIFX, RF64, BW64 or Wave64: metadata in the chunks that are given.
    Wave {
        /// Whether numbers in chunks are big-endian (RIFX).
        big_endian: bool,
    },
    /// AIFF or AIFF-C: metadata in the chunks that are given.
    Aiff,
    /// Core Audio Format: metadata in the chunks that are given.
    Caf,
    /// Native FLAC.
    Flac,
    /// Ogg with any codec.
    Ogg,
    /// An ISO base media file or QuickTime movie.
    Mp4,
    /// A stream with ID3 and APE tags at its ends: MP3, MP2, AAC, and WavPack, Musepack, APE, TTA…
    Stream,
}

/// A chunk of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkRef {
    /// Its four letters (of a Wave64 GUID the first four bytes).
    pub id: [u8; 4],
    /// First byte of its contents, from the start of the file.
    pub offset: u64,
    /// Bytes of its contents.
    pub len: u64,
}

/// Reads all metadata of a source. `chunks` are those of the container, for kinds that say so in [`TagContainer`].
///
/// # Errors
/// `Io` where reading fails. Damaged metadata is no error, but a note.
pub fn read_tags(file: &dyn ReadAt, container: TagContainer, chunks: &[ChunkRef]) -> Result<Tags> {
    let len = file.len().map_err(|e| Error::io("reading the length", e))?;
    let mut source = Bytes { file, len };
    let mut collector = Collector::default();
    match container {
        TagContainer::Wave { big_endian } => wave::read(&mut source, chunks, big_endian, &mut collector)?,
        TagContainer::Aiff => iff::read_aiff(&mut source, chunks, &mut collector)?,
        TagContainer::Caf => iff::read_caf(&mut source, chunks, &mut collector)?,
        TagContainer::Flac => vorbis::read_flac(&mut source, &mut collector)?,
        TagContainer::Ogg => vorbis::read_ogg(&mut source, &mut collector)?,
        TagContainer::Mp4 => mp4::read(&mut source, &mut collector)?,
        TagContainer::Stream => {
            id3::read_at_start(&mut source, &mut collector)?;
            ape::read_at_end(&mut source, &mut collector)?;
            id3::read_v1(&mut source, &mut collector)?;
        }
    }
    Ok(collector.finish())
}

/// The file, read in pieces of bounded size.
struct Bytes<'a> {
    file: &'a dyn ReadAt,
    len: u64,
}

impl Bytes<'_> {
    /// Up to `want` bytes at `at`; fewer where the file ends. `want` is always one of this module's own bounds or less.
    fn get(&mut self, at: u64, want: usize) -> Result<Vec<u8>> {
        let left = usize::try_from(self.len.saturating_sub(at)).unwrap_or(usize::MAX);
        let mut buffer = vec![0; want.min(left)];
        let got =
            self.file.read_up_to_at(&mut buffer, at).map_err(|e| Error::io("reading metadata", e).at_offset(at))?;
        buffer.truncate(got);
        Ok(buffer)
    }

    /// The contents of a chunk, at most `most` bytes of it.
    fn chunk(&mut self, chunk: &ChunkRef, most: usize) -> Result<Vec<u8>> {
        let want = usize::try_from(chunk.len).unwrap_or(usize::MAX).min(most);
        self.get(chunk.offset, want)
    }
}

/// Big-endian and little-endian numbers at a place; 0 where the slice ends before.
fn be16(b: &[u8], at: usize) -> u16 {
    b.get(at..).and_then(|b| b.first_chunk()).map_or(0, |b| u16::from_be_bytes(*b))
}

fn be32(b: &[u8], at: usize) -> u32 {
    b.get(at..).and_then(|b| b.first_chunk()).map_or(0, |b| u32::from_be_bytes(*b))
}

fn be64(b: &[u8], at: usize) -> u64 {
    b.get(at..).and_then(|b| b.first_chunk()).map_or(0, |b| u64::from_be_bytes(*b))
}

fn le16(b: &[u8], at: usize) -> u16 {
    be16(b, at).swap_bytes()
}

fn le32(b: &[u8], at: usize) -> u32 {
    be32(b, at).swap_bytes()
}

//! What is known about a recording beside its samples: from the source itself and from its keeper.

use serde_json::{Map, Value, json};

use crate::archive::plan::Candidate;
use crate::archive::{Context, Options, xmp};
use crate::container;
use crate::error::Result;
use crate::positioned::ReadAt;
use crate::preview::{WallClock, start_from_file_name};
use crate::source::tags::{self, ChunkRef, TagContainer, Tags};
use crate::source::{Container, Kind};

/// Metadata of one source.
#[derive(Debug, Default)]
pub(crate) struct About {
    /// For manifest and page 0: common keys, `recorded`, and the fields as they stand in the source.
    pub(crate) tags: Map<String, Value>,
    /// Common keys and values, for VORBIS_COMMENT and the TIFF's text tags.
    pub(crate) common: Vec<(String, String)>,
    /// When the recording began, where its keeper, it or its file name says so.
    pub(crate) start: Option<WallClock>,
    /// What could not be read or was cut.
    pub(crate) notes: Vec<String>,
}

/// Raw fields are listed as long as they stay below this together; the source's own bytes keep them all the same.
const LISTED: usize = 32 << 10;

/// Reads what `file` says about itself and adds what the keeper gave for it.
pub(crate) fn read(ctx: &Context<'_>, candidate: &Candidate, file: &dyn ReadAt, kind: &Kind) -> Result<About> {
    let mut about = About::default();
    let found = match container_of(kind) {
        Some((container, chunks)) => tags::read_tags(file, container, &chunks)?,
        None => Tags::default(),
    };
    let mut common = found.common;
    common.extend(given(ctx.options, candidate));
    for (key, value) in &common {
        about.tags.insert(key.clone(), json!(value));
    }
    // What the keeper says goes before what the recorder's clock said.
    let keepers = common.iter().find(|(key, _)| key.eq_ignore_ascii_case("recorded"));
    let told = match (keepers, &found.recorded) {
        (Some((_, told)), _) => Some((told.as_str(), "keeper")),
        (None, Some(recorded)) => Some((recorded.iso8601.as_str(), recorded.origin.code())),
        (None, None) => None,
    };
    if let Some((recorded, origin)) = told {
        about.tags.insert("recorded".into(), json!(recorded));
        about.tags.insert("recorded_from".into(), json!(origin));
        about.start = WallClock::parse_iso8601(recorded);
    }
    if about.start.is_none() && keepers.is_none() {
        let name = candidate.relative.rsplit('/').next().unwrap_or_default();
        about.start = start_from_file_name(name);
        if let Some(start) = about.start {
            about.tags.insert("recorded".into(), json!(start.to_string()));
            about.tags.insert("recorded_from".into(), json!("file-name"));
        }
    }
    let listed: usize = found.fields.iter().map(|f| f.key.len() + f.value.len() + 16).sum();
    if listed > LISTED {
        about.notes.push(format!(
            "its metadata of {listed} bytes is kept in the source's bytes, but not listed field by field"
        ));
    } else if !found.fields.is_empty() {
        let field = |f: &tags::Field| json!({ "origin": f.origin.code(), "key": f.key, "value": f.value });
        about.tags.insert("fields".into(), found.fields.iter().map(field).collect());
    }
    about.notes.extend(found.notes);
    about.common = common.into_iter().collect();
    Ok(about)
}

fn given(options: &Options, candidate: &Candidate) -> Vec<(String, String)> {
    let mut values: Vec<(String, String)> = options.meta.clone();
    if let Some(file) = &options.metadata {
        values.extend(file.lookup(std::path::Path::new(&candidate.relative)));
    }
    values
}

fn container_of(kind: &Kind) -> Option<(TagContainer, Vec<ChunkRef>)> {
    let refs = |chunks: &[crate::source::ChunkRef]| {
        chunks.iter().map(|c| ChunkRef { id: c.id, offset: c.offset, len: c.len }).collect::<Vec<_>>()
    };
    let (container, chunks) = match kind {
        Kind::Plain(scan) => (scan.container, refs(&scan.chunks)),
        Kind::Flac { .. } => return Some((TagContainer::Flac, Vec::new())),
        Kind::Coded(coded) => (coded.container, coded.layout.as_ref().map_or(Vec::new(), |l| refs(&l.chunks))),
        _ => return None,
    };
    let tag_container = match container {
        Container::Wav | Container::Rf64 | Container::Bw64 | Container::Wave64 => {
            TagContainer::Wave { big_endian: false }
        }
        Container::Rifx => TagContainer::Wave { big_endian: true },
        Container::Aiff | Container::Aifc => TagContainer::Aiff,
        Container::Caf => TagContainer::Caf,
        Container::Ogg => TagContainer::Ogg,
        Container::Mp4 => TagContainer::Mp4,
        Container::Mpeg | Container::Adts => TagContainer::Stream,
        Container::Au => return None,
    };
    Some((tag_container, chunks))
}

impl About {
    /// The TIFF's text tags for photo tools: the recording's time, artist and copyright, where they are plain ASCII.
    pub(crate) fn text_tags(&self, chunk_start: Option<WallClock>) -> Vec<(u16, String)> {
        let mut found = Vec::new();
        if let Some(start) = chunk_start {
            let ((year, month, day), (hour, minute, second)) = (start.date(), start.time());
            let text = format!("{year:04}:{month:02}:{day:02} {hour:02}:{minute:02}:{second:02}");
            found.push((container::DATE_TIME, text));
        }
        let mut text = |tag: u16, keys: &[&str]| {
            let value = keys.iter().find_map(|key| self.common.iter().find(|(k, _)| k == key));
            if let Some((_, value)) = value
                && value.len() <= 1024
                && value.bytes().all(|b| (b' '..0x7F).contains(&b))
                && !value.is_empty()
            {
                found.push((tag, value.clone()));
            }
        };
        text(container::ARTIST, &["artist", "originator"]);
        text(container::COPYRIGHT, &["copyright"]);
        found
    }

    /// The XMP packet for a chunk that begins at that time.
    pub(crate) fn xmp(&self, chunk_start: Option<WallClock>) -> Option<Vec<u8>> {
        xmp::packet(&self.common, chunk_start)
    }

    /// Bytes that the XMP packet of any chunk takes at most.
    pub(crate) fn xmp_bound(&self) -> u64 {
        // Times of later chunks may have fractions of a second, twice.
        self.xmp(self.start).map_or(0, |packet| packet.len() as u64 + 64)
    }

    /// Bytes that the text tags take at most, each.
    pub(crate) fn text_tag_bounds(&self) -> Vec<u64> {
        let now = self.text_tags(self.start);
        now.iter().map(|(_, text)| text.len() as u64 + 8).chain([32]).collect()
    }
}

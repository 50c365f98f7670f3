//! `manifest.json` as a whole: reading it with bounds, writing it atomically.

use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::atomic::write_atomically;
use super::document::Document;
use super::files::{Files, Place, Text};
use super::model::SourceRecord;
use super::record::record_type;
use super::values::{JsonText, Real, Sha256Sum};
use crate::error::{Error, Result};
use crate::positioned;

/// The manifest's name in an archive.
pub const MANIFEST_NAME: &str = "manifest.json";

/// The name of the manifest's signature.
pub const SIGNATURE_NAME: &str = "manifest.json.sig";

/// The value of `"format"` in our manifests.
pub const FORMAT: &str = "audio-tiff";
/// The version of the format that this library writes.
pub const FORMAT_VERSION: u32 = 1;

/// The value of `"created_by"`.
pub fn created_by() -> String {
    concat!("audio2tiff ", env!("CARGO_PKG_VERSION")).into()
}

record_type! {
    /// `manifest.json`: what is archived, with checksums.
    ///
    /// All optional keys are left out where they say nothing, so a manifest of the original scripts passes through
    /// this type unchanged in meaning.
    pub struct Manifest {
        /// The folder that was archived, as a path of the machine it was done on.
        pub input_dir: String,
        /// Length of all chunks but the last of each source, in seconds.
        pub chunk_seconds: Option<Real>,
        /// [`FORMAT`]; absent in archives of the original scripts.
        pub format: String,
        /// [`FORMAT_VERSION`] of the writer.
        pub format_version: Option<u32>,
        /// Program and version that began the archive.
        pub created_by: String,
        /// The sources.
        pub files: Files,
    }
}

impl Manifest {
    /// A manifest of ours without any source yet.
    pub fn new(input_dir: impl Into<String>, chunk_seconds: Real) -> Self {
        Manifest {
            input_dir: input_dir.into(),
            chunk_seconds: Some(chunk_seconds),
            format: FORMAT.into(),
            format_version: Some(FORMAT_VERSION),
            created_by: created_by(),
            ..Manifest::default()
        }
    }

    /// Whether this is a manifest of this format rather than of the original scripts.
    pub fn is_ours(&self) -> bool {
        self.format == FORMAT
    }
}

/// Bounds for reading a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimits {
    /// The longest file that is read, in bytes.
    pub bytes: u64,
    /// How many JSON objects it may have besides one for every 64 bytes. (Records take far more than that. Without
    /// this bound a file full of `{}` would take a hundred times its own size in memory.)
    pub objects: u64,
    /// The longest manifest of the original scripts that is read, in bytes; of sources and chunks it may name as many
    /// together as `objects` says.
    pub original_bytes: u64,
}

impl Default for ReadLimits {
    /// 2 GiB (about two million sources), a quarter of a million objects, 256 MiB.
    fn default() -> Self {
        ReadLimits { bytes: 2 << 30, objects: 250_000, original_bytes: 256 << 20 }
    }
}

impl Manifest {
    /// Reads the manifest of the archive in `dir`; `None` where there is none.
    ///
    /// # Errors
    /// `Malformed` with line and column, `Limit`, `Io`; all with the path.
    pub fn read(dir: &Path, limits: &ReadLimits) -> Result<Option<Manifest>> {
        let path = dir.join(MANIFEST_NAME);
        let opened = positioned::open(&path).and_then(|file| Ok((file.try_clone()?, file)));
        match opened {
            Ok((reader, file)) => {
                let read = read_manifest(reader, limits, Some(&Text::new(file, &path)));
                read.map(Some).map_err(|e| e.at_path(&path))
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::while_("opening", &path)(e)),
        }
    }

    /// Reads a manifest from its JSON text, as a stream. All of its sources are then in memory.
    ///
    /// # Errors
    /// As [`Manifest::read`].
    pub fn from_reader(reader: impl Read, limits: &ReadLimits) -> Result<Manifest> {
        read_manifest(reader, limits, None)
    }

    /// Whether this version may add to the archive.
    ///
    /// # Errors
    /// `Unsupported` for the manifest of a later format version, whose rules are not known here.
    pub fn check_writable(&self) -> Result<()> {
        match self.format_version {
            Some(version) if version > FORMAT_VERSION => Err(Error::unsupported(format!(
                "the archive has format version {version}, this program writes version {FORMAT_VERSION}: \
                 use a later version of the program to add to it"
            ))),
            _ => Ok(()),
        }
    }

    /// Writes the manifest of the archive in `dir`, atomically; gives the checksum of the file.
    ///
    /// The same manifest gives the same bytes: two spaces of indentation, sources sorted by their relative path, a line
    /// break at the end.
    ///
    /// # Errors
    /// `Io` with the path; the old manifest then stands as it was.
    pub fn write(&self, dir: &Path) -> Result<Sha256Sum> {
        let path = dir.join(MANIFEST_NAME);
        write_atomically(&path, |out| self.to_writer(out)).map_err(|e| e.at_path(&path))
    }

    /// Writes the manifest's JSON text.
    ///
    /// # Errors
    /// `Io` from the writer.
    pub fn to_writer(&self, out: &mut dyn Write) -> Result<()> {
        let mut out = BufWriter::with_capacity(64 << 10, out);
        let written = serde_json::to_writer_pretty(&mut out, self).map_err(io::Error::from);
        let done = written.and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush());
        done.map_err(|e| Error::io("writing the manifest", e))
    }
}

/// The whole manifest of the archive in `dir` as the JSON text it is, for the forms of the original scripts.
pub(super) fn read_document(dir: &Path, limits: &ReadLimits) -> Result<JsonText> {
    let path = dir.join(MANIFEST_NAME);
    let limits = ReadLimits { bytes: limits.bytes.min(limits.original_bytes), ..*limits };
    let file = positioned::open(&path).map_err(Error::while_("opening", &path))?;
    read_json(file, &limits).map_err(|e| e.at_path(&path))
}

/// Reads a manifest; where it is the text of a file, its records stay there.
fn read_manifest(reader: impl Read, limits: &ReadLimits, text: Option<&Arc<Text>>) -> Result<Manifest> {
    let mut document = open_document(reader, limits)?;
    let mut manifest = Manifest::default();
    let mut seen = Vec::new();
    let (mut key, mut value) = (Vec::new(), Vec::new());
    match document.peek()? {
        Some(b'{') => document.step(),
        other => return Err(document.unexpected(other, "a JSON object")),
    }
    if document.peek()? == Some(b'}') {
        document.step();
        return document.end().map(|()| manifest);
    }
    loop {
        let place = document.value(&mut key)?;
        let name: String = place.parse(&key)?;
        document.expect(b':')?;
        if KNOWN.contains(&name.as_str()) {
            if seen.contains(&name) {
                return Err(place.error(&format!("duplicate field `{name}`")));
            }
            seen.push(name.clone());
        }
        if name == FILES && document.peek()? == Some(b'[') {
            read_files(&mut document, &mut manifest.files, text)?;
        } else {
            let place = document.value(&mut value)?;
            match name.as_str() {
                FILES if value == b"null" => {}
                FILES => return Err(place.error("the sources are no list")),
                "input_dir" => manifest.input_dir = place.parse::<Option<_>>(&value)?.unwrap_or_default(),
                "chunk_seconds" => manifest.chunk_seconds = place.parse(&value)?,
                "format" => manifest.format = place.parse::<Option<_>>(&value)?.unwrap_or_default(),
                "format_version" => manifest.format_version = place.parse(&value)?,
                "created_by" => manifest.created_by = place.parse::<Option<_>>(&value)?.unwrap_or_default(),
                _ => manifest.extra.push(name, place.parse(&value)?),
            }
        }
        if !document.goes_on(b'}')? {
            break;
        }
    }
    document.end().map(|()| manifest)
}

const FILES: &str = "files";
/// The keys of [`Manifest`].
const KNOWN: [&str; 6] = ["input_dir", "chunk_seconds", "format", "format_version", "created_by", FILES];

/// The list of sources, of which [`Document::peek`] has seen the bracket.
fn read_files(document: &mut Document<impl BufRead>, files: &mut Files, text: Option<&Arc<Text>>) -> Result<()> {
    document.step();
    if document.peek()? == Some(b']') {
        document.step();
        return Ok(());
    }
    let mut value = Vec::new();
    loop {
        let place = document.value(&mut value)?;
        let record: SourceRecord = place.parse(&value)?;
        files.push_read(record, text.and_then(|text| Place::new(text, place.offset, value.len())));
        if !document.goes_on(b']')? {
            return Ok(());
        }
    }
}

fn read_json<T: DeserializeOwned>(reader: impl Read, limits: &ReadLimits) -> Result<T> {
    let mut document = open_document(reader, limits)?;
    let mut value = Vec::new();
    let place = document.value(&mut value)?;
    document.end()?;
    place.parse(&value)
}

fn open_document(reader: impl Read, limits: &ReadLimits) -> Result<Document<impl BufRead>> {
    let bounded = Bounded { inner: reader, limits: *limits, bytes: 0, objects: 0 };
    Document::new(BufReader::with_capacity(256 << 10, bounded))
}

/// Stops reading where [`ReadLimits`] are passed.
struct Bounded<R> {
    inner: R,
    limits: ReadLimits,
    bytes: u64,
    objects: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.bytes += n as u64;
        self.objects += buf[..n].iter().filter(|&&b| b == b'{').count() as u64;
        if self.bytes > self.limits.bytes {
            let text = format!("the manifest is longer than {} bytes", self.limits.bytes);
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
        }
        if self.objects > self.limits.objects.saturating_add(self.bytes / 64) {
            let text = "the manifest consists of more and smaller objects than any archive has";
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
        }
        Ok(n)
    }
}

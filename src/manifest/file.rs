//! Reading and writing `manifest.json`.

use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;

use serde::de::DeserializeOwned;

use super::atomic::write_atomically;
use super::model::{FORMAT_VERSION, Manifest};
use super::values::{JsonText, Sha256Sum};
use crate::error::{Error, ErrorKind, Result};
use crate::positioned;

/// The manifest's name in an archive.
pub const MANIFEST_NAME: &str = "manifest.json";

/// The name of the manifest's signature.
pub const SIGNATURE_NAME: &str = "manifest.json.sig";

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
        match positioned::open(&path) {
            Ok(file) => Manifest::from_reader(file, limits).map(Some).map_err(|e| e.at_path(&path)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::while_("opening", &path)(e)),
        }
    }

    /// Reads a manifest from its JSON text, as a stream.
    ///
    /// # Errors
    /// As [`Manifest::read`].
    pub fn from_reader(reader: impl Read, limits: &ReadLimits) -> Result<Manifest> {
        read_json(reader, limits)
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

fn read_json<T: DeserializeOwned>(reader: impl Read, limits: &ReadLimits) -> Result<T> {
    let mut reader =
        BufReader::with_capacity(256 << 10, Bounded { inner: reader, limits: *limits, bytes: 0, objects: 0 });
    // Editors on Windows put a byte order mark in front.
    let start = reader.fill_buf().map_err(|e| json_error(serde_json::Error::io(e)))?;
    let mark = if start.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    reader.consume(mark);
    let mut json = serde_json::Deserializer::from_reader(reader);
    let value = T::deserialize(&mut json).map_err(json_error)?;
    json.end().map_err(json_error)?;
    Ok(value)
}

/// Turns serde's error into ours; line and column are in the text.
fn json_error(error: serde_json::Error) -> Error {
    if !error.is_io() {
        return Error::malformed(format!("not a readable manifest: {error}"));
    }
    let error = io::Error::from(error);
    match error.kind() {
        io::ErrorKind::FileTooLarge => Error::new(ErrorKind::Limit, error.to_string()),
        _ => Error::io("reading the manifest", error),
    }
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

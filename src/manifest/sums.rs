//! `SHA256SUMS` beside the manifest, in the form of GNU `sha256sum`, so that `sha256sum -c` alone checks an archive.
//!
//! One line a file: 64 digits, two blanks, the path relative to the archive's folder. A line whose path has a
//! backslash, a line feed or a carriage return in it begins with a backslash, and those are written `\\`, `\n`, `\r`.
//! Lines are sorted by the bytes of the path.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;

use super::atomic::write_atomically;
use super::file::{MANIFEST_NAME, Manifest};
use super::paths::{bytes_to_text, safe_relative_path, text_to_bytes};
use super::values::Sha256Sum;
use crate::error::{Error, Result};
use crate::positioned;

/// The file's name in an archive.
pub const SUMS_NAME: &str = "SHA256SUMS";

/// The longest line that is read, in bytes.
const LONGEST_LINE: u64 = 1 << 20;

/// Checksums by path. Paths are text as in the manifest (relative, `/` between the parts).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sums {
    by_path: BTreeMap<Box<[u8]>, Sha256Sum>,
}

impl Sums {
    /// All TIFFs whose checksum the manifest knows, and the manifest itself with the checksum that
    /// [`Manifest::write`] gave.
    ///
    /// # Errors
    /// As [`Place::record`](super::Place::record).
    pub fn of(manifest: &Manifest, manifest_sum: Sha256Sum) -> Result<Self> {
        let mut sums = Sums::default();
        for source in manifest.files.iter() {
            for chunk in source?.chunks.iter() {
                if let Some(sum) = chunk.tiff_sha256.filter(|_| safe_relative_path(&chunk.tiff_path).is_ok()) {
                    sums.put(&chunk.tiff_path, sum);
                }
            }
        }
        sums.put(MANIFEST_NAME, manifest_sum);
        Ok(sums)
    }

    /// Puts a file's checksum in, in the place of an earlier one.
    pub fn put(&mut self, path: &str, sum: Sha256Sum) {
        self.by_path.insert(text_to_bytes(path).into(), sum);
    }

    /// Takes a file out.
    pub fn remove(&mut self, path: &str) -> Option<Sha256Sum> {
        self.by_path.remove(&*text_to_bytes(path))
    }

    /// The checksum of a file.
    pub fn get(&self, path: &str) -> Option<Sha256Sum> {
        self.by_path.get(&*text_to_bytes(path)).copied()
    }

    /// Paths and checksums in the order of the file. Paths that were read may be anything: see [`safe_relative_path`].
    pub fn iter(&self) -> impl Iterator<Item = (String, Sha256Sum)> {
        self.by_path.iter().map(|(path, sum)| (bytes_to_text(path), *sum))
    }

    /// Number of files.
    pub fn len(&self) -> usize {
        self.by_path.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_path.is_empty()
    }

    /// Reads the sums of the archive in `dir`; `None` where there is no such file.
    ///
    /// # Errors
    /// `Malformed` with the number of the line; `Io`.
    pub fn read(dir: &Path) -> Result<Option<Sums>> {
        let path = dir.join(SUMS_NAME);
        match positioned::open(&path) {
            Ok(file) => Sums::from_reader(file).map(Some).map_err(|e| e.at_path(&path)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::while_("opening", &path)(e)),
        }
    }

    /// Reads sums from text.
    ///
    /// # Errors
    /// As [`Sums::read`]; two different sums for one path are an error too.
    pub fn from_reader(reader: impl Read) -> Result<Sums> {
        let (sums, mut faults) = Sums::read_all(reader)?;
        if faults.is_empty() { Ok(sums) } else { Err(faults.swap_remove(0)) }
    }

    /// As [`Sums::read`], but goes on behind lines that cannot be read, and gives what was wrong with each.
    ///
    /// # Errors
    /// `Io`.
    pub fn read_faulty(dir: &Path) -> Result<Option<(Sums, Vec<Error>)>> {
        let path = dir.join(SUMS_NAME);
        match positioned::open(&path) {
            Ok(file) => {
                let (sums, faults) = Sums::read_all(file).map_err(|e| e.at_path(&path))?;
                Ok(Some((sums, faults.into_iter().map(|fault| fault.at_path(&path)).collect())))
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::while_("opening", &path)(e)),
        }
    }

    /// Reads what can be read, and says what was wrong with each of the other lines, up to a thousand.
    fn read_all(reader: impl Read) -> Result<(Sums, Vec<Error>)> {
        const MOST_FAULTS: usize = 1000;
        let mut reader = BufReader::with_capacity(256 << 10, reader);
        let mut sums = Sums::default();
        let mut faults = Vec::new();
        let mut line = Vec::new();
        for number in 1u64.. {
            line.clear();
            let read = reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line);
            if read.map_err(|e| Error::io("reading the checksums", e))? == 0 || faults.len() >= MOST_FAULTS {
                break;
            }
            let text = line.strip_suffix(b"\n").unwrap_or(&line);
            if text.is_empty() {
                continue;
            }
            let bad = |why: &str| Error::malformed(format!("line {number} of the checksums {why}"));
            let Some((path, sum)) = from_line(text) else {
                faults.push(bad("is none that sha256sum writes"));
                continue;
            };
            if sums.by_path.get(&*path).is_some_and(|earlier| *earlier != sum) {
                faults.push(bad("gives another checksum than an earlier one for the same file"));
                continue;
            }
            sums.by_path.insert(path.into(), sum);
        }
        Ok((sums, faults))
    }

    /// Writes the sums of the archive in `dir`, atomically; gives the checksum of the file itself.
    ///
    /// # Errors
    /// `Io`; the old file then stands as it was.
    pub fn write(&self, dir: &Path) -> Result<Sha256Sum> {
        let path = dir.join(SUMS_NAME);
        write_atomically(&path, |out| self.to_writer(out)).map_err(|e| e.at_path(&path))
    }

    /// Writes the sums as text.
    ///
    /// # Errors
    /// `Io` from the writer.
    pub fn to_writer(&self, out: &mut dyn Write) -> Result<()> {
        let mut out = BufWriter::with_capacity(64 << 10, out);
        let mut lines = self.by_path.iter().map(|(path, sum)| to_line(path, *sum));
        let written = lines.try_for_each(|line| out.write_all(&line)).and_then(|()| out.flush());
        written.map_err(|e| Error::io("writing the checksums", e))
    }
}

fn to_line(path: &[u8], sum: Sha256Sum) -> Vec<u8> {
    let mut line = Vec::with_capacity(path.len() + 70);
    if path.iter().any(|b| matches!(b, b'\\' | b'\n' | b'\r')) {
        line.push(b'\\');
    }
    line.extend_from_slice(sum.to_string().as_bytes());
    line.extend_from_slice(b"  ");
    for &byte in path {
        match byte {
            b'\\' => line.extend_from_slice(b"\\\\"),
            b'\n' => line.extend_from_slice(b"\\n"),
            b'\r' => line.extend_from_slice(b"\\r"),
            _ => line.push(byte),
        }
    }
    line.push(b'\n');
    line
}

/// Path and checksum of a line without its line feed; both markers of sha256sum (text and binary) are taken.
fn from_line(line: &[u8]) -> Option<(Vec<u8>, Sha256Sum)> {
    let (escaped, line) = match line.strip_prefix(b"\\") {
        Some(rest) => (true, rest),
        None => (false, line.strip_suffix(b"\r").unwrap_or(line)),
    };
    let (digits, rest) = line.split_at_checked(64)?;
    let sum = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let path = rest.strip_prefix(b"  ").or_else(|| rest.strip_prefix(b" *")).filter(|path| !path.is_empty())?;
    if !escaped {
        return Some((path.to_vec(), sum));
    }
    let mut plain = Vec::with_capacity(path.len());
    let mut bytes = path.iter();
    while let Some(&byte) = bytes.next() {
        plain.push(match (byte, byte == b'\\') {
            (_, true) => match bytes.next()? {
                b'\\' => b'\\',
                b'n' => b'\n',
                b'r' => b'\r',
                _ => return None,
            },
            (byte, false) => byte,
        });
    }
    Some((plain, sum))
}

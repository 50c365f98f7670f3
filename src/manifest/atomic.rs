//! Files that are whole or not there: written beside their place, synced, renamed, folder synced.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::values::Sha256Sum;
use crate::error::{Error, Result};

/// Writes the file `path` so that at any moment the old or the new one is there, whole. Gives the checksum of the new.
///
/// It is first written as `.<name>.partial` in the same folder, with the permissions that any new file gets; what a
/// crash leaves of that is overwritten by the next call. Two writers at once are kept apart by the archive's lock.
///
/// # Errors
/// `Io` with the path, or what `fill` gives; the old file then stands as it was.
pub fn write_atomically(path: &Path, fill: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<Sha256Sum> {
    let partial = partial(path);
    let sum = write_new(&partial, fill).and_then(|sum| {
        fs::rename(&partial, path).map_err(Error::while_("renaming the finished file", path))?;
        Ok(sum)
    });
    if sum.is_err() {
        // The error that is reported is the first one; that cleaning up fails as well adds nothing.
        let _ = fs::remove_file(&partial);
    }
    let sum = sum?;
    sync_dir(parent(path))?;
    Ok(sum)
}

/// Removes what a crash has left of writing `path`. Only for who holds the archive's lock.
///
/// # Errors
/// `Io` with the path.
pub(crate) fn clear_partial(path: &Path) -> Result<()> {
    remove(&partial(path))
}

fn remove(partial: &Path) -> Result<()> {
    match fs::remove_file(partial) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::while_("replacing", partial)(e)),
        _ => Ok(()),
    }
}

fn partial(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".partial");
    path.with_file_name(name)
}

fn write_new(partial: &Path, fill: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<Sha256Sum> {
    remove(partial)?;
    let file = OpenOptions::new().write(true).create_new(true).open(partial);
    let file = file.map_err(Error::while_("creating", partial))?;
    let mut out = Hashing { out: BufWriter::with_capacity(256 << 10, file), hasher: Sha256::new() };
    fill(&mut out).map_err(|e| e.at_path(partial))?;
    let file = out.out.into_inner().map_err(|e| Error::while_("writing", partial)(e.into_error()))?;
    file.sync_all().map_err(Error::while_("syncing", partial))?;
    Ok(Sha256Sum::finish(out.hasher))
}

/// The folder that a path lies in.
pub(super) fn parent(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes created, renamed and removed names in a folder last through a power cut.
///
/// # Errors
/// `Io`. File systems that cannot sync a folder (and Windows, where it is not needed) count as done.
pub fn sync_dir(dir: &Path) -> Result<()> {
    if cfg!(windows) {
        return Ok(());
    }
    match File::open(dir).and_then(|dir| dir.sync_all()) {
        Err(e) if matches!(e.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
        other => other.map_err(Error::while_("syncing the folder", dir)),
    }
}

/// Hashes what passes through.
struct Hashing<W> {
    out: W,
    hasher: Sha256,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.out.write(bytes)?;
        self.hasher.update(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

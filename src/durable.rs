//! Files that are either whole or not there.
//!
//! Everything that ends up under a final name is first written under a temporary one in the same file system, synced,
//! renamed, and then the folder itself is synced, so that the name survives a power cut too. Files are created with the
//! permissions an ordinary program would give them (0666 less the umask).

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Creates (or empties) a file for writing and reading back.
///
/// # Errors
/// `Io`.
pub fn create(path: &Path) -> Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)
        .map_err(Error::while_("creating the file", path))
}

/// Creates a folder and its parents; one that is already there is fine.
///
/// # Errors
/// `Io`.
pub fn create_dir_all(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(Error::while_("creating the folder", path))
}

/// Makes the entries of a folder (new names, renames, removals) survive a power cut.
///
/// # Errors
/// `Io`.
pub fn sync_dir(path: &Path) -> Result<()> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    #[cfg(unix)]
    {
        let dir = File::open(path).map_err(Error::while_("opening the folder", path))?;
        match dir.sync_all() {
            Ok(()) => {}
            // Some network and FUSE file systems have nothing to sync for a folder and say so.
            Err(e) if matches!(e.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {}
            Err(e) => return Err(Error::io("syncing the folder", e).at_path(path)),
        }
    }
    Ok(())
}

/// Gives a finished, synced temporary file its final name, replacing what was there; the caller syncs the folder.
///
/// # Errors
/// `Io`; the temporary file is still there.
pub fn rename(temp: &Path, target: &Path) -> Result<()> {
    fs::rename(temp, target).map_err(Error::while_("giving the finished file its name", target))
}

/// Writes a small file in one step: temporary name `<name>.part` beside it, sync, rename, sync of the folder.
///
/// # Errors
/// `Io`; what was at `path` is as it was, unless only the sync of the folder failed.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    use std::io::Write;
    let temp = &with_suffix(path, ".part");
    let mut file = create(temp)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if let Err(e) = written {
        drop(file);
        remove_quietly(temp);
        return Err(Error::io("writing the file", e).at_path(path));
    }
    drop(file);
    rename(temp, path)?;
    sync_dir(path.parent().unwrap_or(Path::new(".")))
}

/// The longest name of a file, bytes, on the file systems in use.
const LONGEST_NAME: usize = 255;

/// `<path><suffix>`. Where the name would become longer than file systems take, it is cut and marked with a number made of all
/// of it, so that two long names do not become one.
pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default();
    if name.len() + suffix.len() <= LONGEST_NAME {
        let mut whole = path.as_os_str().to_owned();
        whole.push(suffix);
        return PathBuf::from(whole);
    }
    let mark = format!("~{:016x}", xxhash_rust::xxh3::xxh3_64(name.as_encoded_bytes()));
    let text = name.to_string_lossy();
    let room = LONGEST_NAME - suffix.len() - mark.len();
    path.with_file_name(format!("{}{mark}{suffix}", &text[..text.floor_char_boundary(room)]))
}

/// Removes a temporary file whose absence is as good as its removal.
pub fn remove_quietly(path: &Path) {
    // A temporary file that cannot be removed is found and removed by the next run; nothing is lost by it.
    let _ = fs::remove_file(path);
}

//! One writer at a time for an archive, also from two machines, also after a crash.
//!
//! The lock is the operating system's, on the file `temp/lock`: it ends with the process that holds it, however that
//! ends. The file says who holds it, for the message that a second writer gets. Since `temp/` goes away at the end of
//! a run, a lock counts only if the file that was locked is still the one that the name stands for.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::journal::{STATE_NAME, TEMP_DIR};
use crate::error::{Error, Result};

/// The lock's name in [`TEMP_DIR`].
pub const LOCK_NAME: &str = "lock";

/// How often a lock file that went away between opening and locking is tried anew.
const ATTEMPTS: u32 = 100;

/// What becomes of `temp/` when the lock is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TempFolder {
    /// It goes with all that is in it, but for the state of verifications.
    Remove,
    /// It goes if nothing is in it.
    RemoveIfEmpty,
    /// It stays.
    Keep,
}

/// The right to write to an archive; ends when dropped.
#[derive(Debug)]
pub struct ArchiveLock {
    file: File,
    temp: PathBuf,
}

impl ArchiveLock {
    /// Takes the lock of the archive in `dir`, making the folder and its `temp/` where needed.
    ///
    /// # Errors
    /// `Io`. Where another run holds the lock, [`Error::io_error`] has the kind `WouldBlock`, and the text names the
    /// process and machine.
    pub fn acquire(dir: &Path) -> Result<ArchiveLock> {
        let temp = dir.join(TEMP_DIR);
        let path = temp.join(LOCK_NAME);
        for _ in 0..ATTEMPTS {
            match fs::create_dir_all(&temp) {
                // Seen by this call, and gone again before it could look what it is.
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists && !temp.is_file() => continue,
                other => other.map_err(Error::while_("creating the folder", &temp))?,
            }
            let mut file = match OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path) {
                // The run that ended in this moment took `temp/` with it.
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                other => other.map_err(Error::while_("opening", &path))?,
            };
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(held(&mut file, dir)),
                Err(TryLockError::Error(e)) => return Err(Error::while_("locking the archive", &path)(e)),
            }
            if is_at(&file, &path) {
                let said = file.set_len(0).and_then(|()| file.write_all(me().as_bytes()));
                said.map_err(Error::while_("writing", &path))?;
                return Ok(ArchiveLock { file, temp });
            }
        }
        let busy = io::Error::new(io::ErrorKind::WouldBlock, "other runs come and go too fast");
        Err(Error::while_("locking the archive", &path)(busy))
    }

    /// Ends the run: removes the lock file, and `temp/` as far as `folder` says.
    ///
    /// # Errors
    /// `Io`; the lock is given up all the same.
    pub fn release(self, folder: TempFolder) -> Result<()> {
        if folder == TempFolder::Remove {
            let entries = fs::read_dir(&self.temp).map_err(Error::while_("listing", &self.temp))?;
            for entry in entries {
                let entry = entry.map_err(Error::while_("listing", &self.temp))?;
                let path = entry.path();
                let is_dir = entry.file_type().map_err(Error::while_("examining", &path))?.is_dir();
                let stays = entry.file_name() == LOCK_NAME || entry.file_name() == STATE_NAME;
                let removed = match (stays, is_dir) {
                    (true, _) => Ok(()),
                    (false, true) => fs::remove_dir_all(&path),
                    (false, false) => fs::remove_file(&path),
                };
                removed.map_err(Error::while_("removing", &path))?;
            }
        }
        let path = self.temp.join(LOCK_NAME);
        if cfg!(windows) {
            // An open file's name stays until it is closed.
            drop(self.file);
        }
        // From here on another run may already be at work in `temp/`: nothing of it is touched but its emptiness.
        fs::remove_file(&path).map_err(Error::while_("removing", &path))?;
        if folder == TempFolder::Keep {
            return Ok(());
        }
        match fs::remove_dir(&self.temp) {
            Err(e)
                if folder == TempFolder::Remove
                    && !matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty) =>
            {
                Err(Error::while_("removing", &self.temp)(e))
            }
            _ => Ok(()),
        }
    }
}

/// Whether the open file is the one that the name stands for.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

/// Whether the open file is the one that the name stands for. (Here a name with an open file cannot be taken anew.)
#[cfg(not(unix))]
fn is_at(_file: &File, path: &Path) -> bool {
    path.exists()
}

/// What the lock file says about its holder.
fn me() -> String {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let host = host.or_else(|| std::env::var("HOSTNAME").or_else(|_| std::env::var("COMPUTERNAME")).ok());
    format!("process {} on {}\n", std::process::id(), host.as_deref().map_or("this machine", str::trim))
}

fn held(file: &mut File, dir: &Path) -> Error {
    let mut text = Vec::new();
    // On systems with mandatory locks this cannot be read; the message then does without.
    let _ = file.take(200).read_to_end(&mut text);
    let text = String::from_utf8_lossy(&text);
    let who = text.lines().next().filter(|line| line.starts_with("process ")).unwrap_or("another process");
    let busy =
        io::Error::new(io::ErrorKind::WouldBlock, format!("{} is writing to it; wait for its end", who.escape_debug()));
    Error::io("the archive is in use", busy).at_path(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_writer_is_told_who_the_first_is() {
        let dir = tempfile::tempdir().unwrap();
        let archive = dir.path().join("new/archive");
        let lock = ArchiveLock::acquire(&archive).unwrap();
        let error = ArchiveLock::acquire(&archive).unwrap_err();
        assert_eq!(error.io_error().unwrap().kind(), io::ErrorKind::WouldBlock);
        assert!(error.to_string().contains(&format!("process {} on ", std::process::id())), "{error}");
        drop(lock);
        assert!(archive.join("temp/lock").exists(), "what a crash leaves");
        ArchiveLock::acquire(&archive).unwrap();
    }

    #[test]
    fn releasing_takes_temp_away_or_leaves_it() {
        let dir = tempfile::tempdir().unwrap();
        let lock = ArchiveLock::acquire(dir.path()).unwrap();
        fs::create_dir_all(dir.path().join("temp/a/b")).unwrap();
        fs::write(dir.path().join("temp/c"), "").unwrap();
        lock.release(TempFolder::RemoveIfEmpty).unwrap();
        assert!(dir.path().join("temp/a/b").is_dir() && !dir.path().join("temp/lock").exists());
        ArchiveLock::acquire(dir.path()).unwrap().release(TempFolder::Remove).unwrap();
        assert!(!dir.path().join("temp").exists());
        ArchiveLock::acquire(dir.path()).unwrap().release(TempFolder::RemoveIfEmpty).unwrap();
        assert!(!dir.path().join("temp").exists(), "nothing in it");
        ArchiveLock::acquire(dir.path()).unwrap().release(TempFolder::Keep).unwrap();
        assert!(dir.path().join("temp").is_dir() && !dir.path().join("temp/lock").exists());
    }

    #[test]
    fn never_two_hold_it_however_they_come_and_go() {
        use std::sync::atomic::{AtomicU32, Ordering};
        let dir = tempfile::tempdir().unwrap();
        let inside = AtomicU32::new(0);
        let acquire = || loop {
            match ArchiveLock::acquire(dir.path()) {
                Ok(lock) => return lock,
                Err(e) => assert_eq!(e.io_error().unwrap().kind(), io::ErrorKind::WouldBlock, "{e}"),
            }
            std::thread::yield_now();
        };
        std::thread::scope(|scope| {
            for thread in 0..6 {
                let (dir, inside, acquire) = (dir.path(), &inside, &acquire);
                scope.spawn(move || {
                    for turn in 0..100 {
                        let lock = acquire();
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        fs::write(dir.join("temp/work"), "").unwrap();
                        std::thread::yield_now();
                        assert!(dir.join("temp/work").exists());
                        inside.fetch_sub(1, Ordering::SeqCst);
                        lock.release(
                            [TempFolder::RemoveIfEmpty, TempFolder::Remove, TempFolder::Keep][(thread + turn) % 3],
                        )
                        .unwrap();
                    }
                });
            }
        });
    }
}

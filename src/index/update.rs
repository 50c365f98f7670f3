//! Bringing the index up to date, in time that goes by what has changed.
//!
//! 1. Where `manifest.json` and the journal are as they were (size, time of last change, file number), they are not
//!    read; only the TIFFs' sizes and times are compared.
//! 2. Otherwise every source's record is compared with a checksum of the one before. Sources whose record or TIFFs
//!    changed are read again, in parallel; all others stay.
//! 3. All of that is one transaction. A first build goes into a file of its own that gets its name when it is whole.
//! 4. Thumbnails follow, in transactions of a few hundred: an interrupted run goes on where it stopped.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use rayon::prelude::*;
use rusqlite::Connection;
use xxhash_rust::xxh3::Xxh3Default;

use super::picture::{Drawer, Picture, Size};
use super::read::{self, ChunkRow, FileState};
use super::schema::{self, State};
use super::{Database, sql_error, write};
use crate::durable;
use crate::error::{Error, ErrorKind, Result};
use crate::events::{Event, Observer};
use crate::extract::{Chunk, Found, Source, find};
use crate::interrupt::Interrupt;
use crate::manifest::{self, JOURNAL_NAME, MANIFEST_NAME, TEMP_DIR};
use crate::threads;

/// How to bring an index up to date.
#[derive(Debug, Clone)]
pub struct Options {
    /// The archive folder, or the bag that it is in.
    pub dir: PathBuf,
    /// The index's file.
    pub path: PathBuf,
    /// Threads in all; 0 for as many as the machine can run at once.
    pub workers: usize,
    /// Make the thumbnails that are missing.
    pub thumbnails: bool,
    /// Begin anew even where the index could be kept.
    pub rebuild: bool,
}

/// What an update came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Changes {
    /// Sources in the index now.
    pub sources: u64,
    /// Chunks in the index now.
    pub chunks: u64,
    /// Sources that were read anew.
    pub read: u64,
    /// Sources that are gone.
    pub removed: u64,
    /// Thumbnails made.
    pub thumbnails: u64,
    /// Items that the archive lists and that could not be read; they stand in the index with the reason.
    pub problems: u64,
    /// The index was made, or made anew, as a whole.
    pub built: bool,
}

/// Rows that wait to be written, at most.
const WAITING: usize = 256;
/// Thumbnails in a transaction.
const THUMBNAILS: usize = 512;

/// Brings the index of an archive up to date, or makes it.
///
/// # Errors
/// `Missing` where no archive is there; `Usage` where the file is no index; `Limit` where another run is building it;
/// `Interrupted`; what SQLite and the operating system say.
pub fn update(options: &Options, interrupt: &Interrupt, observer: &dyn Observer) -> Result<Changes> {
    let name = options.dir.display().to_string();
    let pool = threads::pool(options.workers)?;
    let run = Run { dir: manifest::archive_dir(&options.dir), options, interrupt, observer, pool };
    let state = schema::state(&options.path)?;
    let mut changes = match state {
        State::Current if !options.rebuild => match run.refresh() {
            Err(e) if e.kind() == ErrorKind::Malformed && e.path() == Some(&options.path) => {
                run.note(&name, &format!("the index was damaged and is made anew ({})", e.message()));
                run.build()?
            }
            other => other?,
        },
        State::Replaceable(why) => {
            run.note(&name, &format!("the index is made anew: {why}"));
            run.build()?
        }
        _ => run.build()?,
    };
    if options.thumbnails {
        changes.thumbnails = run.thumbnails()?;
    }
    Ok(changes)
}

struct Run<'a> {
    /// Where the archive itself is.
    dir: PathBuf,
    options: &'a Options,
    interrupt: &'a Interrupt,
    observer: &'a dyn Observer,
    pool: rayon::ThreadPool,
}

/// A source to be read, by its number, and the id that it keeps.
struct Job {
    source: usize,
    id: Option<i64>,
    stamp: String,
}

impl Run<'_> {
    fn note(&self, item: &str, message: &str) {
        self.observer.on(&Event::Note { item, message });
    }

    fn find(&self) -> Result<Found> {
        let found = self.pool.install(|| find(&self.dir, self.interrupt))?;
        found.notes.iter().for_each(|note| self.note(&note.item, &note.text));
        Ok(found)
    }

    /// Makes the index from nothing, under another name until it is whole.
    fn build(&self) -> Result<Changes> {
        // Before anything is read, so that whatever changes meanwhile is seen next time.
        let identity = identity(&self.dir)?;
        let found = self.find()?;
        let target = &self.options.path;
        let part = durable::with_suffix(target, ".part");
        let lock = File::options().create(true).truncate(false).write(true).open(&part);
        let lock = lock.map_err(|e| match e.kind() {
            std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
                Error::io(format!("creating the index{}", super::READ_ONLY), e).at_path(&part)
            }
            _ => Error::while_("creating the index", &part)(e),
        })?;
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => {
                return Err(Error::limit("another run is making this index just now").at_path(target));
            }
            // File systems without locks have one user at a time.
            Err(TryLockError::Error(_)) | Ok(()) => {}
        }
        lock.set_len(0).map_err(Error::while_("emptying the file", &part))?;
        let built = self.fill(&part, &found, &identity);
        let done = built.and_then(|changes| {
            lock.sync_all().map_err(Error::while_("syncing the index", &part))?;
            durable::remove_quietly(&durable::with_suffix(target, "-journal"));
            durable::rename(&part, target)?;
            durable::sync_dir(target.parent().unwrap_or(Path::new(".")))?;
            Ok(changes)
        });
        if done.is_err() {
            durable::remove_quietly(&part);
        }
        done
    }

    fn fill(&self, part: &Path, found: &Found, identity: &str) -> Result<Changes> {
        let database = schema::create(part)?;
        let job = |(number, source): (usize, Result<Cow<'_, Source>>)| {
            Ok(Job { source: number, id: None, stamp: stamp(&*source?) })
        };
        let jobs: Vec<Job> = found.sources.iter().enumerate().map(job).collect::<Result<_>>()?;
        self.transaction(&database, |db| {
            self.take_in(&database, db, &jobs, found, identity)?;
            Ok(())
        })?;
        let mut changes = self.counted(&database)?;
        changes.read = changes.sources;
        changes.built = true;
        Ok(changes)
    }

    /// Takes in what has changed.
    fn refresh(&self) -> Result<Changes> {
        let database = schema::open_writable(&self.options.path)?;
        let failed = database.failed("reading the index");
        let identity = identity(&self.dir)?;
        let before = write::meta(&database.connection, "identity").map_err(&failed)?;
        let known = write::known_chunks(&database.connection).map_err(&failed)?;
        let changed = self.changed(&known)?;
        if before.as_deref() == Some(&identity) && changed.is_empty() {
            for known in known.iter().filter(|k| k.problem.is_some()) {
                let text = known.problem.clone().unwrap_or_default();
                self.observer.on(&Event::Failed { item: &known.tiff_path, error: &Error::malformed(text) });
            }
            return self.counted(&database);
        }
        drop(known);
        let found = self.find()?;
        let mut stamps = write::stamps(&database.connection).map_err(&failed)?;
        let mut jobs = Vec::new();
        for (number, source) in found.sources.iter().enumerate() {
            let source = source?;
            let stamp = stamp(&source);
            let old = stamps.remove(&source.relative_path);
            match old {
                Some((_, old)) if old == stamp && !changed.contains(&source.relative_path) => {}
                old => jobs.push(Job { source: number, id: old.map(|o| o.0), stamp }),
            }
        }
        self.transaction(&database, |db| {
            for (id, _) in stamps.values() {
                write::remove_source(db, *id).map_err(&failed)?;
            }
            for id in jobs.iter().filter_map(|job| job.id) {
                write::remove_source(db, id).map_err(&failed)?;
            }
            self.take_in(&database, db, &jobs, &found, &identity)
        })?;
        let mut changes = self.counted(&database)?;
        changes.read = jobs.len() as u64;
        changes.removed = stamps.len() as u64;
        Ok(changes)
    }

    /// The sources of which a TIFF is not as it was.
    fn changed(&self, known: &[write::Known]) -> Result<HashSet<String>> {
        let dir = &self.dir;
        self.interrupt.check()?;
        Ok(self.pool.install(|| {
            known
                .par_iter()
                .filter(|k| {
                    let path = manifest::safe_relative_path(&k.tiff_path).ok().map(|p| dir.join(p));
                    path.and_then(|p| FileState::of(&p)) != k.state
                })
                .map(|k| k.source.clone())
                .collect()
        }))
    }

    fn transaction(&self, database: &Database, body: impl FnOnce(&Connection) -> Result<()>) -> Result<()> {
        let failed = database.failed("writing the index");
        // Dropped before it is committed, a transaction is undone.
        let transaction =
            rusqlite::Transaction::new_unchecked(&database.connection, rusqlite::TransactionBehavior::Immediate);
        let transaction = transaction.map_err(&failed)?;
        body(&transaction)?;
        transaction.commit().map_err(&failed)
    }

    /// Reads the TIFFs of the jobs' sources on all threads and writes their rows on this one.
    fn take_in(&self, database: &Database, db: &Connection, jobs: &[Job], found: &Found, identity: &str) -> Result<()> {
        let failed = database.failed("writing the index");
        self.observer.on(&Event::Planned { items: jobs.len() as u64, bytes: 0 });
        let (sender, receiver) = mpsc::sync_channel(WAITING);
        self.pool.in_place_scope(|scope| {
            scope.spawn(move |_| {
                // In order, a batch at a time: rows of neighbours lie together, and few wait.
                for batch in jobs.chunks(WAITING) {
                    let read = |job: &Job| {
                        let source = found.sources.get(job.source)?.map(Cow::into_owned);
                        Some(source.map(|source| {
                            let rows = self.rows(&source);
                            (source, rows)
                        }))
                    };
                    let sources: Vec<_> = batch.par_iter().filter_map(read).collect();
                    for (job, source) in batch.iter().zip(sources) {
                        if sender.send((job, source)).is_err() {
                            return;
                        }
                    }
                }
            });
            for (job, source) in receiver {
                self.interrupt.check()?;
                let (source, rows) = source?;
                let source = read::completed(&source, &rows);
                let id = write::put_source(db, job.id, &source, &job.stamp).map_err(&failed)?;
                for (number, (chunk, (row, error))) in source.chunks.iter().zip(&rows).enumerate() {
                    write::put_chunk(db, id, number, &source, chunk, row).map_err(&failed)?;
                    if let Some(error) = error {
                        self.observer.on(&Event::Failed { item: &chunk.tiff_path, error });
                    }
                }
            }
            Ok::<(), Error>(())
        })?;
        for problem in &found.problems {
            self.observer.on(&Event::Failed { item: &problem.item, error: &problem.error });
        }
        let input = [
            ("identity", identity),
            ("created_by", concat!("tiff2flac ", env!("CARGO_PKG_VERSION"))),
            ("problems", &found.problems.len().to_string()),
        ];
        input.iter().try_for_each(|(key, value)| write::put_meta(db, key, value)).map_err(&failed)
    }

    fn rows(&self, source: &Source) -> Vec<(ChunkRow, Option<Error>)> {
        let row = |chunk: &Chunk| read::chunk_row(source, chunk);
        if self.interrupt.is_stopped() { Vec::new() } else { source.chunks.par_iter().map(row).collect() }
    }

    fn counted(&self, database: &Database) -> Result<Changes> {
        let failed = database.failed("reading the index");
        let count = |text: &str| {
            let n: i64 = database.connection.query_row(text, [], |row| row.get(0)).map_err(&failed)?;
            Ok::<u64, Error>(u64::try_from(n).unwrap_or(0))
        };
        let listed = write::meta(&database.connection, "problems").map_err(&failed)?;
        let listed: u64 = listed.and_then(|text| text.parse().ok()).unwrap_or(0);
        Ok(Changes {
            sources: count("SELECT count(*) FROM sources")?,
            chunks: count("SELECT count(*) FROM chunks")?,
            problems: listed + count("SELECT count(*) FROM chunks WHERE problem IS NOT NULL")?,
            ..Changes::default()
        })
    }

    /// Makes the thumbnails that are missing; gives their number.
    fn thumbnails(&self) -> Result<u64> {
        let database = schema::open_writable(&self.options.path)?;
        let failed = database.failed("reading the index");
        let mut made = 0;
        let mut after = 0i64;
        let missing = |after: i64| -> rusqlite::Result<Vec<(i64, String)>> {
            let mut statement = database.connection.prepare_cached(
                "SELECT c.id, c.tiff_path FROM chunks c LEFT JOIN thumbnails t ON t.chunk_id = c.id \
                 WHERE t.chunk_id IS NULL AND c.problem IS NULL AND c.id > ?1 ORDER BY c.id LIMIT ?2",
            )?;
            let rows = statement.query_map([after, THUMBNAILS as i64], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect()
        };
        let (sender, receiver) = mpsc::channel::<Vec<(i64, Option<Picture>)>>();
        // While one batch is written, the next one is drawn.
        self.pool.in_place_scope(|scope| {
            let mut drawn = 0;
            loop {
                self.interrupt.check()?;
                let batch = missing(after).map_err(&failed)?;
                let begun = batch.last().map(|last| after = last.0).is_some();
                if begun {
                    let sender = sender.clone();
                    scope.spawn(move |_| {
                        let _ = sender.send(self.draw(&batch));
                    });
                }
                if drawn > 0 {
                    let Ok(pictures) = receiver.recv() else { break };
                    made += pictures.iter().filter(|p| p.1.is_some()).count() as u64;
                    self.transaction(&database, |db| {
                        pictures
                            .iter()
                            .try_for_each(|(id, picture)| write::put_thumbnail(db, *id, picture.as_ref()))
                            .map_err(|e| sql_error("writing the index", &database.path, &e))
                    })?;
                    self.observer.on(&Event::Advanced { item: "thumbnails", bytes: pictures.len() as u64 });
                }
                if !begun {
                    break;
                }
                drawn += 1;
            }
            Ok(made)
        })
    }

    fn draw(&self, batch: &[(i64, String)]) -> Vec<(i64, Option<Picture>)> {
        let draw = |drawer: &mut Drawer, (id, tiff): &(i64, String)| {
            let path = self.dir.join(manifest::safe_relative_path(tiff).ok()?);
            (!self.interrupt.is_stopped()).then(|| (*id, drawer.draw(&path, Size::Small).ok()))
        };
        batch.par_iter().map_init(Drawer::default, draw).flatten().collect()
    }
}

/// What tells whether the list of what is archived is still the same: the manifest's and the journal's file, or, without
/// a manifest, every TIFF below the folder.
fn identity(dir: &Path) -> Result<String> {
    let of = |path: &Path| match fs::metadata(path) {
        Ok(m) => format!("{} {} {}", m.len(), read::nanos(&m), file_number(&m)),
        Err(_) => "-".to_owned(),
    };
    let manifest = of(&dir.join(MANIFEST_NAME));
    let mut text = format!("{manifest} / {}", of(&dir.join(TEMP_DIR).join(JOURNAL_NAME)));
    if manifest == "-" {
        let mut sum = Xxh3Default::new();
        list(dir, &mut sum)?;
        text.push_str(&format!(" / {:032x}", sum.digest128()));
    }
    Ok(text)
}

#[cfg(unix)]
fn file_number(metadata: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn file_number(_metadata: &fs::Metadata) -> u64 {
    0
}

/// Names, sizes and times of all TIFFs below a folder, into a checksum.
fn list(dir: &Path, sum: &mut Xxh3Default) -> Result<()> {
    let listing = |e| Error::io("listing the folder", e).at_path(dir);
    let mut entries = fs::read_dir(dir).and_then(|d| d.collect::<std::io::Result<Vec<_>>>()).map_err(listing)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            list(&path, sum)?;
        } else if manifest::is_tiff_name(&path) {
            sum.update(path.as_os_str().as_encoded_bytes());
            let state = FileState::of(&path).unwrap_or_default();
            sum.update(&state.size.to_le_bytes());
            sum.update(&state.mtime_ns.to_le_bytes());
        }
    }
    Ok(())
}

/// A checksum of all that the archive's list says about a source, however that is written down.
fn stamp(source: &Source) -> String {
    let mut sum = Xxh3Default::new();
    let metadata = source.metadata.as_ref().map(|m| canonical(m.text())).unwrap_or_default();
    let mut whole = Source { metadata: None, ..source.clone() };
    // An archive that was moved is the same archive.
    whole.chunks.iter_mut().for_each(|chunk| chunk.path = PathBuf::new());
    for text in [format!("{whole:?}"), metadata] {
        sum.update(&(text.len() as u64).to_le_bytes());
        sum.update(text.as_bytes());
    }
    format!("{:032x}", sum.digest128())
}

/// JSON with its keys sorted and without white space: programs that write a manifest again do so in their own way.
fn canonical(text: &str) -> String {
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(mut value) => {
            value.sort_all_objects();
            value.to_string()
        }
        Err(_) => text.to_owned(),
    }
}

//! Making finished sources part of the archive, a few at a time.
//!
//! A source is part of the archive once its TIFFs are synced, its record is in the journal (synced too), the TIFFs have
//! their final names and the folders are synced. In that order: a crash in between leaves either a source that
//! counts as not yet archived, or a journal entry by which the next run finishes the renames. Small sources share
//! the syncs. Only afterwards is a source reported as archived.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::archive::job::{self, Finished};
use crate::durable;
use crate::error::{Error, Result};
use crate::manifest::{self, Entry, Journal, Place, Rename, SourceRecord};

/// Sources that wait for their syncs at most, and for how long.
const GROUP: usize = 32;
const WAIT: Duration = Duration::from_secs(2);

/// Collects finished sources and commits them.
pub(crate) struct Recorder<'a> {
    root: PathBuf,
    state: Mutex<State>,
    committing: Mutex<Journal>,
    done: &'a (dyn Fn(&SourceRecord, &[String]) + Sync),
    failed: &'a (dyn Fn(&str, &Error) + Sync),
}

#[derive(Default)]
struct State {
    waiting: Vec<Finished>,
    since: Option<Instant>,
    committed: Vec<Place>,
}

impl<'a> Recorder<'a> {
    /// `done` is told each source that is safely in the archive, `failed` each that could not be made so.
    pub(crate) fn new(
        root: &Path,
        journal: Journal,
        done: &'a (dyn Fn(&SourceRecord, &[String]) + Sync),
        failed: &'a (dyn Fn(&str, &Error) + Sync),
    ) -> Recorder<'a> {
        Recorder { root: root.to_path_buf(), state: Mutex::default(), committing: Mutex::new(journal), done, failed }
    }

    /// Takes over a finished source; commits the group when it is full or has waited long enough.
    pub(crate) fn submit(&self, finished: Finished) {
        let ready = {
            let mut state = self.lock();
            state.waiting.push(finished);
            let since = *state.since.get_or_insert_with(Instant::now);
            state.waiting.len() >= GROUP || since.elapsed() >= WAIT
        };
        if ready {
            self.flush();
        }
    }

    /// Commits all that waits.
    pub(crate) fn flush(&self) {
        let mut journal = self.committing.lock().unwrap_or_else(|e| e.into_inner());
        let group = {
            let mut state = self.lock();
            state.since = None;
            std::mem::take(&mut state.waiting)
        };
        if group.is_empty() {
            return;
        }
        if let Ok(places) = self.commit(&mut journal, &group) {
            return group.into_iter().zip(places).for_each(|(finished, place)| self.take_in(&finished, place));
        }
        // What is wrong with one of them must not keep the others out.
        for finished in group {
            match self.commit(&mut journal, std::slice::from_ref(&finished)) {
                Ok(mut places) => places.drain(..).for_each(|place| self.take_in(&finished, place)),
                Err(e) => {
                    job::discard(&finished);
                    (self.failed)(&finished.record.relative_path, &e);
                }
            }
        }
    }

    fn take_in(&self, finished: &Finished, place: Place) {
        (self.done)(&finished.record, &finished.notes);
        self.lock().committed.push(place);
    }

    /// Where the records that were committed in this run stand, in the order of their commits, and the journal.
    pub(crate) fn into_committed(self) -> (Vec<Place>, Journal) {
        let state = self.state.into_inner().unwrap_or_else(|e| e.into_inner());
        (state.committed, self.committing.into_inner().unwrap_or_else(|e| e.into_inner()))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Makes sources part of the archive; gives the places of their records in the journal.
    fn commit(&self, journal: &mut Journal, group: &[Finished]) -> Result<Vec<Place>> {
        for (temp, _) in group.iter().flat_map(|f| &f.renames) {
            match File::open(temp).and_then(|f| f.sync_all()) {
                // An attempt for the whole group may have moved it to its place already.
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                other => other.map_err(Error::while_("syncing", temp))?,
            }
        }
        let mut folders = BTreeSet::new();
        for (_, target) in group.iter().flat_map(|f| &f.renames) {
            let target = self.root.join(target);
            if let Some(dir) = target.parent()
                && folders.insert(dir.to_path_buf())
            {
                make_folders(&self.root, dir)?;
            }
        }
        let entries: Vec<Entry> = group.iter().map(entry).collect();
        let synced = entries.iter().try_for_each(|e| journal.append(e)).and_then(|()| journal.sync());
        let places = synced.inspect_err(|_| journal.forget_pending())?;
        manifest::finish_renames(&self.root, &entries)?;
        Ok(places)
    }
}

/// Creates `dir` below `root` and syncs every folder that got a new entry on the way.
fn make_folders(root: &Path, dir: &Path) -> Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let parent = dir.parent().unwrap_or(root);
    if dir != root {
        make_folders(root, parent)?;
    }
    durable::create_dir_all(dir)?;
    durable::sync_dir(parent)
}

fn entry(finished: &Finished) -> Entry {
    let renames = finished
        .renames
        .iter()
        .map(|(temp, target)| {
            let name = temp.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            Rename { from: name, to: target.clone() }
        })
        .collect();
    let mut entry = Entry::commit(finished.record.clone(), renames);
    entry.removes.clone_from(&finished.removes);
    entry
}

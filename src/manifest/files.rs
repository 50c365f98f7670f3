//! The sources of a manifest. Of those that were read from a file only the place in it is kept, so that an archive of a hundred
//! thousand sources takes a few megabytes of memory, not hundreds.

use std::borrow::Cow;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de;
use serde::ser::{Error as _, Serialize, SerializeSeq, Serializer};

use super::digest::NameMap;
use super::model::SourceRecord;
use super::record::Absent;
use crate::error::{Error, Result};
use crate::positioned::ReadAt;

/// A file that records stand in. It stays open: a manifest that is replaced meanwhile is still the one that was read.
#[derive(Debug)]
pub(super) struct Text {
    file: File,
    path: PathBuf,
}

impl Text {
    pub(super) fn new(file: File, path: &Path) -> Arc<Text> {
        Arc::new(Text { file, path: path.to_path_buf() })
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// `len` bytes at `offset`.
    pub(super) fn bytes(&self, offset: u64, len: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        self.file.read_exact_at(&mut bytes, offset).map_err(Error::while_("reading", &self.path))?;
        Ok(bytes)
    }
}

/// Where the record of a source stands, as JSON text.
#[derive(Debug, Clone)]
pub struct Place {
    text: Arc<Text>,
    /// Bytes from the start of the file.
    offset: u64,
    len: u32,
}

impl Place {
    /// `None` for a record longer than 4 GiB.
    pub(super) fn new(text: &Arc<Text>, offset: u64, len: usize) -> Option<Place> {
        Some(Place { text: text.clone(), offset, len: u32::try_from(len).ok()? })
    }

    fn read<T: de::DeserializeOwned>(&self) -> Result<T> {
        let bytes = self.text.bytes(self.offset, self.len as usize)?;
        serde_json::from_slice(&bytes).map_err(|e| {
            // It was read well before, from the same file.
            let text = format!("was changed while it was being read ({e}); run the command again");
            Error::malformed(text).at_path(&self.text.path).at_offset(self.offset)
        })
    }

    /// The record.
    ///
    /// # Errors
    /// `Io`; `Malformed` where somebody has changed the file in place meanwhile.
    pub fn record(&self) -> Result<SourceRecord> {
        self.read()
    }

    /// Its `relative_path` alone.
    ///
    /// # Errors
    /// As [`Place::record`].
    pub(crate) fn relative_path(&self) -> Result<String> {
        #[derive(serde::Deserialize)]
        struct Named {
            #[serde(default)]
            relative_path: Option<String>,
        }
        Ok(self.read::<Named>()?.relative_path.unwrap_or_default())
    }
}

/// One source.
#[derive(Debug, Clone)]
enum Slot {
    Held(Box<SourceRecord>),
    Stored(Place),
}

impl Slot {
    fn record(&self) -> Result<Cow<'_, SourceRecord>> {
        match self {
            Slot::Held(record) => Ok(Cow::Borrowed(record)),
            Slot::Stored(place) => place.record().map(Cow::Owned),
        }
    }

    fn relative_path(&self) -> Result<Cow<'_, str>> {
        match self {
            Slot::Held(record) => Ok(Cow::Borrowed(&record.relative_path)),
            Slot::Stored(place) => place.relative_path().map(Cow::Owned),
        }
    }
}

/// The sources of a manifest, found by `relative_path` in constant time.
///
/// They are written sorted by `relative_path` (bytewise; sources without one, which only the original scripts write,
/// first and in their order), so that the order in which they were finished leaves no trace.
///
/// Records that were read from an archive's manifest or journal are read again when they are asked for, with the errors
/// that [`Place::record`] has.
#[derive(Debug, Clone)]
pub struct Files {
    slots: Vec<Slot>,
    by_path: NameMap<u32>,
    /// Whether the sources stand in the order they are written, and the path of the last one.
    sorted: bool,
    last: String,
}

impl Default for Files {
    fn default() -> Self {
        Files { slots: Vec::new(), by_path: NameMap::default(), sorted: true, last: String::new() }
    }
}

impl Files {
    /// Number of sources.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// All sources in the order they were read or added.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Result<Cow<'_, SourceRecord>>> {
        self.slots.iter().map(Slot::record)
    }

    /// The source with this number, counted in the order of [`Files::iter`]; `None` behind the last.
    pub fn nth(&self, number: usize) -> Option<Result<Cow<'_, SourceRecord>>> {
        self.slots.get(number).map(Slot::record)
    }

    /// Whether there is a source with this `relative_path`.
    pub fn contains(&self, relative_path: &str) -> bool {
        self.by_path.get(relative_path).is_some()
    }

    /// The source with this `relative_path`; of several, the first.
    ///
    /// # Errors
    /// As [`Place::record`].
    pub fn get(&self, relative_path: &str) -> Result<Option<Cow<'_, SourceRecord>>> {
        self.by_path.get(relative_path).map(|&at| self.slots[at as usize].record()).transpose()
    }

    /// Adds a source, or replaces the one with the same `relative_path`; whether it did that.
    pub fn put(&mut self, record: SourceRecord) -> bool {
        let path = record.relative_path.clone();
        self.put_slot(&path, Slot::Held(Box::new(record)))
    }

    /// As [`Files::put`], for a record that stands in a file and has this `relative_path`.
    pub(crate) fn put_stored(&mut self, relative_path: &str, place: Place) -> bool {
        self.put_slot(relative_path, Slot::Stored(place))
    }

    fn put_slot(&mut self, path: &str, slot: Slot) -> bool {
        if let Some(&at) = self.by_path.get(path) {
            self.slots[at as usize] = slot;
            return true;
        }
        self.push(path, slot);
        false
    }

    /// Adds a source that was just read from a place, also where there is one with the same `relative_path`.
    pub(super) fn push_read(&mut self, record: SourceRecord, place: Option<Place>) {
        match place {
            Some(place) => self.push(&record.relative_path, Slot::Stored(place)),
            None => self.push(&record.relative_path.clone(), Slot::Held(Box::new(record))),
        }
    }

    fn push(&mut self, path: &str, slot: Slot) {
        if !path.is_empty() {
            // More than four thousand million sources are in no manifest that is read.
            let number = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
            self.by_path.get_or_insert(path, number);
        }
        self.sorted &= *self.last <= *path;
        self.last.clear();
        self.last.push_str(path);
        self.slots.push(slot);
    }

    /// Keeps the sources for which `keep` says so.
    ///
    /// # Errors
    /// As [`Place::record`]; all are then still there.
    pub fn retain(&mut self, mut keep: impl FnMut(&SourceRecord) -> bool) -> Result<()> {
        let mut kept = Files::default();
        for slot in &self.slots {
            let record = slot.record()?;
            if keep(&record) {
                kept.push(&record.relative_path, slot.clone());
            }
        }
        *self = kept;
        Ok(())
    }

    /// The sources in the order they are written.
    ///
    /// # Errors
    /// As [`Place::record`], each at its source or, where they have to be put in order, before the first.
    pub fn sorted(&self) -> Result<impl Iterator<Item = Result<Cow<'_, SourceRecord>>>> {
        let order: Vec<u32> = match self.sorted {
            true => Vec::new(),
            false => {
                let paths: Vec<(Cow<'_, str>, u32)> = (0u32..)
                    .zip(&self.slots)
                    .map(|(number, slot)| slot.relative_path().map(|path| (path, number)))
                    .collect::<Result<_>>()?;
                let mut order: Vec<u32> = (0u32..).take(paths.len()).collect();
                order.sort_by(|a, b| paths[*a as usize].cmp(&paths[*b as usize]));
                order
            }
        };
        let number = move |n: usize| order.get(n).map_or(n, |at| *at as usize);
        Ok((0..self.slots.len()).map(move |n| self.slots[number(n)].record()))
    }
}

impl FromIterator<SourceRecord> for Files {
    /// Keeps all of them, also where two have the same `relative_path`.
    fn from_iter<I: IntoIterator<Item = SourceRecord>>(records: I) -> Self {
        let mut files = Files::default();
        records.into_iter().for_each(|record| files.push_read(record, None));
        files
    }
}

/// Equal where they are written the same; what cannot be read any more is equal to nothing.
impl PartialEq for Files {
    fn eq(&self, other: &Self) -> bool {
        let (Ok(mut own), Ok(others)) = (self.sorted(), other.sorted()) else { return false };
        let same = |(a, b): (Result<Cow<'_, SourceRecord>>, Result<Cow<'_, SourceRecord>>)| matches!((a, b), (Ok(a), Ok(b)) if a == b);
        self.len() == other.len() && own.by_ref().zip(others).all(same)
    }
}

impl Absent for Files {
    fn is_absent(&self) -> bool {
        false
    }
}

impl Serialize for Files {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.len()))?;
        for record in self.sorted().map_err(S::Error::custom)? {
            list.serialize_element(&*record.map_err(S::Error::custom)?)?;
        }
        list.end()
    }
}

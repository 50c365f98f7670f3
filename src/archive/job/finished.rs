//! A source that is ready to become part of the archive, and what it takes the place of.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::durable;
use crate::interrupt::Interrupt;
use crate::manifest::{self, Sha256Sum, SourceRecord};
use crate::parity;

/// A source whose TIFFs are complete and proved under their temporary names.
pub(crate) struct Finished {
    pub(crate) record: SourceRecord,
    /// Temporary path → path relative to the archive folder, with `/`.
    pub(crate) renames: Vec<(PathBuf, String)>,
    /// Files of an earlier state of the source that this one has no more.
    pub(crate) removes: Vec<String>,
    pub(crate) notes: Vec<String>,
}

impl Finished {
    /// Notes which files of an earlier state of the source are of no more use once this one is in their place: TIFFs, and
    /// recovery data of TIFFs with other bytes.
    pub(crate) fn replaces(&mut self, earlier: Option<&SourceRecord>, root: &Path) {
        let targets: HashSet<&str> = self.renames.iter().map(|(_, target)| target.as_str()).collect();
        let earlier = earlier.into_iter().flat_map(|record| record.chunks.iter());
        let old: Vec<String> =
            earlier.map(|chunk| chunk.tiff_path.clone()).filter(|path| !targets.contains(path.as_str())).collect();
        let sums = self.record.chunks.iter().map(|chunk| (&chunk.tiff_path, chunk.tiff_sha256));
        let mut stale = Vec::new();
        for (tiff_path, sum) in sums.chain(old.iter().map(|path| (path, None))) {
            let name = sidecar_name(tiff_path);
            if !targets.contains(name.as_str()) && is_stale(root, tiff_path, sum) {
                stale.push(name);
            }
        }
        if stale.iter().any(|name| self.record.chunks.iter().any(|chunk| sidecar_name(&chunk.tiff_path) == *name)) {
            let text = "its recovery data belonged to the TIFFs that were replaced and was removed; \
                        `tiff2flac protect` adds it anew";
            self.notes.push(text.to_owned());
        }
        self.removes = old;
        self.removes.extend(stale);
    }
}

/// Whether there is recovery data beside a TIFF that is not of a file with this checksum.
fn is_stale(root: &Path, tiff_path: &str, sum: Option<Sha256Sum>) -> bool {
    let Ok(path) = manifest::safe_relative_path(tiff_path).map(|relative| root.join(relative)) else { return false };
    if fs::symlink_metadata(parity::sidecar_of(&path)).is_err() {
        return false;
    }
    let of_it = parity::check_sidecar(&path, sum, &Interrupt::new());
    !of_it.is_ok_and(|of| of.is_some_and(|(subject, _)| Some(subject.sha256) == sum))
}

/// The name of a TIFF's sidecar in the archive.
pub(crate) fn sidecar_name(tiff_path: &str) -> String {
    format!("{tiff_path}{}", parity::SUFFIX)
}

/// Removes what a failed source left under its temporary names.
pub(crate) fn discard(finished: &Finished) {
    discard_all(&finished.renames);
}

pub(super) fn discard_all(renames: &[(PathBuf, String)]) {
    for (temp, _) in renames {
        durable::remove_quietly(temp);
    }
}

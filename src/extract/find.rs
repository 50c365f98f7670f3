//! What an archive holds: from its manifest and journal, or, where that is lost, from its TIFFs alone.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};
use crate::extract::recover;
use crate::extract::sources::{self, Found, Listed, Note, Problem, Source, Sources};
use crate::interrupt::Interrupt;
use crate::manifest::{self, ArchiveIndex, MANIFEST_NAME, NameSet, Origin, ReadLimits, Severity};
use crate::packed::Packed;

/// Reads what the archive in `dir` holds, ours or one of the original programs; changes nothing.
///
/// Where there is no manifest, the TIFFs themselves are asked (in parallel, on the thread pool this is called in); a note
/// says so.
///
/// # Errors
/// `Missing` where there is neither a manifest nor a TIFF of an archive; `Malformed` for an unreadable manifest;
/// `Interrupted`.
pub fn find(dir: &Path, interrupt: &Interrupt) -> Result<Found> {
    if !dir.is_dir() {
        return Err(Error::new(ErrorKind::Missing, "there is no such archive folder").at_path(dir));
    }
    let index = ArchiveIndex::load(dir, &ReadLimits::default())?;
    let mut found = Found { name: dir.display().to_string(), ..Found::default() };
    let unread = index.is_none();
    found.original = index.as_ref().is_some_and(|index| index.origin == Origin::Original);
    let (listed, numbers, names) = match index {
        Some(index) => listed(dir, index, &mut found)?,
        None => Default::default(),
    };
    let mut own = Vec::new();
    // A journal without a manifest knows of its own run only.
    if fs::symlink_metadata(dir.join(MANIFEST_NAME)).is_err() {
        found.from_tiffs = true;
        own = unlisted(dir, &names, &mut found, interrupt)?;
        if own.is_empty() && numbers.is_empty() && unread {
            let text = "there is neither a manifest.json nor a TIFF of an archive in this folder";
            return Err(Error::new(ErrorKind::Missing, text).at_path(dir));
        }
    }
    found.sources = Sources::new(listed, numbers, names, own);
    Ok(found)
}

/// What the TIFFs say about themselves, except for sources that are known already.
fn unlisted(dir: &Path, names: &Packed, found: &mut Found, interrupt: &Interrupt) -> Result<Vec<Source>> {
    let scan = recover::scan(dir, interrupt)?;
    let mut known = NameSet::default();
    for name in names.iter() {
        known.insert(name);
    }
    let unknown = scan.sources.iter().filter(|r| !known.contains(&r.record.relative_path));
    let own: Vec<Source> = unknown.map(|recovered| recovered.source(dir)).collect();
    found.problems.extend(scan.problems.into_iter().filter(|problem| !known.contains(&problem.item)));
    if !own.is_empty() || known.is_empty() {
        let text = "there is no manifest.json: going on from what the TIFFs say about themselves (`tiff2flac \
                    rebuild-manifest` writes it again)";
        found.notes.push(Note::new("manifest-missing", MANIFEST_NAME, text));
        found.notes.extend(scan.notes);
    }
    Ok(own)
}

/// What a manifest or journal lists: the numbers and names of the sources that can be used. What keeps others from it
/// becomes a problem in `found`.
fn listed(dir: &Path, mut index: ArchiveIndex, found: &mut Found) -> Result<(Listed, Vec<u32>, Packed)> {
    for finding in &index.findings {
        match finding.severity {
            Severity::Error => {
                let error = Error::new(ErrorKind::Malformed, finding.text.clone());
                found.problems.push(Problem::new(finding.code, &finding.item, error));
            }
            _ => found.notes.push(Note::new(finding.code, &finding.item, &finding.text)),
        }
    }
    let mut left_out = HashSet::new();
    let (mut numbers, mut names) = (Vec::new(), Packed::default());
    for (number, entry) in (0u32..).zip(index.sources.iter()) {
        let entry = entry?;
        // Without a name to restore it under, or a path to its TIFFs, a finding has said why.
        let Some(relative_path) = &entry.restore_as else { continue };
        if entry.record.relative_path.is_empty() && entry.record.sha256.is_some() {
            let text =
                "the manifest gives a checksum of this source but no relative path; it cannot be told what it was";
            found.problems.push(Problem::new("source-unnamed", entry.name(), Error::malformed(text)));
            continue;
        }
        for (at, chunk) in entry.chunks.iter().enumerate() {
            let Some(tiff) = &chunk.tiff else { continue };
            match index.tiff_path(chunk) {
                Ok(_) => {}
                // Nothing is wrong with the name: whoever opens it says what keeps it from being read.
                Err(e) if matches!(e.kind(), ErrorKind::Io | ErrorKind::Missing) => {}
                Err(e) => {
                    left_out.insert((number, at));
                    found.problems.push(Problem::new("unsafe-path", tiff, e));
                }
            }
        }
        numbers.push(number);
        names.push(relative_path);
    }
    let entries = std::mem::take(&mut index.sources);
    Ok((Listed { dir: dir.to_path_buf(), entries, left_out, in_temp: unfinished_renames(dir)? }, numbers, names))
}

/// Files that an interrupted run had finished and not yet given their names: final name → where they are.
fn unfinished_renames(dir: &Path) -> Result<HashMap<String, PathBuf>> {
    let mut unfinished = HashMap::new();
    for entry in manifest::replay(dir)?.entries() {
        for rename in entry?.0.renames {
            let there = manifest::safe_relative_path(&rename.to).is_ok_and(|to| dir.join(to).exists());
            let from = sources::place_in_temp(dir, &rename.from).filter(|_| !there);
            unfinished.extend(from.map(|from| (rename.to, from)));
        }
    }
    Ok(unfinished)
}

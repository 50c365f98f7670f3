//! What state a file and its sidecar are in, and what could be done about it.

use std::fs::File;
use std::io;
use std::path::Path;

use super::encode::data_hashes;
use super::scan::{Found, scan};
use super::{Subject, sidecar_of};
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::manifest::Sha256Sum;
use crate::positioned::{self, ReadAt};

/// What is known of a file by its recovery data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assessment {
    /// There is no recovery data for the file, or no record of it is left.
    NoParity,
    /// Every shard of the file is whole and its length is right.
    Intact(Extent),
    /// [`repair`](super::repair) can bring the file back.
    Mendable(Extent),
    /// More of the file is lost than the recovery data can bring back.
    Beyond(Extent),
}

/// How much is lost, and how much could be brought back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The file that the recovery data is of.
    pub subject: Subject,
    /// Bytes of the file as it is; nothing, when there is none.
    pub found_bytes: Option<u64>,
    /// Data shards that are damaged or missing, those included that no hash is left for.
    pub lost: u32,
    /// Recovery shards that are whole: as many shards could be brought back.
    pub available: u32,
    /// Whether the sidecar itself is whole.
    pub sidecar_whole: bool,
}

impl Extent {
    /// In words: "3 of 733 shards of 4096 bytes are lost; 37 could be brought back".
    pub fn sentence(&self) -> String {
        let geometry = &self.subject.geometry;
        let mut text = format!(
            "{} of {} shards of {} bytes are lost; the recovery data can bring back {}",
            self.lost,
            geometry.data(),
            geometry.shard_bytes(),
            self.available
        );
        if !self.sidecar_whole {
            text.push_str(&format!(" (it is damaged itself: {} recovery shards were written)", geometry.recovery()));
        }
        text
    }
}

/// Everything that a judgement rests on.
pub(super) struct Judgement {
    pub(super) found: Found,
    pub(super) extent: Extent,
    /// One for each data shard.
    pub(super) good: Vec<bool>,
    /// Number and place of each whole recovery shard.
    pub(super) recovery: Vec<(u32, u64)>,
}

impl Judgement {
    /// Looks at all of `file` (nothing, where it is not there) and all of `sidecar`.
    pub(super) fn of(
        file: Option<&dyn ReadAt>,
        sidecar: &dyn ReadAt,
        expected: Option<Sha256Sum>,
        interrupt: &Interrupt,
    ) -> Result<Option<Judgement>> {
        let Some(found) = scan(sidecar, expected, interrupt)? else { return Ok(None) };
        let recovery = found.recovery(sidecar, interrupt)?;
        let geometry = &found.subject.geometry;
        let good: Vec<bool> = match file {
            Some(file) => {
                let hashes = data_hashes(file, geometry, interrupt)?;
                hashes.iter().zip(&found.hashes).map(|(is, should)| is.is_some() && is == should).collect()
            }
            None => vec![false; found.hashes.len()],
        };
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let extent = Extent {
            subject: found.subject,
            found_bytes: file.map(|f| f.len().map_err(|e| Error::io("looking at the file's length", e))).transpose()?,
            lost: count(good.iter().filter(|good| !**good).count()),
            available: count(recovery.len()),
            sidecar_whole: found.is_whole(&recovery),
        };
        Ok(Some(Judgement { found, extent, good, recovery }))
    }

    pub(super) fn assessment(&self) -> Assessment {
        let extent = self.extent;
        let right_length = extent.found_bytes == Some(extent.subject.geometry.file_bytes());
        match extent.lost {
            0 if right_length => Assessment::Intact(extent),
            lost if lost <= extent.available => Assessment::Mendable(extent),
            _ => Assessment::Beyond(extent),
        }
    }
}

/// Opens a file; `None` where there is none.
pub(super) fn open(path: &Path) -> Result<Option<File>> {
    match positioned::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::while_("opening", path)(e)),
    }
}

/// Judges a TIFF, which may be damaged or missing, by the sidecar beside it: reads both once, changes nothing.
///
/// Shards are judged by hashes of 128 bits. That the file as a whole is the right one is for the caller to see: by
/// [`Subject::sha256`], or the manifest's.
///
/// # Errors
/// `Io`; `Interrupted`.
pub fn assess(tiff_path: &Path) -> Result<Assessment> {
    assess_for(tiff_path, None, &Interrupt::new())
}

/// As [`assess`], with the SHA-256 that the file should have: recovery data of another file counts as none.
///
/// # Errors
/// As [`assess`].
pub fn assess_for(tiff_path: &Path, expected: Option<Sha256Sum>, interrupt: &Interrupt) -> Result<Assessment> {
    let sidecar_path = sidecar_of(tiff_path);
    let Some(sidecar) = open(&sidecar_path)? else { return Ok(Assessment::NoParity) };
    let file = open(tiff_path)?;
    let file = file.as_ref().map(|f| f as &dyn ReadAt);
    let judgement = Judgement::of(file, &sidecar, expected, interrupt).map_err(|e| e.at_path(&sidecar_path))?;
    Ok(match judgement {
        Some(j) if expected.is_none_or(|sha| sha == j.extent.subject.sha256) => j.assessment(),
        _ => Assessment::NoParity,
    })
}

/// The damaged stretches of a TIFF (first byte and length, adjoining shards as one), as far as its recovery data can tell: `None`
/// where there is none, or where it is of another file than the one with the SHA-256 `expected`.
///
/// # Errors
/// As [`assess`].
pub fn damaged_ranges(
    tiff_path: &Path,
    expected: Option<Sha256Sum>,
    interrupt: &Interrupt,
) -> Result<Option<Vec<(u64, u64)>>> {
    let Some(sidecar) = open(&sidecar_of(tiff_path))? else { return Ok(None) };
    let file = open(tiff_path)?;
    let file = file.as_ref().map(|f| f as &dyn ReadAt);
    let Some(judged) = Judgement::of(file, &sidecar, expected, interrupt)? else { return Ok(None) };
    if expected.is_some_and(|sha| sha != judged.found.subject.sha256) {
        return Ok(None);
    }
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for (index, _) in (0..).zip(&judged.good).filter(|(_, good)| !**good) {
        let (start, len) = judged.found.subject.geometry.shard(index);
        match ranges.last_mut() {
            Some((first, total)) if *first + *total == start => *total += len,
            _ => ranges.push((start, len)),
        }
    }
    Ok(Some(ranges))
}

/// Whether the sidecar beside a TIFF is whole, and which file it is of; the TIFF itself is not looked at. `None` where there is
/// no sidecar, or no record of one is left in it.
///
/// # Errors
/// `Io`; `Interrupted`.
pub fn check_sidecar(
    tiff_path: &Path,
    expected: Option<Sha256Sum>,
    interrupt: &Interrupt,
) -> Result<Option<(Subject, bool)>> {
    let path = sidecar_of(tiff_path);
    let Some(sidecar) = open(&path)? else { return Ok(None) };
    let Some(found) = scan(&sidecar, expected, interrupt).map_err(|e| e.at_path(&path))? else { return Ok(None) };
    let recovery = found.recovery(&sidecar, interrupt)?;
    Ok(Some((found.subject, found.is_whole(&recovery))))
}

//! What to do with a source that the archive has already.
//!
//! Nothing is decided by mere existence: a resumed source is left alone only if the source file and all of its TIFFs
//! have the checksums in the manifest.

use std::fs;

use crate::archive::plan::Candidate;
use crate::archive::{Context, Existing};
use crate::error::{Error, ErrorKind, Result};
use crate::hash;
use crate::manifest::{self, Sha256Sum, SourceRecord};
use crate::parity::{self, Redundancy, Subject};
use crate::positioned::{self, ReadAt};

pub(crate) enum Decision {
    /// Archive it (again).
    Archive,
    /// Leave it alone; the sentence says why.
    Skip(String),
}

/// Decides about `candidate`, of which the manifest has `record`.
/// `number` is the candidate's, for names under `temp/`.
pub(crate) fn decide(
    ctx: &Context<'_>,
    candidate: &Candidate,
    record: &SourceRecord,
    number: usize,
) -> Result<Decision> {
    match ctx.options.existing {
        Existing::Overwrite => Ok(Decision::Archive),
        Existing::Report => Err(Error::new(
            ErrorKind::Usage,
            "already in the archive; nothing was changed. Use --resume to check it and go on, --overwrite to archive it \
             again, or --prefix NAME if it is another recording of the same name",
        )
        .at_path(&candidate.path)),
        Existing::Resume => resume(ctx, candidate, record, number),
    }
}

fn resume(ctx: &Context<'_>, candidate: &Candidate, record: &SourceRecord, number: usize) -> Result<Decision> {
    let file = positioned::open(&candidate.path).map_err(Error::while_("opening", &candidate.path))?;
    let len = ReadAt::len(&file).map_err(Error::while_("looking at", &candidate.path))?;
    let same_size = record.size_bytes.is_none_or(|recorded| recorded == len);
    let same = same_size && {
        let progress = |bytes| ctx.advance(candidate, bytes);
        let sha =
            hash::sha256_range(&file, 0, len, &ctx.interrupt, progress).map_err(|e| e.at_path(&candidate.path))?;
        record.sha256 == Some(sha)
    };
    if !same {
        return Err(Error::new(
            ErrorKind::Changed,
            "not the file that was archived under this name before; the archive was left as it is. Use --overwrite to \
             replace what was archived, or --prefix NAME to keep both",
        )
        .at_path(&candidate.path));
    }
    if !is_complete(record) {
        return Ok(Decision::Archive);
    }
    for chunk in record.chunks.iter() {
        if !chunk_is_whole(ctx, &chunk.tiff_path, chunk.tiff_sha256)? {
            return Ok(Decision::Archive);
        }
    }
    let added = match ctx.options.parity {
        Some(redundancy) => protect(ctx, record, redundancy, number)?,
        None => 0,
    };
    Ok(Decision::Skip(match added {
        0 => "unchanged and verified".to_owned(),
        n => format!("unchanged and verified; recovery data was added to {n} of its TIFFs"),
    }))
}

/// Sees to it that each TIFF of a source, all of which have been checked, has whole recovery data of the wanted amount; gives
/// the number of those that got it just now.
fn protect(ctx: &Context<'_>, record: &SourceRecord, redundancy: Redundancy, number: usize) -> Result<usize> {
    let mut added = 0;
    for chunk in record.chunks.iter() {
        let Some(sha256) = chunk.tiff_sha256 else { continue };
        let path = ctx.root.join(manifest::safe_relative_path(&chunk.tiff_path)?);
        let len = fs::metadata(&path).map_err(Error::while_("looking at", &path))?.len();
        let wanted = Subject::new(sha256, len, redundancy)?;
        if parity::check_sidecar(&path, Some(sha256), &ctx.interrupt)? == Some((wanted, true)) {
            continue;
        }
        let temp = ctx.temp.join(format!("{number:06}-{added:06}.parity"));
        parity::renew_sidecar(&path, &wanted, &temp, &ctx.interrupt)?;
        added += 1;
    }
    Ok(added)
}

/// Whether the chunks that are listed are all of the source. A manifest that was written again from TIFFs lists what was
/// left of them.
fn is_complete(record: &SourceRecord) -> bool {
    let mut next = 0u64;
    let adjoin = record.chunks.iter().all(|chunk| {
        let starts_here = chunk.start_sample == Some(next);
        next = next.saturating_add(chunk.num_samples.unwrap_or(0));
        starts_here
    });
    adjoin && !record.chunks.is_empty() && record.total_samples == Some(next)
}

fn chunk_is_whole(ctx: &Context<'_>, tiff_path: &str, sha256: Option<Sha256Sum>) -> Result<bool> {
    let Some(expected) = sha256 else { return Ok(false) };
    let Ok(relative) = crate::manifest::safe_relative_path(tiff_path) else { return Ok(false) };
    let Ok(file) = positioned::open(&ctx.root.join(relative)) else { return Ok(false) };
    let Ok(len) = ReadAt::len(&file) else { return Ok(false) };
    match hash::sha256_range(&file, 0, len, &ctx.interrupt, |_| ()) {
        Ok(sha) => Ok(sha == expected),
        Err(e) if e.kind() == ErrorKind::Interrupted => Err(e),
        Err(_) => Ok(false),
    }
}

//! A damaged file and its sidecar → the file as it was, and the sidecar as it was.

use std::fs::{self, File};
use std::path::Path;

use super::assess::{Assessment, Extent, Judgement, open};
use super::columns::{self, writing};
use super::encode::write_sidecar;
use super::{Subject, sidecar_of};
use crate::durable;
use crate::error::{Error, ErrorKind, Result};
use crate::hash;
use crate::interrupt::Interrupt;
use crate::manifest::Sha256Sum;
use crate::positioned::{self, ReadAt, write_all_at};

/// Bytes copied in one go.
const STEP: u64 = 1 << 20;

/// Writes the file that `tiff_path` should be as a new file at `target`, from what is left of it and of its sidecar. The new
/// file's SHA-256 has then been compared with the recorded one (and with `expected`, where given), and it is synced.
///
/// # Errors
/// `Missing` where there is no recovery data; `Mismatch` where too much is lost, or the recovery data is of another file;
/// `Io`; `Interrupted`. `target` is then not there.
pub fn repair_to(
    tiff_path: &Path,
    target: &Path,
    expected: Option<Sha256Sum>,
    interrupt: &Interrupt,
) -> Result<Extent> {
    let sidecar_path = sidecar_of(tiff_path);
    let Some(sidecar) = open(&sidecar_path)? else {
        return Err(Error::new(ErrorKind::Missing, "there is no recovery data beside it").at_path(tiff_path));
    };
    let file = open(tiff_path)?;
    let there = file.as_ref().map(|f| f as &dyn ReadAt);
    let judged = Judgement::of(there, &sidecar, expected, interrupt).map_err(|e| e.at_path(&sidecar_path))?;
    let Some(judged) = judged else {
        let text = "no record in the recovery data beside it can be read any more";
        return Err(Error::mismatch(text).at_path(tiff_path));
    };
    let subject = judged.found.subject;
    if let Some(expected) = expected.filter(|sha| *sha != subject.sha256) {
        let text = format!(
            "the recovery data beside it is of another file (SHA-256 {}, not {expected}); put the right one back",
            subject.sha256
        );
        return Err(Error::mismatch(text).at_path(tiff_path));
    }
    if let Assessment::Beyond(extent) = judged.assessment() {
        return Err(Error::mismatch(format!("beyond repair: {}", extent.sentence())).at_path(tiff_path));
    }
    let written = durable::create(target).and_then(|out| {
        let nothing: &[u8] = &[];
        let source: &dyn ReadAt = there.unwrap_or(&nothing);
        mend(source, &sidecar, &judged, &out, interrupt)?;
        prove(&out, &subject, interrupt)?;
        out.sync_all().map_err(writing)
    });
    match written {
        Ok(()) => Ok(judged.extent),
        Err(e) => {
            durable::remove_quietly(target);
            Err(e.at_path(target))
        }
    }
}

/// Copies the good shards and reconstructs the others.
fn mend(source: &dyn ReadAt, sidecar: &File, judged: &Judgement, out: &File, interrupt: &Interrupt) -> Result<()> {
    let geometry = &judged.found.subject.geometry;
    out.set_len(geometry.file_bytes()).map_err(writing)?;
    let mut buf = vec![0; usize::try_from(geometry.shard_bytes().min(STEP)).unwrap_or(0)];
    for (index, _) in (0..geometry.data()).zip(&judged.good).filter(|(_, good)| **good) {
        let (start, len) = geometry.shard(index);
        let mut done = 0;
        while done < len {
            interrupt.check()?;
            let want = usize::try_from((len - done).min(STEP)).unwrap_or(0);
            let at = start + done;
            source.read_exact_at(&mut buf[..want], at).map_err(|e| Error::io("reading", e).at_offset(at))?;
            write_all_at(out, &buf[..want], at).map_err(writing)?;
            done += want as u64;
        }
    }
    let lost = judged.extent.lost as usize;
    if lost > 0 {
        let recovery = judged.recovery.get(..lost).ok_or_else(|| Error::mismatch("too few recovery shards"))?;
        columns::reconstruct(source, &judged.good, sidecar, recovery, geometry, out, interrupt)?;
    }
    Ok(())
}

/// That the new file has the recorded SHA-256, as read back.
fn prove(out: &File, subject: &Subject, interrupt: &Interrupt) -> Result<()> {
    let sum = hash::sha256_range(out, 0, subject.geometry.file_bytes(), interrupt, |_| ())?;
    if sum == subject.sha256 {
        return Ok(());
    }
    let text =
        format!("what was reconstructed has SHA-256 {sum}, it should be {}; nothing was changed", subject.sha256);
    Err(Error::mismatch(text))
}

/// Brings a TIFF and its sidecar back in their places: the new file is written as `temp`, proved, synced and renamed; then the
/// sidecar, where it is damaged too, is computed again from it. `temp` must be in the same file system.
///
/// # Errors
/// As [`repair_to`]; the TIFF then stands as it was.
pub fn repair(tiff_path: &Path, temp: &Path, expected: Option<Sha256Sum>, interrupt: &Interrupt) -> Result<Extent> {
    let extent = repair_to(tiff_path, temp, expected, interrupt)?;
    if let Ok(old) = fs::metadata(tiff_path) {
        // What the damaged file allowed, the mended one allows; a file system without permissions has none to keep.
        let _ = fs::set_permissions(temp, old.permissions());
    }
    place(temp, tiff_path)?;
    if !extent.sidecar_whole {
        renew_sidecar(tiff_path, &extent.subject, temp, interrupt)?;
    }
    Ok(extent)
}

/// Computes the sidecar of a whole TIFF and puts it in its place: written as `temp`, synced, renamed.
///
/// # Errors
/// `Io`, `Interrupted`; an older sidecar then stands as it was.
pub fn renew_sidecar(tiff_path: &Path, subject: &Subject, temp: &Path, interrupt: &Interrupt) -> Result<()> {
    let file = positioned::open(tiff_path).map_err(Error::while_("opening", tiff_path))?;
    write_sidecar(&file, subject, temp, interrupt)?;
    let synced = File::open(temp).and_then(|f| f.sync_all()).map_err(Error::while_("syncing", temp));
    synced.and_then(|()| place(temp, &sidecar_of(tiff_path))).inspect_err(|_| durable::remove_quietly(temp))
}

fn place(temp: &Path, target: &Path) -> Result<()> {
    durable::rename(temp, target).inspect_err(|_| durable::remove_quietly(temp))?;
    durable::sync_dir(target.parent().unwrap_or(Path::new(".")))
}

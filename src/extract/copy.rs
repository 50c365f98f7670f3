//! A FLAC out of its TIFF: copied piece by piece, hashed on the way, and given its name only if the sum is right.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::durable;
use crate::error::{Error, ErrorKind, Result};
use crate::events::Status;
use crate::extract::sources::Chunk;
use crate::extract::tiff::{ChunkTiff, FlacPage};
use crate::extract::{check, remove_part, temp_name};
use crate::hash;
use crate::interrupt::Interrupt;
use crate::manifest::Sha256Sum;
use crate::positioned::{self, RangeReader, ReadAt};

/// Extracts every FLAC of a chunk below `dir`; gives each one's name and what was done.
pub(crate) fn extract(chunk: &Chunk, dir: &Path, resume: bool, interrupt: &Interrupt) -> Result<Vec<(String, Status)>> {
    let tiff = ChunkTiff::open(&chunk.path)?;
    check::check_size(chunk, &tiff)?;
    if tiff.flacs.is_empty() && tiff.source_bytes.is_empty() {
        return Err(Error::new(ErrorKind::Missing, "there is no FLAC in this TIFF").at_path(&chunk.path));
    }
    let mut done = Vec::new();
    for (i, flac) in tiff.flacs.iter().enumerate() {
        let target = flac_path(dir, &chunk.output, (i > 0).then_some(flac))?;
        let name = target.strip_prefix(dir).unwrap_or(&target).to_string_lossy().replace('\\', "/");
        let expected = chunk.flac_sha256.get(i).copied().flatten();
        remove_part(&target);
        if resume && is_whole(&target, expected, interrupt)? {
            done.push((name, Status::Skipped));
            continue;
        }
        copy(chunk, &tiff, i, &target, interrupt)?;
        done.push((name, Status::Restored));
    }
    Ok(done)
}

/// `<stem of the TIFF>.flac`, in the same sub-folder; further channel groups say which channels they hold.
pub(crate) fn flac_path(dir: &Path, tiff_path: &str, further: Option<&FlacPage>) -> Result<PathBuf> {
    let relative = crate::manifest::safe_relative_path(tiff_path)?;
    let stem = relative.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    let name = match further {
        None => format!("{stem}.flac"),
        Some(flac) => format!(
            "{stem}_channels_{}-{}.flac",
            u64::from(flac.first_channel) + 1,
            u64::from(flac.first_channel) + u64::from(flac.channels)
        ),
    };
    Ok(dir.join(relative.with_file_name(name)))
}

fn is_whole(target: &Path, expected: Option<Sha256Sum>, interrupt: &Interrupt) -> Result<bool> {
    let Some(expected) = expected else { return Ok(false) };
    let Ok(file) = positioned::open(target) else { return Ok(false) };
    let len = ReadAt::len(&file).map_err(Error::while_("looking at", target))?;
    Ok(hash::sha256_range(&file, 0, len, interrupt, |_| ()).map_err(|e| e.at_path(target))? == expected)
}

fn copy(chunk: &Chunk, tiff: &ChunkTiff, index: usize, target: &Path, interrupt: &Interrupt) -> Result<()> {
    durable::create_dir_all(target.parent().unwrap_or(Path::new(".")))?;
    let temp = temp_name(target);
    let result = (|| {
        let mut file = durable::create(&temp)?;
        let flac = &tiff.flacs[index];
        let sum = match flac.place {
            Some((start, len)) => {
                pour(&mut RangeReader::new(&tiff.file, start, start + len), &mut file, tiff, target, interrupt)?
            }
            None => pour(&mut tiff.page_reader(flac.page)?, &mut file, tiff, target, interrupt)?,
        };
        check::compare(chunk, index, sum)?;
        if chunk.flac_sha256.get(index).copied().flatten().is_none() {
            // Nothing says which sum is right: the FLAC has to speak for itself.
            let len = ReadAt::len(&file).map_err(Error::while_("looking at", target))?;
            check::check_stream(&file, (0, len), tiff, interrupt)?;
        }
        file.sync_all().map_err(Error::while_("syncing", target))
    })();
    if let Err(e) = result {
        durable::remove_quietly(&temp);
        return Err(e);
    }
    durable::rename(&temp, target)?;
    durable::sync_dir(target.parent().unwrap_or(Path::new(".")))
}

fn pour(
    from: &mut dyn Read,
    to: &mut File,
    tiff: &ChunkTiff,
    target: &Path,
    interrupt: &Interrupt,
) -> Result<Sha256Sum> {
    let mut sha = Sha256::new();
    let mut buf = vec![0; 256 << 10];
    loop {
        interrupt.check()?;
        let n = match from.read(&mut buf) {
            Ok(0) => return Ok(Sha256Sum::finish(sha)),
            Ok(n) => n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(Error::io("reading the FLAC", e).at_path(&tiff.path)),
        };
        sha.update(&buf[..n]);
        to.write_all(&buf[..n]).map_err(Error::while_("writing", target))?;
    }
}

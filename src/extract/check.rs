//! A chunk against its checksums, and the chunks of a source against one another.

use std::fs::File;
use std::io::Read;

use sha2::{Digest, Sha256};

use crate::error::{Error, ErrorKind, Result};
use crate::extract::sources::{Chunk, Source};
use crate::extract::tiff::{ChunkTiff, FlacPage};
use crate::flac::{Md5Status, StreamDecoder};
use crate::hash;
use crate::interrupt::Interrupt;
use crate::manifest::Sha256Sum;

/// Checks one TIFF: that it is the chunk that the manifest means, and that its bytes are the ones that were proved when it
/// was written.
///
/// The SHA-256 of the TIFF covers all that is in it, so where it is right, nothing inside is decoded again. Where it is
/// wrong or not known, every FLAC is looked at by itself (SHA-256, frames, MD5). Gives the first fault; [`crate::verify`] lists all.
pub(crate) fn check_chunk(source: &Source, chunk: &Chunk, interrupt: &Interrupt) -> Result<()> {
    let tiff = ChunkTiff::open(&chunk.path)?;
    let Some(expected) = chunk.tiff_sha256 else { return check_inside(source, chunk, &tiff, interrupt) };
    let sum = hash::sha256_range(&tiff.file, 0, tiff.len, interrupt, |_| ()).map_err(|e| e.at_path(&chunk.path))?;
    if sum == expected {
        return belongs(source, chunk, &tiff);
    }
    check_inside(source, chunk, &tiff, interrupt)?;
    check_size(chunk, &tiff)?;
    let text = format!("the TIFF's SHA-256 is {sum}, the manifest says {expected}; the audio in it is whole");
    Err(Error::mismatch(text).at_path(&chunk.path))
}

/// That the TIFF is as long as the manifest says. A shorter or longer one is damaged, wherever the damage is. (The
/// original programs' manifests are not held to it: they say nothing else about the TIFF as a whole.)
pub(crate) fn check_size(chunk: &Chunk, tiff: &ChunkTiff) -> Result<()> {
    match chunk.size_bytes {
        Some(size) if chunk.tiff_sha256.is_some() && size != tiff.len => {
            let text = format!("the TIFF has {} bytes, the manifest says {size}: it is truncated or altered", tiff.len);
            Err(Error::mismatch(text).at_path(&chunk.path))
        }
        _ => Ok(()),
    }
}

fn check_inside(source: &Source, chunk: &Chunk, tiff: &ChunkTiff, interrupt: &Interrupt) -> Result<()> {
    belongs(source, chunk, tiff)?;
    if tiff.flacs.is_empty() && tiff.source_bytes.is_empty() {
        return Err(Error::new(ErrorKind::Missing, "there is no FLAC in this TIFF").at_path(&chunk.path));
    }
    for (i, flac) in tiff.flacs.iter().enumerate() {
        let sum = flac_sum(tiff, flac, interrupt)?;
        check_flac(tiff, flac, interrupt)?;
        compare(chunk, i, sum)?;
    }
    Ok(())
}

/// That a FLAC's SHA-256 is the one that the manifest says, where it says one.
pub(crate) fn compare(chunk: &Chunk, flac: usize, sum: Sha256Sum) -> Result<()> {
    match chunk.flac_sha256.get(flac).copied().flatten() {
        Some(expected) if expected != sum => Err(Error::mismatch(format!(
            "the FLAC's SHA-256 is {sum}, the manifest says {expected}: the TIFF is damaged or belongs to something else"
        ))
        .at_path(&chunk.path)),
        _ => Ok(()),
    }
}

/// SHA-256 of a FLAC inside a TIFF.
pub(crate) fn flac_sum(tiff: &ChunkTiff, flac: &FlacPage, interrupt: &Interrupt) -> Result<Sha256Sum> {
    if let Some((start, len)) = flac.place {
        return hash::sha256_range(&tiff.file, start, len, interrupt, |_| ()).map_err(|e| e.at_path(&tiff.path));
    }
    let mut reader = tiff.page_reader(flac.page)?;
    let mut sha = Sha256::new();
    let mut buf = vec![0; 256 << 10];
    loop {
        interrupt.check()?;
        let n = reader.read(&mut buf).map_err(Error::while_("reading the FLAC", &tiff.path))?;
        if n == 0 {
            return Ok(Sha256Sum::finish(sha));
        }
        sha.update(&buf[..n]);
    }
}

/// Every frame of a FLAC, its MD5 and its length.
pub(crate) fn check_flac(tiff: &ChunkTiff, flac: &FlacPage, interrupt: &Interrupt) -> Result<()> {
    let Some((start, len)) = flac.place else { return Ok(()) };
    check_stream(&tiff.file, (start, len), tiff, interrupt)
}

/// As [`check_flac`], for a FLAC that came out of `tiff` and now lies at `start` of `file`, with `len` bytes.
pub(crate) fn check_stream(
    file: &File,
    (start, len): (u64, u64),
    tiff: &ChunkTiff,
    interrupt: &Interrupt,
) -> Result<()> {
    let located = |e: Error| e.at_path(&tiff.path);
    let mut decoder = StreamDecoder::new(file, start, start + len).map_err(located)?;
    while decoder.next_frame().map_err(located)?.is_some() {
        interrupt.check()?;
    }
    let checked = decoder.into_check();
    match checked.md5 {
        Md5Status::Mismatch => Err(located(Error::mismatch("the FLAC's MD5 does not match its samples"))),
        Md5Status::Absent if tiff.metadata.is_some() => Err(located(Error::malformed("the FLAC has lost its MD5"))),
        _ => Ok(()),
    }
}

/// That the TIFF is this chunk of this source, and not some other chunk under its name.
pub(crate) fn belongs(source: &Source, chunk: &Chunk, tiff: &ChunkTiff) -> Result<()> {
    let Some(metadata) = &tiff.metadata else { return Ok(()) };
    let other_source = source.sha256.is_some_and(|sum| sum.to_string() != metadata.source_sha256);
    let other_chunk = metadata.chunk_id != chunk.chunk_id;
    if other_source || other_chunk {
        return Err(Error::mismatch(format!(
            "this TIFF is {} of {}, not {} of {}; put the right one back",
            metadata.chunk_id, metadata.relative_path, chunk.chunk_id, source.relative_path
        ))
        .at_path(&chunk.path));
    }
    Ok(())
}

/// That no manifest makes an archive of the original programs out of TIFFs that this one has written: what is rebuilt for
/// those is a WAV of the samples, and not the file that was archived.
pub(crate) fn same_writer(source: &Source, tiff: &ChunkTiff) -> Result<()> {
    if source.ours || tiff.metadata.is_none() {
        return Ok(());
    }
    let text = "this TIFF was written by audio2tiff, but the manifest does not say so: the manifest is damaged. Put it aside \
                and everything goes on from the TIFFs, or write it again with `tiff2flac rebuild-manifest --overwrite`";
    Err(Error::malformed(text).at_path(&tiff.path))
}

/// That the chunks which the archive lists are all of the source.
pub(crate) fn check_complete(source: &Source) -> Result<()> {
    if !source.ours {
        return Ok(());
    }
    let mut next = 0;
    for chunk in &source.chunks {
        if let (Some(start), Some(samples)) = (chunk.start_sample, chunk.num_samples) {
            if start != next {
                return Err(Error::new(
                    ErrorKind::Missing,
                    format!("{} begins at sample {start}, but the chunks before it end at {next}", chunk.chunk_id),
                ));
            }
            next += samples;
        }
    }
    if source.total_samples.is_some_and(|total| total != next) || source.chunks.is_empty() {
        let total = source.total_samples.unwrap_or(0);
        let text = format!("the chunks hold {next} of the source's {total} samples a channel; some are missing");
        return Err(Error::new(ErrorKind::Missing, text));
    }
    Ok(())
}

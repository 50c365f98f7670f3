//! What is left where neither the archive nor its recovery data gives a source back: everything that is whole, in its place,
//! silence for the rest, and a list of what is lost.
//!
//! ```text
//! source ─► all TIFFs whole? nothing to do
//!        ─► repaired copies by recovery data ─► does the source come back with its SHA-256? it is written under its name
//!        ─► <name>.salvaged.wav, <name>.salvage.json, <name>.salvage.txt
//! ```
//!
//! | file | what |
//! |---|---|
//! | `layout` | what the source should be |
//! | `frames` | the whole frames of one chunk, each by its number |
//! | `exact` | what samples have beyond 24 bits, where it can be trusted |
//! | `output` | the file of the right length |
//! | `report` | the list of time ranges |
//!
//! The archive is only read. Of a coded source (an MP3, say) whose original bytes are damaged, the decoded samples are
//! salvaged, and the report says so.

mod exact;
mod frames;
mod layout;
mod output;
mod report;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Map;

use crate::durable;
use crate::error::{Error, ErrorKind, Result};
use crate::events::{Event, Observer, Status, Summary};
use crate::extract::find::find;
use crate::extract::rebuild::Output;
use crate::extract::sources::Source;
use crate::extract::{Context, check, finish_file, restored};
use crate::hash;
use crate::interrupt::Interrupt;
use crate::manifest::{self, SourceRecord};
use crate::parity;
use crate::positioned::{self, ReadAt};
use layout::{Layout, Piece};
use output::{Form, WavFile};
use report::{About, Losses};

/// Salvages every damaged source of the archive in `dir` into `out_dir`; whole ones are left alone, and the archive is not
/// changed.
///
/// A source of which something is lost counts as an error, however much of it could be written.
///
/// # Errors
/// Where the run as a whole cannot go on: no archive there, `out_dir` not writable or the archive itself; or `Interrupted`.
pub fn salvage(
    dir: &Path,
    out_dir: &Path,
    workers: usize,
    interrupt: &Interrupt,
    observer: &dyn Observer,
) -> Result<Summary> {
    let ctx = Context::new(workers, interrupt, observer);
    let (found, records) =
        ctx.pool()?.install(|| Ok::<_, Error>((find(dir, interrupt)?, layout::Records::read(dir, interrupt)?)))?;
    durable::create_dir_all(out_dir)?;
    if fs::canonicalize(dir).ok().is_some_and(|real| fs::canonicalize(out_dir).is_ok_and(|out| out == real)) {
        let text = "--out-dir is the archive itself; choose another folder";
        return Err(Error::new(ErrorKind::Usage, text).at_path(out_dir));
    }
    super::announce(&found, &ctx)?;
    let salvor = Salvor { ctx: &ctx, out_dir, records, next: AtomicU64::new(0) };
    ctx.for_each_source(&found.sources, |_, source, drivers| {
        if let Err(e) = salvor.source(source, drivers) {
            ctx.failed(&source.relative_path, &e);
        }
    })?;
    Ok(ctx.summary())
}

struct Salvor<'a> {
    ctx: &'a Context<'a>,
    out_dir: &'a Path,
    records: layout::Records,
    next: AtomicU64,
}

/// Repaired copies that are of use only while a source is worked on.
#[derive(Default)]
struct Copies(Vec<PathBuf>);

impl Drop for Copies {
    fn drop(&mut self) {
        self.0.iter().for_each(|path| durable::remove_quietly(path));
    }
}

impl Salvor<'_> {
    fn temp_path(&self) -> PathBuf {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.out_dir.join(format!(".salvage-{}-{number}.part", std::process::id()))
    }

    fn source(&self, source: &Source, drivers: usize) -> Result<()> {
        let empty = SourceRecord::default();
        let record = self.records.get(&source.relative_path)?;
        let mut layout = Layout::of(source, record.as_ref().unwrap_or(&empty));
        let mut copies = Copies::default();
        let damaged = self.examine(source, &mut layout, &mut copies)?;
        if !damaged && !source.incomplete {
            self.tell(source, Status::Skipped, "whole; `tiff2flac --reconstruct` gives it back", Map::new());
            return Ok(());
        }
        let relative = manifest::safe_relative_path(&source.relative_path)?;
        let target = self.out_dir.join(&relative);
        durable::create_dir_all(target.parent().unwrap_or(self.out_dir))?;
        if source.ours && !source.incomplete && self.restore(source, &layout, drivers, &target)? {
            let text = if copies.0.is_empty() {
                "the damage has not reached it: comes back with its SHA-256"
            } else {
                "comes back with its SHA-256, with the help of the recovery data; `tiff2flac repair` mends the archive"
            };
            self.tell(source, Status::Restored, text, Map::new());
            return Ok(());
        }
        self.write(source, &mut layout, &target)
    }

    fn tell(&self, source: &Source, status: Status, message: &str, details: Map<String, serde_json::Value>) {
        self.ctx.counted(status);
        self.ctx.observer.on(&Event::File { item: &source.relative_path, status, message, details });
    }

    /// Finds out which TIFFs are whole, and makes repaired copies of those that are not; says whether any was not.
    fn examine(&self, source: &Source, layout: &mut Layout, copies: &mut Copies) -> Result<bool> {
        let mut damaged = false;
        for (piece, chunk) in layout.pieces.iter_mut().zip(&source.chunks) {
            piece.whole = match chunk.tiff_sha256 {
                Some(expected) => self.has_sum(&piece.path, expected)?,
                None => check::check_chunk(source, chunk, self.ctx.interrupt).is_ok(),
            };
            self.ctx.advance(&source.relative_path, chunk.size_bytes.unwrap_or(0));
            if piece.whole {
                continue;
            }
            damaged = true;
            let temp = self.temp_path();
            match parity::repair_to(&piece.path, &temp, piece.tiff_sha256, self.ctx.interrupt) {
                Ok(_) => {
                    copies.0.push(temp.clone());
                    piece.path = temp;
                    piece.whole = true;
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => return Err(e),
                // It was an attempt: without recovery data the rest is what there is.
                Err(_) => {}
            }
        }
        // Chunks that are not there at all are seen by their numbers.
        Ok(damaged || check::check_complete(source).is_err())
    }

    fn has_sum(&self, path: &Path, expected: manifest::Sha256Sum) -> Result<bool> {
        let Ok(file) = positioned::open(path) else { return Ok(false) };
        let Ok(len) = ReadAt::len(&file) else { return Ok(false) };
        match hash::sha256_range(&file, 0, len, self.ctx.interrupt, |_| ()) {
            Ok(sum) => Ok(sum == expected),
            Err(e) if e.kind() == ErrorKind::Interrupted => Err(e),
            Err(_) => Ok(false),
        }
    }

    /// Restores the source as it was, if that is possible.
    fn restore(&self, source: &Source, layout: &Layout, drivers: usize, target: &Path) -> Result<bool> {
        let mut repaired = source.clone();
        for (chunk, piece) in repaired.chunks.iter_mut().zip(&layout.pieces) {
            chunk.path.clone_from(&piece.path);
        }
        if check::check_complete(&repaired).is_err() {
            return Ok(false);
        }
        let temp = self.temp_path();
        let made = durable::create(&temp).and_then(|f| restored(self.ctx, &repaired, drivers, Output::new(Some(f))));
        match made.and_then(|file| finish_file(file, &temp, target, &repaired)) {
            Ok(()) => Ok(true),
            Err(e) => {
                durable::remove_quietly(&temp);
                let ours_to_tell = matches!(e.kind(), ErrorKind::Interrupted)
                    || e.io_error().is_some_and(|e| e.kind() == std::io::ErrorKind::StorageFull);
                if ours_to_tell { Err(e) } else { Ok(false) }
            }
        }
    }

    /// Writes what is left of a source, and the reports; always an error, since something is missing.
    fn write(&self, source: &Source, layout: &mut Layout, target: &Path) -> Result<()> {
        let mut losses = Losses::default();
        if layout.coded {
            losses.note("the original bytes are damaged and were not written; these are its decoded samples");
        }
        let opened: Vec<Result<frames::Opened>> =
            layout.pieces.iter().map(|piece| frames::open(piece, layout, self.ctx.interrupt)).collect();
        let first = opened.iter().flatten().find_map(|o| o.tracks.first().map(|t| t.info));
        if layout.sample_rate == 0 {
            layout.sample_rate = first.map_or(0, |info| info.sample_rate);
        }
        if layout.channels == 0 {
            layout.channels = first.map_or(0, |info| u32::from(info.channels));
        }
        for (piece, opened) in layout.pieces.iter_mut().zip(&opened) {
            if let (None, Ok(opened)) = (piece.frames, opened) {
                piece.frames = total_of(opened, &piece.flacs);
            }
        }
        layout.settle();
        let total = layout.length();
        if layout.sample_rate == 0 || layout.channels == 0 || total == 0 {
            let text = "nothing can be salvaged: no audio frame of it is left, and nothing says how long it was";
            return Err(Error::new(ErrorKind::Missing, text));
        }
        let bits = first.map(|info| info.bits_per_sample).or(layout.bits).unwrap_or(16);
        let form = Form::of(layout.plain, bits);
        let temp = self.temp_path();
        let file = WavFile::create(temp.clone(), form, layout.sample_rate, layout.channels, total);
        let written = file.and_then(|file| {
            let mut position = 0;
            for (piece, opened) in layout.pieces.iter().zip(opened) {
                self.piece(layout, piece, opened, form, &file, &mut position, total, &mut losses)?;
            }
            losses.lose(position, total.saturating_sub(position), None, "chunks are missing");
            file.finish(&durable::with_suffix(target, ".salvaged.wav"))
        });
        if let Err(e) = written {
            durable::remove_quietly(&temp);
            return Err(e);
        }
        let name = |path: &Path| path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let wav = durable::with_suffix(target, ".salvaged.wav");
        let about = About {
            source: &source.relative_path,
            sha256: source.sha256.map(|sum| sum.to_string()),
            written: &name(&wav),
            form: form.format().name(),
            sample_rate: layout.sample_rate,
            channels: layout.channels,
            frames: total,
        };
        let json = about.json(&losses);
        let pretty = serde_json::to_string_pretty(&json).unwrap_or_default() + "\n";
        durable::write(&durable::with_suffix(target, ".salvage.json"), pretty.as_bytes())?;
        durable::write(&durable::with_suffix(target, ".salvage.txt"), about.text(&losses).as_bytes())?;
        Err(Error::mismatch(format!(
            "not whole; written as {} (list of what is lost beside it): {}",
            about.written,
            about.sentence(&losses)
        )))
    }

    /// Puts what is left of one chunk into the file. `position` is the frame up to which the file is accounted for.
    #[allow(clippy::too_many_arguments)]
    fn piece(
        &self,
        layout: &Layout,
        piece: &Piece,
        opened: Result<frames::Opened>,
        form: Form,
        file: &WavFile,
        position: &mut u64,
        total: u64,
        losses: &mut Losses,
    ) -> Result<()> {
        let start = piece.start.unwrap_or(*position).max(*position);
        losses.lose(*position, start.min(total) - (*position).min(total), None, "chunks are missing");
        let end = piece.frames.map_or(total, |frames| start.saturating_add(frames)).min(total);
        *position = start.min(total);
        let opened = match opened {
            Err(e) if e.kind() == ErrorKind::Interrupted => return Err(e),
            Err(e) => {
                losses.lose(*position, end - *position, None, &format!("{}: {}", piece.tiff_path, e.message()));
                *position = end;
                return Ok(());
            }
            Ok(opened) => opened,
        };
        let damaged = format!("{}: damaged", piece.tiff_path);
        let channels = layout.channels as usize;
        let known: BTreeSet<usize> = opened
            .tracks
            .iter()
            .flat_map(|t| t.first_channel..t.first_channel + usize::from(t.info.channels))
            .collect();
        let (mut bytes, mut next) = (Vec::new(), *position);
        frames::blocks(&opened, channels, end - *position, self.ctx.interrupt, |block| {
            let (at, frames) = (*position + block.start, block.frames as u64);
            losses.lose(next, at - next, None, &damaged);
            let complete = block.missing.is_empty() && known.len() == channels;
            if let Form::Wide(format) = form {
                let reduced = opened.exact.join(format, block.start, block.planes, complete, &mut bytes)?;
                if let Some(reason) = reduced {
                    losses.reduce(at, frames, &format!("{}: {reason}", piece.tiff_path));
                }
            }
            file.put_planes(at, block.planes, &mut bytes)?;
            for &track in &block.missing {
                let track = &opened.tracks[track];
                let first = u32::try_from(track.first_channel).unwrap_or(u32::MAX) + 1;
                losses.lose(at, frames, Some((first, first + u32::from(track.info.channels) - 1)), &damaged);
            }
            for channel in (0..channels).filter(|c| !known.contains(c)) {
                let channel = u32::try_from(channel).unwrap_or(u32::MAX) + 1;
                losses.lose(at, frames, Some((channel, channel)), &damaged);
            }
            next = at + frames;
            Ok(())
        })?;
        losses.lose(next, end - next, None, &damaged);
        *position = end;
        Ok(())
    }
}

/// Frames of a chunk of which nothing but its FLAC is known.
fn total_of(opened: &frames::Opened, flacs: &[(u64, u64, u32)]) -> Option<u64> {
    let (start, len) = flacs.first().map_or((0, u64::MAX), |&(offset, len, _)| (offset, len));
    let metadata = crate::flac::Metadata::read(&opened.file, start, start.saturating_add(len)).ok()?;
    Some(metadata.stream_info.total_samples).filter(|total| *total > 0)
}

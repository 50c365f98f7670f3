//! One TIFF against the manifest and against itself.
//!
//! The SHA-256 of a TIFF covers all that is in it. Where it is right, its page directories are read and compared with the
//! manifest, and nothing is decoded (unless `deep`). Where it is wrong, not known or cannot be computed, everything
//! inside is looked at by itself, to say what the damage has reached: every frame of every FLAC, the MD5s, the FLACs'
//! SHA-256, the other pages. Where the page directories themselves are damaged, the FLACs are looked for at the places
//! that the manifest knows.

use std::fs::{self, File};
use std::io::{self, Read};

use crate::error::{Error, ErrorKind, Result};
use crate::extract::tiff::ChunkTiff;
use crate::extract::{Chunk, Source, check};
use crate::flac::{Md5Status, StreamDecoder, StreamItem};
use crate::hash;
use crate::interrupt::Interrupt;
use crate::manifest::Sha256Sum;
use crate::parity;
use crate::positioned::{self, ReadAt};
use crate::verify::finding::Finding;
use crate::verify::mendable;
use crate::verify::stretch::{self, Stretch, Timeline};
use crate::verify::tolerant::Tolerant;

/// Checks one TIFF; with `deep` also decodes what its SHA-256 vouches for. Gives all that was found.
///
/// # Errors
/// `Interrupted` only.
pub(crate) fn check(source: &Source, chunk: &Chunk, deep: bool, interrupt: &Interrupt) -> Result<Vec<Finding>> {
    let mut checking = Checking { source, chunk, interrupt, findings: Vec::new() };
    checking.whole(deep)?;
    let damaged = checking.findings.iter().any(|finding| is_damage(finding.code));
    let mendable = damaged && mendable(&chunk.path, chunk.tiff_sha256, interrupt);
    checking.recovery_data(mendable || !damaged)?;
    let mut findings = checking.findings;
    findings.iter_mut().filter(|finding| is_damage(finding.code)).for_each(|finding| finding.mendable = mendable);
    Ok(findings)
}

/// Whether a finding is of the kind that a repair of the file would end.
fn is_damage(code: &str) -> bool {
    let of_file = ["tiff-", "flac-", "page-", "no-flac"].iter().any(|start| code.starts_with(start));
    of_file && !matches!(code, "tiff-contradicts" | "tiff-unsupported")
}

/// What can be seen of a TIFF without reading it: that it is there, with its length.
pub(crate) fn glance(chunk: &Chunk) -> Option<Finding> {
    let item = chunk.output.as_str();
    match fs::metadata(&chunk.path) {
        Ok(about) => {
            let size = chunk.size_bytes.filter(|size| chunk.tiff_sha256.is_some() && *size != about.len())?;
            let text = format!("the TIFF has {} bytes, the manifest says {size}", about.len());
            Some(Finding::new("tiff-truncated", item, Error::mismatch(text).at_path(&chunk.path)))
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let error = Error::new(ErrorKind::Missing, "the TIFF is not there").at_path(&chunk.path);
            Some(Finding::new("tiff-missing", item, error))
        }
        Err(e) => Some(Finding::new("tiff-unreadable", item, Error::io("looking at", e).at_path(&chunk.path))),
    }
}

struct Checking<'a> {
    source: &'a Source,
    chunk: &'a Chunk,
    interrupt: &'a Interrupt,
    findings: Vec<Finding>,
}

/// How the whole file compares with the manifest.
enum Sum {
    Right,
    Wrong(Sha256Sum),
    WrongLength(u64),
    /// The manifest does not say it.
    Unknown,
    Unreadable,
}

/// A FLAC to be looked at: its number, first byte and length in the TIFF, and whose channels (counted from 1) it holds.
struct Place {
    index: usize,
    start: u64,
    len: u64,
    channels: Option<(u32, u32)>,
}

/// What can be said of the audio where every FLAC is whole and the TIFF is not. Pages that are stored as they are have no
/// checksum of their own.
fn whole_audio(tiff: Option<&ChunkTiff>) -> &'static str {
    let Some(tiff) = tiff else { return "; every FLAC in it is whole" };
    let stored = |page: usize| tiff.pages.get(page).is_some_and(|page| page.compression == 1);
    let remainder = tiff.remainder.is_some_and(|(page, _)| stored(page));
    let source = tiff.source_bytes.iter().any(|s| stored(s.page));
    match (remainder, source) {
        (true, true) => {
            "; every FLAC in it is whole, what the samples have beyond 24 bits and the bytes of the source file may not be"
        }
        (true, false) => "; every FLAC in it is whole, what the samples have beyond 24 bits may not be",
        (false, true) => "; every FLAC in it is whole, the bytes of the source file may not be",
        (false, false) => "; the audio in it is whole",
    }
}

impl Checking<'_> {
    fn found(&mut self, code: &'static str, error: Error) {
        let item = self.chunk.output.as_str();
        self.findings.push(Finding::new(code, item, error.at_path(&self.chunk.path)));
    }

    fn said(&mut self, code: &'static str, kind: ErrorKind, text: impl Into<String>) {
        self.found(code, Error::new(kind, text));
    }

    fn whole(&mut self, deep: bool) -> Result<()> {
        let file = match positioned::open(&self.chunk.path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                self.said("tiff-missing", ErrorKind::Missing, "the TIFF is not there");
                return Ok(());
            }
            Err(e) => {
                self.found("tiff-unreadable", Error::io("opening", e));
                return Ok(());
            }
        };
        if !file.metadata().is_ok_and(|m| m.is_file()) {
            self.said("tiff-unreadable", ErrorKind::Io, "this is no file");
            return Ok(());
        }
        let tolerant = Tolerant::new(&file);
        let tiff = match ChunkTiff::open(&self.chunk.path) {
            Ok(tiff) => Some(tiff),
            Err(e) => {
                match e.kind() {
                    // Which bytes cannot be read is told below.
                    ErrorKind::Io => {}
                    ErrorKind::Unsupported => self.found("tiff-unsupported", e),
                    _ => self.found("tiff-malformed", e),
                }
                None
            }
        };
        if let Some(tiff) = &tiff
            && let Err(e) = check::belongs(self.source, self.chunk, tiff)
        {
            self.found("tiff-foreign", e);
            return Ok(());
        }
        if let Some(tiff) = &tiff
            && let Err(e) = check::same_writer(self.source, tiff)
        {
            self.found("tiff-contradicts", e);
        }
        let sum = self.sum(&file)?;
        if let Some(tiff) = &tiff {
            self.contradictions(tiff, &sum);
        }
        if !matches!(sum, Sum::Right) || deep {
            let places = self.places(tiff.as_ref());
            let before = self.findings.len();
            for place in &places {
                self.flac(&tolerant, place)?;
            }
            let flacs_whole = !places.is_empty() && self.findings.len() == before;
            if let Some(tiff) = &tiff {
                self.other_pages(tiff)?;
            }
            self.tell_sum(&sum, if flacs_whole { whole_audio(tiff.as_ref()) } else { "" });
        }
        let ranges = tolerant.unreadable();
        if !ranges.is_empty() || matches!(sum, Sum::Unreadable) {
            self.tell_unreadable(&file, &ranges)?;
        }
        Ok(())
    }

    /// The recovery data beside the TIFF, if there is any. `renewable`: the TIFF is whole, or will be once it is repaired.
    fn recovery_data(&mut self, renewable: bool) -> Result<()> {
        let path = parity::sidecar_of(&self.chunk.path);
        if fs::symlink_metadata(&path).is_err() {
            return Ok(());
        }
        let expected = self.chunk.tiff_sha256;
        let (error, renewable) = match parity::check_sidecar(&self.chunk.path, expected, self.interrupt) {
            Err(e) if e.kind() == ErrorKind::Interrupted => return Err(e),
            Err(e) => (e, false),
            Ok(Some((subject, _))) if expected.is_some_and(|sum| sum != subject.sha256) => {
                (Error::mismatch("the recovery data is of another file"), false)
            }
            Ok(Some((_, true))) => return Ok(()),
            Ok(Some((_, false))) => (Error::malformed("the recovery data is damaged in part"), renewable),
            Ok(None) => (Error::malformed("nothing is left of the recovery data"), false),
        };
        let mut finding = Finding::new("parity-damaged", self.chunk.output.as_str(), error.at_path(path));
        finding.mendable = renewable;
        self.findings.push(finding);
        Ok(())
    }

    fn sum(&self, file: &File) -> Result<Sum> {
        let Some(expected) = self.chunk.tiff_sha256 else { return Ok(Sum::Unknown) };
        let Ok(len) = ReadAt::len(file) else { return Ok(Sum::Unreadable) };
        if self.chunk.size_bytes.is_some_and(|size| size != len) {
            return Ok(Sum::WrongLength(len));
        }
        match hash::sha256_range(file, 0, len, self.interrupt, |_| ()) {
            Ok(sum) if sum == expected => Ok(Sum::Right),
            Ok(sum) => Ok(Sum::Wrong(sum)),
            Err(e) if e.kind() == ErrorKind::Interrupted => Err(e),
            Err(_) => Ok(Sum::Unreadable),
        }
    }

    /// Tells how the whole file compares with the manifest, and what of the audio is whole, in front of what was found
    /// inside.
    fn tell_sum(&mut self, sum: &Sum, audio: &str) {
        let (code, text) = match (sum, self.chunk.tiff_sha256) {
            (Sum::Wrong(sum), Some(expected)) => {
                ("tiff-changed", format!("the TIFF's SHA-256 is {sum}, the manifest says {expected}{audio}"))
            }
            (Sum::WrongLength(len), _) => {
                let size = self.chunk.size_bytes.unwrap_or(0);
                ("tiff-truncated", format!("the TIFF has {len} bytes, the manifest says {size}{audio}"))
            }
            _ => return,
        };
        let error = Error::mismatch(text).at_path(&self.chunk.path);
        self.findings.insert(0, Finding::new(code, self.chunk.output.as_str(), error));
    }

    fn tell_unreadable(&mut self, file: &File, ranges: &[(u64, u64)]) -> Result<()> {
        // The error that the system gives, from the first place that fails.
        let at = ranges.first().map_or(0, |range| range.0);
        let len = ReadAt::len(file).unwrap_or(0).saturating_sub(at);
        let error = match hash::sha256_range(file, at, len, self.interrupt, |_| ()) {
            Err(e) if e.kind() == ErrorKind::Interrupted => return Err(e),
            Err(e) => e,
            Ok(_) => Error::new(ErrorKind::Io, "reading failed once, and then did not; the disk is failing"),
        };
        let text: Vec<String> = ranges.iter().map(|(start, end)| format!("{start}–{end}")).collect();
        let error = match (error.io_error().map(|e| e.to_string()), text.is_empty()) {
            (Some(os), false) => Error::new(ErrorKind::Io, format!("bytes {} cannot be read: {os}", text.join(", "))),
            _ => error,
        };
        let error = error.at_offset(at).at_path(&self.chunk.path);
        self.findings.insert(0, Finding::new("tiff-unreadable", self.chunk.output.as_str(), error));
        Ok(())
    }

    /// What page 0 and the directories say against the manifest. A TIFF that is not the manifest's may say anything.
    fn contradictions(&mut self, tiff: &ChunkTiff, sum: &Sum) {
        let chunk = self.chunk;
        if tiff.flacs.is_empty() && tiff.source_bytes.is_empty() {
            self.said("no-flac", ErrorKind::Missing, "there is no FLAC in this TIFF");
        }
        if !matches!(sum, Sum::Right | Sum::Unknown) {
            return;
        }
        let mut differ = |what: &str, here: String, there: String| {
            let text = format!("{what}: the TIFF says {here}, the manifest says {there}");
            self.said("tiff-contradicts", ErrorKind::Mismatch, text);
        };
        if let Some(about) = &tiff.metadata {
            if let Some(start) = chunk.start_sample.filter(|start| *start != about.start_sample) {
                differ("the chunk's first sample", about.start_sample.to_string(), start.to_string());
            }
            if let Some(samples) = chunk.num_samples.filter(|samples| *samples != about.num_samples) {
                differ("the chunk's number of samples", about.num_samples.to_string(), samples.to_string());
            }
        }
        for (n, (flac, place)) in tiff.flacs.iter().zip(&chunk.flac_places).enumerate() {
            if let (Some(here), Some(there)) = (flac.place, place)
                && here != *there
            {
                let words = |(start, len): (u64, u64)| format!("{len} bytes from byte {start}");
                differ(&format!("FLAC {n}"), words(here), words(*there));
            }
        }
    }

    /// Where the FLACs are: by the TIFF itself, or, where that is damaged, by the manifest.
    fn places(&self, tiff: Option<&ChunkTiff>) -> Vec<Place> {
        let by_tiff = tiff.into_iter().flat_map(|tiff| &tiff.flacs).enumerate().filter_map(|(index, flac)| {
            // A page that reaches beyond a truncated file has no place of its own any more.
            let (start, len) = flac.place.or_else(|| self.known_place(index))?;
            let channels = (flac.channels > 0 && (index > 0 || tiff.is_some_and(|t| t.flacs.len() > 1)))
                .then(|| (flac.first_channel.saturating_add(1), flac.first_channel.saturating_add(flac.channels)));
            Some(Place { index, start, len, channels })
        });
        let mut places: Vec<Place> = by_tiff.collect();
        if tiff.is_none_or(|tiff| tiff.flacs.is_empty()) {
            let by_manifest = self.chunk.flac_places.iter().enumerate();
            places
                .extend(by_manifest.filter_map(|(index, place)| {
                    place.map(|(start, len)| Place { index, start, len, channels: None })
                }));
        }
        places
    }

    /// Where the manifest says that a FLAC lies.
    fn known_place(&self, index: usize) -> Option<(u64, u64)> {
        self.chunk.flac_places.get(index).copied().flatten()
    }

    /// SHA-256, frames, MD5 and length of one FLAC.
    fn flac(&mut self, file: &dyn ReadAt, place: &Place) -> Result<()> {
        let which = match place.channels {
            Some((first, last)) => format!("the FLAC of channels {first} to {last}"),
            None => "the FLAC".to_owned(),
        };
        let expected = self.chunk.flac_sha256.get(place.index).copied().flatten();
        let mut changed = None;
        if let Some(expected) = expected {
            match hash::sha256_range(file, place.start, place.len, self.interrupt, |_| ()) {
                Ok(sum) if sum == expected => {}
                Ok(sum) => changed = Some(format!("{which} has SHA-256 {sum}, the manifest says {expected}")),
                Err(e) if e.kind() == ErrorKind::Interrupted => return Err(e),
                // Cut short; the frames tell where.
                Err(_) => changed = Some(format!("{which} is cut short")),
            }
        }
        let before = self.findings.len();
        self.frames(file, place, &which, changed.is_some())?;
        if let Some(text) = changed
            && self.findings.len() == before
        {
            let text = format!("{text}; every frame and the MD5 are right, so all samples are whole");
            self.said("flac-changed", ErrorKind::Mismatch, text);
        }
        Ok(())
    }

    /// Decodes every frame, also behind damage.
    fn frames(&mut self, file: &dyn ReadAt, place: &Place, which: &str, changed: bool) -> Result<()> {
        let end = place.start.saturating_add(place.len);
        let total = self.chunk.num_samples;
        let lost = |from: u64, position: u64, bytes_from: u64| Stretch {
            first_sample: from,
            samples: total.unwrap_or(position).max(position).saturating_sub(from),
            offset: bytes_from,
            bytes: end.saturating_sub(bytes_from),
        };
        let mut decoder = match StreamDecoder::new(file, place.start, end) {
            Ok(decoder) => decoder,
            Err(e) => {
                self.damaged(
                    0,
                    vec![lost(0, 0, place.start)],
                    format!("{which} cannot be decoded at all: {}", e.message()),
                );
                return Ok(());
            }
        };
        let info = *decoder.stream_info();
        let mut stretches: Vec<Stretch> = Vec::new();
        let mut first_error = None;
        loop {
            self.interrupt.check()?;
            match decoder.next_item() {
                Ok(None) => break,
                Ok(Some(StreamItem::Frame(_))) => {}
                Ok(Some(StreamItem::Damage(damage))) => {
                    let next = match damage.samples {
                        Some(samples) => Stretch {
                            first_sample: damage.first_sample,
                            samples,
                            offset: damage.offset,
                            bytes: damage.bytes,
                        },
                        None => lost(damage.first_sample, damage.first_sample, damage.offset),
                    };
                    stretch::push(&mut stretches, next);
                    first_error.get_or_insert(damage.error);
                }
                Err(e) => {
                    let position = decoder.position();
                    stretch::push(&mut stretches, lost(position, position, end.min(e.offset().unwrap_or(end))));
                    first_error.get_or_insert(e);
                    break;
                }
            }
        }
        let position = decoder.position();
        let check = decoder.into_check();
        if let Some(error) = first_error {
            if let Some(missing) = total.filter(|total| *total > position) {
                stretch::push(&mut stretches, lost(position, missing, end));
            }
            let text = format!("{which} is damaged ({})", error.message());
            self.damaged(info.sample_rate, stretches, text);
            return Ok(());
        }
        match check.md5 {
            Md5Status::Mismatch => {
                let text =
                    format!("{which}: the MD5 does not match its samples; which of them are wrong cannot be told");
                self.said("flac-md5", ErrorKind::Mismatch, text);
            }
            Md5Status::Absent if self.source.ours && (changed || self.chunk.tiff_sha256.is_none()) => {
                self.said("flac-md5", ErrorKind::Malformed, format!("{which} has lost its MD5"));
            }
            _ => {}
        }
        let says = info.total_samples;
        match total {
            Some(total) if position < total => {
                let text = format!("{which} ends early");
                self.damaged(info.sample_rate, vec![lost(position, total, end)], text);
            }
            Some(total) if position > total || (says > 0 && says != total) => {
                let text =
                    format!("{which} holds {position} samples a channel and says {says}; the manifest says {total}");
                self.said("flac-length", ErrorKind::Mismatch, text);
            }
            None if says > 0 && says != position => {
                let text = format!("{which} holds {position} samples a channel, its header says {says}");
                self.said("flac-length", ErrorKind::Mismatch, text);
            }
            _ => {}
        }
        if check.trailing_bytes > 0 {
            let text = format!("{which} has {} bytes behind its last frame that are no frame", check.trailing_bytes);
            self.said("flac-changed", ErrorKind::Malformed, text);
        }
        Ok(())
    }

    fn damaged(&mut self, nominal_rate: u32, damage: Vec<Stretch>, text: String) {
        let timeline = Timeline::of(self.source, self.chunk, nominal_rate);
        let ranges: Vec<String> = damage.iter().map(|stretch| timeline.words(stretch)).collect();
        let text = format!("{text}; lost of the recording: {}", ranges.join(", "));
        let mut error = Error::malformed(text).at_path(&self.chunk.path);
        if let Some(first) = damage.first() {
            error = error.at_offset(first.offset);
        }
        let mut finding = Finding::new("flac-damaged", self.chunk.output.as_str(), error);
        finding.damage = damage;
        finding.timeline = Some(timeline);
        self.findings.push(finding);
    }

    /// That all other pages can be read (and inflated); a FLAC that is compressed has only its SHA-256.
    fn other_pages(&mut self, tiff: &ChunkTiff) -> Result<()> {
        for page in &tiff.pages {
            let flac = tiff.flacs.iter().position(|flac| flac.page == page.index);
            if flac.is_some_and(|n| tiff.flacs[n].place.or_else(|| self.known_place(n)).is_some()) {
                continue;
            }
            if let Err(e) = self.inflate(tiff, page.index) {
                match e.kind() {
                    ErrorKind::Interrupted => return Err(e),
                    // A page of somebody else's that is stored in another way.
                    ErrorKind::Unsupported => continue,
                    _ => {}
                }
                let what = match page.index {
                    0 => "the picture",
                    index if tiff.remainder.is_some_and(|(page, _)| page == index) => {
                        "what the samples have beyond 24 bits"
                    }
                    index if tiff.source_bytes.iter().any(|s| s.page == index) => "bytes of the source file",
                    _ => "a page beside the FLAC",
                };
                let code = if flac.is_some() { "flac-damaged" } else { "page-damaged" };
                self.found(code, Error::malformed(format!("page {} ({what}): {}", page.index, e.message())));
            } else if let Some(n) = flac
                && let Err(e) = check::flac_sum(tiff, &tiff.flacs[n], self.interrupt)
                    .and_then(|sum| check::compare(self.chunk, n, sum))
            {
                match e.kind() {
                    ErrorKind::Interrupted => return Err(e),
                    _ => self.found("flac-changed", e),
                }
            }
        }
        Ok(())
    }

    fn inflate(&self, tiff: &ChunkTiff, page: usize) -> Result<()> {
        let mut reader = tiff.page_reader(page)?;
        let mut buf = vec![0; 256 << 10];
        loop {
            self.interrupt.check()?;
            match reader.read(&mut buf) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Error::malformed(e.to_string())),
            }
        }
    }
}

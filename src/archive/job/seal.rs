//! The end of a source: pictures, page directories, proof, and the record for the manifest.

use std::fs::File;
use std::path::PathBuf;
use std::time::SystemTime;

use serde_json::{Map, Value, json};

use super::Source;
use super::finished::{Finished, discard_all, sidecar_name};
use super::pending::{FlacPlace, Pending};
use crate::archive::pages;
use crate::archive::prove::{self, Proof};
use crate::archive::write::{Scratch, Sealed};
use crate::container::{self, RawPage};
use crate::error::{Error, Result};
use crate::format::{self, ChunkMetadata, Role};
use crate::manifest::{self, ChunkRecord, GroupRecord, Real, Restore, Sha256Sum, SourceRecord};
use crate::parity::{self, Geometry, Subject};
use crate::preview::{self, Drawing, Labels};
use crate::threads::threads;
use crate::timestamp;

/// Temporary path → path relative to the archive folder.
type Renames = Vec<(PathBuf, String)>;

/// A chunk whose files are complete and have not been read back.
struct Complete {
    sealed: Sealed,
    temp: PathBuf,
    png: Option<Scratch>,
    index: u64,
    start: u64,
    frames: u64,
    flacs: Vec<FlacPlace>,
}

impl Source<'_> {
    pub(super) fn page0(&self, index: u64, count: u64, start: u64, sha: &str, spectrogram: Value) -> Value {
        let opened = &self.opened;
        let metadata = ChunkMetadata {
            format: format::FORMAT.to_owned(),
            format_version: format::FORMAT_VERSION,
            created_by: format::CREATED_BY.to_owned(),
            relative_path: self.candidate.relative.clone(),
            source_sha256: sha.to_owned(),
            source_size_bytes: self.size,
            container: opened.container.clone(),
            sample_format: opened.sample_format.clone(),
            sample_rate: opened.sample_rate,
            channels: opened.channels,
            bits_per_sample: opened.bits_per_sample,
            total_samples: self.total_frames,
            restore: opened.restore.to_owned(),
            decoder: opened.decoder.clone(),
            chunk_seconds: self.ctx.options.chunk_seconds,
            chunk_id: manifest::chunk_id(index),
            chunk_index: index,
            chunk_count: count,
            start_sample: start,
            num_samples: self.pending.get(index as usize).map_or(u64::MAX, |p| p.frames),
            start_time_seconds: Real::seconds(start, Real::from(opened.sample_rate)),
            notes: opened.notes.clone(),
            tags: opened.about.tags.clone(),
            extra: Map::new(),
        };
        json!({ "metadata": metadata, "preview": true, "spectrogram": spectrogram })
    }

    /// Directories, header, proof, and the record for the manifest.
    pub(super) fn finish(mut self, modified: Option<SystemTime>) -> Result<Finished> {
        let sha = std::mem::take(&mut self.sha).finish();
        let mut pending = std::mem::take(&mut self.pending);
        if let [_, .., last] = pending.as_mut_slice() {
            last.spectrum.park(last.parked.path())?;
        }
        let frames: Vec<u64> = pending.iter().map(|p| p.frames).collect();
        let range = self.ctx.options.preview.db_range.unwrap_or_else(|| self.range.range());
        let mut renames = Vec::new();
        let mut chunks = Vec::new();
        for (record, mut paths) in self.seal_and_prove(pending, &frames, sha, &range)? {
            renames.append(&mut paths);
            chunks.push(record);
        }
        let record = self.record(sha, modified, chunks);
        Ok(Finished { record, renames, removes: Vec::new(), notes: self.opened.notes.clone() })
    }

    /// This thread draws the pictures and completes the files, one after the other: a picture is the largest thing in memory. A
    /// proof keeps up to two threads busy: where there are more, they prove what is complete while this one goes on, and
    /// otherwise each file is proved before the next picture takes memory.
    fn seal_and_prove(
        &self,
        pending: Vec<Pending>,
        frames: &[u64],
        sha: Sha256Sum,
        range: &preview::DbRange,
    ) -> Result<Vec<(ChunkRecord, Renames)>> {
        let count = pending.len();
        let seal = |chunk: Pending| self.seal(chunk, count as u64, frames, sha, range);
        if count < 2 || threads() < 3 {
            return pending.into_iter().map(|chunk| self.prove(seal(chunk)?, true)).collect();
        }
        let mut proved: Vec<_> = pending.iter().map(|_| None).collect();
        rayon::scope(|scope| {
            for (chunk, outcome) in pending.into_iter().zip(&mut proved) {
                match seal(chunk) {
                    Ok(complete) => scope.spawn(move |_| *outcome = Some(self.prove(complete, false))),
                    Err(e) => {
                        *outcome = Some(Err(e));
                        break;
                    }
                }
            }
        });
        proved.into_iter().flatten().collect()
    }

    fn seal(
        &self,
        pending: Pending,
        count: u64,
        frames: &[u64],
        sha: Sha256Sum,
        range: &preview::DbRange,
    ) -> Result<Complete> {
        let Pending { parked, index, start, flacs, others, spectrum, .. } = pending;
        let temp = parked.path().to_path_buf();
        let mut out = parked.reopen()?;
        let labels = self.labels(index, count, start);
        let settings = &self.ctx.options.preview;
        let spectrum = spectrum.take()?;
        let drawing = Drawing::new(&spectrum, range, &labels, settings);
        let about = preview::describe(&spectrum, range, &labels, settings);
        let mut page0 = self.page0(index, count, start, &sha.to_string(), about);
        page0["metadata"]["num_samples"] = json!(frames[index as usize]);
        let mut png = None;
        if self.ctx.options.preview_png {
            let encoded = preview::encode_png(&drawing.picture());
            png = Some(Scratch::write(temp.with_extension("png"), &encoded)?);
        }
        let mut picture = pages::picture(&mut out, &drawing, self.threads_idle, container::to_ascii_json(&page0))?;
        picture.text_tags = self.opened.about.text_tags(labels.chunk_start());
        picture.xmp = self.opened.about.xmp(labels.chunk_start());
        let mut layouts = vec![picture];
        for flac in &flacs {
            let role = Role::Flac {
                embedded_flac_bytes: true,
                flac_size_bytes: flac.len,
                first_channel: flac.first_channel,
                channel_count: flac.channels,
                samples_offset: self.opened.data_offset.map(|at| at + start * self.opened.frame_bytes()),
                source_offset: flac.source_offset,
                block_size: flac.block,
            };
            let raw = RawPage { offset: flac.offset, length: flac.len };
            let description = role.to_description()?;
            let own = flac.source_offset.is_some();
            layouts.push(if own { raw.single_row(description)? } else { raw.rows(description)? });
        }
        layouts.extend(others);
        let sealed = out.seal(&layouts)?;
        Ok(Complete { sealed, temp, png, index, start, frames: frames[index as usize], flacs })
    }

    /// Reads a chunk's TIFF back, and says what the manifest records of it and what its files are to be called.
    fn prove(&self, complete: Complete, alone: bool) -> Result<(ChunkRecord, Renames)> {
        let ctx = self.ctx;
        let Complete { sealed, temp, png, index, start, frames, flacs } = complete;
        let places: Vec<(u64, u64)> = flacs.iter().map(|f| (f.offset, f.len)).collect();
        let geometry = ctx.options.parity.map(|share| Geometry::for_file(sealed.len, share)).transpose()?;
        let Proof { tiff_sha256, flac_sha256, shards } =
            prove::prove(&sealed, &places, geometry, self.threads_idle && alone, &ctx.interrupt)?;
        let tiff_path = manifest::chunk_tiff_name(self.base, index);
        let mut record = ChunkRecord {
            chunk_id: manifest::chunk_id(index),
            tiff_path: tiff_path.clone(),
            start_time_seconds: Real::seconds(start, Real::from(self.opened.sample_rate)),
            size_bytes: Some(sealed.len),
            start_sample: Some(start),
            num_samples: Some(frames),
            tiff_sha256: Some(tiff_sha256),
            ..ChunkRecord::default()
        };
        let groups: Vec<GroupRecord> = flacs
            .iter()
            .zip(flac_sha256)
            .zip(1..)
            .map(|((f, sum), page)| GroupRecord {
                page,
                channels: f.channels,
                flac_sha256: Some(sum),
                flac_size_bytes: Some(f.len),
                flac_offset: Some(f.offset),
                ..GroupRecord::default()
            })
            .collect();
        if let Some(first) = groups.first() {
            record.flac_sha256 = first.flac_sha256;
            record.flac_size_bytes = first.flac_size_bytes;
            record.flac_offset = first.flac_offset;
        }
        if groups.len() > 1 {
            record.groups = groups;
        }
        let mut renames = vec![(sealed.release(), tiff_path.clone())];
        if let Some(geometry) = geometry {
            let parity = temp.with_extension("parity");
            let subject = Subject { sha256: tiff_sha256, geometry };
            let file = File::open(&renames[0].0).map_err(Error::while_("opening", &renames[0].0))?;
            parity::write_sidecar_with(&file, &subject, &shards, &parity, &ctx.interrupt)
                .inspect_err(|_| discard_all(&renames))?;
            renames.push((parity, sidecar_name(&tiff_path)));
        }
        renames.extend(png.map(|png| (png.keep(), tiff_path.replace(".tiff", ".png"))));
        Ok((record, renames))
    }

    fn labels(&self, index: u64, count: u64, start: u64) -> Labels {
        let name = self.candidate.relative.rsplit('/').next().unwrap_or_default();
        self.opened.labels(name, index, count, start)
    }

    fn record(&self, sha256: Sha256Sum, modified: Option<SystemTime>, chunks: Vec<ChunkRecord>) -> SourceRecord {
        let opened = &self.opened;
        SourceRecord {
            source_file: self.candidate.path.to_string_lossy().into_owned(),
            relative_path: self.candidate.relative.clone(),
            sha256: Some(sha256),
            size_bytes: Some(self.size),
            modified: modified.and_then(timestamp::to_text),
            container: Some(opened.container.clone()),
            sample_format: Some(opened.sample_format.clone()),
            sample_rate: Some(Real::from(opened.sample_rate)),
            channels: Some(opened.channels),
            bits_per_sample: Some(opened.bits_per_sample),
            total_samples: Some(self.total_frames),
            restore: Some(match opened.restore {
                format::RESTORE_IDENTICAL => Restore::ByteIdentical,
                _ => Restore::OriginalBytes,
            }),
            data_offset: opened.data_offset,
            decoder: opened.decoder.clone(),
            metadata: (!opened.about.tags.is_empty()).then(|| opened.about.tags.clone().into()),
            notes: opened.notes.clone(),
            chunks: chunks.into(),
            ..SourceRecord::default()
        }
    }
}

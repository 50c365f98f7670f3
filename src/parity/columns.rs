//! The code itself, a column at a time.
//!
//! Byte positions of all shards are coded independently of one another (in units of 64 bytes), so shards never need to be in
//! memory whole: a column of some hundred to some thousand bytes of every shard is read, coded, and written. Several columns are
//! worked on in parallel; each takes at most [`COLUMN_MEMORY`].

use std::fs::File;
use std::io;
use std::ops::Range;

use rayon::prelude::*;
use reed_solomon_simd::{ReedSolomonDecoder, ReedSolomonEncoder};

use super::geometry::{Geometry, SHARD_UNIT};
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::positioned::{ReadAt, write_all_at};

/// Bytes that the working space of one column takes at most.
const COLUMN_MEMORY: u64 = 12 << 20;
/// Bytes of a column at most; wider ones fall out of the processor's caches.
const WIDEST: u64 = 4096;

/// Width of a column in bytes where the code needs working space for so many shards.
fn width(geometry: &Geometry, working_shards: u64) -> u64 {
    let fits = COLUMN_MEMORY / working_shards.max(1) / SHARD_UNIT * SHARD_UNIT;
    fits.clamp(SHARD_UNIT, WIDEST).min(geometry.shard_bytes())
}

/// Cuts `0..shard_bytes` into one run of columns for each task; `work` gets a run and the width of its columns.
fn each_run(geometry: &Geometry, width: u64, work: impl Fn(Range<u64>, u64) -> Result<()> + Sync) -> Result<()> {
    let columns = geometry.shard_bytes().div_ceil(width);
    let tasks = columns.min(2 * rayon::current_num_threads() as u64).max(1);
    let run = columns.div_ceil(tasks) * width;
    let starts: Vec<u64> = (0..tasks).map(|t| t * run).filter(|start| *start < geometry.shard_bytes()).collect();
    starts.into_par_iter().try_for_each(|start| work(start..(start + run).min(geometry.shard_bytes()), width))
}

/// The columns of a run: first byte within the shard, and length.
fn columns(run: Range<u64>, width: u64) -> impl Iterator<Item = (u64, u64)> {
    (run.start..run.end)
        .step_by(usize::try_from(width).unwrap_or(usize::MAX))
        .map(move |at| (at, width.min(run.end - at)))
}

/// Fills `column` with bytes `at..` of data shard `index`; zeros where the shard or the file is at its end.
fn read_data(file: &dyn ReadAt, geometry: &Geometry, index: u32, at: u64, column: &mut [u8]) -> Result<()> {
    let (start, len) = geometry.shard(index);
    let there = usize::try_from(len.saturating_sub(at)).unwrap_or(usize::MAX).min(column.len());
    let (bytes, rest) = column.split_at_mut(there);
    rest.fill(0);
    file.read_exact_at(bytes, start + at).map_err(|e| Error::io("reading", e).at_offset(start + at))
}

fn code_error(e: reed_solomon_simd::Error) -> Error {
    Error::limit(format!("the Reed–Solomon code cannot be used with these numbers: {e}"))
}

fn as_len(bytes: u64) -> Result<usize> {
    usize::try_from(bytes).map_err(|_| Error::limit("a column of recovery data does not fit the memory"))
}

/// Computes all recovery shards of `file`; `place` says where recovery shard `i` begins in `out`.
pub(super) fn encode(
    file: &dyn ReadAt,
    geometry: &Geometry,
    out: &File,
    place: impl Fn(u32) -> u64 + Sync,
    interrupt: &Interrupt,
) -> Result<()> {
    let (data, recovery) = (geometry.data() as usize, geometry.recovery() as usize);
    // What the library takes: whole groups of a power of two.
    let (more, less) = (data.max(recovery) as u64, data.min(recovery) as u64);
    let width = width(geometry, more + less.next_power_of_two());
    each_run(geometry, width, |run, width| {
        let mut encoder = ReedSolomonEncoder::new(data, recovery, as_len(width)?).map_err(code_error)?;
        let mut column = vec![0; as_len(width)?];
        for (at, len) in columns(run, width) {
            interrupt.check()?;
            let column = &mut column[..as_len(len)?];
            encoder.reset(data, recovery, column.len()).map_err(code_error)?;
            for index in 0..geometry.data() {
                read_data(file, geometry, index, at, column)?;
                encoder.add_original_shard(&*column).map_err(code_error)?;
            }
            let coded = encoder.encode().map_err(code_error)?;
            for (index, bytes) in (0..geometry.recovery()).zip(coded.recovery_iter()) {
                write_all_at(out, bytes, place(index) + at).map_err(writing)?;
            }
        }
        Ok(())
    })
}

/// Reconstructs the data shards that are not in `good` and writes them to their places in `out`. `recovery` are the recovery
/// shards to be used: their numbers and where their bytes begin in `sidecar`; as many as there are shards to be mended.
pub(super) fn reconstruct(
    file: &dyn ReadAt,
    good: &[bool],
    sidecar: &dyn ReadAt,
    recovery: &[(u32, u64)],
    geometry: &Geometry,
    out: &File,
    interrupt: &Interrupt,
) -> Result<()> {
    let (data, all_recovery) = (geometry.data() as usize, geometry.recovery() as usize);
    let (more, less) = (data.max(all_recovery) as u64, data.min(all_recovery) as u64);
    let width = width(geometry, (more + less.next_power_of_two()).next_power_of_two());
    each_run(geometry, width, |run, width| {
        let mut decoder = ReedSolomonDecoder::new(data, all_recovery, as_len(width)?).map_err(code_error)?;
        let mut column = vec![0; as_len(width)?];
        for (at, len) in columns(run, width) {
            interrupt.check()?;
            let column = &mut column[..as_len(len)?];
            decoder.reset(data, all_recovery, column.len()).map_err(code_error)?;
            for (index, _) in (0..geometry.data()).zip(good).filter(|(_, good)| **good) {
                read_data(file, geometry, index, at, column)?;
                decoder.add_original_shard(index as usize, &*column).map_err(code_error)?;
            }
            for &(index, offset) in recovery {
                sidecar
                    .read_exact_at(column, offset + at)
                    .map_err(|e| Error::io("reading the recovery data", e).at_offset(offset + at))?;
                decoder.add_recovery_shard(index as usize, &*column).map_err(code_error)?;
            }
            let decoded = decoder.decode().map_err(code_error)?;
            for (index, bytes) in decoded.restored_original_iter() {
                let index = u32::try_from(index).map_err(|_| Error::limit("too many shards"))?;
                let (start, shard_len) = geometry.shard(index);
                let there = as_len(shard_len.saturating_sub(at))?.min(bytes.len());
                write_all_at(out, &bytes[..there], start + at).map_err(writing)?;
            }
        }
        Ok(())
    })
}

/// An error of writing, with what to do where the disk is full.
pub(super) fn writing(e: io::Error) -> Error {
    let doing = match e.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            "writing (free some space, then run the same command again; nothing of the archive was changed by this attempt)"
        }
        _ => "writing",
    };
    Error::io(doing, e)
}

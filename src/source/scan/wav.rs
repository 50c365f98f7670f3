//! WAV and its relatives with 8-byte chunk headers: RIFF and RIFX (Microsoft/IBM 1991), RF64 (EBU Tech 3306) and BW64
//! (ITU-R BS.2088).
//!
//! Which bytes are the samples:
//! - the first `data` chunk that holds anything, also inside `LIST wavl`; later ones are part of the tail, because the
//!   first is what players play;
//! - as many bytes as declared, unless the declared size cannot be right (see `extent.rs`);
//! - where chunks before `data` cannot be followed, the next known chunk header behind is searched for.

use super::super::{ChunkRef, Container, Kind, MAX_CHUNKS};
use super::chunks::{Header, MAX_SEARCHES, Walk, is_known, is_printable, name_of};
use super::extent::Extent;
use super::waveformat::{self, WaveFormat};
use super::{Endian, Input, conclude, count};
use crate::error::Result;

/// Sizes of `fmt ` that are believed, bytes.
const FORMAT_SIZES: std::ops::RangeInclusive<u64> = 14..=65_536;

/// What a `ds64` chunk says.
#[derive(Debug, Default)]
struct Sizes64 {
    data: u64,
    samples: u64,
    table: Vec<([u8; 4], u64)>,
}

/// What is known so far while walking from chunk to chunk.
#[derive(Default)]
struct Found {
    format: Option<WaveFormat>,
    sizes: Option<Sizes64>,
    fact: Option<u64>,
    /// Position and length of the chunk that is taken for the samples.
    data: Option<(u64, u64)>,
    chunks: Vec<ChunkRef>,
    notes: Vec<String>,
}

/// Whether these first 12 bytes begin a file for [`scan`].
pub(in crate::source) fn begins(head: &[u8]) -> bool {
    matches!(head.first_chunk::<4>(), Some(b"RIFF" | b"RIFX" | b"RF64" | b"BW64")) && head.get(8..12) == Some(b"WAVE")
}

/// Scans a file that [`begins`] as one of the family.
pub(in crate::source) fn scan(input: &Input) -> Result<Kind> {
    let (container, endian) = match input.bytes::<4>(0)?.as_ref() {
        Some(b"RIFX") => (Container::Rifx, Endian::Big),
        Some(b"RF64") => (Container::Rf64, Endian::Little),
        Some(b"BW64") => (Container::Bw64, Endian::Little),
        _ => (Container::Wav, Endian::Little),
    };
    let walk = Walk { input: *input, endian };
    let mut found = Found::default();
    found.check_riff_size(&walk, container)?;
    found.walk(&walk, 12)?;
    if found.format.is_some()
        && found.data.is_none()
        && let Some(data) = walk.find(12, *b"data")?
    {
        found.notes.push(format!("the chunks do not lead to the data chunk at byte {data}: found by its name"));
        found.walk(&walk, data)?;
    }
    let Found { format, sizes, fact, data, chunks, mut notes } = found;
    let what = container.name().to_uppercase();
    let Some(format) = format else {
        return Ok(Kind::NotAudio(format!("a {what} file without a fmt chunk")));
    };
    let data = data.unwrap_or_else(|| {
        notes.push("there is no data chunk: no audio, and the whole file is its header".into());
        (input.len, 0)
    });
    let frames = match (fact, sizes) {
        (None | Some(0xFFFF_FFFF), Some(sizes)) if sizes.samples > 0 => Some(sizes.samples),
        (fact, _) => fact,
    };
    let format = format.describe(frames, &mut notes);
    conclude(input, container, format, data, chunks, notes)
}

impl Found {
    /// Notes a RIFF size that does not lead to the end of the file.
    fn check_riff_size(&mut self, walk: &Walk, container: Container) -> Result<()> {
        let Some(header) = walk.header(0)? else { return Ok(()) };
        let true_size = walk.input.left(8);
        if matches!(container, Container::Wav | Container::Rifx) && header.size != true_size {
            self.notes.push(format!("the RIFF size is {}, the file's is {true_size}", header.size));
        }
        Ok(())
    }

    /// Takes in one chunk after the other, from `at` on.
    fn walk(&mut self, walk: &Walk, mut at: u64) -> Result<()> {
        let mut searches = 0;
        for _ in 0..MAX_CHUNKS {
            let Some(header) = walk.header(at)? else { break };
            let usable =
                is_known(header.id) || (is_printable(header.id) && header.size <= walk.input.left(header.content));
            let next = if usable { self.take(walk, &header)? } else { None };
            at = match next {
                Some(next) => next,
                // Behind the samples, what cannot be followed is just tail.
                None if self.is_complete() || searches == MAX_SEARCHES => break,
                None => match walk.search(at + 1)? {
                    Some(found) => {
                        searches += 1;
                        self.notes.push(format!("{} before a chunk at byte {found}", count(found - at, "stray byte")));
                        found
                    }
                    None => break,
                },
            };
        }
        let stray = walk.input.left(at);
        if stray > 0 && self.is_complete() {
            self.notes.push(format!("{} after the last chunk", count(stray, "stray byte")));
        }
        Ok(())
    }

    fn is_complete(&self) -> bool {
        self.format.is_some() && self.data.is_some()
    }

    /// Takes in one chunk and says where the next begins, or that this one cannot be right.
    fn take(&mut self, walk: &Walk, header: &Header) -> Result<Option<u64>> {
        let there = walk.input.left(header.content);
        let mut size = header.size;
        match &header.id {
            b"data" => {
                let end = self.take_data(walk, header)?;
                let header = Header { size: end - header.content, ..*header };
                return walk.next(&header, end, &mut self.notes).map(Some);
            }
            b"LIST" if walk.input.bytes::<4>(header.content)?.as_ref() == Some(b"wavl") => {
                self.notes.push("the samples are in a wave list (LIST wavl)".into());
                return Ok(Some(header.content + 4));
            }
            b"fmt " if self.format.is_none() => {
                if !FORMAT_SIZES.contains(&size) {
                    self.notes.push(format!("the size of the fmt chunk ({size}) cannot be right: 16 assumed"));
                    size = 16;
                }
                let bytes = walk.input.up_to(header.content, waveformat::READ.min(size as usize))?;
                self.format = WaveFormat::parse(&bytes, walk.endian, header.content, size, &mut self.notes);
            }
            b"ds64" if self.sizes.is_none() => self.sizes = Some(read_ds64(walk, header)?),
            id => {
                if size == 0xFFFF_FFFF {
                    size = self.size_from_table(*id).unwrap_or(size);
                }
                if *id == *b"fact" && self.fact.is_none() {
                    self.fact = walk.input.bytes::<4>(header.content)?.map(|b| u64::from(walk.endian.u32(b)));
                }
                self.list(*id, header.content, size.min(there));
            }
        }
        if size > there {
            if !self.is_complete() {
                return Ok(None);
            }
            self.notes.push(format!("the chunk {} is cut off by the end of the file", name_of(header.id)));
            return Ok(Some(walk.input.len));
        }
        walk.next(&Header { size, ..*header }, header.content + size, &mut self.notes).map(Some)
    }

    /// Puts a chunk on the list for readers of metadata.
    fn list(&mut self, id: [u8; 4], offset: u64, len: u64) {
        if self.chunks.len() < MAX_CHUNKS {
            self.chunks.push(ChunkRef { id, offset, len });
        }
    }

    /// The size that the table in `ds64` has for a chunk.
    fn size_from_table(&self, id: [u8; 4]) -> Option<u64> {
        self.sizes.as_ref()?.table.iter().find(|(name, _)| *name == id).map(|&(_, size)| size)
    }

    /// Takes in a `data` chunk and says where its bytes end.
    fn take_data(&mut self, walk: &Walk, header: &Header) -> Result<u64> {
        let there = walk.input.left(header.content);
        let already = self.data.is_some_and(|(_, len)| len > 0);
        let mut declared = header.size;
        if declared == 0xFFFF_FFFF && !already {
            match &self.sizes {
                Some(sizes) if sizes.data > 0 || there == 0 => declared = sizes.data,
                Some(_) => declared = 0,
                None => {}
            }
        }
        let mut notes = Vec::new();
        let (len, extent) = walk.data_len(header.content, declared, &mut notes)?;
        if already {
            self.notes.push(format!("a second data chunk of {len} bytes is kept as it is, behind the samples"));
            self.list(header.id, header.content, len);
        } else {
            self.notes.append(&mut notes);
            self.data = Some((header.content, len));
        }
        // Where the size was not to be believed, there is nothing behind it to be found.
        Ok(if extent == Extent::ToEnd { walk.input.len } else { header.content + len })
    }
}

/// Reads `ds64`: sizes of the file and of `data`, the number of frames, and a table for other large chunks.
fn read_ds64(walk: &Walk, header: &Header) -> Result<Sizes64> {
    let len = usize::try_from(header.size).unwrap_or(usize::MAX).min(28 + 12 * MAX_CHUNKS);
    let bytes = walk.input.up_to(header.content, len)?;
    let u64_at = |at: usize| bytes.get(at..).and_then(|b| b.first_chunk()).map(|b| u64::from_le_bytes(*b));
    let mut sizes = Sizes64 { data: u64_at(8).unwrap_or(0), samples: u64_at(16).unwrap_or(0), table: Vec::new() };
    let entries = Endian::Little.u32_in(&bytes, 24).unwrap_or(0) as usize;
    for entry in bytes.get(28..).unwrap_or(&[]).chunks_exact(12).take(entries) {
        if let (Some(id), Some(size)) = (entry.first_chunk(), entry[4..].first_chunk()) {
            sizes.table.push((*id, u64::from_le_bytes(*size)));
        }
    }
    Ok(sizes)
}

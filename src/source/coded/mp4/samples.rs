//! Where the packets of a track lie: the sample table (stsz, stsc, stco/co64, stts), then the fragments (moof).

use std::collections::VecDeque;

use crate::error::{Error, Result};

use super::super::input::Input;
use super::super::{be32, be64};
use super::atoms::{Atom, atom_at, each, find};
use super::track::{Movie, contents};

/// Window of one table, in bytes.
const TABLE_WINDOW: usize = 8 * 1024;

/// Packets beyond the end of the file that are counted: some hundred hours of audio.
const MAX_MISSING: u64 = 1 << 24;

/// One packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sample {
    /// From the start of the file.
    pub(super) offset: u64,
    /// Bytes.
    pub(super) size: u32,
    /// Its duration in the track's time.
    pub(super) delta: u32,
}

/// The next thing in a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Item {
    Sample(Sample),
    /// Fragments are missing before the one at `offset`: so much time, in the track's units.
    Gap {
        time: u64,
        offset: u64,
    },
    /// Bytes between fragments that are none.
    Lost {
        from: u64,
        to: u64,
    },
}

/// What all packets come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Measure {
    pub(super) samples: u64,
    /// Packets up to the last one that lies inside the file.
    pub(super) readable: u64,
    /// In the track's time, of the packets up to there.
    pub(super) duration: u64,
}

/// All packets of a track, in order.
pub(super) struct Samples {
    table: Table,
    fragments: Option<Fragments>,
    index: u64,
}

impl Samples {
    pub(super) fn new(input: &Input, movie: &Movie) -> Self {
        let fragments = movie.fragments.map(|defaults| Fragments::new(input, movie.track_id, defaults));
        Samples { table: Table::new(input, movie.table), fragments, index: 0 }
    }

    /// Packets that [`next`](Self::next) has given.
    pub(super) fn index(&self) -> u64 {
        self.index
    }

    pub(super) fn rewind(&mut self) {
        self.index = 0;
        self.table.rewind();
        if let Some(fragments) = &mut self.fragments {
            fragments.rewind();
        }
    }

    pub(super) fn next(&mut self) -> Result<Option<Item>> {
        let item = match (self.table.next()?, &mut self.fragments) {
            (Some(sample), _) => Some(Item::Sample(sample)),
            (None, Some(fragments)) => fragments.next()?,
            (None, None) => None,
        };
        self.index += u64::from(matches!(item, Some(Item::Sample(_))));
        Ok(item)
    }

    /// Goes over all packets once.
    ///
    /// # Errors
    /// `Malformed` where the packets together are larger than the file: they overlap, and could be any number.
    pub(super) fn measure(&mut self, file_end: u64) -> Result<Measure> {
        let mut all = Measure::default();
        let (mut bytes, mut duration) = (0u64, 0u64);
        while let Some(item) = self.next()? {
            let sample = match item {
                Item::Sample(sample) => sample,
                Item::Gap { time, .. } => {
                    duration = duration.saturating_add(time);
                    continue;
                }
                Item::Lost { .. } => continue,
            };
            all.samples += 1;
            duration = duration.saturating_add(u64::from(sample.delta));
            if sample.offset.saturating_add(u64::from(sample.size)) <= file_end {
                bytes += u64::from(sample.size);
                all.readable = all.samples;
                all.duration = duration;
            }
            if bytes > file_end || all.samples - all.readable > MAX_MISSING {
                return Err(Error::malformed("the packets overlap one another; the sample table is wrong"));
            }
        }
        Ok(all)
    }
}

/// A table of entries in an atom, read where it lies.
struct Entries {
    input: Input,
    at: u64,
    count: u64,
    size: u64,
}

impl Entries {
    /// The table of `kind` in a sample table atom: entries of `size` bytes that begin `front` bytes into its contents,
    /// where their number stands before them.
    fn find(input: &mut Input, parent: Atom, kind: &[u8; 4], front: u64, size: u64) -> Result<Option<Self>> {
        let Some(atom) = find(input, parent.body, parent.end, kind)? else { return Ok(None) };
        let told = u64::from(be32(&contents(input, atom, front)?, front as usize - 4));
        let room = (atom.end - atom.body).saturating_sub(front) / size;
        Ok(Some(Entries { input: input.fork(TABLE_WINDOW), at: atom.body + front, count: told.min(room), size }))
    }

    fn get(&mut self, index: u64) -> Result<Option<&[u8]>> {
        if index >= self.count {
            return Ok(None);
        }
        let size = self.size as usize;
        let entry = self.input.view(self.at + index * self.size, size)?;
        Ok((entry.len() == size).then_some(entry))
    }
}

/// How the sizes of packets are given.
enum Sizes {
    Same { size: u32, count: u64 },
    Each(Entries),
}

/// The tables, once they were found.
struct Found {
    sizes: Sizes,
    chunks: Entries,
    runs: Entries,
    times: Option<Entries>,
}

/// The walk over the sample table.
struct Table {
    input: Input,
    atom: Atom,
    /// `None` before the first use; inside it `None` where the tables are not all there.
    found: Option<Option<Found>>,
    sample: u64,
    chunk: u64,
    run: u64,
    /// Packets left in the present chunk, and where the next one lies.
    left: u32,
    offset: u64,
    time: u64,
    time_left: u32,
    delta: u32,
}

impl Table {
    fn new(input: &Input, atom: Atom) -> Self {
        Table {
            input: input.fork(TABLE_WINDOW),
            atom,
            found: None,
            sample: 0,
            chunk: 0,
            run: 0,
            left: 0,
            offset: 0,
            time: 0,
            time_left: 0,
            delta: 0,
        }
    }

    fn rewind(&mut self) {
        (self.sample, self.chunk, self.run, self.left, self.offset) = (0, 0, 0, 0, 0);
        (self.time, self.time_left, self.delta) = (0, 0, 0);
    }

    fn look(input: &mut Input, atom: Atom) -> Result<Option<Found>> {
        let sizes = match Entries::find(input, atom, b"stsz", 12, 4)? {
            Some(entries) => {
                let head = input.view(entries.at - 8, 8)?;
                match be32(head, 0) {
                    0 => Sizes::Each(entries),
                    size => Sizes::Same { size, count: u64::from(be32(head, 4)) },
                }
            }
            None => return Ok(None),
        };
        let chunks = match Entries::find(input, atom, b"stco", 8, 4)? {
            Some(entries) => Some(entries),
            None => Entries::find(input, atom, b"co64", 8, 8)?,
        };
        let runs = Entries::find(input, atom, b"stsc", 8, 12)?;
        let times = Entries::find(input, atom, b"stts", 8, 8)?;
        Ok(match (chunks, runs) {
            (Some(chunks), Some(runs)) => Some(Found { sizes, chunks, runs, times }),
            _ => None,
        })
    }

    fn next(&mut self) -> Result<Option<Sample>> {
        if self.found.is_none() {
            self.found = Some(Self::look(&mut self.input, self.atom)?);
        }
        let Some(Some(found)) = &mut self.found else { return Ok(None) };
        let size = match &mut found.sizes {
            Sizes::Same { size, count } if self.sample < *count => *size,
            Sizes::Same { .. } => return Ok(None),
            Sizes::Each(entries) => match entries.get(self.sample)? {
                Some(entry) => be32(entry, 0),
                None => return Ok(None),
            },
        };
        while self.left == 0 {
            let Some(entry) = found.chunks.get(self.chunk)? else { return Ok(None) };
            self.offset = if entry.len() == 8 { be64(entry, 0) } else { u64::from(be32(entry, 0)) };
            self.chunk += 1;
            // Chunks are counted from 1; the next run takes over at its first chunk.
            while let Some(next) = found.runs.get(self.run + 1)? {
                if u64::from(be32(next, 0)) > self.chunk {
                    break;
                }
                self.run += 1;
            }
            let Some(run) = found.runs.get(self.run)? else { return Ok(None) };
            let (packets, description) = (be32(run, 4), be32(run, 8));
            if description > 1 {
                return Err(Error::unsupported("the format changes in mid-stream (a second sample description)")
                    .at_offset(self.offset));
            }
            self.left = packets;
        }
        while self.time_left == 0 {
            match &mut found.times {
                Some(times) => match times.get(self.time)? {
                    Some(entry) => {
                        (self.time_left, self.delta) = (be32(entry, 0), be32(entry, 4));
                        self.time += 1;
                    }
                    // The table of durations is short: the last one goes on.
                    None => self.time_left = u32::MAX,
                },
                None => self.time_left = u32::MAX,
            }
        }
        let sample = Sample { offset: self.offset, size, delta: self.delta };
        self.sample += 1;
        self.left -= 1;
        self.time_left -= 1;
        self.offset = self.offset.saturating_add(u64::from(size));
        Ok(Some(sample))
    }
}

/// A run of packets in a fragment.
struct Run {
    input: Input,
    /// Next entry.
    at: u64,
    left: u32,
    flags: u32,
    offset: u64,
    delta: u32,
    size: u32,
}

/// The walk over the fragments.
struct Fragments {
    input: Input,
    track_id: u32,
    defaults: (u32, u32),
    at: u64,
    runs: VecDeque<Run>,
    /// Where in time the next fragment should begin, once one was seen.
    time: Option<u64>,
    /// Where the present one says it begins.
    told: Option<u64>,
}

impl Fragments {
    fn new(input: &Input, track_id: u32, defaults: (u32, u32)) -> Self {
        let runs = VecDeque::new();
        Fragments {
            input: input.fork(TABLE_WINDOW),
            track_id,
            defaults,
            at: input.start(),
            runs,
            time: None,
            told: None,
        }
    }

    fn rewind(&mut self) {
        self.at = self.input.start();
        self.runs.clear();
        self.time = None;
        self.told = None;
    }

    fn next(&mut self) -> Result<Option<Item>> {
        loop {
            if let Some(told) = self.told.take() {
                let expected = self.time.replace(told).unwrap_or(told);
                if told > expected {
                    return Ok(Some(Item::Gap { time: told - expected, offset: self.at }));
                }
            }
            if let Some(run) = self.runs.front_mut() {
                if let Some(sample) = run.next()? {
                    self.time = self.time.map(|t| t.saturating_add(u64::from(sample.delta)));
                    return Ok(Some(Item::Sample(sample)));
                }
                self.runs.pop_front();
                continue;
            }
            let (from, end) = (self.at, self.input.end());
            if from >= end {
                return Ok(None);
            }
            match atom_at(&mut self.input, from, end)? {
                Some(atom) if atom.kind.iter().all(|b| b.is_ascii_graphic() || *b == b' ') => {
                    self.at = atom.end;
                    if &atom.kind == b"moof" {
                        self.fragment(atom)?;
                    }
                }
                // The size of an atom was wrong: the next fragment is somewhere behind.
                _ => {
                    self.at = self.find_fragment(from)?;
                    return Ok(Some(Item::Lost { from, to: self.at }));
                }
            }
        }
    }

    /// The next fragment from `from` on, or the end.
    fn find_fragment(&mut self, from: u64) -> Result<u64> {
        let mut at = from;
        loop {
            let view = self.input.ahead(at, 16)?;
            if view.len() < 16 {
                return Ok(self.input.end());
            }
            match view.windows(16).position(|w| &w[4..8] == b"moof" && &w[12..] == b"mfhd") {
                Some(step) => return Ok(at + step as u64),
                None => at += view.len() as u64 - 15,
            }
        }
    }

    /// Finds the runs of the track in a fragment.
    fn fragment(&mut self, moof: Atom) -> Result<()> {
        let (track_id, defaults) = (self.track_id, self.defaults);
        let mut runs = VecDeque::new();
        let mut told = None;
        each(&mut self.input, moof.body, moof.end, |input, traf| {
            if &traf.kind != b"traf" {
                return Ok(true);
            }
            let Some(tfhd) = find(input, traf.body, traf.end, b"tfhd")? else { return Ok(true) };
            let head = contents(input, tfhd, 40)?;
            if be32(&head, 4) != track_id {
                return Ok(true);
            }
            let flags = be32(&head, 0);
            let mut at = 8;
            let mut optional = |bit: u32, size: usize| {
                let here = at;
                let set = flags & bit != 0;
                at += if set { size } else { 0 };
                set.then_some(here)
            };
            let base = optional(1, 8).map_or(moof.start, |at| be64(&head, at));
            optional(2, 4);
            let delta = optional(8, 4).map_or(defaults.0, |at| be32(&head, at));
            let size = optional(0x10, 4).map_or(defaults.1, |at| be32(&head, at));
            if let Some(tfdt) = find(input, traf.body, traf.end, b"tfdt")? {
                let body = contents(input, tfdt, 12)?;
                told = Some(if body.first() == Some(&1) { be64(&body, 4) } else { u64::from(be32(&body, 4)) });
            }
            each(input, traf.body, traf.end, |input, trun| {
                if &trun.kind == b"trun" {
                    runs.push_back(run(input, trun, base, delta, size)?);
                }
                Ok(runs.len() < 4096)
            })?;
            Ok(runs.len() < 4096)
        })?;
        self.runs = runs;
        self.told = told;
        // A run that does not say where it begins follows the one before.
        let mut next = None;
        for run in &mut self.runs {
            if run.flags & 1 == 0
                && let Some(offset) = next
            {
                run.offset = offset;
            }
            next = run.end()?;
        }
        Ok(())
    }
}

fn run(input: &mut Input, trun: Atom, base: u64, delta: u32, size: u32) -> Result<Run> {
    let head = contents(input, trun, 16)?;
    let flags = be32(&head, 0);
    let mut at = 8;
    let mut offset = base;
    if flags & 1 != 0 {
        offset = base.saturating_add_signed(i64::from(be32(&head, at) as i32));
        at += 4;
    }
    at += if flags & 4 != 0 { 4 } else { 0 };
    let mut fork = input.fork(TABLE_WINDOW);
    fork.cut_end(trun.end);
    let mut run = Run { input: fork, at: trun.body + at as u64, left: be32(&head, 4), flags, offset, delta, size };
    let room = match trun.end.saturating_sub(run.at).checked_div(run.entry_size() as u64) {
        Some(room) => room,
        // All packets alike: without a size of their own they would be any number of nothing.
        None if size == 0 => 0,
        None => u64::from(u32::MAX),
    };
    run.left = run.left.min(u32::try_from(room).unwrap_or(u32::MAX));
    Ok(run)
}

impl Run {
    fn entry_size(&self) -> usize {
        (self.flags >> 8 & 15).count_ones() as usize * 4
    }

    fn next(&mut self) -> Result<Option<Sample>> {
        if self.left == 0 {
            return Ok(None);
        }
        let size = self.entry_size();
        let entry = self.input.view(self.at, size)?;
        if entry.len() < size {
            return Ok(None);
        }
        let mut field = 0;
        let (mut delta, mut bytes) = (self.delta, self.size);
        if self.flags & 0x100 != 0 {
            delta = be32(entry, field);
            field += 4;
        }
        if self.flags & 0x200 != 0 {
            bytes = be32(entry, field);
        }
        let sample = Sample { offset: self.offset, size: bytes, delta };
        self.at += size as u64;
        self.left -= 1;
        self.offset = self.offset.saturating_add(u64::from(bytes));
        Ok(Some(sample))
    }

    /// Where the run's last packet ends.
    fn end(&mut self) -> Result<Option<u64>> {
        if self.flags & 0x200 == 0 {
            return Ok(Some(self.offset.saturating_add(u64::from(self.left) * u64::from(self.size))));
        }
        let (at, left, offset) = (self.at, self.left, self.offset);
        while self.next()?.is_some() {}
        let end = self.offset;
        (self.at, self.left, self.offset) = (at, left, offset);
        Ok(Some(end))
    }
}

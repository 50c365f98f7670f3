//! ISO base media files (ISO 14496-12: M4A, MP4, and QuickTime's MOV) with AAC-LC or ALAC.
//!
//! The sample tables are read where they lie, through small windows, so that memory does not grow with the
//! number of packets; fragmented files are read too. Encoder delay and padding come from iTunes' own field, or from the edit
//! list and the durations.

mod atoms;
mod samples;
mod track;

use crate::error::Result;

use super::adts::{FRAMES_PER_PACKET, SbrSigns};
use super::decoder::fillable;
use super::input::Input;
use super::stream::{CodecSetup, Demuxer, Log, MAX_PACKET, Packet, Trim, Unit};
use super::{Source, WarningCode, alac};
use samples::{Item, Measure, Sample, Samples};
use track::{Gapless, Movie};

pub(super) use track::elementary_stream;

/// Opens an ISO base media file.
///
/// # Errors
/// `Malformed` where there is no movie header or track, `Unsupported` for other codecs.
pub(super) fn open(mut input: Input) -> Result<Source> {
    let mut log = Log::default();
    let movie = Movie::read(&mut input, &mut log)?;
    let (setup, sample_rate) = movie.setup.clone();
    let mut samples = Samples::new(&input, &movie);
    let measure = samples.measure(input.end())?;
    if measure.readable < measure.samples {
        log.note(
            WarningCode::Truncated,
            format!(
                "{} of {} packets lie beyond the end of the file, which is cut off; the others are decoded",
                measure.samples - measure.readable,
                measure.samples
            ),
        );
    }
    samples.rewind();
    let mut packets = Packets { input, samples, measure, setup: setup.clone(), sample_rate, movie };
    if let CodecSetup::Aac { sample_rate: rate, .. } = setup {
        packets.refuse_he_aac(rate, &mut log)?;
    }
    Ok(Source::new("mp4", setup, sample_rate, Box::new(packets), log))
}

/// The packets of the track, in order.
struct Packets {
    input: Input,
    samples: Samples,
    measure: Measure,
    setup: CodecSetup,
    sample_rate: u32,
    movie: Movie,
}

impl Packets {
    /// A configuration can keep silent about HE-AAC; the packets show it.
    fn refuse_he_aac(&mut self, rate: u32, log: &mut Log) -> Result<()> {
        if rate > 24_000 {
            return Ok(());
        }
        let mut signs = SbrSigns::default();
        let mut unheard = Log::default();
        while !signs.enough() {
            match self.next(&mut unheard)? {
                Some(Unit::Packet(packet)) => signs.look(&packet.data),
                Some(_) => {}
                None => break,
            }
        }
        self.rewind();
        signs.judge(rate, log)
    }

    /// Frames that a packet gives: its own word where it has one.
    fn frames(&self, data: &[u8], sample: &Sample) -> u32 {
        match &self.setup {
            CodecSetup::Alac { cookie, .. } => alac::packet_frames(data, cookie).unwrap_or(sample.delta),
            _ => FRAMES_PER_PACKET,
        }
    }
}

impl Packets {
    /// Fragments are missing.
    fn gap(&self, time: u64, offset: u64, log: &mut Log) -> Unit {
        let frames = self.in_frames(time);
        let filled = fillable(frames, self.sample_rate);
        let how = if filled { "silence stands for it" } else { "too long to fill with silence" };
        log.at(WarningCode::Hole, offset, format!("fragments are missing before this one: {frames} frames, {how}"));
        Unit::Silence { frames: if filled { frames } else { 0 } }
    }

    /// Durations count in the track's own time; nearly always that is the sample rate.
    fn in_frames(&self, time: u64) -> u64 {
        let frames = u128::from(time) * u128::from(self.sample_rate) / u128::from(self.movie.timescale.max(1));
        u64::try_from(frames).unwrap_or(u64::MAX)
    }
}

impl Demuxer for Packets {
    fn next(&mut self, log: &mut Log) -> Result<Option<Unit>> {
        let sample = loop {
            if self.samples.index() >= self.measure.readable {
                return Ok(None);
            }
            match self.samples.next()? {
                None => return Ok(None),
                Some(Item::Sample(sample)) => break sample,
                Some(Item::Gap { time, offset }) => return Ok(Some(self.gap(time, offset, log))),
                Some(Item::Lost { from, to }) => {
                    let message = format!("{} bytes between fragments are passed over", to - from);
                    log.at(WarningCode::SkippedBytes, from, message);
                }
            }
        };
        let missing = |log: &mut Log, frames: u32, why: &str| {
            log.at(
                WarningCode::Hole,
                sample.offset,
                format!("a packet of {} bytes {why}; silence stands for it", sample.size),
            );
            Ok(Some(Unit::Silence { frames: u64::from(frames) }))
        };
        let nominal = match &self.setup {
            CodecSetup::Alac { cookie, .. } => sample.delta.min(alac::frame_length(cookie)),
            _ => FRAMES_PER_PACKET,
        };
        if sample.size == 0 || sample.size as usize > MAX_PACKET {
            return missing(log, nominal, "cannot be one of audio");
        }
        match self.input.copy(sample.offset, sample.size as usize)? {
            Some(data) => {
                let frames = self.frames(&data, &sample);
                Ok(Some(Unit::Packet(Packet::whole(data, sample.offset, frames))))
            }
            None => missing(log, nominal, "lies beyond the end of the file"),
        }
    }

    fn rewind(&mut self) {
        self.samples.rewind();
    }

    fn trim(&self, decoded: u64, log: &mut Log) -> Trim {
        let complete = self.measure.readable == self.measure.samples;
        let whole = Trim { skip: 0, total: decoded };
        let told = self.in_frames(self.measure.duration).min(decoded);
        match &self.movie.gapless {
            Gapless::ITunes { delay, frames } if complete && delay.saturating_add(*frames) <= decoded => {
                Trim { skip: *delay, total: *frames }
            }
            Gapless::ITunes { delay, .. } => Trim { skip: (*delay).min(decoded), total: decoded },
            Gapless::Edit { start, frames } => {
                let skip = self.in_frames(*start).min(decoded);
                let mut total = told.saturating_sub(skip);
                if let (Some((length, tick)), true) = (frames, complete) {
                    // The edit counts in the movie's time, mostly milliseconds: only a real difference counts.
                    if length.saturating_add(*tick) < total {
                        total = *length;
                    }
                }
                Trim { skip, total: if complete { total } else { decoded - skip } }
            }
            Gapless::Several => {
                log.note(
                    WarningCode::NotFollowed,
                    "the edit list has several parts; the whole track is decoded instead",
                );
                whole
            }
            // A packet of ALAC knows its own length; one of AAC is always full, and the last duration tells the rest.
            Gapless::None if matches!(self.setup, CodecSetup::Alac { .. }) => {
                if complete && told != decoded {
                    log.note(
                        WarningCode::LengthMismatch,
                        format!("the packets hold {decoded} frames, the file tells of {told}; all are decoded"),
                    );
                }
                whole
            }
            Gapless::None => Trim { skip: 0, total: if complete { told } else { decoded } },
        }
    }
}

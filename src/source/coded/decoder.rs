//! The decoder that callers see: units in, blocks of samples out, with trimming, concealment and bookkeeping.

use crate::error::{Error, ErrorKind, Result};

use super::codec::Codec;
use super::stream::{Demuxer, Log, MAX_HOLE_SECONDS, Packet, Trim, Unit};
use super::{CodedInfo, CodedWarning, Source, WarningCode};

/// Frames of silence given in one block.
const SILENCE_BLOCK: u64 = 65_536;

/// What decoding came to, complete when the decoder has given 0 frames.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DecodeSummary {
    /// Frames delivered so far.
    pub frames: u64,
    /// Packets that could not be decoded.
    pub damaged_packets: u64,
    /// Frames of silence that stand for damaged or missing packets.
    pub concealed_frames: u64,
    /// Samples that lay beyond full scale.
    pub clipped_samples: u64,
}

/// A coded source that is being decoded, block by block, with memory that does not grow.
pub struct CodedDecoder {
    info: CodedInfo,
    demuxer: Box<dyn Demuxer>,
    codec: Codec,
    trim: Trim,
    /// Frames decoded so far, before trimming.
    position: u64,
    silence_left: u64,
    after_damage: bool,
    finished: bool,
    summary: DecodeSummary,
    log: Log,
    /// The demuxer tells the same things on its second way through; they go here.
    second_log: Log,
}

impl std::fmt::Debug for CodedDecoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CodedDecoder").field("info", &self.info).field("summary", &self.summary).finish_non_exhaustive()
    }
}

impl CodedDecoder {
    /// Walks over all units of `source` to learn its length, then stands at its start.
    pub(super) fn survey(source: Source) -> Result<Self> {
        let Source { container, setup, sample_rate, mut demuxer, mut log } = source;
        let facts = setup.facts();
        let codec = Codec::new(&setup)?;
        let mut trial = Trial::new(Codec::new(&setup)?, facts.channels);
        let (mut decoded, mut left_out) = (0u64, (0u64, 0u64));
        loop {
            let unit = match demuxer.next(&mut log) {
                Ok(Some(unit)) => unit,
                Ok(None) => break,
                // One FLAC has one format: what was decoded before another begins is kept, and the rest is told of.
                Err(e) if decoded > 0 && matches!(e.kind(), ErrorKind::Unsupported | ErrorKind::Malformed) => {
                    log.note(WarningCode::OtherStreams, format!("the copy for listening ends early: {e}"));
                    break;
                }
                Err(e) => return Err(e),
            };
            let frames = match unit {
                Unit::Packet(packet) => {
                    trial.look(&packet)?;
                    left_out.0 += u64::from(packet.skip);
                    left_out.1 += u64::from(packet.frames - packet.skip - packet.keep);
                    u64::from(packet.keep)
                }
                Unit::Silence { frames } => frames,
                Unit::Restart(setup) => {
                    trial.codec = Codec::new(&setup)?;
                    0
                }
            };
            decoded =
                decoded.checked_add(frames).ok_or_else(|| Error::limit("the stream claims an impossible length"))?;
            log.frame = decoded;
        }
        trial.end()?;
        let mut trim = demuxer.trim(decoded, &mut log);
        demuxer.rewind();
        trim.skip = trim.skip.min(decoded);
        trim.total = trim.total.min(decoded - trim.skip);
        log.frame = 0;
        let info = CodedInfo {
            container,
            codec: facts.codec,
            decoder: facts.decoder,
            sample_rate,
            channels: facts.channels,
            bits_per_sample: facts.bits_per_sample,
            lossless: facts.lossless,
            total_frames: trim.total,
            trimmed_start: left_out.0 + trim.skip,
            trimmed_end: left_out.1 + decoded - trim.skip - trim.total,
        };
        Ok(CodedDecoder {
            info,
            demuxer,
            codec,
            trim,
            position: 0,
            silence_left: 0,
            after_damage: false,
            finished: false,
            summary: DecodeSummary::default(),
            log,
            second_log: Log::default(),
        })
    }

    /// What the source holds.
    pub fn info(&self) -> &CodedInfo {
        &self.info
    }

    /// What was found wrong so far: all about the container as soon as it is open, all about packets once
    /// [`next_block`](Self::next_block) has returned 0. At most 200 entries; [`more_warnings`](Self::more_warnings)
    /// counts the others.
    pub fn warnings(&self) -> &[CodedWarning] {
        &self.log.warnings
    }

    /// Warnings beyond those that are kept word for word.
    pub fn more_warnings(&self) -> u64 {
        self.log.more
    }

    /// The counts so far.
    pub fn summary(&self) -> DecodeSummary {
        self.summary
    }

    /// Decodes the next block: `planes` gets one vector per channel, each with the same number of frames,
    /// right-justified at [`CodedInfo::bits_per_sample`]. Returns that number, at most 65,536; 0 means the end.
    ///
    /// # Errors
    /// `Io` where reading fails, `Changed` where the file is no longer what it was when it was opened. Damage is
    /// no error, see [`warnings`](Self::warnings).
    pub fn next_block(&mut self, planes: &mut Vec<Vec<i32>>) -> Result<usize> {
        planes.resize_with(usize::from(self.info.channels), Vec::new);
        loop {
            for plane in planes.iter_mut() {
                plane.clear();
            }
            if self.finished || self.summary.frames == self.trim.total {
                self.finish();
                return Ok(0);
            }
            let frames = if self.silence_left > 0 {
                let frames = self.silence_left.min(SILENCE_BLOCK);
                self.silence_left -= frames;
                for plane in planes.iter_mut() {
                    plane.resize(frames as usize, 0);
                }
                frames
            } else {
                self.second_log.frame = self.position;
                match self.demuxer.next(&mut self.second_log)? {
                    Some(Unit::Packet(packet)) => self.decode(&packet, planes),
                    Some(Unit::Silence { frames }) => {
                        self.silence_left = frames;
                        self.summary.concealed_frames += frames;
                        self.codec.reset();
                        continue;
                    }
                    Some(Unit::Restart(setup)) => {
                        self.codec = Codec::new(&setup)?;
                        continue;
                    }
                    None => return Err(changed()),
                }
            };
            let start = self.position;
            self.position += frames;
            let first = self.trim.skip.saturating_sub(start).min(frames);
            let last = (self.trim.skip + self.trim.total).saturating_sub(start).min(frames);
            if first >= last {
                continue;
            }
            for plane in planes.iter_mut() {
                plane.truncate(last as usize);
                plane.drain(..first as usize);
            }
            self.summary.frames += last - first;
            return Ok((last - first) as usize);
        }
    }

    /// Decodes one packet into `planes`: exactly its `keep` frames, silence where it cannot be decoded.
    fn decode(&mut self, packet: &Packet, planes: &mut [Vec<i32>]) -> u64 {
        let outcome = self.codec.decode(&packet.data, planes);
        self.log.frame = self.position;
        match outcome {
            Ok(decoded) => {
                self.summary.clipped_samples += decoded.clipped;
                if decoded.frames != packet.frames as usize && !self.after_damage {
                    self.damaged(packet, &format!("it gives {} frames instead of {}", decoded.frames, packet.frames));
                } else if decoded.frames < packet.frames as usize {
                    self.summary.concealed_frames += u64::from(packet.frames) - decoded.frames as u64;
                }
                self.after_damage = false;
            }
            Err(why) => {
                for plane in planes.iter_mut() {
                    plane.clear();
                }
                self.damaged(packet, &why);
                self.summary.concealed_frames += u64::from(packet.keep);
                self.codec.reset();
                self.after_damage = true;
            }
        }
        for plane in planes.iter_mut() {
            plane.resize(packet.frames as usize, 0);
            plane.drain(..(packet.skip as usize).min(plane.len()));
            plane.truncate(packet.keep as usize);
        }
        u64::from(packet.keep)
    }

    fn damaged(&mut self, packet: &Packet, why: &str) {
        self.summary.damaged_packets += 1;
        let size = packet.data.len();
        self.log.at(
            WarningCode::DamagedPacket,
            packet.offset,
            format!("a packet of {size} bytes cannot be decoded ({why}); silence of the same length stands for it"),
        );
    }

    /// Says once what is known only at the end.
    fn finish(&mut self) {
        if self.finished {
            return;
        }
        self.finished = true;
        let clipped = self.summary.clipped_samples;
        if clipped > 0 {
            self.log.note(
                WarningCode::Clipped,
                format!("{clipped} decoded samples lie beyond full scale and are clipped in the access copy"),
            );
        }
    }
}

/// Decodes the first packets while the stream is measured: where none of them can be decoded it is not damage, but a
/// stream that the decoder does not handle, and an access copy would be nothing but silence.
struct Trial {
    codec: Codec,
    planes: Vec<Vec<i32>>,
    left: u32,
    why: Option<String>,
}

impl Trial {
    /// Packets that may fail before the stream is given up.
    const PACKETS: u32 = 64;

    fn new(codec: Codec, channels: u16) -> Self {
        Trial { codec, planes: vec![Vec::new(); usize::from(channels)], left: Self::PACKETS, why: None }
    }

    fn look(&mut self, packet: &Packet) -> Result<()> {
        if self.left == 0 {
            return Ok(());
        }
        match self.codec.decode(&packet.data, &mut self.planes) {
            Ok(decoded) if decoded.frames > 0 => {
                self.left = 0;
                self.why = None;
            }
            Ok(_) => {}
            Err(why) => {
                self.why.get_or_insert(why);
                self.codec.reset();
                self.left -= 1;
                if self.left == 0 {
                    return self.end();
                }
            }
        }
        Ok(())
    }

    fn end(&self) -> Result<()> {
        match &self.why {
            Some(why) => Err(Error::unsupported(format!("none of its packets can be decoded ({why})"))),
            None => Ok(()),
        }
    }
}

fn changed() -> Error {
    Error::new(ErrorKind::Changed, "the file ends earlier than when it was opened; it was changed meanwhile, try again")
}

/// `frames`, if a hole of that length at `sample_rate` may be filled with silence.
pub(super) fn fillable(frames: u64, sample_rate: u32) -> bool {
    frames <= MAX_HOLE_SECONDS * u64::from(sample_rate)
}

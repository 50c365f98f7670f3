//! What the parts of this module hand to one another: units of a coded stream, codec set-ups, and the log of what was
//! found wrong.

use crate::error::Result;

use super::{CodedWarning, WarningCode};

/// The most frames that silence may stand in for at one hole; a longer hole is reported and left out.
///
/// A hostile time stamp can claim a hole of any length, and time and disk must not depend on a claim.
pub(super) const MAX_HOLE_SECONDS: u64 = 3600;

/// The most bytes of one packet. The largest real ones are setup headers of Vorbis and packets of 8-channel ALAC.
pub(super) const MAX_PACKET: usize = 4 << 20;

/// Warnings kept word for word; beyond that only their number grows.
const MAX_WARNINGS: usize = 200;

/// One packet of a coded stream, with what the decoder has to make of it.
pub(super) struct Packet {
    /// The packet's bytes, as its decoder wants them.
    pub(super) data: Vec<u8>,
    /// Where its first byte lies, from the start of the file.
    pub(super) offset: u64,
    /// Frames that decoding it gives.
    pub(super) frames: u32,
    /// Of those, frames to leave out at the start.
    pub(super) skip: u32,
    /// Of the others, frames to keep.
    pub(super) keep: u32,
}

impl Packet {
    /// A packet of which every frame is kept.
    pub(super) fn whole(data: Vec<u8>, offset: u64, frames: u32) -> Self {
        Packet { data, offset, frames, skip: 0, keep: frames }
    }
}

/// The next thing in a coded stream.
pub(super) enum Unit {
    /// A packet to decode.
    Packet(Packet),
    /// Packets are missing here: so many frames of silence stand for them.
    Silence {
        /// Frames, at most [`MAX_HOLE_SECONDS`] of them.
        frames: u64,
    },
    /// A new chain of the same kind begins (Ogg): go on with a decoder of this set-up.
    Restart(CodecSetup),
}

/// What a codec needs to be started.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum CodecSetup {
    /// MPEG audio layer 1, 2 or 3.
    Mpeg { layer: u8, sample_rate: u32, channels: u16 },
    /// AAC-LC: rate, channels and the AudioSpecificConfig.
    Aac { sample_rate: u32, channels: u16, config: Vec<u8> },
    /// ALAC: the bare magic cookie of 24 or 48 bytes.
    Alac { cookie: Vec<u8>, sample_rate: u32, channels: u16, bits: u32 },
    /// Vorbis: identification header and setup header.
    Vorbis { identification: Vec<u8>, setup: Vec<u8>, sample_rate: u32, channels: u16 },
    /// Opus: the OpusHead.
    Opus(super::opus::OpusHead),
    /// G.711, interleaved.
    G711 { law: super::g711::Law, channels: u16 },
    /// A flavour of ADPCM.
    Adpcm { flavour: super::adpcm::Flavour, channels: u16 },
}

/// How much to leave out at both ends of everything that was decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trim {
    /// Frames to leave out at the start.
    pub(super) skip: u64,
    /// Frames that are then kept.
    pub(super) total: u64,
}

/// Takes a container apart into packets, in file order.
pub(super) trait Demuxer: Send + Sync {
    /// The next unit, or `None` at the end.
    ///
    /// # Errors
    /// `Unsupported` with a position where the format changes in mid-stream, `Io` where reading fails. Damage is no
    /// error: it goes to `log`.
    fn next(&mut self, log: &mut Log) -> Result<Option<Unit>>;

    /// Goes back to the first packet.
    fn rewind(&mut self);

    /// What to keep of `decoded` frames (all that the units add up to).
    fn trim(&self, decoded: u64, log: &mut Log) -> Trim;
}

/// Collects warnings, a bounded number of them word for word.
#[derive(Default)]
pub(super) struct Log {
    pub(super) warnings: Vec<CodedWarning>,
    pub(super) more: u64,
    /// Frames that lie before the present unit, trimming not counted.
    pub(super) frame: u64,
}

impl Log {
    /// Notes something about the bytes at `offset`.
    pub(super) fn at(&mut self, code: WarningCode, offset: u64, message: impl Into<String>) {
        let frame = Some(self.frame);
        self.push(CodedWarning { code, message: message.into(), offset: Some(offset), frame });
    }

    /// Notes something about the stream as a whole.
    pub(super) fn note(&mut self, code: WarningCode, message: impl Into<String>) {
        self.push(CodedWarning { code, message: message.into(), offset: None, frame: None });
    }

    fn push(&mut self, warning: CodedWarning) {
        if self.warnings.len() < MAX_WARNINGS {
            self.warnings.push(warning);
        } else {
            self.more = self.more.saturating_add(1);
        }
    }
}

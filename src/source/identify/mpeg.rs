//! MPEG audio frames (ISO/IEC 11172-3 and 13818-3, layers I to III) and ADTS frames (ISO/IEC 13818-7).
//!
//! These streams have no magic but a sync pattern of 11 or 12 bits at each frame, so several frames in a row have to
//! agree before it is believed.

use super::super::scan::Input;
use super::super::{Coding, Container};
use crate::error::Result;

/// Zero bytes in front of the first frame that are skipped at most.
const MAX_ZEROS: u64 = 4 << 20;

/// How far behind the start a stream that begins with something else is looked for, bytes.
const SEARCH: usize = 64 * 1024;

/// Bytes of one frame of free format, at least and at most.
const MIN_FREE_FRAME: usize = 24;
const MAX_FREE_FRAME: usize = 8192;

/// kbit/s by index 1 to 14: MPEG-1 layers I, II, III, then the low sampling frequencies' layer I, and II with III.
const BITRATES: [[u32; 14]; 5] = [
    [32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
    [32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
    [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
    [32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
    [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
];

/// What stays the same from frame to frame, and the length of this one in bytes.
#[derive(Clone, Copy)]
struct Frame {
    coding: Coding,
    /// Version, layer and sampling frequency (or ADTS's profile and frequency), as they stand in the header.
    constant: u32,
    len: u64,
}

impl Frame {
    fn parse(b: [u8; 6]) -> Option<Frame> {
        if b[0] != 0xFF {
            return None;
        }
        if b[1] & 0xF6 == 0xF0 { Frame::adts(b) } else { Frame::mpeg([b[0], b[1], b[2], b[3]]) }
    }

    fn mpeg(b: [u8; 4]) -> Option<Frame> {
        if b[1] & 0xE0 != 0xE0 {
            return None;
        }
        let version = b[1] >> 3 & 3;
        let layer = 4 - (b[1] >> 1 & 3);
        let bitrate = usize::from(b[2] >> 4);
        let frequency = b[2] >> 2 & 3;
        let padding = u32::from(b[2] >> 1 & 1);
        if version == 1 || layer == 4 || frequency == 3 || bitrate == 0 || bitrate == 15 || b[3] & 3 == 2 {
            return None;
        }
        let low = version != 3;
        let row = match (low, layer) {
            (false, layer) => usize::from(layer) - 1,
            (true, 1) => 3,
            (true, _) => 4,
        };
        let bits = BITRATES[row][bitrate - 1] * 1000;
        let rate = [44_100, 48_000, 32_000][usize::from(frequency)] >> [2, 0, 1, 0][usize::from(version)];
        let (coding, len) = match layer {
            1 => (Coding::Mp1, (12 * bits / rate + padding) * 4),
            2 => (Coding::Mp2, 144 * bits / rate + padding),
            _ => (Coding::Mp3, if low { 72 } else { 144 } * bits / rate + padding),
        };
        let constant = u32::from(b[1] & 0xFE) << 8 | u32::from(b[2] & 0x0C);
        Some(Frame { coding, constant, len: u64::from(len) })
    }

    fn adts(b: [u8; 6]) -> Option<Frame> {
        let frequency = b[2] >> 2 & 0x0F;
        let len = u64::from(b[3] & 3) << 11 | u64::from(b[4]) << 3 | u64::from(b[5] >> 5);
        if frequency > 12 || len < 7 {
            return None;
        }
        let constant = u32::from(b[1] & 0xFE) << 8 | u32::from(b[2] & 0xFC);
        Some(Frame { coding: Coding::Aac, constant, len })
    }
}

/// Looks for a stream of frames: at the start, behind zeros, or, with more frames required, a little further on.
pub(super) fn look(input: &Input, tagged: bool) -> Result<Option<(Container, Coding)>> {
    let start = zeros(input)?;
    // A tag in front is evidence of its own.
    let enough = if tagged { 1 } else { 2 };
    if let Some(coding) = run(input, start, enough, true)? {
        return Ok(Some((container(coding), coding)));
    }
    let window = input.up_to(start, SEARCH)?;
    for at in sync_bytes(&window).filter(|at| *at > 0) {
        if let Some(coding) = run(input, start + at as u64, if tagged { 2 } else { 4 }, false)? {
            return Ok(Some((container(coding), coding)));
        }
    }
    Ok(None)
}

/// Positions of bytes that can begin a sync pattern.
fn sync_bytes(window: &[u8]) -> impl Iterator<Item = usize> {
    window.windows(2).enumerate().filter(|(_, w)| w[0] == 0xFF && w[1] >= 0xE0).map(|(i, _)| i)
}

/// Whether a stream of free format begins at the start or behind zeros: headers without a bit rate, which say nothing about
/// where the next frame begins, at equal distances (padding aside).
pub(super) fn is_free_format(input: &Input) -> Result<bool> {
    let window = input.up_to(zeros(input)?, 4 * MAX_FREE_FRAME)?;
    let Some(&[b0, b1, b2, _]) = window.first_chunk::<4>() else { return Ok(false) };
    let layer = 4 - (b1 >> 1 & 3);
    // Sync, a version that exists, a layer, the bit rate's index 0, a sampling frequency that exists.
    let free = b0 == 0xFF && b1 & 0xE0 == 0xE0 && b1 >> 3 & 3 != 1 && layer != 4 && b2 >> 4 == 0 && b2 >> 2 & 3 != 3;
    if !free {
        return Ok(false);
    }
    let fits = |at: usize| window.get(at..at + 3).is_some_and(|b| b[0] == b0 && b[1] == b1 && b[2] & !2 == b2 & !2);
    let slot = if layer == 1 { 4 } else { 1 };
    let near = |at: usize| [at - slot, at, at + slot].into_iter().find(|&at| fits(at));
    Ok((MIN_FREE_FRAME..MAX_FREE_FRAME)
        .filter(|&len| fits(len))
        .any(|len| near(2 * len).and_then(|at| near(at + len)).is_some()))
}

fn container(coding: Coding) -> Container {
    if coding == Coding::Aac { Container::Adts } else { Container::Mpeg }
}

/// The number of zero bytes at the start, up to [`MAX_ZEROS`].
fn zeros(input: &Input) -> Result<u64> {
    let mut at = 0;
    while at < MAX_ZEROS.min(input.len) {
        let block = input.up_to(at, 64 * 1024)?;
        match block.iter().position(|b| *b != 0) {
            Some(i) => return Ok(at + i as u64),
            None if block.is_empty() => break,
            None => at += block.len() as u64,
        }
    }
    Ok(at)
}

/// What is coded in `enough` frames from `at` on that agree with each other, or, if `short` ones are allowed, in fewer
/// that end with the file.
fn run(input: &Input, at: u64, enough: usize, short: bool) -> Result<Option<Coding>> {
    let mut at = at;
    let mut first: Option<Frame> = None;
    for n in 0..enough {
        if short && n > 0 && at == input.len {
            break;
        }
        let frame = input.bytes::<6>(at)?.and_then(Frame::parse);
        let Some(frame) = frame.filter(|f| first.is_none_or(|g| g.constant == f.constant && g.coding == f.coding))
        else {
            return Ok(None);
        };
        first = Some(frame);
        at += frame.len;
    }
    Ok(first.map(|f| f.coding))
}

//! ADPCM with 4 bits a sample: IMA as in WAVE, IMA as in QuickTime (AIFC, CAF), and Microsoft's.
//!
//! IMA follows the recommended practice of the Interactive Multimedia Association (sums of shifted steps), Microsoft's
//! follows the description that came with the WAVE format. Samples are exact: 16 bits.

/// How the blocks are built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Flavour {
    /// WAVE format 0x11: per channel predictor and step index, then 4-byte groups per channel in turn.
    ImaWave,
    /// "ima4": 34 bytes and 64 frames per channel.
    ImaQuickTime,
    /// WAVE format 2, with its table of coefficients.
    Microsoft { coefficients: Vec<(i32, i32)> },
}

/// The seven pairs of coefficients that every file of Microsoft's ADPCM has.
pub(super) const MICROSOFT_COEFFICIENTS: [(i32, i32); 7] =
    [(256, 0), (512, -256), (0, 0), (192, 64), (240, 0), (460, -208), (392, -232)];

/// Bytes and frames of a block of "ima4", per channel.
pub(super) const QUICKTIME_BLOCK: (usize, u32) = (34, 64);

const STEPS: [i32; 89] = [
    7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 19, 21, 23, 25, 28, 31, 34, 37, 41, 45, 50, 55, 60, 66, 73, 80, 88, 97, 107,
    118, 130, 143, 157, 173, 190, 209, 230, 253, 279, 307, 337, 371, 408, 449, 494, 544, 598, 658, 724, 796, 876, 963,
    1060, 1166, 1282, 1411, 1552, 1707, 1878, 2066, 2272, 2499, 2749, 3024, 3327, 3660, 4026, 4428, 4871, 5358, 5894,
    6484, 7132, 7845, 8630, 9493, 10442, 11487, 12635, 13899, 15289, 16818, 18500, 20350, 22385, 24623, 27086, 29794,
    32767,
];
const STEP_MOVES: [i32; 8] = [-1, -1, -1, -1, 2, 4, 6, 8];
const ADAPTATION: [i32; 16] = [230, 230, 230, 230, 307, 409, 512, 614, 768, 614, 512, 409, 307, 230, 230, 230];

impl Flavour {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Flavour::ImaWave => "adpcm-ima-wav",
            Flavour::ImaQuickTime => "adpcm-ima-qt",
            Flavour::Microsoft { .. } => "adpcm-ms",
        }
    }

    /// Frames in a block of `bytes` bytes; of a block that is cut off, those that are whole.
    pub(super) fn frames(&self, bytes: usize, channels: usize) -> u32 {
        let channels = channels.max(1);
        let frames = match self {
            Flavour::ImaWave => match bytes.checked_sub(4 * channels) {
                None => 0,
                Some(rest) if channels == 1 => 1 + 2 * rest,
                Some(rest) => 1 + 8 * (rest / (4 * channels)),
            },
            Flavour::ImaQuickTime => {
                if bytes >= QUICKTIME_BLOCK.0 * channels {
                    QUICKTIME_BLOCK.1 as usize
                } else {
                    0
                }
            }
            Flavour::Microsoft { .. } => match bytes.checked_sub(7 * channels) {
                None => 0,
                Some(rest) => 2 + 2 * rest / channels,
            },
        };
        u32::try_from(frames).unwrap_or(u32::MAX)
    }
}

/// A decoder at work.
pub(super) struct Adpcm {
    flavour: Flavour,
    channels: usize,
    /// QuickTime's blocks go on from the one before: the state of each channel, where there is one.
    before: Vec<Option<Ima>>,
}

impl Adpcm {
    pub(super) fn new(flavour: Flavour, channels: u16) -> Self {
        let channels = usize::from(channels);
        Adpcm { flavour, channels, before: vec![None; channels] }
    }

    pub(super) fn reset(&mut self) {
        self.before.fill(None);
    }

    /// Decodes one block into `planes` and returns its frames.
    ///
    /// # Errors
    /// A few words on why the block cannot be decoded.
    pub(super) fn decode(&mut self, block: &[u8], planes: &mut [Vec<i32>]) -> Result<usize, String> {
        decode(&self.flavour, block, self.channels, &mut self.before, planes)
    }
}

fn decode(
    flavour: &Flavour,
    block: &[u8],
    channels: usize,
    before: &mut [Option<Ima>],
    planes: &mut [Vec<i32>],
) -> Result<usize, String> {
    let frames = flavour.frames(block.len(), channels) as usize;
    if frames == 0 {
        return Err("the block is shorter than its header".to_owned());
    }
    match flavour {
        Flavour::ImaWave => ima_wave(block, channels, planes)?,
        Flavour::ImaQuickTime => {
            let parts = block.chunks_exact(QUICKTIME_BLOCK.0);
            for ((plane, part), before) in planes.iter_mut().zip(parts).zip(before) {
                let head = i32::from(i16::from_be_bytes([part[0], part[1]]));
                let told = Ima { value: head & !0x7F, index: (head & 0x7F).min(88) };
                // The head has only the upper nine bits of the value. Where it fits what the block before ended with, the
                // lower ones go on from there, as the encoder's did.
                let mut state = match before.take() {
                    Some(b) if b.index == told.index && (b.value - told.value).abs() <= 0x7F => b,
                    _ => told,
                };
                plane.extend(part[2..].iter().flat_map(|&b| [b & 15, b >> 4]).map(|code| state.next(code)));
                *before = Some(state);
            }
        }
        Flavour::Microsoft { coefficients } => microsoft(block, channels, coefficients, planes)?,
    }
    for plane in planes.iter_mut() {
        plane.truncate(frames);
    }
    Ok(frames)
}

/// The state of an IMA decoder.
#[derive(Debug, Clone, Copy)]
struct Ima {
    value: i32,
    index: i32,
}

impl Ima {
    fn next(&mut self, code: u8) -> i32 {
        let step = STEPS[self.index as usize];
        let mut change = step >> 3;
        for (bit, part) in [(4, step), (2, step >> 1), (1, step >> 2)] {
            change += if code & bit != 0 { part } else { 0 };
        }
        self.value = (self.value + if code & 8 != 0 { -change } else { change }).clamp(-32768, 32767);
        self.index = (self.index + STEP_MOVES[usize::from(code & 7)]).clamp(0, 88);
        self.value
    }
}

fn ima_wave(block: &[u8], channels: usize, planes: &mut [Vec<i32>]) -> Result<(), String> {
    let (heads, data) = block.split_at(4 * channels);
    for (channel, (plane, head)) in planes.iter_mut().zip(heads.chunks_exact(4)).enumerate() {
        let index = i32::from(head[2]);
        if index > 88 {
            return Err(format!("its step index is {index}, beyond 88"));
        }
        let mut state = Ima { value: i32::from(i16::from_le_bytes([head[0], head[1]])), index };
        plane.push(state.value);
        let mut expand = |bytes: &[u8]| {
            for &b in bytes {
                plane.extend([state.next(b & 15), state.next(b >> 4)]);
            }
        };
        if channels == 1 {
            expand(data);
        } else {
            for group in data.chunks_exact(4 * channels) {
                expand(&group[4 * channel..4 * channel + 4]);
            }
        }
    }
    Ok(())
}

fn microsoft(
    block: &[u8],
    channels: usize,
    coefficients: &[(i32, i32)],
    planes: &mut [Vec<i32>],
) -> Result<(), String> {
    struct State {
        first: i32,
        second: i32,
        delta: i32,
        pair: (i32, i32),
    }
    let word = |at: usize| i32::from(i16::from_le_bytes([block[at], block[at + 1]]));
    let mut states = Vec::with_capacity(channels);
    for (channel, &number) in block[..channels].iter().enumerate() {
        let number = usize::from(number);
        let pair = *coefficients.get(number).ok_or_else(|| format!("its predictor {number} is not in the table"))?;
        let at = |field: usize| word(channels + field * 2 * channels + 2 * channel);
        states.push(State { delta: at(0), first: at(1), second: at(2), pair });
    }
    for (plane, state) in planes.iter_mut().zip(&states) {
        plane.extend([state.second, state.first]);
    }
    let codes = block[7 * channels..].iter().flat_map(|&b| [b >> 4, b & 15]);
    for (i, code) in codes.enumerate() {
        let state = &mut states[i % channels];
        let signed = i32::from(code) - if code >= 8 { 16 } else { 0 };
        let sum = i64::from(state.first) * i64::from(state.pair.0) + i64::from(state.second) * i64::from(state.pair.1);
        let value = (sum / 256 + i64::from(signed) * i64::from(state.delta)).clamp(-32768, 32767) as i32;
        state.delta = (ADAPTATION[usize::from(code)].saturating_mul(state.delta) / 256).max(16);
        (state.second, state.first) = (state.first, value);
        planes[i % channels].push(value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_tells_its_frames_by_its_size() {
        assert_eq!(Flavour::ImaWave.frames(1024, 1), 2041);
        assert_eq!(Flavour::ImaWave.frames(2048, 2), 2041);
        assert_eq!(Flavour::ImaWave.frames(3, 1), 0);
        assert_eq!(Flavour::ImaQuickTime.frames(68, 2), 64);
        let ms = Flavour::Microsoft { coefficients: MICROSOFT_COEFFICIENTS.to_vec() };
        assert_eq!((ms.frames(1024, 1), ms.frames(2048, 2), ms.frames(6, 1)), (2036, 2036, 0));
    }

    #[test]
    fn a_wrong_step_index_or_predictor_is_an_error() {
        let mut planes = vec![Vec::new()];
        assert!(Adpcm::new(Flavour::ImaWave, 1).decode(&[0, 0, 89, 0, 1], &mut planes).is_err());
        let ms = Flavour::Microsoft { coefficients: MICROSOFT_COEFFICIENTS.to_vec() };
        assert!(Adpcm::new(ms, 1).decode(&[7, 0, 0, 0, 0, 0, 0, 1], &mut planes).is_err());
    }
}

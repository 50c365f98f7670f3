//! Sample bytes of a source file ↔ one plane of integers a channel.
//!
//! In: interleaved samples as they lie in the file, `frames × channels` of one [`SampleFormat`]. Out: for each channel a
//! `Vec<i32>` of `frames` values, right-justified at [`SampleFormat::flac_bits`] bits, as FLAC wants them. For 8-, 16-
//! and 24-bit integers this is exact in both directions; unsigned 8-bit is moved by −128, since FLAC is signed. Wider
//! and floating-point samples become 24-bit steps here ([`step_of`]); what that drops is the business of
//! [`remainder`](super::remainder).
//!
//! FLAC carries at most 8 channels, so all calls work on a group of neighbouring channels of the interleaved whole.

use crate::error::{Error, ErrorKind, Result};
use crate::vector::{three_bytes_each, vectorised};

/// How one sample lies in the file. Names are those that ffmpeg uses, and stand in manifests: they never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SampleFormat {
    /// Unsigned 8-bit, middle 128.
    U8,
    /// Signed 8-bit.
    S8,
    /// Signed 16-bit, little-endian.
    S16Le,
    /// Signed 16-bit, big-endian.
    S16Be,
    /// Signed 24-bit in 3 bytes, little-endian.
    S24Le,
    /// Signed 24-bit in 3 bytes, big-endian.
    S24Be,
    /// Signed 24-bit in the low bytes of 4, little-endian; the high byte repeats the sign, or is 0.
    S24In32Le,
    /// Signed 24-bit in the low bytes of 4, big-endian.
    S24In32Be,
    /// Signed 32-bit, little-endian; 24-bit in the high bytes of 4 too.
    S32Le,
    /// Signed 32-bit, big-endian.
    S32Be,
    /// Signed 64-bit, little-endian.
    S64Le,
    /// Signed 64-bit, big-endian.
    S64Be,
    /// IEEE 754 binary32, little-endian, full scale ±1.
    F32Le,
    /// IEEE 754 binary32, big-endian.
    F32Be,
    /// IEEE 754 binary64, little-endian.
    F64Le,
    /// IEEE 754 binary64, big-endian.
    F64Be,
}

impl SampleFormat {
    /// Every format, in the order of declaration.
    pub const ALL: [SampleFormat; 16] = [
        SampleFormat::U8,
        SampleFormat::S8,
        SampleFormat::S16Le,
        SampleFormat::S16Be,
        SampleFormat::S24Le,
        SampleFormat::S24Be,
        SampleFormat::S24In32Le,
        SampleFormat::S24In32Be,
        SampleFormat::S32Le,
        SampleFormat::S32Be,
        SampleFormat::S64Le,
        SampleFormat::S64Be,
        SampleFormat::F32Le,
        SampleFormat::F32Be,
        SampleFormat::F64Le,
        SampleFormat::F64Be,
    ];

    /// The word for manifests and reports: `u8`, `s16le`, `s24in32le`, `f64be`….
    pub fn name(self) -> &'static str {
        match self {
            SampleFormat::U8 => "u8",
            SampleFormat::S8 => "s8",
            SampleFormat::S16Le => "s16le",
            SampleFormat::S16Be => "s16be",
            SampleFormat::S24Le => "s24le",
            SampleFormat::S24Be => "s24be",
            SampleFormat::S24In32Le => "s24in32le",
            SampleFormat::S24In32Be => "s24in32be",
            SampleFormat::S32Le => "s32le",
            SampleFormat::S32Be => "s32be",
            SampleFormat::S64Le => "s64le",
            SampleFormat::S64Be => "s64be",
            SampleFormat::F32Le => "f32le",
            SampleFormat::F32Be => "f32be",
            SampleFormat::F64Le => "f64le",
            SampleFormat::F64Be => "f64be",
        }
    }

    /// The format of that [`name`](Self::name), if there is one.
    pub fn parse(name: &str) -> Option<SampleFormat> {
        SampleFormat::ALL.into_iter().find(|f| f.name() == name)
    }

    /// Bytes of one sample of one channel: 1, 2, 3, 4 or 8.
    pub fn bytes_per_sample(self) -> usize {
        match self {
            SampleFormat::U8 | SampleFormat::S8 => 1,
            SampleFormat::S16Le | SampleFormat::S16Be => 2,
            SampleFormat::S24Le | SampleFormat::S24Be => 3,
            SampleFormat::S24In32Le | SampleFormat::S24In32Be => 4,
            SampleFormat::S32Le | SampleFormat::S32Be | SampleFormat::F32Le | SampleFormat::F32Be => 4,
            SampleFormat::S64Le | SampleFormat::S64Be | SampleFormat::F64Le | SampleFormat::F64Be => 8,
        }
    }

    /// Bits per sample of the FLAC: 8, 16 or 24.
    pub fn flac_bits(self) -> u8 {
        match self.bytes_per_sample() {
            1 => 8,
            2 => 16,
            _ => 24,
        }
    }

    /// The form in which FLAC's MD5 takes samples of so many bits: signed, little-endian, in whole bytes.
    pub fn of_flac_bits(bits: u8) -> SampleFormat {
        match bits {
            0..=8 => SampleFormat::S8,
            9..=16 => SampleFormat::S16Le,
            17..=24 => SampleFormat::S24Le,
            _ => SampleFormat::S32Le,
        }
    }

    /// Bits of one sample in the file.
    pub fn bits(self) -> u16 {
        self.bytes_per_sample() as u16 * 8
    }

    /// Whether samples can hold more than the FLAC does, so that a remainder may have to be kept beside it.
    pub fn has_remainder(self) -> bool {
        self.bytes_per_sample() > 3
    }

    /// Whether samples are floating-point numbers.
    pub fn is_float(self) -> bool {
        matches!(self, SampleFormat::F32Le | SampleFormat::F32Be | SampleFormat::F64Le | SampleFormat::F64Be)
    }
}

/// Whether the bytes that FLAC's MD5 is taken over (signed, little-endian, interleaved) are the source's own bytes, so
/// that no copy has to be made for hashing. Of channel groups this holds only where the group is the whole frame.
pub fn md5_bytes_are_source_bytes(format: SampleFormat) -> bool {
    matches!(format, SampleFormat::S8 | SampleFormat::S16Le | SampleFormat::S24Le)
}

/// The largest 24-bit step.
const STEP_MAX: f64 = 8_388_607.0;
/// The smallest 24-bit step.
const STEP_MIN: f64 = -8_388_608.0;
/// Steps to full scale: 1.0 is 2^23 steps.
const STEPS_PER_UNIT: f64 = 8_388_608.0;

/// The 24-bit step for a floating-point sample (full scale ±1): `v · 2^23` rounded to the nearest integer, halves
/// upwards, held within −2^23 ..= 2^23 − 1; 0 for NaN.
#[inline]
pub fn step_of(v: f64) -> i32 {
    // Adding 1.5 · 2^52 leaves the integer nearest to x (halves to even) in the low mantissa bits: unlike a rounding
    // call this needs nothing beyond SSE2, and it vectorises.
    const MAGIC: f64 = 6_755_399_441_055_744.0;
    let x = if v.is_nan() { 0.0 } else { v * STEPS_PER_UNIT };
    let x = if x > STEP_MIN { x } else { STEP_MIN };
    let x = if x < STEP_MAX { x } else { STEP_MAX };
    let sum = x + MAGIC;
    let up = i32::from(x - (sum - MAGIC) >= 0.5);
    (sum.to_bits() as i32).wrapping_add(up)
}

/// One way for a sample to lie in `W` bytes.
trait Sample<const W: usize> {
    fn load(bytes: [u8; W]) -> i32;
    fn store(value: i32) -> [u8; W];
}

macro_rules! sample {
    ($name:ident, $width:literal, $load:expr, $store:expr) => {
        struct $name;
        impl Sample<$width> for $name {
            #[inline(always)]
            fn load(bytes: [u8; $width]) -> i32 {
                let load: fn([u8; $width]) -> i32 = $load;
                load(bytes)
            }
            #[inline(always)]
            fn store(value: i32) -> [u8; $width] {
                let store: fn(i32) -> [u8; $width] = $store;
                store(value)
            }
        }
    };
}

sample!(U8, 1, |b| i32::from(b[0]) - 128, |v| [v.wrapping_add(128) as u8]);
sample!(S8, 1, |b| i32::from(b[0] as i8), |v| [v as u8]);
sample!(S16Le, 2, |b| i32::from(i16::from_le_bytes(b)), |v| (v as i16).to_le_bytes());
sample!(S16Be, 2, |b| i32::from(i16::from_be_bytes(b)), |v| (v as i16).to_be_bytes());
sample!(S24Le, 3, |b| i32::from_le_bytes([0, b[0], b[1], b[2]]) >> 8, |v| {
    let b = v.to_le_bytes();
    [b[0], b[1], b[2]]
});
sample!(S24Be, 3, |b| i32::from_be_bytes([b[0], b[1], b[2], 0]) >> 8, |v| {
    let b = v.to_be_bytes();
    [b[1], b[2], b[3]]
});
sample!(S24In32Le, 4, |b| i32::from_le_bytes(b) << 8 >> 8, |v| v.to_le_bytes());
sample!(S24In32Be, 4, |b| i32::from_be_bytes(b) << 8 >> 8, |v| v.to_be_bytes());
sample!(S32Le, 4, |b| i32::from_le_bytes(b) >> 8, |v| (v << 8).to_le_bytes());
sample!(S32Be, 4, |b| i32::from_be_bytes(b) >> 8, |v| (v << 8).to_be_bytes());
sample!(S64Le, 8, |b| (i64::from_le_bytes(b) >> 40) as i32, |v| (i64::from(v) << 40).to_le_bytes());
sample!(S64Be, 8, |b| (i64::from_be_bytes(b) >> 40) as i32, |v| (i64::from(v) << 40).to_be_bytes());
sample!(F32Le, 4, |b| step_of(f64::from(f32::from_le_bytes(b))), |v| (unit_of(v) as f32).to_le_bytes());
sample!(F32Be, 4, |b| step_of(f64::from(f32::from_be_bytes(b))), |v| (unit_of(v) as f32).to_be_bytes());
sample!(F64Le, 8, |b| step_of(f64::from_le_bytes(b)), |v| unit_of(v).to_le_bytes());
sample!(F64Be, 8, |b| step_of(f64::from_be_bytes(b)), |v| unit_of(v).to_be_bytes());

/// The floating-point sample of a 24-bit step; exact, also as `f32`.
#[inline]
fn unit_of(step: i32) -> f64 {
    f64::from(step) / STEPS_PER_UNIT
}

/// Calls a function that is generic over one [`Sample`] and its width, for the format at hand.
macro_rules! for_format {
    ($format:expr, $function:ident, $($argument:expr),*) => {
        match $format {
            SampleFormat::U8 => $function::<U8, 1, _>($($argument),*),
            SampleFormat::S8 => $function::<S8, 1, _>($($argument),*),
            SampleFormat::S16Le => $function::<S16Le, 2, _>($($argument),*),
            SampleFormat::S16Be => $function::<S16Be, 2, _>($($argument),*),
            SampleFormat::S24Le => $function::<S24Le, 3, _>($($argument),*),
            SampleFormat::S24Be => $function::<S24Be, 3, _>($($argument),*),
            SampleFormat::S24In32Le => $function::<S24In32Le, 4, _>($($argument),*),
            SampleFormat::S24In32Be => $function::<S24In32Be, 4, _>($($argument),*),
            SampleFormat::S32Le => $function::<S32Le, 4, _>($($argument),*),
            SampleFormat::S32Be => $function::<S32Be, 4, _>($($argument),*),
            SampleFormat::S64Le => $function::<S64Le, 8, _>($($argument),*),
            SampleFormat::S64Be => $function::<S64Be, 8, _>($($argument),*),
            SampleFormat::F32Le => $function::<F32Le, 4, _>($($argument),*),
            SampleFormat::F32Be => $function::<F32Be, 4, _>($($argument),*),
            SampleFormat::F64Le => $function::<F64Le, 8, _>($($argument),*),
            SampleFormat::F64Be => $function::<F64Be, 8, _>($($argument),*),
        }
    };
}

/// Takes a block of interleaved samples apart into one plane a channel.
///
/// `bytes` holds `frames × channels` samples of `format`; the channels `first_channel ..` of it, as many as there are
/// `planes`, go into `planes`, each of which becomes `frames` long (an existing allocation of that length is reused).
/// Values are right-justified at [`SampleFormat::flac_bits`]; 32-bit and 64-bit integers give their high 24 bits,
/// floating-point samples their [`step_of`].
///
/// # Errors
/// [`ErrorKind::Usage`] where `bytes` is no whole number of frames or the channels asked for are not there.
pub fn planes_from_bytes(
    format: SampleFormat,
    bytes: &[u8],
    channels: usize,
    first_channel: usize,
    planes: &mut [Vec<i32>],
) -> Result<()> {
    let frames = frames_of(format, bytes.len(), channels, first_channel, planes.len())?;
    for plane in planes.iter_mut() {
        plane.resize(frames, 0);
    }
    match (format, &mut *planes) {
        (SampleFormat::S24Le, [plane]) if channels == 1 => fast_mono_24_le(bytes, plane),
        (SampleFormat::S24Be, [plane]) if channels == 1 => fast_mono_24_be(bytes, plane),
        (SampleFormat::S24Le, [left, right]) if channels == 2 => fast_stereo_24_le(bytes, left, right),
        (SampleFormat::S24Be, [left, right]) if channels == 2 => fast_stereo_24_be(bytes, left, right),
        _ => for_format!(format, split, bytes, channels, first_channel, planes),
    }
    Ok(())
}

/// Puts planes back together: the inverse of [`planes_from_bytes`], exact for 8-, 16- and 24-bit integers.
///
/// Of `bytes` (`frames × channels` samples) only the samples of channels `first_channel ..`, as many as there are
/// `planes`, are written, so several groups fill one buffer. Wider and floating-point samples become the value that the
/// 24-bit step stands for. Values beyond the format's range lose their high bits: the caller's checksum is what tells.
///
/// # Errors
/// [`ErrorKind::Usage`] where `bytes` is no whole number of frames, the channels are not there, or a plane's length
/// differs from the number of frames.
pub fn bytes_from_planes<P: AsRef<[i32]>>(
    format: SampleFormat,
    planes: &[P],
    channels: usize,
    first_channel: usize,
    bytes: &mut [u8],
) -> Result<()> {
    let frames = frames_of(format, bytes.len(), channels, first_channel, planes.len())?;
    if planes.iter().any(|p| p.as_ref().len() != frames) {
        return Err(Error::new(ErrorKind::Usage, "the planes and the buffer differ in their number of frames"));
    }
    match (format, planes) {
        (SampleFormat::S24Le, [plane]) if channels == 1 => fast_join_mono_24_le(plane.as_ref(), bytes),
        (SampleFormat::S24Le, [left, right]) if channels == 2 => {
            fast_join_stereo_24_le(left.as_ref(), right.as_ref(), bytes);
        }
        _ => for_format!(format, join, planes, channels, first_channel, bytes),
    }
    Ok(())
}

/// The number of frames in `len` bytes, after the arguments were checked against each other.
fn frames_of(format: SampleFormat, len: usize, channels: usize, first: usize, group: usize) -> Result<usize> {
    let frame = format.bytes_per_sample().checked_mul(channels).filter(|&f| f > 0);
    let in_range = first.checked_add(group).is_some_and(|end| end <= channels);
    match frame {
        Some(frame) if in_range && len.is_multiple_of(frame) => Ok(len / frame),
        _ => Err(Error::new(ErrorKind::Usage, "the block is no whole number of frames, or has not that many channels")),
    }
}

fn split<S: Sample<W>, const W: usize, P: AsMut<[i32]>>(bytes: &[u8], channels: usize, first: usize, planes: &mut [P]) {
    match (channels, W, &mut *planes) {
        (2, 1..=2, [left, right]) => split_pairs::<S, W>(bytes, left.as_mut(), right.as_mut()),
        (1, ..) => split_of::<S, W, 1, P>(bytes, first, planes),
        (2, ..) => split_of::<S, W, 2, P>(bytes, first, planes),
        (3, ..) => split_of::<S, W, 3, P>(bytes, first, planes),
        (4, ..) => split_of::<S, W, 4, P>(bytes, first, planes),
        (5, ..) => split_of::<S, W, 5, P>(bytes, first, planes),
        (6, ..) => split_of::<S, W, 6, P>(bytes, first, planes),
        (7, ..) => split_of::<S, W, 7, P>(bytes, first, planes),
        (8, ..) => split_of::<S, W, 8, P>(bytes, first, planes),
        _ => split_wide::<S, W, P>(bytes, channels, first, planes),
    }
}

/// Both channels of narrow stereo in one pass over pairs, which the compiler turns into vector shifts.
fn split_pairs<S: Sample<W>, const W: usize>(bytes: &[u8], left: &mut [i32], right: &mut [i32]) {
    let (samples, _) = bytes.as_chunks::<W>();
    let (pairs, _) = samples.as_chunks::<2>();
    for ((pair, l), r) in pairs.iter().zip(left).zip(right) {
        *l = S::load(pair[0]);
        *r = S::load(pair[1]);
    }
}

vectorised! {
    fn fast_mono_24_le(bytes: &[u8], plane: &mut [i32]) = mono_24::<false>
}

vectorised! {
    fn fast_mono_24_be(bytes: &[u8], plane: &mut [i32]) = mono_24::<true>
}

#[inline(always)]
fn mono_24<const BIG: bool>(bytes: &[u8], plane: &mut [i32]) {
    let ((fours, rest), (values, last)) = (bytes.as_chunks(), plane.as_chunks_mut());
    for (values, four) in values.iter_mut().zip(fours) {
        *values = four_24::<BIG>(four);
    }
    for (value, bytes) in last.iter_mut().zip(rest.as_chunks().0) {
        *value = one_24::<BIG>(*bytes);
    }
}

vectorised! {
    fn fast_stereo_24_le(bytes: &[u8], left: &mut [i32], right: &mut [i32]) = stereo_24::<false>
}

vectorised! {
    fn fast_stereo_24_be(bytes: &[u8], left: &mut [i32], right: &mut [i32]) = stereo_24::<true>
}

#[inline(always)]
fn stereo_24<const BIG: bool>(bytes: &[u8], left: &mut [i32], right: &mut [i32]) {
    let (fours, rest) = bytes.as_chunks();
    let ((lefts, last_left), (rights, last_right)) = (left.as_chunks_mut(), right.as_chunks_mut());
    for ((left, right), four) in lefts.iter_mut().zip(rights).zip(fours) {
        let [a, b, c, d] = four_24::<BIG>(four);
        (*left, *right) = ([a, c], [b, d]);
    }
    for ((left, right), pair) in last_left.iter_mut().zip(last_right).zip(rest.as_chunks::<6>().0) {
        let [a, b, c, d, e, f] = *pair;
        (*left, *right) = (one_24::<BIG>([a, b, c]), one_24::<BIG>([d, e, f]));
    }
}

/// Four samples of three bytes. Each is loaded as four, one of a neighbour's among them, rather than byte by byte.
#[inline(always)]
fn four_24<const BIG: bool>(bytes: &[u8; 12]) -> [i32; 4] {
    let word = |from: usize| {
        let word = [bytes[from], bytes[from + 1], bytes[from + 2], bytes[from + 3]];
        if BIG { i32::from_be_bytes(word) } else { i32::from_le_bytes(word) }
    };
    if BIG {
        [word(0) >> 8, word(3) >> 8, word(6) >> 8, word(8) << 8 >> 8]
    } else {
        [word(0) << 8 >> 8, word(2) >> 8, word(5) >> 8, word(8) >> 8]
    }
}

#[inline(always)]
fn one_24<const BIG: bool>([a, b, c]: [u8; 3]) -> i32 {
    (if BIG { i32::from_be_bytes([a, b, c, 0]) } else { i32::from_le_bytes([0, a, b, c]) }) >> 8
}

/// Frames of `C` channels, a number that the compiler knows.
fn split_of<S: Sample<W>, const W: usize, const C: usize, P: AsMut<[i32]>>(
    bytes: &[u8],
    first: usize,
    planes: &mut [P],
) {
    let (samples, _) = bytes.as_chunks::<W>();
    let (frames, _) = samples.as_chunks::<C>();
    for (channel, plane) in (first..C).zip(planes) {
        for (value, frame) in plane.as_mut().iter_mut().zip(frames) {
            *value = S::load(frame[channel]);
        }
    }
}

/// Frames of any number of channels.
fn split_wide<S: Sample<W>, const W: usize, P: AsMut<[i32]>>(
    bytes: &[u8],
    channels: usize,
    first: usize,
    planes: &mut [P],
) {
    let (samples, _) = bytes.as_chunks::<W>();
    for (channel, plane) in (first..channels).zip(planes) {
        for (value, frame) in plane.as_mut().iter_mut().zip(samples.chunks_exact(channels)) {
            *value = S::load(frame[channel]);
        }
    }
}

vectorised! {
    fn fast_join_mono_24_le(plane: &[i32], bytes: &mut [u8]) = join_mono_24_le
}

#[inline(always)]
fn join_mono_24_le(plane: &[i32], bytes: &mut [u8]) {
    let ((values, last), (fours, rest)) = (plane.as_chunks(), bytes.as_chunks_mut());
    for (values, four) in values.iter().zip(fours) {
        *four = bytes_of_four(*values);
    }
    for (value, place) in last.iter().zip(rest.as_chunks_mut().0) {
        *place = S24Le::store(*value);
    }
}

vectorised! {
    fn fast_join_stereo_24_le(left: &[i32], right: &[i32], bytes: &mut [u8]) = join_stereo_24_le
}

#[inline(always)]
fn join_stereo_24_le(left: &[i32], right: &[i32], bytes: &mut [u8]) {
    let ((lefts, last_left), (rights, last_right)) = (left.as_chunks(), right.as_chunks());
    let (fours, rest) = bytes.as_chunks_mut();
    for ((&[a, c], &[b, d]), four) in lefts.iter().zip(rights).zip(fours) {
        *four = bytes_of_four([a, b, c, d]);
    }
    for (value, place) in last_left.iter().chain(last_right).zip(rest.as_chunks_mut().0) {
        *place = S24Le::store(*value);
    }
}

#[inline(always)]
fn bytes_of_four(values: [i32; 4]) -> [u8; 12] {
    three_bytes_each(values.map(|value| value as u32 & 0xff_ffff))
}

fn join<S: Sample<W>, const W: usize, P: AsRef<[i32]>>(planes: &[P], channels: usize, first: usize, bytes: &mut [u8]) {
    match (channels, W, planes) {
        (2, 1..=2, [left, right]) => join_pairs::<S, W>(left.as_ref(), right.as_ref(), bytes),
        (1, ..) => join_of::<S, W, 1, P>(planes, first, bytes),
        (2, ..) => join_of::<S, W, 2, P>(planes, first, bytes),
        (3, ..) => join_of::<S, W, 3, P>(planes, first, bytes),
        (4, ..) => join_of::<S, W, 4, P>(planes, first, bytes),
        (5, ..) => join_of::<S, W, 5, P>(planes, first, bytes),
        (6, ..) => join_of::<S, W, 6, P>(planes, first, bytes),
        (7, ..) => join_of::<S, W, 7, P>(planes, first, bytes),
        (8, ..) => join_of::<S, W, 8, P>(planes, first, bytes),
        _ => join_wide::<S, W, P>(planes, channels, first, bytes),
    }
}

fn join_pairs<S: Sample<W>, const W: usize>(left: &[i32], right: &[i32], bytes: &mut [u8]) {
    let (samples, _) = bytes.as_chunks_mut::<W>();
    let (pairs, _) = samples.as_chunks_mut::<2>();
    for ((pair, l), r) in pairs.iter_mut().zip(left).zip(right) {
        *pair = [S::store(*l), S::store(*r)];
    }
}

fn join_of<S: Sample<W>, const W: usize, const C: usize, P: AsRef<[i32]>>(
    planes: &[P],
    first: usize,
    bytes: &mut [u8],
) {
    let (samples, _) = bytes.as_chunks_mut::<W>();
    let (frames, _) = samples.as_chunks_mut::<C>();
    for (channel, plane) in (first..C).zip(planes) {
        for (value, frame) in plane.as_ref().iter().zip(frames.iter_mut()) {
            frame[channel] = S::store(*value);
        }
    }
}

fn join_wide<S: Sample<W>, const W: usize, P: AsRef<[i32]>>(
    planes: &[P],
    channels: usize,
    first: usize,
    bytes: &mut [u8],
) {
    let (samples, _) = bytes.as_chunks_mut::<W>();
    for (channel, plane) in (first..channels).zip(planes) {
        for (value, frame) in plane.as_ref().iter().zip(samples.chunks_exact_mut(channels)) {
            frame[channel] = S::store(*value);
        }
    }
}

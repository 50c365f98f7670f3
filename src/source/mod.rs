//! What a source file is.
//!
//! [`identify()`] looks at a file's content, never at its name, and sorts it into one of five [`Kind`]s. Files of plain
//! samples (WAV and its 64-bit relatives, Wave64, AIFF, AIFC, CAF, AU) come with a [`Scan`]: the file is
//! `head ‖ samples ‖ tail`, head and tail are kept as raw bytes by the archive, and so every oddity of a header comes
//! back by itself; a wrong guess about where the samples lie costs compression, never a byte.
//!
//! | part | what it does |
//! |---|---|
//! | [`identify()`] | file → [`Kind`], by reading a few headers at their positions |
//! | `scan` | one scanner a container: chunk headers → [`Scan`], or the name of the coding inside |
//! | [`samples`] | interleaved sample bytes ↔ one plane of `i32` a channel, for FLAC |
//! | [`remainder`] | what 32-bit, 64-bit and float samples have beyond 24-bit steps, exactly and compactly |
//!
//! Nothing here reads a whole file or takes memory by what a header claims.

pub mod coded;
mod identify;
pub mod remainder;
pub mod samples;
mod scan;
pub mod tags;

pub use identify::identify;
pub use samples::SampleFormat;

/// What a file is, judged by its content.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Plain samples at a known place; boxed because it is by far the largest.
    Plain(Box<Scan>),
    /// A native FLAC stream that begins `offset` bytes into the file (0 unless a tag stands in front of it).
    Flac {
        /// Position of the `fLaC` marker, bytes from the start of the file.
        offset: u64,
    },
    /// Coded audio of a kind that a decoder of this program may open.
    Coded(Box<Coded>),
    /// Audio that nothing here decodes; the words name it ("Speex in Ogg", "WavPack").
    UnknownAudio(String),
    /// No audio; the words say what it looks like ("text", "an empty file", "a JPEG picture").
    NotAudio(String),
}

/// The file format around the audio.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Container {
    /// RIFF/WAVE, little-endian.
    Wav,
    /// RIFX/WAVE, its big-endian twin.
    Rifx,
    /// RF64/WAVE (EBU Tech 3306): 64-bit sizes in a `ds64` chunk.
    Rf64,
    /// BW64/WAVE (ITU-R BS.2088).
    Bw64,
    /// Sony Wave64: GUIDs and 64-bit sizes.
    Wave64,
    /// AIFF (big-endian integer samples).
    Aiff,
    /// AIFC, AIFF with a compression type.
    Aifc,
    /// Apple Core Audio Format.
    Caf,
    /// Sun/NeXT AU.
    Au,
    /// Ogg pages.
    Ogg,
    /// ISO base media (MP4, M4A) or QuickTime.
    Mp4,
    /// A bare stream of MPEG-1/2/2.5 audio frames, with or without tags around it.
    Mpeg,
    /// A bare stream of AAC frames with ADTS headers.
    Adts,
}

impl Container {
    /// The lower-case word for manifests and reports; words never change.
    pub fn name(self) -> &'static str {
        match self {
            Container::Wav => "wav",
            Container::Rifx => "rifx",
            Container::Rf64 => "rf64",
            Container::Bw64 => "bw64",
            Container::Wave64 => "w64",
            Container::Aiff => "aiff",
            Container::Aifc => "aifc",
            Container::Caf => "caf",
            Container::Au => "au",
            Container::Ogg => "ogg",
            Container::Mp4 => "mp4",
            Container::Mpeg => "mpeg",
            Container::Adts => "adts",
        }
    }
}

/// How coded audio is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Coding {
    /// MPEG audio layer I.
    Mp1,
    /// MPEG audio layer II.
    Mp2,
    /// MPEG audio layer III.
    Mp3,
    /// Advanced Audio Coding, any profile.
    Aac,
    /// Apple Lossless.
    Alac,
    /// Vorbis.
    Vorbis,
    /// Opus.
    Opus,
    /// Linear PCM inside MP4 or QuickTime.
    Pcm,
    /// FLAC inside another container.
    Flac,
    /// ITU-T G.711 A-law, one byte a sample.
    ALaw,
    /// ITU-T G.711 µ-law, one byte a sample.
    MuLaw,
    /// Microsoft ADPCM (WAVE format tag 2).
    MsAdpcm,
    /// IMA/DVI ADPCM as in WAVE (format tag 0x11).
    ImaAdpcmWav,
    /// IMA ADPCM as in QuickTime, AIFC and CAF (`ima4`).
    ImaAdpcmQt,
}

impl Coding {
    /// The lower-case word for manifests and reports; words never change.
    pub fn name(self) -> &'static str {
        match self {
            Coding::Mp1 => "mp1",
            Coding::Mp2 => "mp2",
            Coding::Mp3 => "mp3",
            Coding::Aac => "aac",
            Coding::Alac => "alac",
            Coding::Vorbis => "vorbis",
            Coding::Opus => "opus",
            Coding::Pcm => "pcm",
            Coding::Flac => "flac",
            Coding::ALaw => "alaw",
            Coding::MuLaw => "mulaw",
            Coding::MsAdpcm => "adpcm-ms",
            Coding::ImaAdpcmWav => "adpcm-ima-wav",
            Coding::ImaAdpcmQt => "adpcm-ima-qt",
        }
    }
}

/// Coded audio: what it is in, how it is coded, and, where a chunk scanner of this program found it, where it lies.
#[derive(Debug, Clone, PartialEq)]
pub struct Coded {
    /// The file format around it.
    pub container: Container,
    /// How the audio is coded.
    pub coding: Coding,
    /// Where the coded bytes lie, for the containers that are scanned here (WAV family, Wave64, AIFC, CAF, AU).
    pub layout: Option<CodedLayout>,
}

/// Where coded bytes lie in a container of chunks, and what its header says about them.
#[derive(Debug, Clone, PartialEq)]
pub struct CodedLayout {
    /// First coded byte, bytes from the start of the file.
    pub data_offset: u64,
    /// Coded bytes that are really there.
    pub data_len: u64,
    /// Hz; 0 where the header gives no usable rate.
    pub sample_rate: u32,
    /// Channels as declared; 0 where the header says so.
    pub channels: u32,
    /// Bytes of one packet of all channels (`nBlockAlign` in WAVE, bytes per packet in CAF); 0 where it varies.
    pub block_bytes: u32,
    /// Frames (samples a channel) of one packet; 0 where the header does not say.
    pub block_frames: u32,
    /// Frames in all, where the header says so (`fact`, `COMM`, `pakt`).
    pub frames: Option<u64>,
    /// Bytes of the format description behind the fixed fields (WAVE's `cbSize` bytes, CAF's `kuki`): position, length.
    pub extra: Option<(u64, u64)>,
    /// The other chunks, for readers of metadata.
    pub chunks: Vec<ChunkRef>,
    /// Each oddity met, in plain words.
    pub notes: Vec<String>,
}

/// A chunk of the source file that holds neither the samples nor their format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkRef {
    /// Four-character code; for Wave64 the one that the chunk's GUID begins with.
    pub id: [u8; 4],
    /// First byte of its content, from the start of the file.
    pub offset: u64,
    /// Bytes of content that are really there.
    pub len: u64,
}

/// A container of plain samples, taken apart: `[0, data_offset)` is the head, `data_len` bytes of samples follow, and
/// the rest up to `file_len` is the tail.
#[derive(Debug, Clone, PartialEq)]
pub struct Scan {
    /// The file format.
    pub container: Container,
    /// How one sample lies in the file.
    pub sample_format: SampleFormat,
    /// Hz, rounded where the header has a fraction, always at least 1. Where the header's rate is 0 or nonsense it is
    /// [`FALLBACK_RATE`], and a note says so.
    pub sample_rate: u32,
    /// The rate exactly as the header has it (Hz; may be fractional, 0, or NaN in a damaged AIFF or CAF).
    pub declared_rate: f64,
    /// 1 to [`MAX_CHANNELS`], interleaved.
    pub channels: u32,
    /// Bits that are said to be in use, where that is less than the container of a sample (12 in 16, 20 in 24); the
    /// bits below need not be zero.
    pub valid_bits: Option<u16>,
    /// Speaker positions (WAVE_FORMAT_EXTENSIBLE), where given.
    pub channel_mask: Option<u32>,
    /// First byte of samples, from the start of the file.
    pub data_offset: u64,
    /// Bytes of samples; a whole number of frames.
    pub data_len: u64,
    /// The length of the whole file at the time of scanning, bytes.
    pub file_len: u64,
    /// Oddities met, in plain words (a few dozen at most).
    pub notes: Vec<String>,
    /// The other chunks in file order (at most [`MAX_CHUNKS`]), for readers of metadata.
    pub chunks: Vec<ChunkRef>,
}

impl Kind {
    /// Moves all positions by `base` bytes: from those behind a tag to those in the whole file.
    fn shift(&mut self, base: u64) {
        let move_all = |chunks: &mut Vec<ChunkRef>| chunks.iter_mut().for_each(|c| c.offset += base);
        match self {
            Kind::Plain(scan) => {
                scan.data_offset += base;
                scan.file_len += base;
                move_all(&mut scan.chunks);
            }
            Kind::Flac { offset } => *offset += base,
            Kind::Coded(coded) => {
                if let Some(layout) = &mut coded.layout {
                    layout.data_offset += base;
                    layout.extra = layout.extra.map(|(at, len)| (at + base, len));
                    move_all(&mut layout.chunks);
                }
            }
            Kind::UnknownAudio(_) | Kind::NotAudio(_) => {}
        }
    }
}

impl Scan {
    /// Bytes of one frame (one sample of every channel).
    pub fn frame_bytes(&self) -> u64 {
        u64::from(self.channels) * self.sample_format.bytes_per_sample() as u64
    }

    /// Frames (samples a channel) in the file.
    pub fn frames(&self) -> u64 {
        self.data_len / self.frame_bytes()
    }

    /// First byte of the tail, from the start of the file; equals `file_len` where there is none.
    pub fn tail_offset(&self) -> u64 {
        self.data_offset + self.data_len
    }

    /// Bytes of the tail.
    pub fn tail_len(&self) -> u64 {
        self.file_len - self.tail_offset()
    }
}

/// More channels than this are not archived as samples: one block of all channels has to fit into memory.
pub const MAX_CHANNELS: u32 = 1024;

/// Chunks that are walked through and listed before a scanner gives up on a file's chunk list.
pub const MAX_CHUNKS: usize = 4096;

/// The rate (Hz) that is assumed for playing where a header's own is 0 or nonsense. The header comes back as it was.
pub const FALLBACK_RATE: u32 = 44_100;

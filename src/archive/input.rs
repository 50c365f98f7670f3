//! Opening a source: what it is, how its samples are read, and what the archive says about it.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use crate::archive::Context;
use crate::archive::about::{self, About};
use crate::archive::chunk::SampleReader;
use crate::archive::decoded::DecodedReader;
use crate::archive::pages::changed_or_io;
use crate::archive::plan::{self, Candidate};
use crate::error::{Error, ErrorKind, Result};
use crate::flac::{self, Md5Status, StreamDecoder};
use crate::format;
use crate::positioned::ReadAt;
use crate::preview::{Analyzer, Labels};
use crate::source::coded::{self, CodedDecoder, CodedKind, Region, RegionCodec};
use crate::source::remainder::{Plan, Steps};
use crate::source::{self, Coded, Coding, Container, Kind, SampleFormat, Scan};

/// How the audio of a source reaches the chunks.
pub(crate) enum Input {
    /// `head ‖ samples ‖ tail`, read as they are.
    Plain { data_offset: u64, data_len: u64, file_len: u64 },
    /// Decoded on the way; the source's own bytes are kept beside.
    Coded(Box<DecodedReader>),
    /// A FLAC at this place of the file, decoded on the way: too long for a chunk, or not a clean one. Its samples are
    /// shifted up by so many bits.
    Flac { offset: u64, shift: u32 },
    /// A FLAC at this place of the file becomes the archive's FLAC as it is; it has been decoded for the picture.
    OwnFlac { offset: u64, len: u64, analyzer: Box<Analyzer> },
    /// Only the bytes are kept.
    Attached,
}

/// A source, opened.
pub(crate) struct Opened {
    pub(crate) input: Input,
    pub(crate) container: String,
    pub(crate) sample_format: String,
    /// The form in which sample bytes reach the chunks.
    pub(crate) format: SampleFormat,
    /// How samples beyond 24-bit integers are taken apart.
    pub(crate) plan: Plan,
    pub(crate) sample_rate: u32,
    pub(crate) channels: u32,
    pub(crate) bits_per_sample: u32,
    /// Frames in the source; at least as many as there are.
    pub(crate) frames_bound: u64,
    /// Where the samples begin in the source, if it is rebuilt from them.
    pub(crate) data_offset: Option<u64>,
    pub(crate) restore: &'static str,
    pub(crate) decoder: Option<String>,
    pub(crate) notes: Vec<String>,
    pub(crate) about: About,
}

impl Opened {
    /// Bytes of one frame in the source.
    pub(crate) fn frame_bytes(&self) -> u64 {
        u64::from(self.channels) * self.format.bytes_per_sample() as u64
    }

    /// What stands on the picture of a chunk.
    pub(crate) fn labels(&self, name: &str, index: u64, count: u64, start: u64) -> Labels {
        Labels {
            source_name: name.to_owned(),
            chunk_index: index,
            chunk_count: Some(count),
            start_seconds: start as f64 / f64::from(self.sample_rate.max(1)),
            format: {
                let coding =
                    self.decoder.as_ref().filter(|_| self.container != "flac").map(|_| self.sample_format.as_str());
                in_words(&self.container, coding, self.format, self.bits_per_sample)
            },
            recording_start: self.about.start,
        }
    }
}

/// A format as a person says it: `WAV, 24 bit`, `RF64, 32-bit float`, `FLAC, 16 bit`, `Vorbis in Ogg`.
fn in_words(container: &str, coding: Option<&str>, format: SampleFormat, bits: u32) -> String {
    let container = spoken(container);
    match coding.map(spoken) {
        Some(coding) if coding == container => coding,
        Some(coding) => format!("{coding} in {container}"),
        None if format.is_float() => format!("{container}, {bits}-bit float"),
        None => format!("{container}, {bits} bit"),
    }
}

/// The usual spelling of the short names of containers and codings.
fn spoken(name: &str) -> String {
    const SPELLINGS: [(&str, &str); 14] = [
        ("w64", "Wave64"),
        ("aifc", "AIFF-C"),
        ("ogg", "Ogg"),
        ("adts", "AAC"),
        ("vorbis", "Vorbis"),
        ("opus", "Opus"),
        ("alac", "Apple Lossless"),
        ("alaw", "A-law"),
        ("mulaw", "mu-law"),
        ("adpcm-ms", "MS ADPCM"),
        ("adpcm-ima-wav", "IMA ADPCM"),
        ("adpcm-ima-qt", "IMA ADPCM"),
        ("pcm", "PCM"),
        ("mpeg", "MPEG"),
    ];
    let spelling = SPELLINGS.iter().find(|(short, _)| *short == name);
    spelling.map_or_else(|| name.to_uppercase(), |(_, text)| (*text).to_owned())
}

/// What a file is, by its content.
pub(crate) fn what_is(path: &Path) -> Result<Kind> {
    let file = File::open(path).map_err(Error::while_("opening", path))?;
    source::identify(&file).map_err(|e| e.at_path(path))
}

/// The error for audio that only `--attach-unknown` archives.
pub(crate) fn cannot_decode(what: &str) -> Error {
    cannot_decode_because(what, "nothing here decodes it")
}

/// The same, where a decoder has been tried.
fn cannot_decode_because(what: &str, why: &str) -> Error {
    Error::unsupported(format!(
        "{what}: {why}, so there would be neither a FLAC nor a picture. Use --attach-unknown to archive the file's bytes \
         alone, or convert it first"
    ))
}

/// Whether `--attach-unknown` keeps the bytes of such a file: audio that nothing decodes, and what is named like audio and
/// cannot be recognised (any more), but not what merely lies beside recordings.
pub(crate) fn is_attachable(kind: &Kind, path: &Path, size: u64) -> bool {
    match kind {
        Kind::UnknownAudio(_) => true,
        Kind::NotAudio(_) => size > 0 && plan::claims_audio(path),
        _ => false,
    }
}

/// A few words about a file for a dry run.
pub(crate) fn describe(kind: &Kind, chunk_seconds: u64) -> String {
    match kind {
        Kind::Plain(scan) => {
            let frames = scan.frames();
            let chunks = frames.div_ceil(chunk_seconds.saturating_mul(u64::from(scan.sample_rate)).max(1)).max(1);
            format!(
                "{} {}, {} Hz, {} channels, {:.1} s, {chunks} chunks",
                scan.container.name(),
                scan.sample_format.name(),
                scan.sample_rate,
                scan.channels,
                frames as f64 / f64::from(scan.sample_rate)
            )
        }
        Kind::Flac { .. } => "FLAC".to_owned(),
        Kind::Coded(coded) => words(coded),
        Kind::UnknownAudio(what) | Kind::NotAudio(what) => what.clone(),
    }
}

/// Looks at an open file and makes it ready to be read.
pub(crate) fn open(ctx: &Context<'_>, file: &Arc<File>, candidate: &Candidate) -> Result<Opened> {
    let path = &candidate.path;
    let kind = source::identify(&**file).map_err(|e| e.at_path(path))?;
    let about = about::read(ctx, candidate, &**file, &kind).map_err(|e| e.at_path(path))?;
    let mut opened = open_kind(ctx, file, candidate, kind)?;
    opened.notes.extend(about.notes.iter().cloned());
    opened.about = about;
    Ok(opened)
}

fn open_kind(ctx: &Context<'_>, file: &Arc<File>, candidate: &Candidate, kind: Kind) -> Result<Opened> {
    let path = &candidate.path;
    if ctx.options.attach_unknown && is_attachable(&kind, path, candidate.size) {
        return Ok(attached(describe(&kind, 0)));
    }
    let (opened, what) = match kind {
        Kind::Plain(scan) => {
            let plan = Plan::probe(&**file, &scan, Steps::AsSource).map_err(|e| e.at_path(path))?;
            return Ok(plain(*scan, plan));
        }
        Kind::UnknownAudio(what) => return Err(cannot_decode(&what)),
        Kind::NotAudio(what) => return Err(Error::unsupported(what)),
        Kind::Flac { offset } => (flac(ctx, file, offset), "FLAC".to_owned()),
        Kind::Coded(coded) => (coded_source(file, &coded), words(&coded)),
    };
    match opened {
        Err(e) if !matches!(e.kind(), ErrorKind::Unsupported | ErrorKind::Malformed | ErrorKind::Limit) => Err(e),
        Err(e) if ctx.options.attach_unknown => {
            let mut opened = attached(what);
            opened.notes.push(e.to_string());
            Ok(opened)
        }
        Err(e) => Err(cannot_decode_because(&what, &e.to_string())),
        opened => opened,
    }
}

/// `mp3 in wav`.
fn words(coded: &Coded) -> String {
    format!("{} in {}", coded.coding.name(), coded.container.name())
}

fn plain(scan: Scan, plan: Plan) -> Opened {
    Opened {
        plan,
        container: scan.container.name().to_owned(),
        sample_format: scan.sample_format.name().to_owned(),
        format: scan.sample_format,
        sample_rate: scan.sample_rate,
        channels: scan.channels,
        bits_per_sample: u32::from(scan.sample_format.bits()),
        frames_bound: scan.frames(),
        data_offset: Some(scan.data_offset),
        restore: format::RESTORE_IDENTICAL,
        decoder: None,
        notes: scan.notes.clone(),
        about: About::default(),
        input: Input::Plain { data_offset: scan.data_offset, data_len: scan.data_len, file_len: scan.file_len },
    }
}

fn attached(what: String) -> Opened {
    Opened {
        container: what.clone(),
        sample_format: what,
        format: SampleFormat::S16Le,
        plan: Plan::new(SampleFormat::S16Le, 0),
        sample_rate: source::FALLBACK_RATE,
        channels: 0,
        bits_per_sample: 0,
        frames_bound: 0,
        data_offset: None,
        restore: format::RESTORE_ORIGINAL,
        decoder: None,
        notes: vec!["nothing here decodes it: its bytes are kept, without a FLAC".to_owned()],
        about: About::default(),
        input: Input::Attached,
    }
}

/// The form of sample bytes for decoded samples of so many bits, and how far they are shifted up to fill it.
fn form_of(bits: u32) -> (SampleFormat, u32) {
    match bits {
        0..=8 => (SampleFormat::S8, 8 - bits),
        9..=16 => (SampleFormat::S16Le, 16 - bits),
        17..=24 => (SampleFormat::S24Le, 24 - bits),
        _ => (SampleFormat::S32Le, 32u32.saturating_sub(bits)),
    }
}

fn flac(ctx: &Context<'_>, file: &Arc<File>, offset: u64) -> Result<Opened> {
    let len = ReadAt::len(&**file).map_err(|e| Error::io("looking at", e))?;
    let info = flac::Metadata::read(&**file, offset, len)?.stream_info;
    let chunk_frames = ctx.options.chunk_seconds.saturating_mul(u64::from(info.sample_rate));
    // A page of one row, which is what bytes that may not be padded need, is shorter than 4 GiB.
    let one_row = len < u64::from(u32::MAX);
    // An encoder that writes to a pipe does not know the number of samples: it is counted then.
    let fits = one_row && info.total_samples <= chunk_frames && info.sample_rate > 0;
    let mut notes = Vec::new();
    if fits {
        match own_flac(ctx, file, offset, len, chunk_frames) {
            Ok(None) => {}
            Ok(Some((end, analyzer, frames))) => {
                return Ok(Opened {
                    container: "flac".to_owned(),
                    sample_format: "flac".to_owned(),
                    format: form_of(u32::from(info.bits_per_sample)).0,
                    plan: Plan::new(form_of(u32::from(info.bits_per_sample)).0, 0),
                    sample_rate: info.sample_rate,
                    channels: u32::from(info.channels),
                    bits_per_sample: u32::from(info.bits_per_sample),
                    frames_bound: frames,
                    data_offset: None,
                    restore: format::RESTORE_IDENTICAL,
                    decoder: None,
                    notes,
                    about: About::default(),
                    input: Input::OwnFlac { offset, len: end - offset, analyzer },
                });
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => return Err(e),
            Err(e) => notes.push(format!("its bytes are kept, and the FLAC to listen to is encoded anew: {e}")),
        }
    }
    let (sample_format, shift) = form_of(u32::from(info.bits_per_sample));
    Ok(Opened {
        container: "flac".to_owned(),
        sample_format: "flac".to_owned(),
        format: sample_format,
        plan: Plan::new(sample_format, usize::from(info.channels)),
        sample_rate: info.sample_rate.max(1),
        channels: u32::from(info.channels),
        bits_per_sample: u32::from(info.bits_per_sample),
        frames_bound: if info.total_samples > 0 { info.total_samples } else { u64::MAX },
        data_offset: None,
        restore: format::RESTORE_ORIGINAL,
        decoder: Some(format::CREATED_BY.to_owned()),
        notes,
        about: About::default(),
        input: Input::Flac { offset, shift },
    })
}

/// Decodes a FLAC from end to end: frame checksums, MD5 and length must all be right. Gives where its last frame ends,
/// the analysed picture and the number of frames; `None` where there are more than `most`.
fn own_flac(
    ctx: &Context<'_>,
    file: &Arc<File>,
    offset: u64,
    len: u64,
    most: u64,
) -> Result<Option<(u64, Box<Analyzer>, u64)>> {
    let mut decoder = StreamDecoder::new(&**file, offset, len)?;
    let info = *decoder.stream_info();
    let expected = Some(info.total_samples).filter(|total| *total > 0);
    let mut analyzer = ctx.analyzer(info.sample_rate, usize::from(info.channels), info.bits_per_sample, expected)?;
    let (mut end, mut frames) = (len, 0);
    while let Some(frame) = decoder.next_frame()? {
        ctx.interrupt.check()?;
        let slices: Vec<&[i32]> = frame.planes.iter().map(Vec::as_slice).collect();
        frames += slices.first().map_or(0, |plane| plane.len() as u64);
        if frames > most {
            return Ok(None);
        }
        analyzer.push(&slices);
        end = frame.offset + u64::from(frame.bytes);
    }
    let check = decoder.into_check();
    if check.md5 != Md5Status::Match {
        return Err(Error::unsupported("it has no MD5 to check it by"));
    }
    if !check.is_complete() {
        return Err(Error::malformed("its header contradicts its frames"));
    }
    Ok(Some((end, Box::new(analyzer), check.samples)))
}

/// Hands a coded source to the decoder that its container and coding call for.
fn open_coded(file: Arc<File>, len: u64, coded: &Coded) -> Result<CodedDecoder> {
    let kind = match coded.container {
        Container::Mpeg => CodedKind::MpegAudio,
        Container::Adts => CodedKind::Adts,
        Container::Mp4 => CodedKind::Mp4,
        Container::Ogg => CodedKind::Ogg,
        Container::Caf if !matches!(coded.coding, Coding::Mp1 | Coding::Mp2 | Coding::Mp3) => CodedKind::Caf,
        _ => return open_region(file, coded),
    };
    coded::open(file, len, kind)
}

/// Coded audio in a data chunk that the scanner has found.
fn open_region(file: Arc<File>, coded: &Coded) -> Result<CodedDecoder> {
    let unknown = || Error::unsupported("nothing here decodes it");
    let layout = coded.layout.as_ref().ok_or_else(unknown)?;
    let codec = match coded.coding {
        Coding::ALaw => RegionCodec::ALaw,
        Coding::MuLaw => RegionCodec::MuLaw,
        Coding::ImaAdpcmWav => RegionCodec::ImaAdpcm { block_bytes: layout.block_bytes },
        Coding::ImaAdpcmQt => RegionCodec::ImaQuickTime,
        Coding::Mp1 | Coding::Mp2 | Coding::Mp3 => RegionCodec::MpegAudio,
        Coding::Aac => RegionCodec::Adts,
        Coding::MsAdpcm => RegionCodec::MsAdpcm {
            block_bytes: layout.block_bytes,
            coefficients: ms_coefficients(&*file, layout.extra)?,
        },
        _ => return Err(unknown()),
    };
    let region = Region {
        container: coded.container.name().to_owned(),
        offset: layout.data_offset,
        len: layout.data_len,
        channels: u16::try_from(layout.channels).map_err(|_| unknown())?,
        sample_rate: layout.sample_rate,
        total_frames: layout.frames,
        codec,
    };
    coded::open_region(file, &region)
}

/// The predictor coefficients of MS ADPCM: behind the samples per block (2 bytes) their number, then pairs of `i16`.
fn ms_coefficients(file: &dyn ReadAt, extra: Option<(u64, u64)>) -> Result<Vec<(i16, i16)>> {
    let Some((offset, len)) = extra else { return Ok(Vec::new()) };
    let mut bytes = vec![0; len.min(4 + 4 * 256) as usize];
    file.read_exact_at(&mut bytes, offset).map_err(|e| Error::io("reading", e).at_offset(offset))?;
    let count = bytes.get(2..4).map_or(0, |n| usize::from(u16::from_le_bytes([n[0], n[1]])));
    let pairs = bytes.get(4..).unwrap_or_default().chunks_exact(4).take(count);
    Ok(pairs.map(|p| (i16::from_le_bytes([p[0], p[1]]), i16::from_le_bytes([p[2], p[3]]))).collect())
}

fn coded_source(file: &Arc<File>, coded: &Coded) -> Result<Opened> {
    let len = ReadAt::len(&**file).map_err(|e| Error::io("looking at", e))?;
    let decoder = open_coded(file.clone(), len, coded)?;
    let info = decoder.info().clone();
    let (sample_format, shift) = form_of(info.bits_per_sample);
    Ok(Opened {
        container: info.container.clone(),
        sample_format: info.codec.to_owned(),
        format: sample_format,
        plan: Plan::new(sample_format, usize::from(info.channels)),
        sample_rate: info.sample_rate.max(1),
        channels: u32::from(info.channels),
        bits_per_sample: info.bits_per_sample,
        frames_bound: info.total_frames,
        data_offset: None,
        restore: format::RESTORE_ORIGINAL,
        decoder: Some(info.decoder.clone()),
        notes: Vec::new(),
        about: About::default(),
        input: Input::Coded(Box::new(DecodedReader::new(decoder, sample_format, shift))),
    })
}

/// The samples of a plain container, read in order with positioned reads.
pub(crate) struct PlainReader {
    file: Arc<File>,
    at: u64,
    end: u64,
    frame_bytes: usize,
}

impl PlainReader {
    pub(crate) fn new(file: Arc<File>, data_offset: u64, data_len: u64, frame_bytes: usize) -> PlainReader {
        PlainReader { file, at: data_offset, end: data_offset + data_len, frame_bytes }
    }
}

impl SampleReader for PlainReader {
    fn read(&mut self, frames: usize, buf: &mut Vec<u8>) -> Result<()> {
        let n = ((frames * self.frame_bytes) as u64).min(self.end - self.at) as usize;
        buf.resize(n, 0);
        self.file.read_exact_at(buf, self.at).map_err(changed_or_io(self.at))?;
        self.at += n as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_said_in_words() {
        for (container, coding, format, bits, expected) in [
            ("wav", None, SampleFormat::S16Le, 16, "WAV, 16 bit"),
            ("w64", None, SampleFormat::S24Le, 24, "Wave64, 24 bit"),
            ("rf64", None, SampleFormat::F32Le, 32, "RF64, 32-bit float"),
            ("aifc", None, SampleFormat::F64Be, 64, "AIFF-C, 64-bit float"),
            ("flac", None, SampleFormat::S24Le, 20, "FLAC, 20 bit"),
            ("mp3", Some("mp3"), SampleFormat::S24Le, 24, "MP3"),
            ("adts", Some("aac"), SampleFormat::S16Le, 16, "AAC"),
            ("ogg", Some("vorbis"), SampleFormat::S16Le, 16, "Vorbis in Ogg"),
            ("wav", Some("alaw"), SampleFormat::S16Le, 16, "A-law in WAV"),
        ] {
            assert_eq!(in_words(container, coding, format, bits), expected);
        }
    }
}

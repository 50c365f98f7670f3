//! libFLAC as a program that is timed against ours: `libflac-peer -5 in.wav out.flac` and `libflac-peer -d in.flac out.wav`.
//!
//! It does what the program `flac` does for a plain WAV, with the same library calls: one thread, MD5 on, no verifying; blocks of
//! samples are read, handed over interleaved, and libFLAC writes the file. `-d` decodes with the MD5 checked and writes the WAV
//! through a buffer. `--version` names the library's version.

use std::error::Error;
use std::ffi::{CStr, CString, c_void};
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};

use libflac_sys::*;

type Outcome = Result<(), Box<dyn Error>>;

fn main() -> Outcome {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--version"] => {
            // SAFETY: a constant of the library, a string that ends with 0.
            let version = unsafe { CStr::from_ptr(FLAC__VERSION_STRING) };
            println!("libFLAC {}", version.to_string_lossy());
            Ok(())
        }
        ["-d", input, output] => decode(input, output),
        [level, input, output] if level.len() == 2 && level.starts_with('-') => {
            encode(level[1..].parse()?, input, output)
        }
        _ => Err("usage: libflac-peer -0…-8 in.wav out.flac | -d in.flac out.wav | --version".into()),
    }
}

struct Format {
    channels: u32,
    sample_rate: u32,
    bits: u32,
    data_bytes: u64,
}

/// Reads up to the first sample.
fn open_wav(file: &mut (impl Read + Seek)) -> Result<Format, Box<dyn Error>> {
    let mut head = [0; 12];
    file.read_exact(&mut head)?;
    let mut format = Format { channels: 0, sample_rate: 0, bits: 0, data_bytes: 0 };
    loop {
        let mut header = [0; 8];
        file.read_exact(&mut header)?;
        let len = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
        if &header[..4] == b"data" {
            format.data_bytes = len.into();
            return Ok(format);
        }
        let mut content = vec![0; (len + len % 2) as usize];
        file.read_exact(&mut content)?;
        if &header[..4] == b"fmt " {
            format.channels = u16::from_le_bytes([content[2], content[3]]).into();
            format.sample_rate = u32::from_le_bytes([content[4], content[5], content[6], content[7]]);
            format.bits = u16::from_le_bytes([content[14], content[15]]).into();
        }
    }
}

fn encode(level: u32, input: &str, output: &str) -> Outcome {
    let mut file = BufReader::with_capacity(1 << 16, File::open(input)?);
    let format = open_wav(&mut file)?;
    let width = (format.bits / 8) as usize;
    let frame = width * format.channels as usize;
    let path = CString::new(output)?;
    // SAFETY: the encoder is made, used and deleted here; the path outlives the call; `samples` holds the number of frames told.
    unsafe {
        let encoder = FLAC__stream_encoder_new();
        FLAC__stream_encoder_set_compression_level(encoder, level);
        FLAC__stream_encoder_set_channels(encoder, format.channels);
        FLAC__stream_encoder_set_bits_per_sample(encoder, format.bits);
        FLAC__stream_encoder_set_sample_rate(encoder, format.sample_rate);
        FLAC__stream_encoder_set_total_samples_estimate(encoder, format.data_bytes / frame as u64);
        let status = FLAC__stream_encoder_init_file(encoder, path.as_ptr(), None, std::ptr::null_mut());
        if status != FLAC__STREAM_ENCODER_INIT_STATUS_OK {
            return Err("the encoder does not take this format".into());
        }
        let mut bytes = vec![0; 4096 * frame];
        let mut samples = Vec::with_capacity(4096 * format.channels as usize);
        let mut left = format.data_bytes;
        while left > 0 {
            let count = left.min(bytes.len() as u64) as usize;
            file.read_exact(&mut bytes[..count])?;
            left -= count as u64;
            samples.clear();
            match width {
                2 => {
                    let pairs = bytes[..count].as_chunks::<2>().0.iter();
                    samples.extend(pairs.map(|b| FLAC__int32::from(i16::from_le_bytes(*b))));
                }
                3 => {
                    let triples = bytes[..count].as_chunks::<3>().0.iter();
                    samples.extend(triples.map(|b| FLAC__int32::from_le_bytes([0, b[0], b[1], b[2]]) >> 8));
                }
                _ => return Err("only 16 and 24 bit".into()),
            }
            if FLAC__stream_encoder_process_interleaved(encoder, samples.as_ptr(), (count / frame) as u32) == 0 {
                return Err("encoding failed".into());
            }
        }
        if FLAC__stream_encoder_finish(encoder) == 0 {
            return Err("encoding failed at the end".into());
        }
        FLAC__stream_encoder_delete(encoder);
    }
    Ok(())
}

struct Sink {
    out: BufWriter<File>,
    bytes: Vec<u8>,
    channels: u32,
    sample_rate: u32,
    width: usize,
    written: u64,
    failed: bool,
}

impl Sink {
    fn header(&self) -> Vec<u8> {
        let data = self.written as u32;
        let frame = self.channels * self.width as u32;
        let mut head = b"RIFF".to_vec();
        head.extend((data + 36).to_le_bytes());
        head.extend(b"WAVEfmt \x10\0\0\0\x01\0");
        head.extend((self.channels as u16).to_le_bytes());
        head.extend(self.sample_rate.to_le_bytes());
        head.extend((self.sample_rate * frame).to_le_bytes());
        head.extend((frame as u16).to_le_bytes());
        head.extend((self.width as u16 * 8).to_le_bytes());
        head.extend(b"data");
        head.extend(data.to_le_bytes());
        head
    }
}

unsafe extern "C" fn on_frame(
    _: *const FLAC__StreamDecoder,
    frame: *const FLAC__Frame,
    buffer: *const *const FLAC__int32,
    sink: *mut c_void,
) -> FLAC__StreamDecoderWriteStatus {
    // SAFETY: libFLAC hands over what `decode` gave it, and one plane a channel of `blocksize` samples.
    unsafe {
        let sink = &mut *sink.cast::<Sink>();
        let header = &(*frame).header;
        let (count, channels) = (header.blocksize as usize, header.channels as usize);
        if sink.written == 0 {
            sink.channels = header.channels;
            sink.sample_rate = header.sample_rate;
            sink.width = header.bits_per_sample.div_ceil(8) as usize;
            sink.failed |= sink.out.write_all(&[0; 44]).is_err();
        }
        let planes: Vec<&[FLAC__int32]> =
            (0..channels).map(|channel| std::slice::from_raw_parts(*buffer.add(channel), count)).collect();
        sink.bytes.clear();
        for i in 0..count {
            for plane in &planes {
                sink.bytes.extend_from_slice(&plane[i].to_le_bytes()[..sink.width]);
            }
        }
        sink.written += sink.bytes.len() as u64;
        sink.failed |= sink.out.write_all(&sink.bytes).is_err();
    }
    FLAC__STREAM_DECODER_WRITE_STATUS_CONTINUE
}

unsafe extern "C" fn on_error(_: *const FLAC__StreamDecoder, _: FLAC__StreamDecoderErrorStatus, sink: *mut c_void) {
    // SAFETY: as in `on_frame`.
    unsafe { (*sink.cast::<Sink>()).failed = true }
}

fn decode(input: &str, output: &str) -> Outcome {
    let out = BufWriter::with_capacity(1 << 16, File::create(output)?);
    let mut sink = Sink { out, bytes: Vec::new(), channels: 0, sample_rate: 0, width: 0, written: 0, failed: false };
    let path = CString::new(input)?;
    // SAFETY: the decoder is made, used and deleted here; path and sink outlive it.
    let whole = unsafe {
        let decoder = FLAC__stream_decoder_new();
        FLAC__stream_decoder_set_md5_checking(decoder, 1);
        let client = (&raw mut sink).cast();
        FLAC__stream_decoder_init_file(decoder, path.as_ptr(), Some(on_frame), None, Some(on_error), client);
        let whole = FLAC__stream_decoder_process_until_end_of_stream(decoder) != 0
            && FLAC__stream_decoder_finish(decoder) != 0;
        FLAC__stream_decoder_delete(decoder);
        whole
    };
    if !whole || sink.failed {
        return Err("decoding failed".into());
    }
    let header = sink.header();
    sink.out.seek(SeekFrom::Start(0))?;
    sink.out.write_all(&header)?;
    sink.out.flush()?;
    Ok(())
}

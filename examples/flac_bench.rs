//! Encodes or decodes one file on one thread, many times over if wanted, and says how much CPU each part took:
//!
//! `flac_bench encode fast|default|best in.wav [out.flac] [repeat=N] [md5] [verify] [block=N]`
//! `flac_bench decode in.flac [repeat=N] [md5]`

use std::error::Error;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::time::Instant;

use audio_tiff::flac::*;
use audio_tiff::source::samples::{md5_bytes_are_source_bytes, planes_from_bytes};
use audio_tiff::source::{Kind, SampleFormat, identify};

/// Blocks that are encoded between two looks at the clock.
const STEP: usize = 16;

/// Bytes in front of the frames.
const HEADER_BYTES: u64 = 256;

/// Seconds of CPU that this thread has used, where the system says so; else of wall time.
fn cpu(start: Instant) -> f64 {
    std::fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|text| text.split(' ').next()?.parse::<u64>().ok())
        .map_or_else(|| start.elapsed().as_secs_f64(), |ns| ns as f64 * 1e-9)
}

struct Plain {
    format: StreamFormat,
    samples: SampleFormat,
    file: File,
    /// Where the samples begin, and how many bytes of them there are.
    data: (u64, u64),
}

/// A file of plain samples of 8, 16 or 24 bits.
fn open_plain(path: &str) -> Result<Plain, Box<dyn Error>> {
    let file = File::open(path)?;
    let Kind::Plain(scan) = identify(&file)? else { return Err("no plain samples".into()) };
    if scan.sample_format.has_remainder() {
        return Err(format!("{} is not for this program", scan.sample_format.name()).into());
    }
    let format = StreamFormat {
        sample_rate: scan.sample_rate,
        channels: u8::try_from(scan.channels)?,
        bits_per_sample: scan.sample_format.flac_bits(),
    };
    Ok(Plain { format, samples: scan.sample_format, file, data: (scan.data_offset, scan.data_len) })
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let flag = |name: &str| args.iter().any(|arg| arg == name);
    let number =
        |name: &str| args.iter().find_map(|arg| arg.strip_prefix(name)?.strip_prefix('=')?.parse::<u32>().ok());
    let repeat = number("repeat").unwrap_or(1);
    let plain: Vec<&String> =
        args.iter().filter(|arg| !arg.contains('=') && *arg != "md5" && *arg != "verify").collect();
    match plain[..] {
        [what, level, input, ref output @ ..] if what == "encode" => {
            let level = match level.as_str() {
                "fast" => Level::Fast,
                "best" => Level::Best,
                _ => Level::Default,
            };
            encode(
                input,
                output.first().map(|path| path.as_str()),
                level,
                repeat,
                number("block"),
                flag("md5"),
                flag("verify"),
            )
        }
        [what, input] if what == "decode" => decode(input, repeat, flag("md5")),
        _ => Err("see the head of this file for its arguments".into()),
    }
}

fn encode(
    input: &str,
    output: Option<&str>,
    level: Level,
    repeat: u32,
    block: Option<u32>,
    with_md5: bool,
    verify: bool,
) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let Plain { format, samples, mut file, data: (first, len) } = open_plain(input)?;
    let channels = usize::from(format.channels);
    let frame_bytes = samples.bytes_per_sample() * channels;
    let block = block.unwrap_or_else(|| default_block_size(format.sample_rate, level));
    let mut encoder = FrameEncoder::new(format, level, block)?;
    let mut checker = FrameDecoder::new(&StreamInfo::new(&format));
    let mut info = StreamInfo::new(&format);
    info.total_samples = len / frame_bytes as u64;
    (info.min_block_size, info.max_block_size) = (block as u16, block as u16);
    // Many frames a step, so that reading the clock costs nothing.
    let mut bytes = vec![0; block as usize * frame_bytes * STEP];
    let mut blocks = vec![vec![Vec::new(); channels]; STEP];
    let (mut frames, mut ends) = (Vec::new(), Vec::new());
    let mut out = output.map(File::create).transpose()?;
    let (mut encoding, mut verifying, mut hashing, mut written) = (0.0, 0.0, 0.0, 0);
    for _ in 0..repeat {
        file.seek(SeekFrom::Start(first))?;
        if let Some(out) = &mut out {
            out.rewind()?;
            out.write_all(&HeaderWriter::new(info).padded_to(HEADER_BYTES)?)?;
        }
        let (mut md5, mut left, mut number) = (SampleMd5::new(), len, 0);
        written = 0;
        while left > 0 {
            let part = bytes.len().min(left as usize);
            let part = &mut bytes[..part];
            file.read_exact(part)?;
            left -= part.len() as u64;
            let used = part.len().div_ceil(block as usize * frame_bytes);
            for (piece, planes) in part.chunks(block as usize * frame_bytes).zip(&mut blocks) {
                planes_from_bytes(samples, piece, channels, 0, planes)?;
            }
            frames.clear();
            ends.clear();
            ends.push(0);
            let before = cpu(start);
            for planes in &blocks[..used] {
                let slices: Vec<&[i32]> = planes.iter().map(Vec::as_slice).collect();
                encoder.encode(&slices, number, &mut frames)?;
                number += 1;
                ends.push(frames.len());
            }
            let encoded = cpu(start);
            encoding += encoded - before;
            written += frames.len() as u64;
            if verify {
                for (planes, range) in blocks.iter().zip(ends.windows(2)) {
                    let slices: Vec<&[i32]> = planes.iter().map(Vec::as_slice).collect();
                    checker.verify(&frames[range[0]..range[1]], &slices)?;
                }
                verifying += cpu(start) - encoded;
            }
            if with_md5 {
                let before = cpu(start);
                if md5_bytes_are_source_bytes(samples) {
                    md5.update_bytes(part);
                } else {
                    blocks[..used].iter().for_each(|planes| md5.update_planes(planes, format.bits_per_sample));
                }
                hashing += cpu(start) - before;
            }
            if let Some(out) = &mut out {
                out.write_all(&frames)?;
            }
        }
        info.md5 = if with_md5 { md5.finish() } else { [0; 16] };
        if let Some(out) = &mut out {
            out.rewind()?;
            out.write_all(&HeaderWriter::new(info).padded_to(HEADER_BYTES)?)?;
        }
    }
    let mb = len as f64 * f64::from(repeat) / 1e6;
    let values = mb * 1e6 / samples.bytes_per_sample() as f64;
    let report = |what: &str, seconds: f64| {
        if seconds > 0.0 {
            println!("{what}: {seconds:.4} s, {:.0} MB/s, {:.2} ns a sample", mb / seconds, seconds * 1e9 / values);
        }
    };
    println!("{written} bytes of frames, {:.3} % of the PCM", written as f64 * 100.0 / len as f64);
    report("encode", encoding);
    report("verify", verifying);
    report("md5", hashing);
    Ok(())
}

fn decode(input: &str, repeat: u32, with_md5: bool) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let file = std::fs::read(input)?;
    let mut bytes = 0;
    let before = cpu(start);
    for _ in 0..repeat {
        let mut decoder = StreamDecoder::new(&file, 0, u64::MAX)?;
        if !with_md5 {
            decoder = decoder.without_md5();
        }
        while let Some(frame) = decoder.next_frame()? {
            let width = usize::from(frame.header.bits_per_sample.div_ceil(8));
            bytes += frame.planes.len() * frame.planes[0].len() * width;
        }
    }
    let seconds = cpu(start) - before;
    println!("decode: {seconds:.4} s, {:.0} MB/s", bytes as f64 / seconds / 1e6);
    Ok(())
}

//! Encodes or decodes one file on one thread, many times over if wanted, and says how much CPU each part took:
//!
//! `flac_bench encode fast|default|best in.wav [out.flac] [repeat=N] [md5] [verify] [block=N]`
//! `flac_bench decode in.flac [repeat=N] [md5]`

use audio_tiff::flac::*;
use std::time::Instant;

/// Seconds of CPU that this thread has used, where the system says so; else of wall time.
fn cpu(start: Instant) -> f64 {
    std::fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|text| text.split(' ').next()?.parse::<u64>().ok())
        .map_or_else(|| start.elapsed().as_secs_f64(), |ns| ns as f64 * 1e-9)
}

struct Wav {
    format: StreamFormat,
    data: Vec<u8>,
}

fn read_wav(path: &str) -> Result<Wav, Box<dyn std::error::Error>> {
    let bytes = std::fs::read(path)?;
    let mut format = None;
    let mut at = 12;
    while let Some(header) = bytes.get(at..at + 8) {
        let len = u32::from_le_bytes([header[4], header[5], header[6], header[7]]) as usize;
        let content = &bytes[at + 8..bytes.len().min(at + 8 + len)];
        match &header[..4] {
            b"fmt " => {
                format = Some(StreamFormat {
                    sample_rate: u32::from_le_bytes([content[4], content[5], content[6], content[7]]),
                    channels: content[2],
                    bits_per_sample: content[14],
                });
            }
            b"data" => return Ok(Wav { format: format.ok_or("no format")?, data: content.to_vec() }),
            _ => {}
        }
        at += 8 + len + len % 2;
    }
    Err("no data chunk".into())
}

/// Interleaved little-endian bytes to one plane per channel.
fn deinterleave(bytes: &[u8], width: usize, planes: &mut [Vec<i32>]) {
    let channels = planes.len();
    match (width, planes) {
        (2, [left, right]) => {
            left.clear();
            right.clear();
            left.extend(bytes.as_chunks::<4>().0.iter().map(|b| i32::from(i16::from_le_bytes([b[0], b[1]]))));
            right.extend(bytes.as_chunks::<4>().0.iter().map(|b| i32::from(i16::from_le_bytes([b[2], b[3]]))));
        }
        (_, planes) => {
            for (channel, plane) in planes.iter_mut().enumerate() {
                plane.clear();
                plane.extend(bytes.chunks_exact(width * channels).map(|frame| {
                    let sample = &frame[channel * width..][..width];
                    let raw = sample.iter().rev().fold(0i32, |value, &byte| (value << 8) | i32::from(byte));
                    (raw << (32 - 8 * width)) >> (32 - 8 * width)
                }));
            }
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
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
) -> Result<(), Box<dyn std::error::Error>> {
    let start = Instant::now();
    let Wav { format, data } = read_wav(input)?;
    let width = usize::from(format.bits_per_sample / 8);
    let channels = usize::from(format.channels);
    let block = block.unwrap_or_else(|| default_block_size(format.sample_rate, level));
    let mut encoder = FrameEncoder::new(format, level, block)?;
    let mut checker = FrameDecoder::new(&StreamInfo::new(&format));
    let mut planes = vec![Vec::new(); channels];
    let mut frames = Vec::with_capacity(data.len());
    let (mut encoding, mut verifying, mut hashing) = (0.0, 0.0, 0.0);
    let mut info = StreamInfo::new(&format);
    for _ in 0..repeat {
        frames.clear();
        let mut md5 = SampleMd5::new();
        // Many frames a step, so that reading the clock costs nothing.
        for (step, part) in data.chunks(block as usize * width * channels * 16).enumerate() {
            let mut blocks: Vec<Vec<Vec<i32>>> = Vec::new();
            for bytes in part.chunks(block as usize * width * channels) {
                deinterleave(bytes, width, &mut planes);
                blocks.push(planes.clone());
            }
            let slices: Vec<Vec<&[i32]>> = blocks.iter().map(|b| b.iter().map(Vec::as_slice).collect()).collect();
            let before = cpu(start);
            let mut ends = vec![frames.len()];
            for (i, planes) in slices.iter().enumerate() {
                encoder.encode(planes, (step * 16 + i) as u64, &mut frames)?;
                ends.push(frames.len());
            }
            let encoded = cpu(start);
            encoding += encoded - before;
            if verify {
                for (planes, range) in slices.iter().zip(ends.windows(2)) {
                    checker.verify(&frames[range[0]..range[1]], planes)?;
                }
                verifying += cpu(start) - encoded;
            }
            if with_md5 {
                let before = cpu(start);
                md5.update_bytes(part);
                hashing += cpu(start) - before;
            }
        }
        info.total_samples = (data.len() / width / channels) as u64;
        (info.min_block_size, info.max_block_size) = (block as u16, block as u16);
        info.md5 = if with_md5 { md5.finish() } else { [0; 16] };
    }
    let mb = data.len() as f64 * f64::from(repeat) / 1e6;
    let samples = mb * 1e6 / width as f64;
    let report = |what: &str, seconds: f64| {
        if seconds > 0.0 {
            println!("{what}: {seconds:.4} s, {:.0} MB/s, {:.2} ns a sample", mb / seconds, seconds * 1e9 / samples);
        }
    };
    println!("{} bytes of frames, {:.3} % of the PCM", frames.len(), frames.len() as f64 * 100.0 / data.len() as f64);
    report("encode", encoding);
    report("verify", verifying);
    report("md5", hashing);
    if let Some(output) = output {
        let mut file = HeaderWriter::new(info).padded_to_multiple(4096, frames.len() as u64)?;
        file.extend_from_slice(&frames);
        std::fs::write(output, file)?;
    }
    Ok(())
}

fn decode(input: &str, repeat: u32, with_md5: bool) -> Result<(), Box<dyn std::error::Error>> {
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

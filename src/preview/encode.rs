//! Pictures as PNG files and TIFF strips, and what a picture shows as JSON.

use serde_json::{Value, json};

use super::canvas::Picture;
use super::deflate::zlib;
use super::range::DbRange;
use super::render::{Frame, Labels};
use super::settings::{Kind, Settings};
use super::spectrum::Spectrum;

/// The picture as a PNG file (8-bit RGB, no text, no time).
pub fn encode_png(picture: &Picture) -> Vec<u8> {
    let mut header = Vec::new();
    header.extend(picture.width.to_be_bytes());
    header.extend(picture.height.to_be_bytes());
    // 8 bits, RGB, deflate, the usual filters, not interlaced.
    header.extend([8, 2, 0, 0, 0]);
    let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
    let data = zlib(&picture.rgb, 3 * picture.width as usize, true);
    for (kind, content) in [(b"IHDR", header.as_slice()), (b"IDAT", &data), (b"IEND", &[])] {
        let start = out.len() + 4;
        out.extend((content.len() as u32).to_be_bytes());
        out.extend(kind);
        out.extend(content);
        out.extend(crc32(&out[start..]).to_be_bytes());
    }
    out
}

/// The picture's pixels as one zlib stream, row by row without filters: what a TIFF page of one strip with compression 8
/// (Deflate) and no predictor holds.
pub fn encode_deflate(picture: &Picture) -> Vec<u8> {
    zlib(&picture.rgb, 3 * picture.width as usize, false)
}

/// The checksum of PNG (ISO 3309).
fn crc32(bytes: &[u8]) -> u32 {
    let table: [u32; 256] = std::array::from_fn(|i| {
        (0..8).fold(i as u32, |value, _| if value & 1 == 1 { value >> 1 ^ 0xedb8_8320 } else { value >> 1 })
    });
    !bytes.iter().fold(!0, |crc, byte| crc >> 8 ^ table[(crc as u8 ^ byte) as usize])
}

/// What the picture shows and how it was made, for machines: frequencies in Hz, times in seconds, levels in dB relative
/// to a full-scale sine, `plot` the spectrograms' place within the picture in pixels.
pub fn describe(spectrum: &Spectrum, range: &DbRange, labels: &Labels, settings: &Settings) -> Value {
    let frame = Frame::new(spectrum, labels, settings);
    let range = settings.db_range.unwrap_or(*range);
    let mut value = json!({
        "kind": if settings.kind == Kind::FalseColor { "false-color" } else { "spectrogram" },
        "width": frame.width,
        "height": frame.height,
        "plot": { "x": frame.plot.x, "y": frame.plot.y, "width": frame.plot.width, "height": frame.plot.height },
        "channels": if spectrum.streams > 1 { "separate" } else { "mix" },
        "start_seconds": labels.start_seconds,
        "seconds": spectrum.seconds(),
        "columns": spectrum.columns(),
        "column_seconds": spectrum.seconds() / spectrum.columns().max(1) as f64,
        "frequency_scale": spectrum.scale.name(),
        "fmin": spectrum.fmin,
        "fmax": spectrum.fmax,
        "bands": spectrum.bands,
        "window": "hann",
        "n_fft": spectrum.frame_len,
        "hop": spectrum.hop,
        "clipped_samples": spectrum.clipped,
        "recording_start": labels.recording_start.map(|clock| clock.to_string()),
    });
    let more = if let Some(seconds) = spectrum.index_seconds() {
        json!({
            "index_seconds": seconds,
            "method": "red: acoustic complexity 0.6 to 0.9; green: 1 - temporal entropy, from that of noise to 0.6; blue: root of the events \
                       6 dB above background, 0 to 2 per second; per index_seconds and band, after Towsey et al., Procedia \
                       Computer Science 29 (2014) 703-712",
        })
    } else {
        json!({
            "method": "per column and band, in dB: 0.4 sustained maximum (with its neighbours half a window away), 0.5 maximum, \
                       0.1 mean; columns of fewer than eight half windows: less of the first",
            "color_map": settings.color_map.name(),
            "db_low": range.low(),
            "db_high": range.high(),
            "db_reference": "full-scale sine",
            "db_range": if settings.db_range.is_some() { "fixed" } else { "measured" },
        })
    };
    if let (Value::Object(all), Value::Object(more)) = (&mut value, more) {
        all.extend(more);
    }
    value
}

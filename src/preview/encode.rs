//! Pictures as PNG files, and what a picture shows as JSON.

use serde_json::{Value, json};

use super::canvas::Picture;
use super::range::DbRange;
use super::render::{Frame, Labels};
use super::settings::{Kind, Settings};
use super::spectrum::{Spectrum, Values};
use crate::error::{Error, Result};

/// The picture as a PNG file: 8-bit RGB, no text, no time.
pub fn encode_png(picture: &Picture) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let failed = |e: png::EncodingError| Error::malformed(format!("the preview does not encode as PNG: {e}"));
    let mut encoder = png::Encoder::new(&mut out, picture.width, picture.height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Balanced);
    let mut writer = encoder.write_header().map_err(failed)?;
    writer.write_image_data(&picture.rgb).map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok(out)
}

/// What the picture shows and how it was made, for machines: frequencies in Hz, times in seconds, levels in dB relative
/// to a full-scale sine, `plot` the spectrograms' place within the picture in pixels.
pub fn describe(spectrum: &Spectrum, range: &DbRange, labels: &Labels, settings: &Settings) -> Value {
    let frame = Frame::new(spectrum, labels, settings);
    let range = settings.db_range.unwrap_or(*range);
    let false_color = matches!(spectrum.values, Values::Indices(_));
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
    let more = if false_color {
        json!({
            "method": "red: acoustic complexity 0.4 to 0.7; green: 1 - temporal entropy 0 to 0.6; blue: events 3 dB above \
                       background, 0 to 2 per second; per minute and band, after Towsey et al., Procedia Computer Science \
                       29 (2014) 703-712",
        })
    } else {
        json!({
            "method": "per column and band, in dB: half the maximum sustained over three half-overlapping frames, a quarter \
                       the maximum, a quarter the mean",
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

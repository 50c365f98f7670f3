//! Taking a passage out of a recording, to the sample, across chunk borders.
//!
//! Only the chunks that the passage touches are opened, and of their FLACs only the frames from the last seek point before
//! it to its end are read: what a cut costs goes by the passage's length, not by the recording's.
//!
//! | file | what it is |
//! |---|---|
//! | `time` | `1:30:00.5`, seconds, samples, dates → frames of the recording |
//! | `passage` | the samples of a part of a recording |
//! | `inflated` | FLACs that are compressed in their TIFFs |
//! | `wav` | the header of a WAV of a known length |
//! | `flac` | a passage as a FLAC of its own |

mod flac;
mod inflated;
mod passage;
mod time;
mod wav;

use std::borrow::Cow;
use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::durable;
use crate::error::{Error, ErrorKind, Result};
use crate::extract::{Source, Sources, temp_name};
use crate::flac::VorbisComment;
use crate::interrupt::Interrupt;
use crate::preview::WallClock;
use crate::source::tags::{vorbis_key, vorbis_value};
pub use inflated::InflatedFlacs;
pub use passage::{Block, Part, Recording};
pub use time::{position, text_of};
pub use wav::{header as wav_header, wav_format};

/// What a passage is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// WAV: all samples exactly as the source had them, big-endian ones turned round.
    Wav,
    /// FLAC: exact for integers of up to 24 bits; wider samples become 24-bit steps.
    Flac,
}

impl Form {
    /// The form that a file name asks for.
    ///
    /// # Errors
    /// `Usage` for other endings than `.wav` and `.flac`.
    pub fn of_name(path: &Path) -> Result<Form> {
        let ending = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
        match ending.as_deref() {
            Some("wav") => Ok(Form::Wav),
            Some("flac") => Ok(Form::Flac),
            _ => {
                Err(Error::new(ErrorKind::Usage, "name the passage .wav or .flac, to say what it is to be")
                    .at_path(path))
            }
        }
    }
}

/// What was cut.
#[derive(Debug, Clone, PartialEq)]
pub struct Cut {
    /// First frame, counted from the start of the source.
    pub from: u64,
    /// The frame behind the last one.
    pub to: u64,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// Finds the source that a person means: by its relative path, the end of it, or its SHA-256 (8 digits or more).
///
/// # Errors
/// `Missing` where there is none, `Usage` where there are several; both name some. Those of [`Sources::get`].
pub fn pick<'a>(sources: &'a Sources, name: &str) -> Result<Cow<'a, Source>> {
    let by_sum = name.len() >= 8 && name.bytes().all(|b| b.is_ascii_hexdigit());
    let sum = name.to_ascii_lowercase();
    let stem_of = |file: &str| file.rsplit_once('.').map_or(file, |(stem, _)| stem).to_owned();
    let named_stem = stem_of(name.rsplit('/').next().unwrap_or_default());
    let fits = |s: &Source| {
        let file = s.relative_path.rsplit('/').next().unwrap_or_default();
        let stem = stem_of(file);
        file == name
            || stem == name
            // Archives of the originals restore a WAV, whatever the source was.
            || !s.ours && stem == named_stem
            || s.relative_path.strip_suffix(name).is_some_and(|rest| rest.ends_with('/'))
            || by_sum && s.sha256.is_some_and(|s| s.to_string().starts_with(&sum))
    };
    /// Sources that an error names.
    const SOME: usize = 5;
    let (mut first, mut count) = (None, 0usize);
    let (mut fitting, mut others) = (Vec::new(), Vec::new());
    for source in sources.iter() {
        let source = source?;
        if source.relative_path == name {
            return Ok(source);
        }
        let (fits, names) = if fits(&source) { (true, &mut fitting) } else { (false, &mut others) };
        if names.len() < SOME {
            names.push(source.relative_path.clone());
        }
        count += usize::from(fits);
        if fits && first.is_none() {
            first = Some(source);
        }
    }
    match first {
        Some(one) if count == 1 => Ok(one),
        None => {
            let text = format!("the archive has no source {name:?}; it has {}…", others.join(", "));
            Err(Error::new(ErrorKind::Missing, text))
        }
        Some(_) => {
            let text = format!("{count} sources are called {name:?}: give more of the path ({})", fitting.join(", "));
            Err(Error::new(ErrorKind::Usage, text))
        }
    }
}

/// When a recording began, where its metadata says so.
pub fn recorded(source: &Source) -> Option<WallClock> {
    let metadata = source.metadata.as_ref()?.object();
    WallClock::parse_iso8601(metadata.get("recorded")?.as_str()?)
}

/// The frames that a person means by `--from` and `--to`.
///
/// # Errors
/// `Usage` for what is no time, and for passages without a sample or beyond the end; the texts say how long the recording is.
pub fn range(
    recording: &Recording,
    clock: Option<WallClock>,
    from: Option<&str>,
    to: Option<&str>,
) -> Result<(u64, u64)> {
    let (rate, total) = (recording.sample_rate, recording.frames());
    let long = || format!("the recording is {} long ({total} samples)", text_of(total, rate));
    let from = from.map_or(Ok(0), |text| position(text, rate, clock))?;
    let to = to.map_or(Ok(total), |text| position(text, rate, clock))?;
    let usage = |text: String| Err(Error::new(ErrorKind::Usage, text));
    if from >= total && total > 0 {
        return usage(format!("the passage begins at {}, but {}", text_of(from, rate), long()));
    }
    if to > total {
        return usage(format!("the passage ends at {}, but {}", text_of(to, rate), long()));
    }
    if from >= to {
        return usage(format!(
            "the passage from {} to {} has no sample in it; {}",
            text_of(from, rate),
            text_of(to, rate),
            long()
        ));
    }
    Ok((from, to))
}

/// Cuts `from..to` (frames of the source) into a file that appears under its name when it is whole.
///
/// # Errors
/// `Usage` where the file is there already (unless `overwrite`) or FLAC cannot hold the channels; `Malformed`, `Mismatch`
/// and `Missing` where the archive is damaged there; `Io`; `Interrupted`.
pub fn cut_to_file(
    source: &Source,
    recording: &Recording,
    (from, to): (u64, u64),
    target: &Path,
    overwrite: bool,
    interrupt: &Interrupt,
) -> Result<Cut> {
    let form = Form::of_name(target)?;
    if !overwrite && fs::symlink_metadata(target).is_ok() {
        let text = "is there already; give --overwrite to replace it";
        return Err(Error::new(ErrorKind::Usage, text).at_path(target));
    }
    let temp = temp_name(target);
    let written = durable::create(&temp).and_then(|file| {
        let (file, notes) = match form {
            Form::Wav => {
                let mut out = BufWriter::with_capacity(256 << 10, file);
                let notes = cut_to_wav(source, recording, (from, to), &mut out, interrupt)?;
                let file = out.into_inner().map_err(|e| Error::io("writing", e.into_error()).at_path(target))?;
                (file, notes)
            }
            Form::Flac => flac::write(file, source, recording, (from, to), interrupt)?,
        };
        file.sync_all().map_err(Error::while_("syncing", &temp))?;
        Ok(notes)
    });
    let notes = written.map_err(|e| {
        durable::remove_quietly(&temp);
        e.at_path(target)
    })?;
    durable::rename(&temp, target)?;
    durable::sync_dir(target.parent().unwrap_or(Path::new(".")))?;
    Ok(Cut { from, to, notes })
}

/// Writes `from..to` as a WAV into `out`; gives what a person should know.
///
/// # Errors
/// As [`cut_to_file`].
pub fn cut_to_wav(
    source: &Source,
    recording: &Recording,
    (from, to): (u64, u64),
    out: &mut dyn Write,
    interrupt: &Interrupt,
) -> Result<Vec<String>> {
    let writing = |e: std::io::Error| Error::io("writing", e);
    let mut notes = Vec::new();
    let format = wav_format(recording);
    let frame = recording.channels as u64 * format.bytes_per_sample() as u64;
    let data = (to - from).saturating_mul(frame);
    let rate = wav::whole_rate(recording.sample_rate, &mut notes);
    let info = about(source, recording, from, to);
    out.write_all(&wav_header(format, recording.channels, rate, data, &info)?).map_err(writing)?;
    let mut bytes = Vec::new();
    recording.read(from, to, interrupt, &mut |block| {
        block.wav_bytes(format, &mut bytes)?;
        out.write_all(&bytes).map_err(writing)
    })?;
    if data % 2 == 1 {
        out.write_all(&[0]).map_err(writing)?;
    }
    out.flush().map_err(writing)?;
    Ok(notes)
}

/// What a passage says of itself: where it comes from.
pub(crate) fn about(source: &Source, recording: &Recording, from: u64, to: u64) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    let metadata = source.metadata.as_ref().map(|m| m.object()).unwrap_or_default();
    for (key, value) in &metadata {
        if let Value::String(value) = value
            && !["recorded", "recorded_from"].contains(&key.as_str())
        {
            fields.push((vorbis_key(key), vorbis_value(value)));
        }
    }
    let rate = recording.sample_rate;
    if let Some(start) = recorded(source).and_then(|clock| clock.plus_seconds(from as f64 / rate)) {
        fields.push(("DATE".into(), start.to_string()));
    }
    fields.push(("SOURCE".into(), vorbis_value(&source.relative_path)));
    if let Some(sum) = source.sha256 {
        fields.push(("SOURCE_SHA256".into(), sum.to_string()));
    }
    fields.push(("SOURCE_POSITION".into(), format!("{} to {}", text_of(from, rate), text_of(to, rate))));
    fields.push(("SOURCE_SAMPLES".into(), format!("{from} to {to}")));
    fields
}

fn comment(fields: Vec<(String, String)>) -> VorbisComment {
    VorbisComment { vendor: concat!("tiff2flac ", env!("CARGO_PKG_VERSION")).into(), fields }
}

/// A name for a passage: `interview_1h30m00s.wav`.
pub fn suggested_name(source: &Source, from: u64, rate: f64, ending: &str) -> PathBuf {
    let file = source.relative_path.rsplit('/').next().unwrap_or_default();
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    let seconds = (from as f64 / rate.max(1.0)) as u64;
    PathBuf::from(format!("{stem}_{}h{:02}m{:02}s.{ending}", seconds / 3600, seconds / 60 % 60, seconds % 60))
}

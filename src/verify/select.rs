//! Which TIFFs a run checks: all, those that an interrupted pass has left, those not checked for a while, a sample.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::error::Result;
use crate::extract::{Chunk, Found, Source};
use crate::timestamp;
use crate::verify::Options;
use crate::verify::state::{Stamp, State};

/// What becomes of one TIFF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    /// It is checked.
    Check,
    /// It was found well then, and looks as it did.
    WellSince(SystemTime),
    /// It is not in the sample; only that it is there is looked at.
    NotChosen,
}

/// What a run does with each TIFF.
pub(crate) struct Selection {
    /// Source by source; `None` where all are checked.
    choices: Option<Vec<Vec<Choice>>>,
    /// In words, what was chosen and how; empty where everything is.
    pub(crate) words: String,
}

impl Selection {
    /// What is done with each TIFF of the source with this number, which has so many.
    pub(crate) fn of(&self, source: usize, chunks: usize) -> Cow<'_, [Choice]> {
        match &self.choices {
            Some(choices) => Cow::Borrowed(choices.get(source).map_or(&[], Vec::as_slice)),
            None => Cow::Owned(vec![Choice::Check; chunks]),
        }
    }
}

/// The key of a TIFF in the state.
pub(crate) fn tiff_key(chunk: &Chunk) -> String {
    format!("tiff:{}", chunk.output)
}

/// The key of a source in the state.
pub(crate) fn source_key(source: &Source) -> String {
    format!("source:{}", source.relative_path)
}

/// Decides about every TIFF of `found`.
///
/// # Errors
/// Where a source cannot be read out of the manifest any more.
pub(crate) fn select(options: &Options, found: &Found, state: Option<&State>, now: SystemTime) -> Result<Selection> {
    let since = skip_after(options, state);
    if since.is_none() && options.sample.is_none() {
        return Ok(Selection { choices: None, words: String::new() });
    }
    let choice = |chunk: &Chunk| {
        let (Some(state), Some(since)) = (state, since) else { return Choice::Check };
        let stamp = Stamp::of(&chunk.path);
        match state.well_since(&tiff_key(chunk), stamp.as_ref(), chunk.tiff_sha256, options.deep) {
            Some(at) if at >= since && stamp.is_some() => Choice::WellSince(at),
            _ => Choice::Check,
        }
    };
    let of_source = |source: Result<Cow<'_, Source>>| Ok(source?.chunks.iter().map(choice).collect());
    let mut choices: Vec<Vec<Choice>> = found.sources.iter().map(of_source).collect::<Result<_>>()?;
    let all: usize = choices.iter().map(Vec::len).sum();
    let mut words = String::new();
    if let Some(percent) = options.sample {
        words = sample(options, found, state, &mut choices, percent, now)?;
    }
    let checked = choices.iter().flatten().filter(|c| **c == Choice::Check).count();
    if checked < all {
        let how = if words.is_empty() { "the others were found well before" } else { &*words };
        words = format!("{checked} of {all} TIFFs are checked ({how})");
    }
    Ok(Selection { choices: Some(choices), words })
}

/// What was found well at or after this time is left alone.
fn skip_after(options: &Options, state: Option<&State>) -> Option<SystemTime> {
    let pass = state.filter(|_| options.resume).and_then(|state| state.unfinished(options.deep));
    [pass, options.since].into_iter().flatten().min()
}

/// Keeps a share of what is to be checked: TIFFs, or whole sources where they are to be restored.
fn sample(
    options: &Options,
    found: &Found,
    state: Option<&State>,
    choices: &mut [Vec<Choice>],
    percent: f64,
    now: SystemTime,
) -> Result<String> {
    let mut units: Vec<(SystemTime, u64, usize, Option<usize>)> = Vec::new();
    let day = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |t| t.as_secs() / 86_400);
    let rotating = state.is_some() && options.seed.is_none();
    let seed = options.seed.unwrap_or(if rotating { 0 } else { day });
    let last = |chunk: &Chunk| {
        let at = state.filter(|_| rotating).and_then(|state| state.last_checked(&tiff_key(chunk)));
        at.unwrap_or(SystemTime::UNIX_EPOCH)
    };
    let hash = |name: &str| xxh3_64_with_seed(name.as_bytes(), seed);
    for (s, (source, of_source)) in found.sources.iter().zip(choices.iter()).enumerate() {
        let source = source?;
        if options.deep {
            if of_source.contains(&Choice::Check) {
                let oldest = source.chunks.iter().map(last).min().unwrap_or(SystemTime::UNIX_EPOCH);
                units.push((oldest, hash(&source.relative_path), s, None));
            }
            continue;
        }
        for (c, chunk) in source.chunks.iter().enumerate().filter(|(c, _)| of_source[*c] == Choice::Check) {
            units.push((last(chunk), hash(&chunk.output), s, Some(c)));
        }
    }
    let all =
        if options.deep { choices.iter().filter(|c| !c.is_empty()).count() } else { choices.iter().flatten().count() };
    // At most as many as there are, so nothing is lost.
    let wanted = (all as f64 * percent / 100.0).ceil() as usize;
    units.sort_unstable();
    for (_, _, s, c) in units.iter().skip(wanted) {
        for (n, choice) in choices[*s].iter_mut().enumerate() {
            if *choice == Choice::Check && c.is_none_or(|c| c == n) {
                *choice = Choice::NotChosen;
            }
        }
    }
    let unit = if options.deep { "sources" } else { "TIFFs" };
    Ok(match rotating {
        true => format!("a sample of {percent} % of the {unit}, those that were not checked for longest"),
        false => format!("a sample of {percent} % of the {unit}, chosen by --seed {seed}"),
    })
}

/// A point in time: `2026-05-01`, `2026-05-01T12:00:00Z`, or how long ago: `36h`, `7d`, `2w`.
///
/// # Errors
/// A sentence where it is none of these.
pub fn parse_since(text: &str, now: SystemTime) -> Result<SystemTime, String> {
    let bad = || format!("{text:?} is neither a date (2026-05-01) nor a time ago (36h, 7d, 2w)");
    let unit = match text.chars().last() {
        Some('h') => Some(3600),
        Some('d') => Some(86_400),
        Some('w') => Some(7 * 86_400),
        _ => None,
    };
    if let Some(unit) = unit {
        let count: u64 = text[..text.len() - 1].parse().map_err(|_| bad())?;
        let ago = count.checked_mul(unit).map(Duration::from_secs).ok_or_else(bad)?;
        return now.checked_sub(ago).ok_or_else(bad);
    }
    let full = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    timestamp::from_text(&full).ok_or_else(bad)
}

/// A share: `5%` or `5`, above 0 and up to 100.
///
/// # Errors
/// A sentence where it is none.
pub fn parse_sample(text: &str) -> Result<f64, String> {
    let number = text.trim().trim_end_matches('%').trim_end();
    match number.parse::<f64>() {
        Ok(percent) if percent > 0.0 && percent <= 100.0 => Ok(percent),
        _ => Err(format!("{text:?} is no share above 0 % and up to 100 %")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_in_time_and_shares_are_read() {
        let now = timestamp::from_text("2026-05-08T12:00:00Z").unwrap();
        let since = |text| parse_since(text, now).map(|at| timestamp::to_text(at).unwrap());
        assert_eq!(since("7d").unwrap(), "2026-05-01T12:00:00Z");
        assert_eq!(since("36h").unwrap(), "2026-05-07T00:00:00Z");
        assert_eq!(since("2w").unwrap(), "2026-04-24T12:00:00Z");
        assert_eq!(since("2026-05-01").unwrap(), "2026-05-01T00:00:00Z");
        assert_eq!(since("2026-05-01T10:00:00+02:00").unwrap(), "2026-05-01T08:00:00Z");
        for bad in ["", "d", "-1d", "7", "7 days", "2026-13-01", "99999999999999999999d", "9999999999999999w", "ü"] {
            assert!(since(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_sample("5%"), Ok(5.0));
        assert_eq!(parse_sample("0.1 %"), Ok(0.1));
        for bad in ["0", "0%", "101%", "-5", "NaN", "", "%", "five"] {
            assert!(parse_sample(bad).is_err(), "{bad}");
        }
    }
}

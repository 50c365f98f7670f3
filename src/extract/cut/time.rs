//! Places in a recording as people write them.

use crate::error::{Error, ErrorKind, Result};
use crate::preview::WallClock;

/// The frame that a text means: `1:30:00`, `90:00.5`, `5400`, `5400.25s`, `238140000samples`, or, where the recording says
/// when it began, a date and time (`2026-05-01T04:31:00`, with an offset only if the recording's is known). Times between
/// two samples go to the nearer one.
///
/// # Errors
/// `Usage`, saying what can be written.
pub fn position(text: &str, rate: f64, clock: Option<WallClock>) -> Result<u64> {
    let trimmed = text.trim();
    if let Some(samples) = trimmed.strip_suffix("samples") {
        return samples.trim().parse().map_err(|_| bad(text));
    }
    if let Some(moment) = moment(trimmed) {
        return at_moment(text, moment, rate, clock);
    }
    let nanos = nanos(trimmed.strip_suffix('s').unwrap_or(trimmed)).ok_or_else(|| bad(text))?;
    frames(nanos, rate).ok_or_else(|| bad(text))
}

fn bad(text: &str) -> Error {
    let text =
        format!("{text:?} is no place in a recording: write 1:30:00.5, seconds, 238140000samples, or a date and time");
    Error::new(ErrorKind::Usage, text)
}

/// Nanoseconds of `[[H:]MM:]SS[.fff]`.
fn nanos(text: &str) -> Option<u128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let parts: Vec<&str> = whole.split(':').collect();
    if parts.len() > 3 || parts.iter().any(|p| p.is_empty() || p.len() > 9 || !digits(p)) {
        return None;
    }
    let mut seconds = 0u128;
    for (i, part) in parts.iter().enumerate() {
        let value: u128 = part.parse().ok()?;
        if i > 0 && value >= 60 {
            return None;
        }
        seconds = seconds * 60 + value;
    }
    let fraction: u128 = format!("{fraction:0<9}").parse().ok()?;
    Some(seconds * 1_000_000_000 + fraction)
}

/// Exact for whole rates.
fn frames(nanos: u128, rate: f64) -> Option<u64> {
    if rate.fract() == 0.0 && rate >= 1.0 {
        let rate = rate as u128;
        return u64::try_from((nanos.checked_mul(rate)? + 500_000_000) / 1_000_000_000).ok();
    }
    let frames = nanos as f64 / 1e9 * rate;
    (frames.is_finite() && frames < 9e18).then_some(frames.round() as u64)
}

fn moment(text: &str) -> Option<WallClock> {
    if text.get(4..5).is_none_or(|c| c != "-") {
        return None;
    }
    WallClock::parse_iso8601(text)
}

fn at_moment(text: &str, moment: WallClock, rate: f64, clock: Option<WallClock>) -> Result<u64> {
    let usage = |reason: &str| Error::new(ErrorKind::Usage, format!("{text:?} cannot be found: {reason}"));
    let start = clock.ok_or_else(|| usage("the recording does not say when it began"))?;
    let offset = match (moment.utc_offset(), start.utc_offset()) {
        (None, _) => 0,
        (Some(_), None) => {
            return Err(usage("the recording's offset from UTC is not known; give the time by its own clock"));
        }
        (Some(wanted), Some(own)) => own - wanted,
    };
    let nanos = |c: WallClock| {
        let (hour, minute, second) = c.time();
        let seconds = i128::from(c.day_number()) * 86_400 + i128::from(hour * 3600 + minute * 60 + second);
        seconds * 1_000_000_000 + i128::from(c.nanos())
    };
    let since = nanos(moment) + i128::from(offset) * 60_000_000_000 - nanos(start);
    let since = u128::try_from(since).map_err(|_| usage(&format!("the recording began later, at {start}")))?;
    frames(since, rate).ok_or_else(|| bad(text))
}

/// `1:30:00.500` (thousandths cut off, not rounded up).
pub fn text_of(frame: u64, rate: f64) -> String {
    let millis = if rate.fract() == 0.0 && rate >= 1.0 {
        u64::try_from(u128::from(frame) * 1000 / rate as u128).unwrap_or(u64::MAX)
    } else {
        (frame as f64 / rate * 1000.0) as u64
    };
    format!("{}:{:02}:{:02}.{:03}", millis / 3_600_000, millis / 60_000 % 60, millis / 1000 % 60, millis % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_to_the_sample() {
        let at = |text: &str| position(text, 44_100.0, None).ok();
        assert_eq!(at("1:30:00"), Some(5400 * 44_100));
        assert_eq!(at("90:00.5"), Some(5400 * 44_100 + 22_050));
        assert_eq!(at("5400.5s"), Some(5400 * 44_100 + 22_050));
        assert_eq!(at("0.00001"), Some(0));
        assert_eq!(at("0.0000115"), Some(1));
        assert_eq!(at("7 samples"), Some(7));
        for odd in
            ["", ":", "1:60", "1:2:3:4", "-1", "1e3", "1..2", "0x10", "999999999999999999999", "noon", "1.5samples"]
        {
            assert_eq!(at(odd), None, "{odd}");
        }
    }

    #[test]
    fn moments_go_by_the_recordings_clock() {
        let clock = WallClock::parse_iso8601("2026-05-01T23:59:00+02:00");
        assert_eq!(position("2026-05-02T00:00", 10.0, clock).unwrap(), 600);
        assert_eq!(position("2026-05-01T22:00:00.5Z", 10.0, clock).unwrap(), 605);
        assert!(position("2026-05-01T22:00:00", 10.0, clock).is_err(), "before it began");
        assert!(position("2026-05-01T22:00:00", 10.0, None).is_err());
        let unknown = WallClock::parse_iso8601("2026-05-01T23:59:00");
        assert!(position("2026-05-02T00:00:00Z", 10.0, unknown).is_err(), "no offset is guessed");
    }

    #[test]
    fn text_of_a_frame() {
        assert_eq!(text_of(5400 * 44_100 + 22_050, 44_100.0), "1:30:00.500");
    }
}

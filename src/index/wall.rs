//! Times of day as numbers that compare.
//!
//! A recording that says when it began says so by a clock on some wall, with or without that clock's offset from UTC. It
//! gets two numbers: what the clock showed, as if it were UTC (`local`), and the true moment (`utc`), which only a known
//! offset gives. A bound without an offset is compared with the first, one with an offset with the second; an offset is
//! never guessed.

use crate::error::{Error, ErrorKind, Result};
use crate::preview::WallClock;

/// When a recording began.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recorded {
    /// The clock.
    pub clock: WallClock,
    /// Seconds since 1970-01-01T00:00:00 on that very clock.
    pub local: f64,
    /// Seconds since 1970-01-01T00:00:00Z, where the offset is known.
    pub utc: Option<f64>,
}

impl Recorded {
    /// Reads ISO 8601.
    pub fn parse(text: &str) -> Option<Recorded> {
        WallClock::parse_iso8601(text).map(Recorded::of)
    }

    /// The numbers of a clock.
    pub fn of(clock: WallClock) -> Recorded {
        let local = clock.day_number() as f64 * 86_400.0 + clock.seconds_of_day();
        Recorded { clock, local, utc: clock.utc_offset().map(|minutes| local - f64::from(minutes) * 60.0) }
    }
}

/// One end of a range of time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    /// By the recording's own clock.
    Local(f64),
    /// A moment.
    Utc(f64),
}

impl Bound {
    /// Reads `2026-05-01`, `2026-05-01T04:30`, `2026-05-01T04:30:00.5`, each time also with `Z` or an offset. A day alone
    /// is its beginning, or with `end` the beginning of the next.
    ///
    /// # Errors
    /// `Usage` for anything else.
    pub fn parse(text: &str, end: bool) -> Result<Bound> {
        let bad = || {
            let text =
                format!("{text:?} is no date or time: write 2026-05-01, 2026-05-01T04:30 or 2026-05-01T04:30:00+02:00");
            Error::new(ErrorKind::Usage, text)
        };
        let trimmed = text.trim();
        if let Some(day) = WallClock::parse_iso8601(&format!("{trimmed}T00:00:00")).filter(|_| !trimmed.contains('T')) {
            return Ok(Bound::Local(Recorded::of(day).local + if end { 86_400.0 } else { 0.0 }));
        }
        let recorded = Recorded::parse(trimmed).ok_or_else(bad)?;
        Ok(recorded.utc.map_or(Bound::Local(recorded.local), Bound::Utc))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_used_and_never_guessed() {
        let known = Recorded::parse("2026-05-01T04:30:00+02:00").unwrap();
        assert_eq!(known.local - known.utc.unwrap(), 7200.0);
        assert_eq!(Recorded::parse("2026-05-01T04:30:00").unwrap().utc, None);
        assert_eq!(Bound::parse("1970-01-01T00:01", false).unwrap(), Bound::Local(60.0));
        assert_eq!(Bound::parse("1970-01-01T01:00+01:00", false).unwrap(), Bound::Utc(0.0));
        assert_eq!(Bound::parse("1970-01-02", false).unwrap(), Bound::Local(86_400.0));
        assert_eq!(Bound::parse("1970-01-02", true).unwrap(), Bound::Local(172_800.0));
        for odd in ["", "yesterday", "2026-13-01", "2026-05-01T25:00", "2026-05-01Tä:00", "04:30"] {
            assert_eq!(Bound::parse(odd, false).unwrap_err().kind(), ErrorKind::Usage, "{odd}");
        }
    }
}

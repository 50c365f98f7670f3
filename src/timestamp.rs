//! File times as RFC 3339 text in UTC, for the manifest, and back.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::preview::WallClock;

/// `2026-05-01T04:00:00Z`, with a fraction where there is one; `None` outside the years 1 to 9999.
pub fn to_text(time: SystemTime) -> Option<String> {
    let nanos = match time.duration_since(UNIX_EPOCH) {
        Ok(after) => after.as_nanos() as i128,
        Err(before) => -(before.duration().as_nanos() as i128),
    };
    Some(WallClock::from_unix_seconds(0)?.plus_nanos(nanos)?.to_string())
}

/// The time that a text with an offset from UTC means.
pub fn from_text(text: &str) -> Option<SystemTime> {
    let clock = WallClock::parse_iso8601(text)?;
    let seconds = clock.day_number() * 86_400 + clock.seconds_of_day() as i64 - i64::from(clock.utc_offset()?) * 60;
    let whole = match u64::try_from(seconds) {
        Ok(after) => UNIX_EPOCH.checked_add(Duration::from_secs(after))?,
        Err(_) => UNIX_EPOCH.checked_sub(Duration::from_secs(seconds.unsigned_abs()))?,
    };
    whole.checked_add(Duration::from_nanos(u64::from(clock.nanos())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_time_survives_its_text() {
        for nanos in [0, 1, 999_999_999, 1_777_608_000_123_456_789, 86_399_000_000_000] {
            let time = UNIX_EPOCH + Duration::from_nanos(nanos);
            assert_eq!(from_text(&to_text(time).unwrap()), Some(time), "{nanos}");
        }
        let early = UNIX_EPOCH - Duration::from_millis(1500);
        assert_eq!(from_text(&to_text(early).unwrap()), Some(early));
        assert_eq!(to_text(UNIX_EPOCH + Duration::from_secs(1_777_608_000)).unwrap(), "2026-05-01T04:00:00Z");
    }
}

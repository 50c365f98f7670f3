//! When a recording began, as far as it says so itself.
//!
//! A [`WallClock`] is what a clock on the wall showed: date, time, and the offset from UTC where that is known. An
//! offset is never guessed. In: ISO 8601 text, Unix times, and the names that recorders give their files. Out: text,
//! and the same clock some seconds later, by the Gregorian calendar.

use std::fmt;

const NANOS_PER_SECOND: i128 = 1_000_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// A date and time, with its offset from UTC where known. Orders by nothing: two clocks without offsets cannot be
/// compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WallClock {
    /// Days since 1970-01-01 of the clock's own date.
    days: i64,
    /// Nanoseconds since the clock's own midnight.
    nanos: i64,
    /// Minutes east of Greenwich.
    utc_offset: Option<i16>,
}

impl WallClock {
    /// A date (years 1 to 9999) and time; `None` if there is no such day or time. Seconds go to 59.
    pub fn new(year: i32, month: u32, day: u32, hour: u32, minute: u32, second: u32) -> Option<WallClock> {
        let valid = (1..=9999).contains(&year)
            && (1..=12).contains(&month)
            && (1..=days_in_month(year, month)).contains(&day)
            && hour < 24
            && minute < 60
            && second < 60;
        valid.then(|| WallClock {
            days: days_from_civil(year, month, day),
            nanos: i64::from(hour * 3600 + minute * 60 + second) * NANOS_PER_SECOND as i64,
            utc_offset: None,
        })
    }

    /// The same with a fraction of a second, in nanoseconds (0 to 999,999,999; else unchanged).
    #[must_use]
    pub fn with_nanos(mut self, nanos: u32) -> WallClock {
        if i128::from(nanos) < NANOS_PER_SECOND {
            self.nanos = self.nanos / NANOS_PER_SECOND as i64 * NANOS_PER_SECOND as i64 + i64::from(nanos);
        }
        self
    }

    /// The same with the offset from UTC in minutes east; offsets of a day and more are left out.
    #[must_use]
    pub fn with_utc_offset(mut self, minutes: Option<i32>) -> WallClock {
        self.utc_offset = minutes.filter(|minutes| minutes.abs() < 1440).map(|minutes| minutes as i16);
        self
    }

    /// A Unix time, in UTC; `None` outside the years 1 to 9999.
    pub fn from_unix_seconds(seconds: i64) -> Option<WallClock> {
        let clock = WallClock { days: 0, nanos: 0, utc_offset: Some(0) };
        clock.plus_nanos(i128::from(seconds) * NANOS_PER_SECOND)
    }

    /// This clock later (or earlier) by whole nanoseconds; `None` outside the years 1 to 9999.
    pub fn plus_nanos(self, nanos: i128) -> Option<WallClock> {
        let day = i128::from(SECONDS_PER_DAY) * NANOS_PER_SECOND;
        let total = i128::from(self.nanos).checked_add(nanos)?;
        let days = i64::try_from(total.div_euclid(day)).ok()?.checked_add(self.days)?;
        let range = days_from_civil(1, 1, 1)..=days_from_civil(9999, 12, 31);
        range.contains(&days).then_some(WallClock { days, nanos: total.rem_euclid(day) as i64, ..self })
    }

    /// This clock later by seconds, rounded to nanoseconds; `None` for what is no number or leaves the calendar.
    pub fn plus_seconds(self, seconds: f64) -> Option<WallClock> {
        (seconds.abs() < 1e15).then(|| self.plus_nanos((seconds * 1e9).round() as i128))?
    }

    /// Year, month and day.
    pub fn date(&self) -> (i32, u32, u32) {
        civil_from_days(self.days)
    }

    /// Hour, minute and second.
    pub fn time(&self) -> (u32, u32, u32) {
        let seconds = (i128::from(self.nanos) / NANOS_PER_SECOND) as u32;
        (seconds / 3600, seconds / 60 % 60, seconds % 60)
    }

    /// Fraction of the second in nanoseconds.
    pub fn nanos(&self) -> u32 {
        (i128::from(self.nanos) % NANOS_PER_SECOND) as u32
    }

    /// Seconds since the clock's own midnight.
    pub fn seconds_of_day(&self) -> f64 {
        self.nanos as f64 / 1e9
    }

    /// Days since 1970-01-01 of the clock's own date.
    pub fn day_number(&self) -> i64 {
        self.days
    }

    /// Offset from UTC in minutes east, where known.
    pub fn utc_offset(&self) -> Option<i32> {
        self.utc_offset.map(i32::from)
    }

    /// `2019-05-22`.
    pub fn date_text(&self) -> String {
        let (year, month, day) = self.date();
        format!("{year:04}-{month:02}-{day:02}")
    }

    /// `14:03:07`.
    pub fn time_text(&self) -> String {
        let (hour, minute, second) = self.time();
        format!("{hour:02}:{minute:02}:{second:02}")
    }

    /// `UTC`, `UTC+09:30`, or `local time, UTC offset unknown`.
    pub fn offset_text(&self) -> String {
        match self.utc_offset {
            None => "local time, UTC offset unknown".into(),
            Some(0) => "UTC".into(),
            Some(minutes) => format!("UTC{}", Offset(minutes)),
        }
    }

    /// ISO 8601 as written by people and programs: date, then `T`, `t`, a space or an underscore, then the time to the second
    /// with an optional fraction, then nothing, `Z`, or an offset. With separators (`2019-05-22T14:03:07.5+10:00`) or
    /// without (`20190522T140307Z`); with separators the seconds may be left out. A date without a time is not taken for midnight.
    pub fn parse_iso8601(text: &str) -> Option<WallClock> {
        let mut rest = text.trim();
        let extended = rest.as_bytes().get(4) == Some(&b'-');
        let year = digits(&mut rest, 4)?;
        separator(&mut rest, extended, '-')?;
        let month = digits(&mut rest, 2)?;
        separator(&mut rest, extended, '-')?;
        let day = digits(&mut rest, 2)?;
        rest = rest.strip_prefix(['T', 't', ' ', '_'])?;
        let extended = rest.as_bytes().get(2) == Some(&b':');
        let hour = digits(&mut rest, 2)?;
        separator(&mut rest, extended, ':')?;
        let minute = digits(&mut rest, 2)?;
        let (second, nanos) = if extended && !rest.starts_with(':') {
            (0, 0)
        } else {
            separator(&mut rest, extended, ':')?;
            (digits(&mut rest, 2)?, fraction(&mut rest)?)
        };
        let offset = offset(&mut rest)?;
        let clock = WallClock::new(year as i32, month, day, hour, minute, second)?;
        rest.is_empty().then(|| clock.with_nanos(nanos).with_utc_offset(offset))
    }
}

impl fmt::Display for WallClock {
    /// ISO 8601: `2019-05-22T14:03:07`, then `.5` where there is a fraction, then `Z` or `+09:30` where the offset is known.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}T{}", self.date_text(), self.time_text())?;
        if self.nanos() > 0 {
            write!(f, ".{}", format!("{:09}", self.nanos()).trim_end_matches('0'))?;
        }
        match self.utc_offset {
            None => Ok(()),
            Some(0) => f.write_str("Z"),
            Some(minutes) => write!(f, "{}", Offset(minutes)),
        }
    }
}

/// Minutes as `+09:30`.
struct Offset(i16);

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { '-' } else { '+' };
        let minutes = self.0.unsigned_abs();
        write!(f, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }
}

/// When the recording began, by the name that a recorder gave the file. Understood are
/// - `…20190522_140307…`, also with `-`, `T`, `$`, `.` or a space between, or nothing (Song Meter, AudioMoth, PAMGuard,
///   Swift and many others);
/// - `…2019-05-22T14-03-07…`, also with `_` or `.` as separators;
/// - either followed by `Z` or an offset (`20190522T140307+1000`, Frontier Labs); a `-` counts as an offset's sign only behind the
///   form with `T`, as it may also lead a running number;
/// - `5CE4A7F0.WAV`, early AudioMoth: the Unix time in hexadecimal, which is UTC;
/// - `671129622.190522140307.wav`, SoundTrap: a serial number, then two digits each.
///
/// Numbers that are no date or time, and names with fewer digits, give `None`.
pub fn start_from_file_name(name: &str) -> Option<WallClock> {
    let name = name.rsplit(['/', '\\']).next().unwrap_or(name);
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    if extension == "WAV"
        && let Some(clock) = from_audiomoth_hex(stem)
    {
        return Some(clock);
    }
    let runs = digit_runs(stem);
    (0..runs.len()).find_map(|i| from_runs(stem, &runs[i..])).or_else(|| from_soundtrap(stem))
}

/// A run of digits within a name: where it begins and ends.
type Run = (usize, usize);

fn digit_runs(text: &str) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (at, byte) in text.bytes().enumerate().filter(|(_, byte)| byte.is_ascii_digit()) {
        let _ = byte;
        match runs.last_mut() {
            Some(run) if run.1 == at => run.1 = at + 1,
            _ => runs.push((at, at + 1)),
        }
    }
    runs
}

/// A date and time that begins with the first of these runs.
fn from_runs(stem: &str, runs: &[Run]) -> Option<WallClock> {
    let length = |i: usize| runs.get(i).map_or(0, |run: &Run| run.1 - run.0);
    let text = |i: usize| runs.get(i).and_then(|run| stem.get(run.0..run.1)).unwrap_or_default();
    // What stands between run `i` and the next.
    let between = |i: usize| runs.get(i + 1).and_then(|next| stem.get(runs[i].1..next.0)).unwrap_or_default();
    let (digits, end, with_t) = if length(0) == 14 {
        (text(0).to_owned(), 0, false)
    } else if length(0) == 8 && length(1) == 6 && ["_", "-", "T", "t", "$", ".", " "].contains(&between(0)) {
        (text(0).to_owned() + text(1), 1, between(0).eq_ignore_ascii_case("t"))
    } else if length(0) == 4
        && (1..6).all(|i| length(i) == 2)
        && ["-", "_", "."].contains(&between(0))
        && between(1) == between(0)
        && ["T", "t", "_", "-", " ", "."].contains(&between(2))
        && ["-", "_", ".", ":"].contains(&between(3))
        && between(4) == between(3)
    {
        ((0..6).map(text).collect(), 5, between(2).eq_ignore_ascii_case("t"))
    } else {
        return None;
    };
    let clock = from_fourteen_digits(&digits)?;
    let mut rest = stem.get(runs[end].1..)?;
    if rest.starts_with('-') && !with_t {
        return Some(clock);
    }
    // Something behind the time that is no real offset (a running number, say) says nothing about it.
    let offset = offset(&mut rest).flatten().filter(|minutes| minutes % 15 == 0 && (-720..=840).contains(minutes));
    Some(clock.with_utc_offset(offset))
}

fn from_fourteen_digits(mut text: &str) -> Option<WallClock> {
    let rest = &mut text;
    let year = digits(rest, 4).filter(|year| (1900..2100).contains(year))?;
    let mut two = || digits(rest, 2);
    WallClock::new(year as i32, two()?, two()?, two()?, two()?, two()?)
}

/// Early AudioMoth firmware: eight hexadecimal digits, the Unix time. At least one letter, so that a catalogue number is
/// not taken for a time, and a time at which there were AudioMoths.
fn from_audiomoth_hex(stem: &str) -> Option<WallClock> {
    const FIRST: u32 = 1_451_606_400; // 2016-01-01
    let hex = stem.len() == 8 && stem.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'F'));
    let seconds = u32::from_str_radix(stem, 16).ok().filter(|seconds| hex && *seconds >= FIRST)?;
    let letters = stem.bytes().any(|byte| byte.is_ascii_uppercase());
    (letters && seconds < 1 << 31).then(|| WallClock::from_unix_seconds(seconds.into()))?
}

fn from_soundtrap(stem: &str) -> Option<WallClock> {
    let (serial, stamp) = stem.split_once('.')?;
    let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(serial) || !all_digits(stamp) || stamp.len() != 12 {
        return None;
    }
    from_fourteen_digits(&format!("20{stamp}"))
}

/// Takes exactly `count` digits off the front.
fn digits(rest: &mut &str, count: usize) -> Option<u32> {
    let head = rest.get(..count).filter(|head| head.bytes().all(|byte| byte.is_ascii_digit()))?;
    *rest = &rest[count..];
    head.parse().ok()
}

/// Takes a separator off the front where the form has separators.
fn separator(rest: &mut &str, present: bool, which: char) -> Option<()> {
    if present {
        *rest = rest.strip_prefix(which)?;
    }
    Some(())
}

/// Takes a fraction of a second off the front, if there is one; nanoseconds, further digits dropped.
fn fraction(rest: &mut &str) -> Option<u32> {
    let Some(tail) = rest.strip_prefix(['.', ',']) else { return Some(0) };
    let count = tail.bytes().take_while(u8::is_ascii_digit).count();
    let kept = tail.get(..count.min(9)).filter(|kept| !kept.is_empty())?;
    *rest = &tail[count..];
    Some(kept.parse::<u32>().ok()? * 10u32.pow(9 - kept.len() as u32))
}

/// Takes `Z`, `+hh`, `+hhmm` or `+hh:mm` off the front: minutes, or `None` within where there is nothing of the kind.
fn offset(rest: &mut &str) -> Option<Option<i32>> {
    if let Some(tail) = rest.strip_prefix(['Z', 'z']) {
        *rest = tail;
        return Some(Some(0));
    }
    let Some(tail) = rest.strip_prefix(['+', '-', '−']) else { return Some(None) };
    let sign = if rest.starts_with('+') { 1 } else { -1 };
    let mut tail = tail;
    let hours = digits(&mut tail, 2).filter(|hours| *hours < 24)?;
    let minutes = match tail.strip_prefix(':') {
        Some(mut colon) => {
            let minutes = digits(&mut colon, 2)?;
            tail = colon;
            minutes
        }
        None => digits(&mut tail, 2).unwrap_or(0),
    };
    *rest = tail;
    (minutes < 60).then_some(Some(sign * (hours * 60 + minutes) as i32))
}

fn is_leap(year: i32) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in_month(year: i32, month: u32) -> u32 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days before January 1 of `year`, counted from year 1.
fn days_before_year(year: i32) -> i64 {
    let past = i64::from(year) - 1;
    past * 365 + past.div_euclid(4) - past.div_euclid(100) + past.div_euclid(400)
}

/// Days from year 1 to 1970.
const EPOCH: i64 = 719_162;

fn days_from_civil(year: i32, month: u32, day: u32) -> i64 {
    let months: u32 = (1..month).map(|month| days_in_month(year, month)).sum();
    days_before_year(year) - EPOCH + i64::from(months + day) - 1
}

fn civil_from_days(days: i64) -> (i32, u32, u32) {
    let since = days + EPOCH;
    // 146,097 days are 400 years; the estimate is at most one year off.
    let mut year = (since * 400 / 146_097) as i32 + 1;
    while days_before_year(year) > since {
        year -= 1;
    }
    while days_before_year(year + 1) <= since {
        year += 1;
    }
    let mut rest = (since - days_before_year(year)) as u32;
    let mut month = 1;
    while rest >= days_in_month(year, month) {
        rest -= days_in_month(year, month);
        month += 1;
    }
    (year, month, rest + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Option<String> {
        start_from_file_name(name).map(|clock| clock.to_string())
    }

    #[test]
    fn recorders_names_say_when_they_began() {
        for (name, expected) in [
            ("S4A03895_20190522_000000.wav", "2019-05-22T00:00:00"),
            ("20190522_000000.WAV", "2019-05-22T00:00:00"),
            ("SM304271_0+1_20190522$140307.wav", "2019-05-22T14:03:07"),
            ("2019-05-22T00-00-00.flac", "2019-05-22T00:00:00"),
            ("site 3 2019-05-22 14.03.07.wav", "2019-05-22T14:03:07"),
            ("rec_2019_05_22_14_03_07_ch1.wav", "2019-05-22T14:03:07"),
            ("20190401T235959+1000_REC.flac", "2019-04-01T23:59:59+10:00"),
            ("20190401T235959-0930.flac", "2019-04-01T23:59:59-09:30"),
            ("20190401T235959Z.wav", "2019-04-01T23:59:59Z"),
            ("20190401_235959-0001.wav", "2019-04-01T23:59:59"),
            ("20190401T235959-0001.wav", "2019-04-01T23:59:59"),
            ("PAM_20190522_140307_123.wav", "2019-05-22T14:03:07"),
            ("unit20190522140307.wav", "2019-05-22T14:03:07"),
            ("5CE4A7F0.WAV", "2019-05-22T01:37:52Z"),
            ("671129622.190522140307.wav", "2019-05-22T14:03:07"),
            ("day1/deep\\20190522_000000.wav", "2019-05-22T00:00:00"),
        ] {
            assert_eq!(named(name).as_deref(), Some(expected), "{name}");
        }
    }

    #[test]
    fn other_names_say_nothing() {
        for name in [
            "song.wav",
            "20190522.wav",
            "20190522_0001.wav",
            "20191322_000000.wav",
            "20190522_240000.wav",
            "120190522_000000.wav",
            "20190522_0000001.wav",
            "20190229_000000.wav",
            "5ce4a7f0.wav",
            "59123456.WAV",
            "FACADE00.WAV",
            "2019-05-22.wav",
            "",
            "鳥の声.wav",
        ] {
            assert_eq!(named(name), None, "{name}");
        }
    }

    #[test]
    fn iso_8601_comes_back() {
        for text in [
            "2019-05-22T14:03:07",
            "2019-05-22T14:03:07Z",
            "2019-05-22T14:03:07.5+09:30",
            "0001-01-01T00:00:00-23:59",
            "9999-12-31T23:59:59.999999999",
        ] {
            assert_eq!(WallClock::parse_iso8601(text).map(|clock| clock.to_string()).as_deref(), Some(text));
        }
        let same = WallClock::parse_iso8601("20190522T140307.25+02");
        assert_eq!(same, WallClock::parse_iso8601("2019-05-22 14:03:07.25+02:00"));
        let same = WallClock::parse_iso8601("2019-05-22T14:03+02:00");
        assert_eq!(same, WallClock::parse_iso8601("2019-05-22T14:03:00+02:00"));
        for text in [
            "2019-05-22",
            "2019-05-22T14",
            "2019-05-22T14:0",
            "2019-05-22T14:03.5",
            "20190522T1403",
            "2019-05-22T14:03:60",
            "2019-05-22T14:03:07+1",
            "x",
            "2019-02-30T00:00:00",
        ] {
            assert_eq!(WallClock::parse_iso8601(text), None, "{text}");
        }
    }

    #[test]
    fn the_calendar_is_the_gregorian_one() {
        let at = |text: &str| WallClock::parse_iso8601(text).expect("valid");
        assert_eq!(at("1970-01-01T00:00:00").day_number(), 0);
        assert_eq!(at("2000-03-01T00:00:00").day_number(), 11_017);
        assert_eq!(at("2023-12-31T23:59:59.5").plus_seconds(0.5), Some(at("2024-01-01T00:00:00")));
        assert_eq!(at("2024-02-28T12:00:00").plus_seconds(86_400.0), Some(at("2024-02-29T12:00:00")));
        assert_eq!(at("1900-02-28T12:00:00").plus_seconds(86_400.0), Some(at("1900-03-01T12:00:00")));
        assert_eq!(at("9999-12-31T23:59:59").plus_seconds(1.0), None);
        assert_eq!(at("2019-05-22T00:00:00").plus_seconds(f64::NAN), None);
        let mut day = at("0001-01-01T00:00:00");
        let mut count = 0;
        while let Some(next) = day.plus_seconds(86_400.0) {
            assert!(next.date() > day.date());
            (day, count) = (next, count + 1);
        }
        assert_eq!((day.date(), count), ((9999, 12, 31), 3_652_058));
    }
}

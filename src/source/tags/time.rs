//! Dates and times as recorders and editors write them, to ISO 8601, and never more exact than they are.

/// A date, maybe with a time, maybe with an offset from UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp {
    year: u16,
    month: Option<u8>,
    day: Option<u8>,
    /// Hour, minute, second (where told), and the digits of a fraction.
    pub(super) time: Option<(u8, u8, Option<u8>, String)>,
    /// Minutes east of UTC.
    pub(super) offset: Option<i32>,
}

impl Stamp {
    /// A whole date, if there is such a day.
    pub(super) fn date(year: u16, month: u8, day: u8) -> Option<Self> {
        let stamp = Stamp { year, month: Some(month), day: Some(day), time: None, offset: None };
        stamp.valid().then_some(stamp)
    }

    /// The same date with a time, if there is such a time.
    pub(super) fn at(mut self, hour: u8, minute: u8, second: Option<u8>) -> Option<Self> {
        self.time = Some((hour, minute, second, String::new()));
        self.valid().then_some(self)
    }

    /// The same with an offset from UTC, in minutes.
    pub(super) fn with_offset(mut self, minutes: i32) -> Option<Self> {
        self.offset = Some(minutes);
        self.valid().then_some(self)
    }

    fn valid(&self) -> bool {
        let month = self.month.unwrap_or(1);
        let leap = self.year.is_multiple_of(4) && (!self.year.is_multiple_of(100) || self.year.is_multiple_of(400));
        let days = match month {
            2 if leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return false,
        };
        let time = self.time.as_ref().is_none_or(|(h, m, s, _)| *h < 24 && *m < 60 && s.is_none_or(|s| s <= 60));
        // Offsets of places that people live in reach from -12:00 to +14:00.
        let offset = self.offset.is_none_or(|o| (-12 * 60..=14 * 60).contains(&o));
        self.year > 0 && (1..=days).contains(&self.day.unwrap_or(1)) && time && offset
    }

    /// Reads "YYYY[-MM[-DD]]", with "-", ":", "/" or "." between, or "YYYYMMDD"; then, behind "T" or a blank, "HH:MM[:SS[.fff]]";
    /// then "Z", "UTC", "±HH", "±HH:MM" or "±HHMM". Anything else behind it makes the whole text unreadable.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut rest = Digits(text.trim().as_bytes());
        let year = rest.number(4)?;
        let mut stamp = Stamp { year: u16::try_from(year).ok()?, month: None, day: None, time: None, offset: None };
        let compact = rest.0.first().is_some_and(u8::is_ascii_digit);
        if compact || rest.eat(b"-:/._") {
            stamp.month = Some(u8::try_from(rest.number(2)?).ok()?);
            if compact || rest.eat(b"-:/._") {
                stamp.day = Some(u8::try_from(rest.number(2)?).ok()?);
            }
        }
        if stamp.day.is_some() && !rest.0.is_empty() {
            if !rest.eat(b"Tt _") {
                return None;
            }
            rest.blanks();
            let hour = u8::try_from(rest.number(2)?).ok()?;
            let compact = rest.0.first().is_some_and(u8::is_ascii_digit);
            if !compact && !rest.eat(b":-._") {
                return None;
            }
            let minute = u8::try_from(rest.number(2)?).ok()?;
            let mut second = None;
            let mut fraction = String::new();
            if (compact && rest.0.first().is_some_and(u8::is_ascii_digit)) || rest.eat_before_digit(b":-._") {
                second = Some(u8::try_from(rest.number(2)?).ok()?);
                if rest.eat_before_digit(b".,") {
                    while let Some(&digit) = rest.0.first().filter(|b| b.is_ascii_digit() && fraction.len() < 9) {
                        fraction.push(char::from(digit));
                        rest.0 = &rest.0[1..];
                    }
                }
            }
            stamp.time = Some((hour, minute, second, fraction));
            rest.blanks();
            stamp.offset = rest.offset()?;
        }
        (rest.0.is_empty() && stamp.valid()).then_some(stamp)
    }

    /// Reads a date and a time that stand apart, as in `bext`.
    pub(super) fn parse_parts(date: &str, time: &str) -> Option<Self> {
        let whole = Self::parse(date)?;
        if time.trim().is_empty() {
            return Some(whole);
        }
        Self::parse(&format!("{}T{}", date.trim(), time.trim())).or(Some(whole))
    }

    /// ISO 8601.
    pub(super) fn iso(&self) -> String {
        let mut out = format!("{:04}", self.year);
        for part in [self.month, self.day].into_iter().map_while(|p| p) {
            out += &format!("-{part:02}");
        }
        if let Some((hour, minute, second, fraction)) = &self.time {
            out += &format!("T{hour:02}:{minute:02}");
            if let Some(second) = second {
                out += &format!(":{second:02}");
                if !fraction.is_empty() {
                    out += &format!(".{fraction}");
                }
            }
        }
        match self.offset {
            None => {}
            Some(0) => out.push('Z'),
            Some(minutes) => {
                let sign = if minutes < 0 { '-' } else { '+' };
                out += &format!("{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60);
            }
        }
        out
    }

    /// Seconds since the start of 1904, as Apple counts, in UTC; `None` for 0 and beyond the year 9999.
    pub(super) fn from_1904(seconds: u64) -> Option<Self> {
        if seconds == 0 {
            return None;
        }
        let days = i64::try_from(seconds / 86_400).ok()?;
        let (hour, minute, second) = ((seconds / 3600 % 24) as u8, (seconds / 60 % 60) as u8, (seconds % 60) as u8);
        // Days since 1 March of the year 0: 1 January 1904 is day 695,361 of that count.
        let since = days + 695_361;
        let era = since.div_euclid(146_097);
        let of_era = since.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * of_year + 2) / 153;
        let day = of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let year = u16::try_from(era * 400 + year_of_era + i64::from(month <= 2)).ok().filter(|&y| y <= 9999)?;
        Stamp::date(year, month as u8, day as u8)?.at(hour, minute, Some(second))?.with_offset(0)
    }
}

/// What is left to read.
struct Digits<'a>(&'a [u8]);

impl Digits<'_> {
    /// Exactly `count` digits.
    fn number(&mut self, count: usize) -> Option<u32> {
        let digits = self.0.get(..count).filter(|d| d.iter().all(u8::is_ascii_digit))?;
        self.0 = &self.0[count..];
        std::str::from_utf8(digits).ok()?.parse().ok()
    }

    fn eat(&mut self, any: &[u8]) -> bool {
        let hit = self.0.first().is_some_and(|b| any.contains(b));
        if hit {
            self.0 = &self.0[1..];
        }
        hit
    }

    /// Eats one of `any`, but only before a digit: "-" may also begin an offset that is far off.
    fn eat_before_digit(&mut self, any: &[u8]) -> bool {
        let hit = matches!(self.0, [a, b, ..] if any.contains(a) && b.is_ascii_digit());
        // "-05:00" behind hours and minutes is an offset, not seconds.
        if hit && self.0[0] == b'-' && matches!(self.0, [_, _, _, b':', ..]) {
            return false;
        }
        if hit {
            self.0 = &self.0[1..];
        }
        hit
    }

    fn blanks(&mut self) {
        while self.0.first() == Some(&b' ') {
            self.0 = &self.0[1..];
        }
    }

    /// An offset from UTC, if there is one; `None` where something else stands there.
    fn offset(&mut self) -> Option<Option<i32>> {
        for zulu in [&b"UTC"[..], b"GMT", b"Z", b"z"] {
            if let Some(rest) = self.0.strip_prefix(zulu) {
                self.0 = rest;
                if rest.is_empty() {
                    return Some(Some(0));
                }
                break;
            }
        }
        let sign = match self.0.first() {
            None => return Some(None),
            Some(b'+') => 1,
            Some(b'-') => -1,
            Some(_) => return None,
        };
        self.0 = &self.0[1..];
        let hours = self.number(2).or_else(|| self.number(1))?;
        self.eat(b":");
        let minutes = if self.0.is_empty() { 0 } else { self.number(2).filter(|&m| m < 60)? };
        Some(Some(sign * i32::try_from(hours * 60 + minutes).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn iso(text: &str) -> Option<String> {
        Stamp::parse(text).map(|s| s.iso())
    }

    #[test]
    fn times_keep_their_zone_and_get_none_that_they_have_not() {
        let cases = [
            ("2020-02-04T19:00:00-05:00", "2020-02-04T19:00:00-05:00"),
            ("2020-02-04 19:00:00+0530", "2020-02-04T19:00:00+05:30"),
            ("2020-02-04 19:00:00", "2020-02-04T19:00:00"),
            ("2020:02:04 19:00", "2020-02-04T19:00"),
            ("2016-07-31 10:25:09 UTC", "2016-07-31T10:25:09Z"),
            ("2020-02-04T19:00:00.1234Z", "2020-02-04T19:00:00.1234Z"),
            ("20200204T190000Z", "2020-02-04T19:00:00Z"),
            ("20200204", "2020-02-04"),
            ("2020-02", "2020-02"),
            ("2020", "2020"),
            ("2020-02-04T19:00-05:00", "2020-02-04T19:00-05:00"),
            ("2024-02-29 00:00:60", "2024-02-29T00:00:60"),
            ("2020-02-04 19:00:00 UTC-5", "2020-02-04T19:00:00-05:00"),
        ];
        for (text, expected) in cases {
            assert_eq!(iso(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "x",
            "0000-01-01",
            "2020-13-01",
            "2021-02-29",
            "2020-02-04T25:00",
            "2020-02-04 about noon",
            "19",
            "2020-02-04T10:00:00+15:00",
            "2020-02-04T",
            "12/11/2020",
            "2020-02-04T10:00:00 EST",
        ] {
            assert_eq!(iso(text), None, "{text}");
        }
    }

    #[test]
    fn apple_seconds_become_dates() {
        assert_eq!(Stamp::from_1904(1).unwrap().iso(), "1904-01-01T00:00:01Z");
        assert_eq!(Stamp::from_1904(2_082_844_800).unwrap().iso(), "1970-01-01T00:00:00Z");
        assert_eq!(Stamp::from_1904(2_082_844_800 + 951_782_400 + 86_399).unwrap().iso(), "2000-02-29T23:59:59Z");
        assert_eq!(Stamp::from_1904(0), None);
        assert_eq!(Stamp::from_1904(u64::MAX), None);
    }

    #[test]
    fn a_wrong_time_beside_a_good_date_leaves_the_date() {
        assert_eq!(Stamp::parse_parts("2017-10-06", "21:23:15").unwrap().iso(), "2017-10-06T21:23:15");
        assert_eq!(Stamp::parse_parts("2017-10-06", "99:99:99").unwrap().iso(), "2017-10-06");
        assert_eq!(Stamp::parse_parts("2017:10:06", "21-23-15").unwrap().iso(), "2017-10-06T21:23:15");
        assert!(Stamp::parse_parts("", "21:23:15").is_none());
    }
}

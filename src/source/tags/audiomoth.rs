//! What AudioMoth recorders write into the comment of their files, in the words of all firmware from 1.0 to 1.11:
//!
//! "Recorded at 19:00:00 04/02/2020 (UTC-5) by AudioMoth 24F319035F31F5B1 at medium gain while battery was 4.2V and
//! temperature was 15.3C." Earlier ones say "at gain setting 2 while battery state was 4.5V", without a zone in 1.0; later
//! ones may say "during deployment …" in place of the serial number, "using external microphone", and go on with filters,
//! thresholds and the reason why a recording stopped. Days stand before months.

use super::Origin;
use super::collect::Collector;
use super::time::Stamp;

const ORIGIN: Origin = Origin::AudioMoth;

/// Looks for such a comment anywhere in `text`, and takes it over.
pub(super) fn read(text: &str, collector: &mut Collector) {
    if let Some(start) = text.find("Recorded at ")
        && text.contains("AudioMoth")
    {
        comment(&text[start..], collector);
    }
}

fn comment(text: &str, collector: &mut Collector) {
    let mut rest = &text["Recorded at ".len()..];
    let Some(stamp) = stamp(&mut rest) else { return };
    let iso = stamp.iso();
    collector.add_common(ORIGIN, "Recorded", &iso, "date");
    collector.offer_time(ORIGIN, &stamp);
    if let Some(serial) = word_after(rest, "by AudioMoth ") {
        collector.add_common(ORIGIN, "Serial", serial, "serial");
    }
    collector.add_common(ORIGIN, "Device", "AudioMoth", "device");
    if let Some(deployment) = word_after(rest, "during deployment ") {
        collector.add_common(ORIGIN, "Deployment", deployment, "deployment");
    }
    if rest.contains("using external microphone") {
        collector.add(ORIGIN, "Microphone", "external");
    }
    let gain = match word_after(rest, "at gain setting ") {
        Some(number) => Some(format!("setting {number}")),
        None => before(rest, " gain ").and_then(|b| b.rsplit("at ").next()).map(str::to_owned),
    };
    if let Some(gain) = gain.filter(|g| g.len() <= 16) {
        collector.add_common(ORIGIN, "Gain", &gain, "gain");
    }
    let battery = ["battery state was ", "battery was "].iter().find_map(|words| after(rest, words));
    if let Some(battery) = battery.and_then(|b| quantity(b, 'V')) {
        collector.add_common(ORIGIN, "Battery", &format!("{battery} V"), "battery");
    }
    if let Some(degrees) = after(rest, "temperature was ").and_then(|t| quantity(t, 'C')) {
        collector.add_common(ORIGIN, "Temperature", &format!("{degrees} °C"), "temperature");
    }
}

/// "19:00:00[.123] 04/02/2020 [(UTC-5:30)] ", taken off the front of `rest`.
fn stamp(rest: &mut &str) -> Option<Stamp> {
    let (time, behind) = rest.split_once(' ')?;
    let (date, behind) = behind.split_once(' ')?;
    let mut days = date.split('/').map(|p| p.parse::<u16>().ok());
    let (day, month, year) = (days.next()??, days.next()??, days.next()??);
    if days.next().is_some() {
        return None;
    }
    let mut text = format!("{year:04}-{month:02}-{day:02}T{time}");
    *rest = behind;
    if let Some((zone, behind)) = behind.strip_prefix("(UTC").and_then(|z| z.split_once(')')) {
        text += "UTC";
        text += zone;
        *rest = behind;
    }
    Stamp::parse(&text)
}

fn after<'a>(text: &'a str, words: &str) -> Option<&'a str> {
    text.split_once(words).map(|(_, after)| after)
}

fn before<'a>(text: &'a str, words: &str) -> Option<&'a str> {
    text.split_once(words).map(|(before, _)| before)
}

fn word_after<'a>(text: &'a str, words: &str) -> Option<&'a str> {
    after(text, words)?.split([' ', '.', ',', '"']).next().filter(|w| !w.is_empty() && w.len() <= 32)
}

/// "4.2V", "-3.1C", "less than 2.5V", "greater than 4.9V", without the unit.
fn quantity(text: &str, unit: char) -> Option<String> {
    let (number, _) = text.split_once(unit)?;
    let (bound, digits) = match number {
        n if n.starts_with("less than ") => ("< ", &n[10..]),
        n if n.starts_with("greater than ") => ("> ", &n[13..]),
        n => ("", n),
    };
    let plain = !digits.is_empty() && digits.len() < 8 && digits.parse::<f64>().is_ok();
    plain.then(|| format!("{bound}{digits}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(text: &str) -> super::super::Tags {
        let mut collector = Collector::default();
        read(text, &mut collector);
        collector.finish()
    }

    fn common(text: &str) -> Vec<(String, String)> {
        read_all(text).common.into_iter().collect()
    }

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn firmware_1_0_without_zone() {
        let text = "Recorded at 10:00:00 01/02/2018 by AudioMoth 0FE081F80FE081F0 at gain setting 2 while battery state was 3.9V";
        assert_eq!(
            common(text),
            pairs(&[
                ("battery", "3.9 V"),
                ("date", "2018-02-01T10:00:00"),
                ("device", "AudioMoth"),
                ("gain", "setting 2"),
                ("serial", "0FE081F80FE081F0"),
            ])
        );
        assert_eq!(read_all(text).recorded.unwrap().utc_offset_minutes, None);
    }

    #[test]
    fn later_firmware_with_zone_gain_words_and_temperature() {
        let text = "Recorded at 19:00:00 04/02/2020 (UTC-5) by AudioMoth 24F319035F31F5B1 at medium-high gain while battery was \
                    greater than 4.9V and temperature was -3.1C. Amplitude threshold was 160.";
        let tags = read_all(text);
        assert_eq!(tags.recorded.as_ref().unwrap().iso8601, "2020-02-04T19:00:00-05:00");
        assert_eq!(tags.recorded.unwrap().utc_offset_minutes, Some(-300));
        assert_eq!(tags.common["gain"], "medium-high");
        assert_eq!(tags.common["battery"], "> 4.9 V");
        assert_eq!(tags.common["temperature"], "-3.1 °C");
        let text = "Recorded at 06:30:00.250 28/05/2024 (UTC+5:30) during deployment 1A2B3C4D5E6F7081 using external microphone at \
                    low gain while battery was less than 2.5V and temperature was 0.0C. AudioMoth";
        let tags = read_all(text);
        assert_eq!(tags.recorded.unwrap().iso8601, "2024-05-28T06:30:00.250+05:30");
        assert_eq!(tags.common["deployment"], "1A2B3C4D5E6F7081");
        assert_eq!(tags.common["gain"], "low");
        assert!(!tags.common.contains_key("serial"));
    }

    #[test]
    fn other_comments_give_nothing() {
        for text in
            ["Recorded at home", "Recorded at 99:00:00 99/99/2020 (UTC) by AudioMoth X", "AudioMoth Recorded at "]
        {
            assert!(read_all(text).is_empty(), "{text}");
        }
    }
}

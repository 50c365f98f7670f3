//! Gathers fields within the bounds, and decides which value stands under a common key.

use std::collections::BTreeMap;

use super::text::clean;
use super::time::Stamp;
use super::{Attachment, Field, MAX_FIELDS, MAX_TOTAL, MAX_VALUE, Origin, RecordedAt, Tags};

/// The most notes, and attachments.
const MAX_NOTES: usize = 100;

/// The most bytes of a key.
const MAX_KEY: usize = 256;

#[derive(Default)]
pub(super) struct Collector {
    tags: Tags,
    total: usize,
    common: BTreeMap<&'static str, (Origin, String)>,
    recorded: Option<(Rank, RecordedAt)>,
    full: bool,
}

/// How much a time is worth: one with a clock time over a bare date, one with a zone over one without, then the origin.
type Rank = (bool, bool, Origin);

impl Collector {
    /// Adds a field; empty values are left out. Gives the value as it was taken over.
    pub(super) fn add(&mut self, origin: Origin, key: &str, value: &str) -> Option<String> {
        let mut value = clean(value);
        if value.is_empty() {
            return None;
        }
        let key = shorten(&clean(key).replace('\n', " "), MAX_KEY);
        if value.len() > MAX_VALUE {
            self.note(format!("{origin} {key}: {} bytes, of which {MAX_VALUE} are taken over", value.len()));
            value = shorten(&value, MAX_VALUE);
        }
        let size = key.len() + value.len();
        if self.tags.fields.len() >= MAX_FIELDS || self.total + size > MAX_TOTAL {
            if !self.full {
                self.full = true;
                self.note(format!(
                    "more than {MAX_FIELDS} fields or {MAX_TOTAL} bytes of metadata; the rest is left out"
                ));
            }
            return None;
        }
        self.total += size;
        self.tags.fields.push(Field { key, value: value.clone(), origin });
        Some(value)
    }

    /// Adds a field, and offers its value for a common key.
    pub(super) fn add_common(
        &mut self,
        origin: Origin,
        key: &str,
        value: &str,
        common: &'static str,
    ) -> Option<String> {
        let value = self.add(origin, key, value)?;
        self.offer(origin, common, &value);
        Some(value)
    }

    /// Offers a value for a common key: the more trusted origin wins, of the same origin the first.
    pub(super) fn offer(&mut self, origin: Origin, common: &'static str, value: &str) {
        debug_assert!(super::COMMON_KEYS.contains(&common), "{common}");
        let value = value.trim();
        if value.is_empty() {
            return;
        }
        match self.common.get(common) {
            Some((before, _)) if *before <= origin => {}
            _ => {
                self.common.insert(common, (origin, value.to_owned()));
            }
        }
    }

    /// Offers a date or time as the one of the recording.
    pub(super) fn offer_time(&mut self, origin: Origin, stamp: &Stamp) {
        let rank = (stamp.time.is_none(), stamp.offset.is_none(), origin);
        if self.recorded.as_ref().is_none_or(|(before, _)| rank < *before) {
            let at = RecordedAt { iso8601: stamp.iso(), utc_offset_minutes: stamp.offset, origin };
            self.recorded = Some((rank, at));
        }
    }

    /// Names binary data.
    pub(super) fn attach(&mut self, origin: Origin, key: &str, media_type: &str, size: u64) {
        if self.tags.attachments.len() >= MAX_NOTES {
            return;
        }
        let media_type = match shorten(&clean(media_type), MAX_KEY) {
            empty if empty.is_empty() => "application/octet-stream".to_owned(),
            told => told,
        };
        self.tags.attachments.push(Attachment { origin, key: shorten(&clean(key), MAX_KEY), media_type, size });
    }

    /// Notes something that was cut off or could not be read.
    pub(super) fn note(&mut self, note: String) {
        if self.tags.notes.len() < MAX_NOTES {
            self.tags.notes.push(note);
        }
    }

    pub(super) fn finish(mut self) -> Tags {
        self.tags.recorded = self.recorded.map(|(_, at)| at);
        self.tags.common = self.common.into_iter().map(|(key, (_, value))| (key.to_owned(), value)).collect();
        self.tags
    }
}

/// At most `most` bytes of a text, cut between characters.
fn shorten(text: &str, most: usize) -> String {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_hold_and_are_told() {
        let mut c = Collector::default();
        c.add(Origin::Bext, "long", &"ä".repeat(MAX_VALUE));
        for i in 0..3000 {
            c.add(Origin::Bext, &format!("k{i}"), "v");
        }
        let tags = c.finish();
        assert_eq!(tags.fields.len(), MAX_FIELDS);
        assert!(tags.fields[0].value.len() <= MAX_VALUE);
        assert_eq!(tags.notes.len(), 2);
        let mut c = Collector::default();
        for _ in 0..100 {
            c.add(Origin::Bext, "k", &"x".repeat(MAX_VALUE));
        }
        let total: usize = c.finish().fields.iter().map(|f| f.key.len() + f.value.len()).sum();
        assert!(total <= MAX_TOTAL);
    }

    #[test]
    fn the_more_trusted_origin_wins_whatever_the_order() {
        for order in [[Origin::Id3v1, Origin::Bext], [Origin::Bext, Origin::Id3v1]] {
            let mut c = Collector::default();
            for origin in order {
                c.add_common(origin, "k", origin.code(), "title");
            }
            assert_eq!(c.finish().common["title"], "bext");
        }
    }

    #[test]
    fn a_time_with_zone_wins_over_one_without_and_over_a_bare_date() {
        let mut c = Collector::default();
        for (origin, text) in [
            (Origin::Guano, "2021-01-01"),
            (Origin::Bext, "2021-01-02T10:00:00"),
            (Origin::AudioMoth, "2021-01-02T10:00:00Z"),
        ] {
            c.offer_time(origin, &Stamp::parse(text).unwrap());
        }
        let recorded = c.finish().recorded.unwrap();
        assert_eq!((recorded.iso8601.as_str(), recorded.utc_offset_minutes), ("2021-01-02T10:00:00Z", Some(0)));
    }
}

//! The source's name as a row of glyphs: file names come in every script.
//!
//! The glyphs are those of GNU Unifont (16 rows; 8 columns, or 16 for wide ones), by way of the crate `unifont`: Latin with
//! all its accents, Greek, Cyrillic, Hebrew, Arabic, kana, CJK, Hangul and more, the whole Basic Multilingual Plane. The text
//! is composed (Unicode normalisation form C), since macOS takes names apart; Arabic letters get their joined forms; marks
//! that are left go over the letter before them; runs from right to left are turned round (Unicode Bidirectional Algorithm),
//! within a line that goes from left to right, so that a name's ending stays at its end. Invisible characters are left out,
//! and what has no glyph (control characters, emoji) is a box.

use unicode_bidi::{BidiInfo, Level};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unifont::{Glyph, get_glyph, i18n};

/// Rows of a glyph.
pub(crate) const HEIGHT: usize = 16;
/// Row on which letters stand, from the top.
pub(crate) const BASELINE: usize = 13;
/// Columns of a narrow glyph.
const NARROW: usize = 8;
/// What stands for characters without a glyph: the outline of a letter.
const BOX: Glyph = Glyph::Halfwidth([0, 0, 0, 0, 0x7e, 0x42, 0x42, 0x42, 0x42, 0x42, 0x42, 0x42, 0x42, 0x7e, 0, 0]);

/// A letter with the marks over and under it.
#[derive(Clone)]
struct Cluster {
    base: &'static Glyph,
    marks: Vec<&'static Glyph>,
    level: Level,
}

impl Cluster {
    fn new(base: &'static Glyph, level: Level) -> Cluster {
        Cluster { base, marks: Vec::new(), level }
    }

    fn width(&self) -> usize {
        self.base.get_width()
    }
}

/// A name ready to be drawn, in the order in which it is read.
#[derive(Clone)]
pub(crate) struct Name {
    clusters: Vec<Cluster>,
}

impl Name {
    pub fn new(text: &str) -> Name {
        let composed: String = text.nfc().collect();
        // Letters only get other forms here, never another direction.
        let shaped = i18n::preprocess_text(&composed);
        let bidi = BidiInfo::new(&shaped, Some(Level::ltr()));
        let mut clusters: Vec<Cluster> = Vec::new();
        for (at, letter) in shaped.char_indices().filter(|(_, letter)| !is_invisible(*letter)) {
            let level = bidi.levels.get(at).copied().unwrap_or(Level::ltr());
            let glyph = glyph(if level.is_rtl() { mirrored(letter) } else { letter });
            match clusters.last_mut() {
                Some(last) if is_combining_mark(letter) && !glyph.is_fullwidth() => last.marks.push(glyph),
                _ => clusters.push(Cluster::new(glyph, level)),
            }
        }
        Name { clusters }
    }

    /// Columns that it takes.
    pub fn width(&self) -> usize {
        self.clusters.iter().map(Cluster::width).sum()
    }

    /// The same, or as much of its beginning and end as so many columns have room for.
    pub fn shortened(mut self, room: usize) -> Name {
        if self.width() <= room {
            return self;
        }
        let ellipsis = Cluster::new(glyph('…'), Level::ltr());
        let mut left = room.saturating_sub(ellipsis.width());
        let (mut head, mut tail) = (0, self.clusters.len());
        // From both ends in turn, the beginning first.
        loop {
            let (at_head, at_tail) = (head, tail.saturating_sub(1));
            let from_head = head <= self.clusters.len() - tail;
            let width = self.clusters[if from_head { at_head } else { at_tail }].width();
            if width > left || head >= tail {
                break;
            }
            left -= width;
            if from_head { head += 1 } else { tail -= 1 }
        }
        self.clusters.splice(head..tail, [ellipsis]);
        self
    }

    /// Calls `dot` for every dot, with its column from the left and its row from the top.
    pub fn dots(&self, mut dot: impl FnMut(usize, usize)) {
        let levels: Vec<Level> = self.clusters.iter().map(|cluster| cluster.level).collect();
        let mut x = 0;
        for cluster in BidiInfo::reorder_visual(&levels).into_iter().filter_map(|i| self.clusters.get(i)) {
            let width = cluster.width();
            // A mark belongs in the middle of a wide letter.
            let glyphs = [(cluster.base, 0)].into_iter();
            for (glyph, shift) in glyphs.chain(cluster.marks.iter().map(|mark| (*mark, (width - NARROW) / 2))) {
                for y in 0..HEIGHT {
                    (0..width - shift).filter(|i| glyph.get_pixel(*i, y)).for_each(|i| dot(x + shift + i, y));
                }
            }
            x += width;
        }
    }
}

fn glyph(letter: char) -> &'static Glyph {
    get_glyph(letter).filter(|_| !letter.is_control()).unwrap_or(&BOX)
}

/// Characters that say how others are to be laid out.
fn is_invisible(letter: char) -> bool {
    matches!(letter,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}')
}

/// Brackets open the other way in text from right to left.
fn mirrored(letter: char) -> char {
    const PAIRS: [(char, char); 5] = [('(', ')'), ('[', ']'), ('{', '}'), ('<', '>'), ('«', '»')];
    let other = |(a, b): &(char, char)| if letter == *a { Some(*b) } else { (letter == *b).then_some(*a) };
    PAIRS.iter().find_map(other).unwrap_or(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The dots as lines of `#`.
    fn drawn(text: &str) -> String {
        let name = Name::new(text);
        let mut rows = vec![vec![' '; name.width()]; HEIGHT];
        name.dots(|x, y| rows[y][x] = '#');
        rows.into_iter().map(|row| row.into_iter().collect::<String>() + "\n").collect()
    }

    fn is_box(letter: char) -> bool {
        drawn(&letter.to_string()) == drawn("\u{1}")
    }

    #[test]
    fn letters_of_many_scripts_have_glyphs_of_their_own() {
        let letters = "üÄßøłŐșğāэёЖїђΆωΨבשباღ가힣鳥の声録ァ々ກไทयনதක";
        for (i, a) in letters.char_indices() {
            assert!(!is_box(a), "{a}");
            assert!(letters[..i].chars().all(|b| drawn(&a.to_string()) != drawn(&b.to_string())), "{a}");
        }
        for range in
            ['À'..='ɏ', 'Α'..='Ρ', 'Σ'..='ώ', 'Ѐ'..='ӿ', 'Ḁ'..='ỹ', 'ぁ'..='ゖ', 'ァ'..='ヺ', '一'..='鿿', '가'..='힣']
        {
            range.into_iter().for_each(|letter| assert!(!is_box(letter), "{letter}"));
        }
    }

    #[test]
    fn names_taken_apart_look_like_whole_ones() {
        assert_eq!(drawn("Vo\u{308}gel.wav"), drawn("Vögel.wav"));
        assert_eq!(drawn("か\u{3099}"), drawn("が"));
        assert_eq!(drawn("\u{1112}\u{1161}\u{11ab}"), drawn("한"));
        // No single character stands for this: the mark goes over its letter.
        assert_eq!(Name::new("m\u{304}").width(), 8);
        assert_ne!(drawn("m\u{304}"), drawn("m"));
        assert_eq!(Name::new("\u{301}").width(), 8);
    }

    #[test]
    fn right_to_left_runs_are_turned_round_and_joined() {
        let beside = |parts: &[&str]| {
            let parts: Vec<String> = parts.iter().map(|part| drawn(part)).collect();
            let row =
                |y: usize| parts.iter().map(|part| part.lines().nth(y).unwrap_or_default()).collect::<String>() + "\n";
            (0..HEIGHT).map(row).collect::<String>()
        };
        assert_eq!(drawn("אבג.wav"), beside(&["ג", "ב", "א", ".wav"]));
        assert_eq!(drawn("1 (אב) 2.wav"), beside(&["1 (", "ב", "א", ") 2.wav"]));
        // The three forms of a letter that is joined to others.
        assert_eq!(drawn("ببب"), beside(&["\u{fe90}", "\u{fe92}", "\u{fe91}"]));
    }

    #[test]
    fn invisible_and_unknown_characters_leave_no_garbage() {
        assert_eq!(drawn("a\u{200d}\u{202e}b\u{feff}\u{fe0f}"), drawn("ab"));
        assert!(['\n', '\u{7f}', '\u{85}', '\u{1f426}', '\u{e000}', '\u{ffff}'].into_iter().all(is_box));
        assert_eq!(Name::new("").width(), 0);
    }

    #[test]
    fn long_names_keep_both_ends() {
        let drawn_in = |text: &str, room: usize| {
            let name = Name::new(text).shortened(room);
            assert!(name.width() <= room.max(8));
            let mut dots = Vec::new();
            name.dots(|x, y| dots.push((x, y)));
            dots
        };
        let whole = |text: &str| drawn_in(text, usize::MAX);
        assert_eq!(drawn_in("recording.wav", 8 * 13), whole("recording.wav"));
        assert_eq!(drawn_in("recording.wav", 8 * 9), whole("reco….wav"));
        assert_eq!(drawn_in("鳥の声の録音.wav", 56), whole("鳥の…av"));
        (0..200).for_each(|room| drop(drawn_in("鳥a\u{301}声б録音.wav", room)));
    }

    #[test]
    fn every_character_can_be_drawn_beside_every_kind() {
        for letter in (0..=0x10ffff).filter_map(char::from_u32).step_by(7) {
            let text = format!("a{letter}א{letter}ب{letter}ب");
            Name::new(&text).shortened(30).dots(|x, y| assert!(x < 30 && y < HEIGHT));
        }
        let arabic = || ('\u{620}'..='\u{64b}').step_by(1);
        for (a, b) in arabic().flat_map(|a| arabic().map(move |b| (a, b))) {
            arabic().for_each(|c| Name::new(&String::from_iter([a, b, c])).dots(|_, _| ()));
        }
    }
}

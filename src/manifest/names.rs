//! What the TIFFs of a source are called: `<source>_chunk_000000.tiff`, in the source's own sub-folder.
//!
//! `<source>` is the stem of the source's file name; where another source of the folder has that name already, it is
//! the whole file name, and where that is taken too, the whole file name with `~2`, `~3`… Names that differ only in
//! upper and lower case count as the same, so that an archive can be moved to file systems that do not tell them
//! apart. Names that are given stay: those of the manifest are taken first.
//!
//! Three things are not mirrored as they are: a folder that would have the name of something of the archive itself
//! (`temp`, `manifest.json`…) gets a `_` behind its name, and a file name too long for its chunks is cut and marked with
//! part of its checksum.

use std::path::Path;

use super::digest::NameSet;
use super::file::{MANIFEST_NAME, Manifest, SIGNATURE_NAME};
use super::journal::TEMP_DIR;
use super::sums::SUMS_NAME;
use super::values::Sha256Sum;
use crate::error::Result;

/// The longest stem in bytes: with `_chunk_000000.tiff` behind it 240, so that a suffix of a tool still fits 255.
const LONGEST_STEM: usize = 222;
/// What stands between stem and number.
const INFIX: &str = "_chunk_";
const SUFFIX: &str = ".tiff";

/// The search index beside the manifest: a cache, made again at will, in no checksum list and never needed to restore.
pub const INDEX_NAME: &str = "index.sqlite";

/// Whether a name in the archive's folder is that of the search index or of a file that SQLite or an unfinished build
/// keeps beside it. Such files belong to no source and are nothing to check.
pub fn is_index_file(name: &str) -> bool {
    let rest = name.strip_prefix(INDEX_NAME);
    matches!(rest, Some("" | "-journal" | "-wal" | "-shm" | ".part" | ".part-journal"))
}

/// `chunk_000000`.
pub fn chunk_id(number: u64) -> String {
    format!("chunk_{number:06}")
}

/// The `tiff_path` of a chunk: `stem` (from [`TiffNames::assign`], with its folder) and number.
pub fn chunk_tiff_name(stem: &str, number: u64) -> String {
    format!("{stem}{INFIX}{number:06}{SUFFIX}")
}

/// The stem, with its folder, of a `tiff_path` that [`chunk_tiff_name`] has made.
pub fn stem_of_tiff(tiff_path: &str) -> Option<&str> {
    let (stem, number) = tiff_path.strip_suffix(SUFFIX)?.rsplit_once(INFIX)?;
    (number.len() >= 6 && number.bytes().all(|b| b.is_ascii_digit())).then_some(stem)
}

/// Whether a file is named like a TIFF: those of the original programs, and of others, may end in `.tif` or in capitals.
pub fn is_tiff_name(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("tiff") || e.eq_ignore_ascii_case("tif"))
}

/// The names that are taken in an archive.
#[derive(Debug, Clone, Default)]
pub struct TiffNames {
    /// Stems without regard to case.
    taken: NameSet,
}

impl TiffNames {
    /// Of an archive without any source.
    pub fn new() -> Self {
        TiffNames::default()
    }

    /// Of an archive as its manifest says.
    ///
    /// # Errors
    /// As [`Place::record`](super::Place::record).
    pub fn of(manifest: &Manifest) -> Result<Self> {
        let mut names = TiffNames::new();
        for source in manifest.files.iter() {
            source?.chunks.iter().for_each(|chunk| names.take(&chunk.tiff_path));
        }
        Ok(names)
    }

    /// Marks the name of an existing TIFF as taken.
    pub fn take(&mut self, tiff_path: &str) {
        if let Some(stem) = stem_of_tiff(tiff_path) {
            self.taken.insert(&key(stem));
        }
    }

    /// Takes a stem (with its folder) as it is; false where it is taken already.
    pub fn keep(&mut self, stem: &str) -> bool {
        self.taken.insert(&key(stem))
    }

    /// Gives a new source its stem, with its folder in front (`day1/long`), and takes it.
    ///
    /// The outcome depends on the order of calls: to give the same names in every run, sources are assigned in sorted
    /// order. A source that is in the manifest already keeps its name ([`stem_of_tiff`] of its first chunk).
    pub fn assign(&mut self, relative_path: &str) -> String {
        let (folder, file_name) = match relative_path.rsplit_once('/') {
            Some((folder, file_name)) => (mirrored(folder) + "/", file_name),
            None => (String::new(), relative_path),
        };
        let stem = match file_name.rsplit_once('.') {
            Some((stem, _)) if !stem.is_empty() => stem,
            _ => file_name,
        };
        let numbered = (2u64..).map(|n| format!("{file_name}~{n}"));
        let mut candidates = [stem.to_string(), file_name.to_string()].into_iter().chain(numbered);
        loop {
            let name = candidates.next().unwrap_or_default();
            let stem = format!("{folder}{}", shortened(name));
            if self.taken.insert(&key(&stem)) {
                return stem;
            }
        }
    }
}

/// Names are compared without regard to case.
fn key(stem: &str) -> String {
    stem.to_lowercase()
}

/// The folder in the archive for a folder of the input.
fn mirrored(folder: &str) -> String {
    let first = folder.split('/').next().unwrap_or(folder);
    let own = [TEMP_DIR, MANIFEST_NAME, SIGNATURE_NAME, SUMS_NAME, INDEX_NAME];
    if own.iter().any(|name| name.eq_ignore_ascii_case(first)) {
        return format!("{first}_{}", &folder[first.len()..]);
    }
    folder.into()
}

fn shortened(name: String) -> String {
    if name.len() <= LONGEST_STEM {
        return name;
    }
    let mut digits = Sha256Sum::of(name.as_bytes()).to_string();
    digits.truncate(12);
    let end = name.floor_char_boundary(LONGEST_STEM - digits.len() - 1);
    format!("{}~{digits}", &name[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{ChunkRecord, SourceRecord};

    fn assign(paths: &[&str]) -> Vec<String> {
        let mut names = TiffNames::new();
        paths.iter().map(|path| names.assign(path)).collect()
    }

    #[test]
    fn the_stem_is_the_name_until_it_is_taken() {
        assert_eq!(
            assign(&["day1/long.wav", "a.tar.gz", ".hidden", "noext", "a."]),
            ["day1/long", "a.tar", ".hidden", "noext", "a"]
        );
        assert_eq!(assign(&["a.wav", "a.mp3", "b/a.wav", "A.WAV"]), ["a", "a.mp3", "b/a", "A.WAV"]);
        assert_eq!(assign(&["a.mp3.wav", "a.wav", "a.mp3", "A.mp3"]), ["a.mp3", "a", "a.mp3~2", "A.mp3~3"]);
    }

    #[test]
    fn names_of_the_archive_itself_are_not_mirrored() {
        assert_eq!(
            assign(&["temp/a.wav", "TEMP/x/a.wav", "sha256sums/a.wav", "x/temp/a.wav", "temp.wav", "temp_/a.wav"]),
            ["temp_/a", "TEMP_/x/a", "sha256sums_/a", "x/temp/a", "temp", "temp_/a.wav"]
        );
    }

    #[test]
    fn long_names_fit_a_file_system_and_stay_apart() {
        let long = |end: &str| format!("{}{end}.wav", "ü".repeat(120));
        let names = assign(&[&long("1"), &long("2")]);
        assert_ne!(names[0], names[1]);
        for name in &names {
            assert!(chunk_tiff_name(name, 999_999).len() <= 240);
        }
        assert_eq!(names, assign(&[&long("1"), &long("2")]));
    }

    #[test]
    fn names_of_the_manifest_stay_and_are_not_given_again() {
        let mut manifest = Manifest::default();
        let chunk = |path: &str| ChunkRecord { tiff_path: path.into(), ..ChunkRecord::default() };
        manifest.files.put(SourceRecord {
            relative_path: "day1/Long.mp3".into(),
            chunks: vec![chunk("day1/Long_chunk_000000.tiff"), chunk("day1/Long_chunk_1000000.tiff")].into(),
            ..SourceRecord::default()
        });
        assert_eq!(TiffNames::of(&manifest).unwrap().assign("day1/long.wav"), "day1/long.wav");
    }

    #[test]
    fn the_stem_is_found_in_the_name_again() {
        for number in [0, 7, 999_999, 1_000_000, u64::MAX] {
            assert_eq!(stem_of_tiff(&chunk_tiff_name("day1/a_chunk_000001", number)), Some("day1/a_chunk_000001"));
        }
        for foreign in [
            "a.tiff",
            "chunk_000000.tiff",
            "a_chunk_.tiff",
            "a_chunk_00000.tiff",
            "a_chunk_00000x.tiff",
            "a_chunk_000000.tif",
        ] {
            assert_eq!(stem_of_tiff(foreign), None, "{foreign}");
        }
        assert_eq!(chunk_id(12), "chunk_000012");
    }
}

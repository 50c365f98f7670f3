//! The plan: which files there are, in which order, and what each one's TIFFs will be called.
//!
//! The walk is sorted by name, so that a run does not depend on how a file system lists its folders. Content is looked at
//! later, when a file's turn comes, except where two files of a folder would share a name in the archive.

use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};
use crate::manifest;
use crate::packed::Packed;

/// A file that may become part of the archive.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Candidate {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Its name in the archive: relative to the input folder, with `/`.
    pub(crate) relative: String,
    /// Its length in bytes when it was found.
    pub(crate) size: u64,
}

/// All that was found. Of a file only its name and length are kept: there may be hundreds of thousands.
pub(crate) struct Plan {
    /// The input.
    input: PathBuf,
    /// Whether it is one file.
    one_file: bool,
    /// Bytes of the prefix in front of every name.
    prefix: usize,
    names: Packed,
    sizes: Vec<u64>,
    /// Folders and names that could not be used, each with its reason.
    pub(crate) problems: Vec<Error>,
}

impl Plan {
    /// Number of files.
    pub(crate) fn len(&self) -> usize {
        self.sizes.len()
    }

    /// The file with this number; `None` behind the last.
    pub(crate) fn candidate(&self, number: usize) -> Option<Candidate> {
        let relative = self.names.get(number)?;
        let path = match self.one_file {
            true => self.input.clone(),
            false => {
                let below = &relative[self.prefix..];
                self.input.join(manifest::safe_relative_path(below).unwrap_or_else(|_| PathBuf::from(below)))
            }
        };
        Some(Candidate { path, relative: relative.to_owned(), size: self.sizes[number] })
    }

    /// The files in their order.
    pub(crate) fn candidates(&self) -> impl Iterator<Item = Candidate> {
        (0..self.len()).filter_map(|number| self.candidate(number))
    }

    /// Their names in the archive.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter()
    }

    /// Bytes in all files.
    pub(crate) fn bytes(&self) -> u64 {
        self.sizes.iter().sum()
    }

    fn add(&mut self, path: &Path, base: &str, meta: &Metadata) {
        self.names.push(&format!("{base}{}", name_text(path)));
        self.sizes.push(meta.len());
    }
}

/// Endings by which a name claims to be audio. Such a file that turns out not to be any is an error; another file that
/// is no audio (a cover, a text) is only mentioned.
const AUDIO_ENDINGS: &[&str] = &[
    "wav", "wave", "bwf", "rf64", "w64", "aif", "aiff", "aifc", "caf", "au", "snd", "flac", "mp1", "mp2", "mp3", "m4a",
    "mp4", "m4b", "aac", "alac", "ogg", "oga", "opus", "spx", "wv", "ape", "tak", "tta", "mpc", "ofr", "wma", "dsf",
    "dff", "ac3", "eac3", "dts", "amr", "awb", "mka", "ra", "rm", "voc", "sph", "gsm", "mid", "midi", "shn", "la",
    "pac", "wac", "thd", "mlp", "latm", "loas", "g722", "vox", "sd2", "paf", "8svx", "oma", "at3", "aa", "aax",
];

/// Whether a file's name says that it is audio.
pub(crate) fn claims_audio(path: &Path) -> bool {
    path.extension()
        .and_then(|e| e.to_str())
        .is_some_and(|e| AUDIO_ENDINGS.iter().any(|known| known.eq_ignore_ascii_case(e)))
}

/// Lists `input` (a folder with its sub-folders, or one file); `output` is left out where it lies inside.
/// `prefix`, where given, goes in front of every relative path.
pub(crate) fn plan(input: &Path, output: &Path, prefix: Option<&str>) -> Result<Plan> {
    let meta = fs::metadata(input).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => Error::new(ErrorKind::Usage, "--input is not there").at_path(input),
        _ => Error::io("looking at --input", e).at_path(input),
    })?;
    let prefix = prefix.map(|p| p.trim_matches('/').to_owned()).filter(|p| !p.is_empty());
    if let Some(prefix) = &prefix {
        manifest::safe_relative_path(prefix)?;
    }
    let base = prefix.map_or(String::new(), |p| format!("{p}/"));
    let mut plan = Plan {
        input: input.to_path_buf(),
        one_file: !meta.is_dir(),
        prefix: base.len(),
        names: Packed::default(),
        sizes: Vec::new(),
        problems: Vec::new(),
    };
    if meta.is_dir() {
        let skip = fs::canonicalize(output).ok();
        let mut ancestors = Vec::new();
        walk(input, &base, skip.as_deref(), &mut ancestors, &mut plan);
    } else {
        plan.add(input, &base, &meta);
    }
    Ok(plan)
}

fn walk(dir: &Path, base: &str, skip: Option<&Path>, ancestors: &mut Vec<PathBuf>, plan: &mut Plan) {
    let real = match fs::canonicalize(dir) {
        Ok(real) => real,
        Err(e) => return plan.problems.push(Error::io("looking into the folder", e).at_path(dir)),
    };
    if skip == Some(real.as_path()) {
        return;
    }
    if ancestors.contains(&real) {
        let text = "this link leads back to a folder above it; it was not followed";
        return plan.problems.push(Error::new(ErrorKind::Usage, text).at_path(dir));
    }
    let entries = fs::read_dir(dir).and_then(|entries| entries.collect::<Result<Vec<_>, _>>());
    let mut entries = match entries {
        Ok(entries) => entries,
        Err(e) => return plan.problems.push(Error::io("listing the folder", e).at_path(dir)),
    };
    entries.sort_by_key(|e| e.file_name());
    ancestors.push(real);
    for entry in entries {
        let path = entry.path();
        match fs::metadata(&path) {
            Ok(meta) if meta.is_dir() => {
                let name = name_text(&path);
                walk(&path, &format!("{base}{name}/"), skip, ancestors, plan);
            }
            Ok(meta) if meta.is_file() => plan.add(&path, base, &meta),
            Ok(_) => plan.problems.push(
                Error::new(ErrorKind::Unsupported, "neither a file nor a folder (a pipe, socket or device); left out")
                    .at_path(&path),
            ),
            Err(e) => plan.problems.push(Error::io("looking at", e).at_path(&path)),
        }
    }
    ancestors.pop();
}

/// The last part of a path as the manifest writes it; names that are no Unicode text have a form of their own there.
fn name_text(path: &Path) -> String {
    path.file_name().and_then(|name| manifest::path_to_text(Path::new(name))).unwrap_or_default()
}

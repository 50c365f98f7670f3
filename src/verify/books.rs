//! The archive's books and its folder: what the manifest lists against `SHA256SUMS` and against the files that are there,
//! and the chunks of each source against one another.

use std::fs;
use std::path::{Path, PathBuf};

use crate::archive;
use crate::bag;
use crate::error::{Error, ErrorKind, Result};
use crate::extract::{Found, Source};
use crate::hash;
use crate::interrupt::Interrupt;
use crate::manifest::{self, MANIFEST_NAME, NameSet, SIGNATURE_NAME, SUMS_NAME, Severity, Sums, TEMP_DIR};
use crate::positioned::{self, ReadAt};
use crate::verify::finding::Finding;

/// What reading the manifest has shown already.
pub(crate) fn remarks(found: &Found) -> Vec<Finding> {
    let mut findings = Vec::new();
    for note in &found.notes {
        let mut finding = Finding::said(note.code, &note.item, ErrorKind::Malformed, &note.text);
        finding.severity = finding.severity.min(Severity::Warning);
        findings.push(finding);
    }
    for problem in &found.problems {
        let error = Error::new(problem.error.kind(), problem.error.message());
        let error = problem.error.path().into_iter().fold(error, |error, path| error.at_path(path));
        let mut finding = Finding::new(problem.code, &problem.item, error);
        finding.severity = Severity::Error;
        findings.push(finding);
    }
    findings
}

/// The TIFFs that the manifest names.
///
/// # Errors
/// Where a source cannot be read out of the manifest any more.
pub(crate) fn listed(found: &Found) -> Result<NameSet> {
    let mut listed = NameSet::default();
    for chunk in found.sources.chunks() {
        listed.insert(&chunk?.output);
    }
    Ok(listed)
}

/// `SHA256SUMS` against the manifest, line by line. Archives of the originals have none.
pub(crate) fn sums(dir: &Path, found: &Found, listed: &NameSet, interrupt: &Interrupt) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let path = dir.join(SUMS_NAME);
    let (sums, faults) = match Sums::read_faulty(dir) {
        Ok(Some(read)) => read,
        Ok(None) if found.original || found.from_tiffs => return Ok(findings),
        Ok(None) => {
            let error = Error::new(ErrorKind::Missing, "the file is not there").at_path(path);
            return Ok(vec![Finding::new("sums-missing", SUMS_NAME, error)]);
        }
        Err(e) => return Ok(vec![Finding::new("sums-unreadable", SUMS_NAME, e)]),
    };
    findings.extend(faults.into_iter().map(|fault| Finding::new("sums-unreadable", SUMS_NAME, fault)));
    for chunk in found.sources.chunks() {
        let chunk = chunk?;
        let Some(expected) = chunk.tiff_sha256 else { continue };
        match sums.get(&chunk.output) {
            Some(sum) if sum == expected => {}
            Some(sum) => {
                let text = format!("{SUMS_NAME} says {sum}, the manifest says {expected}");
                findings.push(Finding::said("sums-differ", &chunk.output, ErrorKind::Mismatch, text));
            }
            None => {
                let text = format!("{SUMS_NAME} has no line for this TIFF");
                findings.push(Finding::said("sums-lack", &chunk.output, ErrorKind::Missing, text));
            }
        }
    }
    if found.from_tiffs {
        // What it says of the manifest that is lost says nothing more.
        return Ok(findings);
    }
    for (name, expected) in sums.iter() {
        if name == MANIFEST_NAME {
            findings.extend(manifest_sum(dir, expected, interrupt)?);
        } else if !listed.contains(&name) {
            let text = format!("{SUMS_NAME} has a line for it, the manifest does not name it");
            findings.push(Finding::said("sums-extra", name, ErrorKind::Malformed, text));
        }
    }
    if sums.get(MANIFEST_NAME).is_none() && !found.original {
        let text = format!("{SUMS_NAME} has no line for it");
        findings.push(Finding::said("sums-lack", MANIFEST_NAME, ErrorKind::Missing, text));
    }
    Ok(findings)
}

fn manifest_sum(dir: &Path, expected: manifest::Sha256Sum, interrupt: &Interrupt) -> Result<Option<Finding>> {
    let path = dir.join(MANIFEST_NAME);
    match file_sum(&path, interrupt) {
        Ok(sum) if sum == expected => Ok(None),
        Ok(sum) => {
            let text = format!("its SHA-256 is {sum}, {SUMS_NAME} says {expected}");
            Ok(Some(Finding::new("manifest-changed", MANIFEST_NAME, Error::mismatch(text).at_path(path))))
        }
        Err(e) if e.kind() == ErrorKind::Interrupted => Err(e),
        Err(e) => Ok(Some(Finding::new("manifest-changed", MANIFEST_NAME, e))),
    }
}

/// The payload manifest of the bag around an archive, if there is one: whether it is up to date.
pub(crate) fn bag(dir: &Path, found: &Found, interrupt: &Interrupt) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let Some(bag) = manifest::bag_around(dir) else { return Ok(findings) };
    let path = bag.join(bag::PAYLOAD_MANIFEST);
    let listed = match bag::read_manifest(&path) {
        Ok(listed) => listed.unwrap_or_default(),
        Err(e) => return Ok(vec![Finding::new("bag-differs", bag::PAYLOAD_MANIFEST, e)]),
    };
    let mut differ = |name: &str, text: &str| {
        let error = Error::mismatch(text).at_path(&path);
        findings.push(Finding::new("bag-differs", name, error));
    };
    let entry = |name: &str| listed.get(&format!("{}/{name}", manifest::PAYLOAD_DIR));
    for chunk in found.sources.chunks() {
        let chunk = chunk?;
        match (entry(&chunk.output), chunk.tiff_sha256) {
            (None, _) => differ(&chunk.output, "the bag's manifest does not list it"),
            (Some(sum), Some(expected)) if *sum != expected => {
                differ(&chunk.output, "the bag's manifest has another checksum for it than the archive's");
            }
            _ => {}
        }
    }
    for name in OWN {
        match (file_sum(&dir.join(name), interrupt), entry(name)) {
            (Err(e), _) if e.kind() == ErrorKind::Interrupted => return Err(e),
            (Ok(sum), Some(listed)) if sum != *listed => differ(name, "the bag's manifest has another checksum for it"),
            (Ok(_), None) => differ(name, "the bag's manifest does not list it"),
            _ => {}
        }
    }
    for name in listed.keys() {
        let relative = Path::new(name);
        let safe = relative.components().all(|part| matches!(part, std::path::Component::Normal(_)));
        if safe && !bag.join(relative).exists() {
            differ(name, "the bag's manifest lists it, and it is not there");
        }
    }
    Ok(findings)
}

fn file_sum(path: &Path, interrupt: &Interrupt) -> Result<manifest::Sha256Sum> {
    let file = positioned::open(path).map_err(Error::while_("opening", path))?;
    let len = ReadAt::len(&file).map_err(Error::while_("looking at", path))?;
    hash::sha256_range(&file, 0, len, interrupt, |_| ()).map_err(|e| e.at_path(path))
}

/// That the chunks of a source are all there are, one behind the other: every gap and every overlap.
pub(crate) fn chunks_of(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !source.ours {
        return findings;
    }
    let mut missing = |text: String| {
        findings.push(Finding::said("chunks-missing", &source.relative_path, ErrorKind::Missing, text));
    };
    let mut overlaps = Vec::new();
    let mut next = 0u64;
    for chunk in &source.chunks {
        let (Some(start), Some(samples)) = (chunk.start_sample, chunk.num_samples) else {
            missing(format!("the manifest does not say where {} belongs", chunk.chunk_id));
            continue;
        };
        if start > next {
            missing(format!("samples {next} to {start} are in no chunk; {} begins behind them", chunk.chunk_id));
        } else if start < next {
            overlaps.push(format!("{} begins at sample {start}, the chunk before it ends at {next}", chunk.chunk_id));
        }
        next = next.max(start.saturating_add(samples));
    }
    match source.total_samples {
        Some(total) if total > next => {
            missing(format!("the chunks end at sample {next}, the source has {total} a channel"));
        }
        Some(total) if total < next => {
            overlaps.push(format!("the chunks end at sample {next}, the source has {total}"))
        }
        _ if source.chunks.is_empty() => missing("no chunk of it is listed".to_owned()),
        _ => {}
    }
    let overlap = |text| Finding::said("chunks-overlap", &source.relative_path, ErrorKind::Mismatch, text);
    findings.extend(overlaps.into_iter().map(overlap));
    findings
}

/// Files that belong to an archive though no manifest names them.
const OWN: [&str; 3] = [MANIFEST_NAME, SUMS_NAME, SIGNATURE_NAME];

/// What file managers leave behind in every folder.
const DROPPINGS: [&str; 4] = [".DS_Store", "Thumbs.db", "desktop.ini", "lost+found"];

/// Looks for files that no manifest names.
pub(crate) struct Extras<'a> {
    dir: &'a Path,
    listed: &'a NameSet,
    original: bool,
    ignore: &'a dyn Fn(&str, &Path) -> bool,
    findings: Vec<Finding>,
}

impl<'a> Extras<'a> {
    /// Files for which `ignore` (relative path, path) says so are meant to be there.
    pub(crate) fn of(
        dir: &'a Path,
        found: &Found,
        listed: &'a NameSet,
        ignore: &'a dyn Fn(&str, &Path) -> bool,
    ) -> Vec<Finding> {
        if found.from_tiffs {
            // Reading the TIFFs has told all that is to be told about them.
            return Vec::new();
        }
        let mut extras = Extras { dir, listed, original: found.original, ignore, findings: Vec::new() };
        extras.walk(Path::new(""));
        extras.findings
    }

    fn walk(&mut self, relative: &Path) {
        let here = self.dir.join(relative);
        let entries = fs::read_dir(&here).and_then(|entries| entries.collect::<std::io::Result<Vec<_>>>());
        let mut entries = match entries {
            Ok(entries) => entries,
            Err(e) => {
                let error = Error::io("listing", e).at_path(here);
                return self.findings.push(Finding::new("folder-unreadable", relative.to_string_lossy(), error));
            }
        };
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let below = relative.join(entry.file_name());
            if below == Path::new(TEMP_DIR) || DROPPINGS.iter().any(|name| entry.file_name() == *name) {
                continue;
            }
            // A link to a folder is one entry: following it could lead anywhere.
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                self.walk(&below);
            } else {
                self.look_at(&below, entry.path());
            }
        }
    }

    fn look_at(&mut self, relative: &Path, path: PathBuf) {
        let name = manifest::path_to_text(relative).unwrap_or_default();
        if self.listed.contains(&name)
            || OWN.contains(&name.as_str())
            || manifest::is_index_file(&name)
            || self.is_companion(&name)
            || (self.ignore)(&name, &path)
        {
            return;
        }
        let (code, text) = match manifest::is_tiff_name(relative) {
            true => ("extra-tiff", "a TIFF that no manifest names; it was not checked"),
            false => ("extra-file", "a file that no manifest names; it was not checked"),
        };
        let mut finding = Finding::new(code, name, Error::new(ErrorKind::Malformed, text).at_path(path));
        if self.original {
            // The original scripts were started in all kinds of folders.
            finding.severity = Severity::Warning;
        }
        self.findings.push(finding);
    }

    /// A file that this program has put beside a TIFF.
    fn is_companion(&self, name: &str) -> bool {
        archive::COMPANIONS.iter().any(|(suffix, replaces)| {
            name.strip_suffix(suffix).is_some_and(|stem| self.listed.contains(&format!("{stem}{replaces}")))
        })
    }
}

//! The report that a person reads: what was checked, when and how, and every finding with what to do about it.

use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;
use std::time::SystemTime;

use crate::error::{Error, Result};
use crate::extract::Sources;
use crate::format;
use crate::manifest::{self, Severity};
use crate::timestamp;
use crate::verify::finding::Finding;

/// How the TIFFs of one source came out.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SourceTally {
    pub(crate) ok: u64,
    pub(crate) bad: u64,
    pub(crate) recent: u64,
    pub(crate) unchosen: u64,
    /// With `deep`: whether the source would be restored.
    pub(crate) restored: Option<bool>,
}

/// All about one archive.
pub(crate) struct Archive {
    pub(crate) name: String,
    pub(crate) how: String,
    pub(crate) began: SystemTime,
    pub(crate) ended: SystemTime,
    pub(crate) interrupted: bool,
    pub(crate) sources: Sources,
    /// One for each source.
    pub(crate) tallies: Vec<SourceTally>,
    /// Findings, with the number of the source that they concern.
    pub(crate) findings: Vec<(Option<usize>, Finding)>,
    pub(crate) notes: Vec<String>,
}

/// Writes the report of all archives to `path`, whole or not at all.
///
/// # Errors
/// `Io`.
pub(crate) fn write(path: &Path, archives: &[Archive]) -> Result<()> {
    manifest::write_atomically(path, |out| {
        for (n, archive) in archives.iter().enumerate() {
            let gap = if n > 0 { "\n\n" } else { "" };
            let written = out.write_all(gap.as_bytes()).and_then(|()| archive.write(out));
            written.map_err(|e| Error::io("writing the report", e))?;
        }
        Ok(())
    })
    .map(|_| ())
}

fn date(time: SystemTime) -> String {
    // Seconds are enough here.
    let text = timestamp::to_text(time).unwrap_or_default();
    match text.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => text,
    }
}

/// Names from outside on one line.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{FFFD}' } else { c }).collect()
}

impl Archive {
    fn write(&self, out: &mut dyn Write) -> std::io::Result<()> {
        let title = format!("Verification of {}", plain(&self.name));
        writeln!(out, "{title}\n{}", "=".repeat(title.chars().count()))?;
        writeln!(out, "from:      {}\nto:        {}", date(self.began), date(self.ended))?;
        writeln!(out, "program:   {}", format::CREATED_BY.replace("audio2tiff", "tiff2flac"))?;
        writeln!(out, "checked:   {}", self.how)?;
        for note in &self.notes {
            writeln!(out, "           {}", plain(note))?;
        }
        if self.interrupted {
            writeln!(out, "INTERRUPTED: what is not listed as well below was not checked")?;
        }
        self.counts(out)?;
        let of_archive: Vec<&Finding> = self.of(None).collect();
        if !of_archive.is_empty() {
            writeln!(out, "\nFindings about the archive as a whole\n")?;
            of_archive.iter().try_for_each(|finding| tell(out, finding))?;
        }
        writeln!(out, "\nSources\n")?;
        let mut by_source: Vec<Vec<&Finding>> = vec![Vec::new(); self.sources.len()];
        for (number, finding) in &self.findings {
            if let Some(of_source) = number.and_then(|n| by_source.get_mut(n)) {
                of_source.push(finding);
            }
        }
        for ((source, tally), findings) in self.sources.iter().zip(&self.tallies).zip(&by_source) {
            let source = source.map_err(std::io::Error::other)?;
            let counts = findings.iter().any(|finding| finding.counts());
            writeln!(out, "  {:<9} {}  ({})", tally.word(counts), plain(&source.relative_path), tally.words())?;
            findings.iter().try_for_each(|finding| tell(out, finding))?;
        }
        Ok(())
    }

    fn of(&self, source: Option<usize>) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |(number, _)| *number == source).map(|(_, finding)| finding)
    }

    fn counts(&self, out: &mut dyn Write) -> std::io::Result<()> {
        let sum = |of: fn(&SourceTally) -> u64| self.tallies.iter().map(of).sum::<u64>();
        let (ok, bad, recent, unchosen) = (sum(|t| t.ok), sum(|t| t.bad), sum(|t| t.recent), sum(|t| t.unchosen));
        writeln!(out, "TIFFs:     {ok} well, {bad} with findings, {recent} found well before, {unchosen} not chosen")?;
        let restored = self.tallies.iter().filter(|t| t.restored == Some(true)).count();
        let not = self.tallies.iter().filter(|t| t.restored == Some(false)).count();
        if restored + not > 0 {
            writeln!(out, "sources:   {} in all, {restored} would be restored, {not} would not", self.sources.len())?;
        } else {
            writeln!(out, "sources:   {} in all", self.sources.len())?;
        }
        let errors = self.findings.iter().filter(|(_, f)| f.counts()).count();
        let warnings = self.findings.iter().filter(|(_, f)| f.severity == Severity::Warning).count();
        let mendable = self.findings.iter().filter(|(_, f)| f.counts() && f.mendable).count();
        writeln!(
            out,
            "findings:  {errors} errors ({mendable} of them mendable by `tiff2flac repair`), {warnings} warnings"
        )
    }
}

fn tell(out: &mut dyn Write, finding: &Finding) -> std::io::Result<()> {
    let word = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    };
    let place = finding.error.offset().map_or(String::new(), |offset| format!(" (at byte {offset})"));
    writeln!(out, "    {word} [{}] {}", finding.code, plain(&finding.item))?;
    writeln!(out, "        {}{place}", plain(&finding.error.message()))?;
    if !finding.remedy().is_empty() {
        writeln!(out, "        what to do: {}", finding.remedy())?;
    }
    Ok(())
}

impl SourceTally {
    fn word(&self, findings: bool) -> &'static str {
        match self {
            _ if findings || self.bad > 0 || self.restored == Some(false) => "FINDINGS",
            t if t.ok + t.recent == 0 => "unchecked",
            t if t.unchosen > 0 => "in part",
            _ => "well",
        }
    }

    fn words(&self) -> String {
        let mut text = format!("{} TIFFs well", self.ok);
        let mut add = |count: u64, what: &str| {
            if count > 0 {
                let _ = write!(text, ", {count} {what}");
            }
        };
        add(self.bad, "with findings");
        add(self.recent, "found well before");
        add(self.unchosen, "not chosen");
        if self.restored == Some(true) {
            text.push_str("; would be restored to its SHA-256");
        }
        text
    }
}

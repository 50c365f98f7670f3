//! Checking archives: everything against the manifest, against `SHA256SUMS` and against itself. Nothing is written to an
//! archive, but for the state that is asked for.
//!
//! ```text
//! folder ──► find ──► books (manifest, SHA256SUMS, signature, extra files, chunks of a source) ──► findings
//!              └────► select ──► chunk (one TIFF) ──► findings, state ──► report
//! ```
//!
//! | file | what |
//! |---|---|
//! | `finding` | what can be found: stable codes and what to do about each |
//! | `books` | the manifest against `SHA256SUMS`, the folder, and itself |
//! | `chunk` | one TIFF; what damage in it has reached |
//! | `stretch` | damage as time ranges of the recording |
//! | `tolerant` | reading on where the disk fails |
//! | `state`, `select` | what was verified when, and what is to be verified now |
//! | `report` | a text for a person |
//!
//! What the SHA-256 of a TIFF vouches for is not decoded, so a check runs at the speed of SHA-256; with
//! [`Options::deep`] everything is decoded, and each source restored into its checksum.

mod books;
mod chunk;
mod finding;
mod report;
mod select;
mod state;
mod stretch;
mod tolerant;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use rayon::prelude::*;
use serde_json::{Map, json};

use crate::error::{Error, ErrorKind, Result};
use crate::events::{Event, Observer, Status, Summary};
use crate::extract::rebuild::Output;
use crate::extract::{self, Chunk, Context, Found, Source};
use crate::interrupt::Interrupt;
use crate::manifest::{self, Severity, Sha256Sum};
use crate::parity::{self, Assessment};
use crate::sign::{self, AllowedSigners, Verdict};
use crate::source::tags::glob_matches;
use crate::timestamp;
pub use finding::{Finding, KINDS, Kind, kind};
use report::{Archive, SourceTally};
use select::{Choice, Selection};
pub use select::{parse_sample, parse_since};
pub use state::STATE_NAME;
use state::{Stamp, State};
pub use stretch::{Stretch, Timeline};

/// What to check, and how.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The archive folders.
    pub dirs: Vec<PathBuf>,
    /// Decode everything, and restore each source into its checksum.
    pub deep: bool,
    /// Threads in all; 0 for as many as the machine can run at once.
    pub workers: usize,
    /// Go on with a pass that was interrupted, and keep a state by which this one can go on.
    pub resume: bool,
    /// Where the state is kept; by default in the archive's `temp/`, if it is needed.
    pub state: Option<PathBuf>,
    /// Leave alone what was found well at or after this time, and has not changed.
    pub since: Option<SystemTime>,
    /// Check this share only, in percent.
    pub sample: Option<f64>,
    /// What the sample is drawn with; without it, a state makes samples go round.
    pub seed: Option<u64>,
    /// Patterns of files that are meant to be in the archive though no manifest names them.
    pub ignore: Vec<String>,
    /// Where to write a report for a person.
    pub report: Option<PathBuf>,
    /// Who may have signed the manifest.
    pub allowed_signers: Option<PathBuf>,
    /// A signature that is missing or not an allowed signer's is an error of its own.
    pub require_signature: bool,
}

/// How a check came out.
#[derive(Debug, Clone, Copy, Default)]
pub struct Outcome {
    /// TIFFs (and, with `deep`, sources) found well, left alone, and findings that count.
    pub summary: Summary,
    /// Findings that do not count.
    pub warnings: u64,
    /// Findings that `tiff2flac repair` can mend.
    pub mendable: u64,
    /// A signature is required, and one is missing or bad.
    pub signature_failed: bool,
}

impl Outcome {
    /// Whether all that is wrong can be mended by `tiff2flac repair`.
    pub fn all_mendable(&self) -> bool {
        self.summary.errors > 0 && self.mendable == self.summary.errors
    }
}

/// Whether the recovery data beside the TIFF at `path` is enough to bring it back to its SHA-256.
fn mendable(path: &Path, expected: Option<Sha256Sum>, interrupt: &Interrupt) -> bool {
    // What cannot be read cannot mend either.
    matches!(parity::assess_for(path, expected, interrupt), Ok(Assessment::Mendable(_)))
}

/// Checks archives.
///
/// # Errors
/// Where nothing could be checked: no archive there, an unreadable manifest, a state that cannot be written; or
/// `Interrupted`, with the report written of what was done so far.
pub fn run(options: &Options, interrupt: &Interrupt, observer: &dyn Observer) -> Result<Outcome> {
    let allowed = options.allowed_signers.as_ref().map(|path| AllowedSigners::read(path)).transpose()?;
    if options.require_signature && allowed.is_none() {
        let text = "--require-signature needs --allowed-signers: a signature by just anybody proves nothing";
        return Err(Error::new(ErrorKind::Usage, text));
    }
    let mut outcome = Outcome::default();
    let mut archives = Vec::new();
    let mut first_error = None;
    let mut opened = 0;
    for dir in &options.dirs {
        match Checker::open(dir, options, allowed.as_ref(), interrupt, observer) {
            Ok(mut checker) => {
                opened += 1;
                let result = checker.check();
                let stopped = result.as_ref().is_err_and(|e| e.kind() == ErrorKind::Interrupted);
                archives.push(checker.close(&mut outcome, stopped));
                if let Err(e) = result {
                    first_error = Some(e);
                    break;
                }
            }
            Err(e) if e.kind() == ErrorKind::Interrupted || options.dirs.len() == 1 => return Err(e),
            Err(e) => {
                let error = Error::new(e.kind(), e.message()).at_path(e.path().unwrap_or(dir));
                Finding::new("archive-unreadable", dir.to_string_lossy(), error).tell(observer);
                outcome.summary.errors += 1;
                first_error.get_or_insert(e);
            }
        }
    }
    if let Some(path) = &options.report {
        report::write(path, &archives)?;
    }
    match first_error {
        Some(e) if opened == 0 || e.kind() == ErrorKind::Interrupted => Err(e),
        _ => Ok(outcome),
    }
}

/// Everything that is to be found in one TIFF of `source`, with all of it decoded.
///
/// # Errors
/// `Interrupted` only.
pub fn check_tiff(source: &Source, chunk: &Chunk, interrupt: &Interrupt) -> Result<Vec<Finding>> {
    chunk::check(source, chunk, true, interrupt)
}

/// The check of one archive.
struct Checker<'a> {
    options: &'a Options,
    allowed: Option<&'a AllowedSigners>,
    dir: PathBuf,
    ctx: Context<'a>,
    found: Found,
    state: Option<State>,
    findings: Mutex<Vec<(Option<usize>, Finding)>>,
    tallies: Mutex<Vec<SourceTally>>,
    warnings: AtomicU64,
    mendable: AtomicU64,
    notes: Vec<String>,
    signature_failed: bool,
    began: SystemTime,
}

impl<'a> Checker<'a> {
    fn open(
        dir: &Path,
        options: &'a Options,
        allowed: Option<&'a AllowedSigners>,
        interrupt: &'a Interrupt,
        observer: &'a dyn Observer,
    ) -> Result<Self> {
        let ctx = Context::new(options.workers, interrupt, observer);
        let dir = manifest::archive_dir(dir);
        let found = ctx.pool()?.install(|| extract::find(&dir, interrupt))?;
        let path = match &options.state {
            Some(path) => Some(path.clone()),
            None if options.resume || options.since.is_some() => Some(manifest::side_dir(&dir).join(state::STATE_NAME)),
            None => None,
        };
        let state = path.map(|path| State::open(&path, &dir)).transpose()?;
        let tallies = Mutex::new(vec![SourceTally::default(); found.sources.len()]);
        Ok(Checker {
            options,
            allowed,
            dir,
            ctx,
            found,
            state,
            findings: Mutex::default(),
            tallies,
            warnings: AtomicU64::new(0),
            mendable: AtomicU64::new(0),
            notes: Vec::new(),
            signature_failed: false,
            began: SystemTime::now(),
        })
    }

    /// Takes a finding in and tells it.
    fn found(&self, source: Option<usize>, finding: Finding) {
        finding.tell(self.ctx.observer);
        match finding.severity {
            Severity::Error => {
                self.ctx.errors.fetch_add(1, Ordering::Relaxed);
                self.mendable.fetch_add(u64::from(finding.mendable), Ordering::Relaxed);
            }
            _ => drop(self.warnings.fetch_add(1, Ordering::Relaxed)),
        }
        self.findings.lock().unwrap_or_else(|e| e.into_inner()).push((source, finding));
    }

    fn note(&mut self, text: String) {
        self.ctx.observer.on(&Event::Note { item: &self.found.name, message: &text });
        self.notes.push(text);
    }

    fn check(&mut self) -> Result<()> {
        self.check_signature()?;
        self.check_books()?;
        let resumed = self.state.as_ref().and_then(|state| state.unfinished(self.options.deep));
        let selection = select::select(self.options, &self.found, self.state.as_ref(), self.began)?;
        self.begin_pass(resumed.filter(|_| self.options.resume));
        if !selection.words.is_empty() {
            self.note(selection.words.clone());
        }
        let mut bytes = 0;
        for (number, source) in self.found.sources.iter().enumerate() {
            let source = source?;
            for (chunk, choice) in source.chunks.iter().zip(&*selection.of(number, source.chunks.len())) {
                bytes += chunk.size_bytes.filter(|_| *choice == Choice::Check).unwrap_or(0);
            }
        }
        self.ctx.observer.on(&Event::Planned { items: self.found.sources.len() as u64, bytes });
        self.ctx.for_each_source(&self.found.sources, |number, source, drivers| {
            self.check_source(number, source, &selection, drivers);
        })
    }

    /// Who signed the manifest.
    fn check_signature(&mut self) -> Result<()> {
        let required = self.options.require_signature;
        if self.found.from_tiffs && !required {
            return Ok(());
        }
        let verdict = match self.found.from_tiffs {
            true => Verdict::Missing,
            false => sign::check(&self.dir, self.allowed).unwrap_or_else(|e| Verdict::Bad(e.message())),
        };
        let path = self.dir.join(manifest::SIGNATURE_NAME);
        let (code, text) = match verdict {
            Verdict::Missing if !required => return Ok(()),
            Verdict::Good { signer, fingerprint } => {
                self.note(format!("manifest.json is signed by {} ({fingerprint})", signer.principals));
                return Ok(());
            }
            Verdict::Missing => ("signature-missing", "there is no signature".to_owned()),
            Verdict::Unchecked { fingerprint } => {
                ("signature-unchecked", format!("signed with {fingerprint}, whoever that may be"))
            }
            Verdict::Stale => {
                ("signature-stale", "manifest.json was changed after it was signed, or is not the one".to_owned())
            }
            Verdict::Bad(why) => ("signature-bad", why),
            Verdict::Untrusted(why) => ("signature-untrusted", why),
        };
        self.signature_failed = required;
        self.found(None, Finding::new(code, manifest::SIGNATURE_NAME, Error::mismatch(text).at_path(path)));
        Ok(())
    }

    /// What can be seen without reading the TIFFs.
    fn check_books(&self) -> Result<()> {
        let interrupt = self.ctx.interrupt;
        let listed = books::listed(&self.found)?;
        let tell = |findings: Vec<Finding>| findings.into_iter().for_each(|finding| self.found(None, finding));
        tell(books::remarks(&self.found));
        tell(books::sums(&self.dir, &self.found, &listed, interrupt)?);
        tell(books::bag(&self.dir, &self.found, interrupt)?);
        let own: Vec<&Path> = [&self.options.report, &self.options.state].into_iter().flatten().map(|p| &**p).collect();
        let ignore = |name: &str, path: &Path| {
            self.options.ignore.iter().any(|pattern| glob_matches(pattern, name))
                || own.iter().any(|own| same_file(own, path))
        };
        tell(books::Extras::of(&self.dir, &self.found, &listed, &ignore));
        for (number, source) in self.found.sources.iter().enumerate() {
            let source = source?;
            // Where chunks are missing that the TIFFs themselves speak of, that has been said.
            if !(self.found.from_tiffs && source.incomplete) {
                books::chunks_of(&source).into_iter().for_each(|finding| self.found(Some(number), finding));
            }
        }
        Ok(())
    }

    /// Begins a pass in the state, or goes on with the one that was interrupted.
    fn begin_pass(&mut self, resumed: Option<SystemTime>) {
        let Some(state) = self.state.as_ref().filter(|_| self.is_pass()) else { return };
        let date = |at| timestamp::to_text(at).unwrap_or_default();
        let text = match (resumed, state.ended()) {
            (Some(at), _) => format!("going on with the check that began on {}", date(at)),
            (None, ended) => {
                state.begin(self.options.deep);
                match ended {
                    Some(at) if self.options.resume => {
                        format!("the last check ended on {}; a new one begins", date(at))
                    }
                    _ => return,
                }
            }
        };
        self.note(text);
    }

    /// Whether this run is to check all of the archive, so that it can be gone on with.
    fn is_pass(&self) -> bool {
        self.options.sample.is_none() && self.options.since.is_none()
    }

    fn check_source(&self, number: usize, source: &Source, selection: &Selection, drivers: usize) {
        let choices = &*selection.of(number, source.chunks.len());
        let whole = source
            .chunks
            .par_iter()
            .zip(choices)
            .map(|(chunk, choice)| self.check_chunk(number, source, chunk, *choice))
            .reduce(|| true, |a, b| a && b);
        let all_chosen = !choices.contains(&Choice::NotChosen);
        if self.options.deep && whole && all_chosen && source.ours && !self.ctx.interrupt.is_stopped() {
            self.restore(number, source, choices, drivers);
        }
    }

    fn tally(&self, source: usize, count: impl FnOnce(&mut SourceTally)) {
        let mut tallies = self.tallies.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(tally) = tallies.get_mut(source) {
            count(tally);
        }
    }

    /// Checks one TIFF as was chosen; false where something is wrong with it or it was not looked into.
    fn check_chunk(&self, number: usize, source: &Source, chunk: &Chunk, choice: Choice) -> bool {
        let (ctx, deep) = (&self.ctx, self.options.deep);
        match choice {
            Choice::WellSince(at) => {
                self.tally(number, |tally| tally.recent += 1);
                let message = format!("found well on {}", timestamp::to_text(at).unwrap_or_default());
                self.tell_chunk(chunk, Status::Skipped, &message);
                return true;
            }
            Choice::NotChosen => {
                match chunk::glance(chunk) {
                    Some(finding) => {
                        self.tally(number, |tally| tally.bad += 1);
                        self.found(Some(number), finding);
                    }
                    None => {
                        self.tally(number, |tally| tally.unchosen += 1);
                        self.tell_chunk(chunk, Status::Skipped, "not in the sample");
                    }
                }
                return false;
            }
            Choice::Check => {}
        }
        // From before reading, so that a change while reading does not go unnoticed later.
        let stamp = Stamp::of(&chunk.path);
        let Ok(findings) = chunk::check(source, chunk, deep, ctx.interrupt) else { return false };
        let well = !findings.iter().any(Finding::counts);
        findings.into_iter().for_each(|finding| self.found(Some(number), finding));
        if let Some(state) = &self.state {
            state.record(select::tiff_key(chunk), stamp, chunk.tiff_sha256, (deep, well));
        }
        let bytes = chunk.size_bytes.unwrap_or(0);
        ctx.archive_bytes.fetch_add(bytes, Ordering::Relaxed);
        ctx.advance(&source.relative_path, bytes);
        match well {
            true => {
                self.tally(number, |tally| tally.ok += 1);
                self.tell_chunk(chunk, Status::Verified, "");
            }
            false => self.tally(number, |tally| tally.bad += 1),
        }
        well
    }

    fn tell_chunk(&self, chunk: &Chunk, status: Status, message: &str) {
        self.ctx.counted(status);
        let details = Map::from_iter([("deep".to_owned(), json!(self.options.deep))]);
        self.ctx.observer.on(&Event::Chunk { item: &chunk.output, status, message, details });
    }

    /// Restores a source into its checksum.
    fn restore(&self, number: usize, source: &Source, choices: &[Choice], drivers: usize) {
        let ctx = &self.ctx;
        let key = select::source_key(source);
        let recent = !choices.is_empty()
            && choices.iter().all(|choice| *choice != Choice::Check)
            && self.state.as_ref().is_some_and(|s| s.well_since(&key, None, source.sha256, true).is_some());
        if recent {
            return self.tally(number, |tally| tally.restored = Some(true));
        }
        let result = match source.incomplete {
            true => Err(Error::new(ErrorKind::Missing, "not all of its chunks can be had")),
            false => extract::restored(ctx, source, drivers, Output::new(None)),
        };
        if result.as_ref().is_err_and(|e| e.kind() == ErrorKind::Interrupted) {
            return;
        }
        let well = result.is_ok();
        self.tally(number, |tally| tally.restored = Some(well));
        if let Some(state) = &self.state {
            state.record(key, None, source.sha256, (true, well));
        }
        match result {
            Ok(_) => {
                ctx.counted(Status::Verified);
                let (status, message, details) = (Status::Verified, "restores to its SHA-256", Map::new());
                ctx.observer.on(&Event::File { item: &source.relative_path, status, message, details });
            }
            Err(e) => self.found(Some(number), Finding::new("source-not-restored", &source.relative_path, e)),
        }
    }

    fn how(&self) -> &'static str {
        match self.options.deep {
            true => {
                "SHA-256 of every TIFF and FLAC, all pages, every frame and MD5 decoded, every source restored into its SHA-256"
            }
            false => {
                "SHA-256 and page directories of every TIFF; where the sum is wrong or not known, all that is inside"
            }
        }
    }

    /// Ends the check, adds to the outcome, and gives what the report says.
    fn close(mut self, outcome: &mut Outcome, interrupted: bool) -> Archive {
        let complete = !interrupted && self.is_pass();
        if let Some(state) = self.state.take()
            && let Err(e) = state.end(self.options.deep, complete)
        {
            self.found(None, Finding::new("state-not-written", "state", e));
        }
        let summary = self.ctx.summary();
        outcome.summary.ok += summary.ok;
        outcome.summary.skipped += summary.skipped;
        outcome.summary.errors += summary.errors;
        outcome.summary.source_bytes += summary.source_bytes;
        outcome.summary.archive_bytes += summary.archive_bytes;
        outcome.signature_failed |= self.signature_failed;
        outcome.warnings += self.warnings.load(Ordering::Relaxed);
        outcome.mendable += self.mendable.load(Ordering::Relaxed);
        let how = self.how().to_owned();
        let mut findings = self.findings.into_inner().unwrap_or_else(|e| e.into_inner());
        // Found by several threads in any order.
        findings.sort_by(|(a, f), (b, g)| (a, &f.item).cmp(&(b, &g.item)));
        let tallies = self.tallies.into_inner().unwrap_or_else(|e| e.into_inner());
        Archive {
            name: self.found.name,
            how,
            began: self.began,
            ended: SystemTime::now(),
            interrupted,
            sources: self.found.sources,
            tallies,
            findings,
            notes: self.notes,
        }
    }
}

/// Whether two paths lead to one file.
fn same_file(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

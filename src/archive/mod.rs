//! The encode side: plan → chunk → write → prove → record.
//!
//! [`run`] takes a folder (or one file) and an archive folder. Each thread of the pool drives one source at a time; the
//! blocks of a source are encoded by whichever threads are free, so that one long recording uses all of them and so do
//! many short ones. All threads together are `workers`; no work in hand depends on the number of sources.
//!
//! | file | step |
//! |---|---|
//! | `plan` | which files there are, and what their TIFFs will be called |
//! | `ledger` | lock, journal and manifest at the start and the end of a run |
//! | `resume` | what to do with a source that the archive has already |
//! | `input`, `decoded` | opening a source: plain samples, coded audio, its own FLAC |
//! | `about` | what is known about a recording beside its samples |
//! | `job` | one source from its first byte to its proved TIFFs: chunks, their directories, what is finished |
//! | `chunk` | sample bytes → FLAC frames, hashes, preview |
//! | `pipeline` | which thread does what next |
//! | `xmp` | what photo tools index |
//! | `pages`, `write` | the TIFF of one chunk as it grows |
//! | `prove` | reading it back |
//! | `record` | syncs, journal, final names |

mod about;
mod chunk;
mod decoded;
mod input;
mod job;
pub(crate) mod ledger;
mod pages;
mod pipeline;
mod plan;
mod prove;
mod record;
mod resume;
mod write;
mod xmp;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use serde_json::{Map, Value, json};

use crate::durable;
use crate::error::{Error, ErrorKind, Result};
use crate::events::{Event, Observer, Status, Summary};
use crate::flac::Level;
use crate::interrupt::Interrupt;
use crate::manifest::{self, Journal, Manifest, NameMap, Place, ReadLimits, SourceRecord, TiffNames};
use crate::packed::Packed;
use crate::parity::Redundancy;
use crate::preview::{self, Analyzer};
use crate::sign;
use crate::source::Kind;
use crate::source::tags::MetadataFile;
use crate::threads;
use ledger::Ledger;
use plan::{Candidate, Plan};
use resume::Decision;

/// What to do with a source that the archive has already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Say so and leave it alone.
    Report,
    /// Check source and TIFFs by their checksums; leave it alone if both are as recorded, else archive it again.
    Resume,
    /// Archive it again.
    Overwrite,
}

/// What to archive, where to, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// A folder, searched with its sub-folders, or one file.
    pub input: PathBuf,
    /// The archive folder; made if it is not there.
    pub output: PathBuf,
    /// Goes in front of every relative path in the archive, to keep two inputs with like-named files apart.
    pub prefix: Option<String>,
    /// Threads in all; 0 for as many as the machine can run at once.
    pub workers: usize,
    /// Length of a full chunk in seconds, at least 1.
    pub chunk_seconds: u64,
    /// See [`Existing`].
    pub existing: Existing,
    /// Keep the folder `temp/` at the end.
    pub keep_temp: bool,
    /// Say what would be done, and write nothing.
    pub dry_run: bool,
    /// Keep the bytes of audio that nothing here decodes, without a FLAC.
    pub attach_unknown: bool,
    /// How hard the FLAC encoder tries.
    pub level: Level,
    /// How the pictures look.
    pub preview: preview::Settings,
    /// Write each picture as a PNG beside its TIFF too.
    pub preview_png: bool,
    /// Add recovery data to each TIFF, so much of it.
    pub parity: Option<Redundancy>,
    /// Metadata that the keeper gives for all sources: keys and values.
    pub meta: Vec<(String, String)>,
    /// Metadata that the keeper gives source by source.
    pub metadata: Option<MetadataFile>,
    /// The key that the manifest is signed with at the end.
    pub sign_manifest: Option<PathBuf>,
}

impl Options {
    /// The defaults: 6 h chunks, all cores.
    pub fn new(input: impl Into<PathBuf>, output: impl Into<PathBuf>) -> Options {
        Options {
            input: input.into(),
            output: output.into(),
            prefix: None,
            workers: 0,
            chunk_seconds: 21_600,
            existing: Existing::Report,
            keep_temp: false,
            dry_run: false,
            attach_unknown: false,
            level: Level::Default,
            preview: preview::Settings::default(),
            preview_png: false,
            parity: None,
            meta: Vec::new(),
            metadata: None,
            sign_manifest: None,
        }
    }
}

/// What all parts of a run share.
pub(crate) struct Context<'a> {
    pub(crate) options: &'a Options,
    /// The archive folder.
    pub(crate) root: PathBuf,
    /// Where work in progress stands.
    pub(crate) temp: PathBuf,
    pub(crate) interrupt: Interrupt,
    pub(crate) observer: &'a dyn Observer,
}

/// Files that a run may put beside a TIFF, and that no manifest names: how their names end, and what stands there in the
/// name of the TIFF.
pub(crate) const COMPANIONS: [(&str, &str); 2] = [(".png", ".tiff"), (".tiff.parity", ".tiff")];

/// Raw bytes that a source reads in one go where several threads share them; they stay in the processor's cache.
const BATCH_BYTES: usize = 256 << 10;

impl Context<'_> {
    /// Raw bytes that a source reads in one go. What one thread does alone it does task by task: as quick, with less memory.
    pub(crate) fn batch_bytes(&self) -> usize {
        if self.options.workers == 1 { chunk::TASK_BYTES } else { BATCH_BYTES }
    }

    /// How many batches one source has on the way while `drivers` sources are worked on: enough that no thread has to wait
    /// for another, and where each thread has a source of its own, one to go on with.
    pub(crate) fn batches(&self, drivers: usize) -> usize {
        2 * self.options.workers.div_ceil(drivers.max(1))
    }

    /// For `samples` samples per channel, where that is known.
    pub(crate) fn analyzer(
        &self,
        sample_rate: u32,
        channels: usize,
        bits: u8,
        samples: Option<u64>,
    ) -> Result<Analyzer> {
        let analyzer = Analyzer::new(sample_rate, channels, bits, &self.options.preview)?;
        Ok(match samples {
            Some(samples) => analyzer.expecting(samples),
            None => analyzer,
        })
    }

    pub(crate) fn advance(&self, candidate: &Candidate, bytes: u64) {
        self.observer.on(&Event::Advanced { item: &candidate.relative, bytes });
    }
}

#[derive(Default)]
struct Tally {
    ok: AtomicU64,
    skipped: AtomicU64,
    errors: AtomicU64,
    source_bytes: AtomicU64,
    archive_bytes: AtomicU64,
}

impl Tally {
    fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }

    fn summary(&self) -> Summary {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Summary {
            ok: get(&self.ok),
            skipped: get(&self.skipped),
            errors: get(&self.errors),
            source_bytes: get(&self.source_bytes),
            archive_bytes: get(&self.archive_bytes),
        }
    }
}

/// Archives all that `options` names.
///
/// What goes wrong with one source is reported to `observer`, counted in the summary, and does not stop the others.
///
/// # Errors
/// Where the run as a whole cannot go on: the input is not there, the archive folder is not writable or in use by
/// another run, its manifest is unreadable; or `Interrupted`, with all finished sources kept.
pub fn run(options: &Options, interrupt: &Interrupt, observer: &dyn Observer) -> Result<Summary> {
    let root = manifest::archive_dir(&options.output);
    // What is wrong with the key is to be said before the work, not after it.
    let key = options.sign_manifest.as_deref().map(sign::Key::open).transpose()?;
    let before = modified(&root);
    let resolved = Options { output: root.clone(), workers: threads::or_all(options.workers), ..options.clone() };
    let result = run_in(&resolved, interrupt, observer);
    if options.dry_run {
        return result;
    }
    let changed = modified(&root) != before;
    let note = |message: &str| observer.on(&Event::Note { item: &options.output.to_string_lossy(), message });
    if let (Some(key), Ok(_)) = (&key, &result) {
        let signed = key.sign(&root)?;
        note(&format!("manifest.json is signed with {} {}", signed.algorithm, signed.fingerprint));
    } else if let Some(message) = sign::stale_note(&root).filter(|_| changed) {
        note(message);
    }
    if root != options.output && (changed || key.is_some()) {
        note("the bag around the archive is not up to date any more; `tiff2flac bag` brings it up to date");
    }
    result
}

/// When the manifest was last written.
fn modified(root: &Path) -> Option<std::time::SystemTime> {
    fs::metadata(root.join(manifest::MANIFEST_NAME)).ok()?.modified().ok()
}

fn run_in(options: &Options, interrupt: &Interrupt, observer: &dyn Observer) -> Result<Summary> {
    if options.chunk_seconds == 0 {
        return Err(Error::new(ErrorKind::Usage, "--chunk-seconds must be at least 1"));
    }
    // Threads that are there before there is work get a core each; new ones may share one for many milliseconds.
    let pool = if options.dry_run { None } else { pool(options)? };
    let plan = plan::plan(&options.input, &options.output, options.prefix.as_deref())?;
    tell_unmatched(options, &plan, observer);
    if options.dry_run {
        return dry_run(options, &plan, interrupt, observer);
    }
    let root = options.output.clone();
    let (ledger, journal) = Ledger::open(options)?;
    for note in &ledger.notes {
        observer.on(&Event::Note { item: "archive", message: note });
    }
    let temp = root.join(manifest::TEMP_DIR);
    clear(&temp)?;
    let ctx = Context { options, root: root.clone(), temp: temp.clone(), interrupt: interrupt.clone(), observer };
    let tally = Tally::default();
    report_problems(&plan, observer, &tally);
    let (committed, journal) = archive_all(&ctx, &plan, &ledger.manifest, journal, pool.as_ref(), &tally)?;
    ledger.close(&root, journal, committed, options.keep_temp)?;
    interrupt.check()?;
    Ok(tally.summary())
}

/// The run's threads; none where the calling one does all.
fn pool(options: &Options) -> Result<Option<rayon::ThreadPool>> {
    // Recovery data is computed and checked by a pool, and inside of somebody else's there are other threads.
    let needed = options.workers > 1
        || options.parity.is_some()
        || options.existing == Existing::Resume
        || rayon::current_thread_index().is_some();
    needed.then(|| threads::pool(options.workers)).transpose()
}

/// Sources that the metadata file names and the input does not have: somebody may have misspelt them.
fn tell_unmatched(options: &Options, plan: &Plan, observer: &dyn Observer) {
    /// Named one by one; a table of a whole collection is no reason for thousands of lines.
    const MOST: usize = 20;
    let Some(file) = &options.metadata else { return };
    let unmatched = file.unmatched(plan.names().map(Path::new));
    for item in unmatched.iter().take(MOST) {
        observer.on(&Event::Note { item, message: "named in the metadata file, but not among the recordings" });
    }
    if unmatched.len() > MOST {
        let message = format!("and {} more that the metadata file names", unmatched.len() - MOST);
        observer.on(&Event::Note { item: "metadata", message: &message });
    }
}

/// Empties `temp/` of what an earlier run left; what counted of it has been recovered before.
pub(crate) fn clear(temp: &Path) -> Result<()> {
    durable::create_dir_all(temp)?;
    for entry in fs::read_dir(temp).map_err(Error::while_("listing", temp))? {
        let path = entry.map_err(Error::while_("listing", temp))?.path();
        let ours = path.extension().is_some_and(|e| e != "lock" && e != "jsonl");
        if ours && path.is_file() {
            fs::remove_file(&path).map_err(Error::while_("removing a left-over of an earlier run", &path))?;
        }
    }
    Ok(())
}

fn report_problems(plan: &Plan, observer: &dyn Observer, tally: &Tally) {
    for problem in &plan.problems {
        let item = problem.path().map(|p| p.to_string_lossy().into_owned()).unwrap_or_default();
        observer.on(&Event::Failed { item: &item, error: problem });
        Tally::add(&tally.errors, 1);
    }
}

fn archive_all(
    ctx: &Context<'_>,
    plan: &Plan,
    manifest: &Manifest,
    journal: Journal,
    pool: Option<&rayon::ThreadPool>,
    tally: &Tally,
) -> Result<(Vec<Place>, Journal)> {
    let options = ctx.options;
    let bases = assign_names(plan, manifest, options.attach_unknown)?;
    ctx.observer.on(&Event::Planned { items: plan.len() as u64, bytes: plan.bytes() });
    let done = |record: &SourceRecord, notes: &[String]| {
        Tally::add(&tally.ok, 1);
        Tally::add(&tally.source_bytes, record.size_bytes.unwrap_or(0));
        for chunk in record.chunks.iter() {
            Tally::add(&tally.archive_bytes, chunk.size_bytes.unwrap_or(0));
        }
        report_done(ctx.observer, record, notes);
    };
    let failed = |item: &str, error: &Error| {
        if error.kind() != ErrorKind::Interrupted {
            Tally::add(&tally.errors, 1);
            ctx.observer.on(&Event::Failed { item, error });
        }
    };
    let recorder = record::Recorder::new(&ctx.root, journal, &done, &failed);
    let next = AtomicUsize::new(0);
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(candidate) = plan.candidate(number) else { break };
            if ctx.interrupt.is_stopped() {
                break;
            }
            let drivers = options.workers.min(plan.len() - number).max(1);
            ctx.observer.on(&Event::Started { item: &candidate.relative, bytes: candidate.size });
            let base = bases.get(number).filter(|base| !base.is_empty());
            let known = manifest.files.get(&candidate.relative);
            match known.and_then(|known| archive_one(ctx, &candidate, known.as_deref(), number, base, drivers)) {
                Ok(One::Finished(finished)) => recorder.submit(*finished),
                Ok(One::Skipped { message, tell }) => {
                    Tally::add(&tally.skipped, 1);
                    if tell {
                        ctx.observer.on(&Event::Note { item: &candidate.relative, message: &message });
                    }
                    let event = Event::File {
                        item: &candidate.relative,
                        status: Status::Skipped,
                        message: &message,
                        details: Map::new(),
                    };
                    ctx.observer.on(&event);
                }
                Err(e) => failed(&candidate.relative, &e.at_path(&candidate.path)),
            }
            ctx.observer.on(&Event::Ended { item: &candidate.relative });
        }
    };
    match pool {
        Some(pool) => drop(pool.broadcast(|_| work())),
        None => work(),
    }
    recorder.flush();
    Ok(recorder.into_committed())
}

/// How one candidate came out, if not with an error.
enum One {
    Finished(Box<job::Finished>),
    Skipped { message: String, tell: bool },
}

fn archive_one(
    ctx: &Context<'_>,
    candidate: &Candidate,
    known: Option<&SourceRecord>,
    number: usize,
    base: Option<&str>,
    drivers: usize,
) -> Result<One> {
    if let Some(record) = known {
        match resume::decide(ctx, candidate, record, number)? {
            Decision::Archive => {}
            Decision::Skip(message) => return Ok(One::Skipped { message, tell: false }),
        }
    }
    let Some(base) = base else {
        // Two files of the folder share a stem, and this one was looked at already.
        return not_audio(candidate, &input::what_is(&candidate.path)?);
    };
    match job::archive(ctx, candidate, number, base, drivers) {
        Ok(mut finished) => {
            finished.replaces(known, &ctx.root);
            Ok(One::Finished(Box::new(finished)))
        }
        Err(e) if e.kind() == ErrorKind::Unsupported || e.kind() == ErrorKind::Malformed => {
            match input::what_is(&candidate.path) {
                Ok(Kind::NotAudio(what)) => not_audio(candidate, &Kind::NotAudio(what)),
                _ => Err(e),
            }
        }
        Err(e) => Err(e),
    }
}

fn not_audio(candidate: &Candidate, kind: &Kind) -> Result<One> {
    match kind {
        Kind::NotAudio(what) if !plan::claims_audio(&candidate.path) => {
            Ok(One::Skipped { message: format!("not audio ({what}); left out"), tell: true })
        }
        Kind::NotAudio(what) => {
            let otherwise = match candidate.size {
                0 => "Keep",
                _ => "If it is a damaged recording, --attach-unknown archives its bytes; otherwise keep",
            };
            Err(Error::unsupported(format!(
                "named like audio, but it is {what}; not archived. {otherwise} it elsewhere, or give it its right name"
            )))
        }
        Kind::UnknownAudio(what) => Err(input::cannot_decode(what)),
        _ => Err(Error::unsupported("not archived")),
    }
}

/// The base of every candidate's TIFF names; empty for one that is no audio and would take a name from one that is.
fn assign_names(plan: &Plan, manifest: &Manifest, attach_unknown: bool) -> Result<Packed> {
    let mut names = TiffNames::of(manifest)?;
    let mut stems = NameMap::default();
    for name in plan.names() {
        *stems.get_or_insert(&stem_key(name), 0u32) += 1;
    }
    let mut bases = Packed::default();
    for candidate in plan.candidates() {
        let alone = stems.get(&stem_key(&candidate.relative)) == Some(&1);
        let kind = if alone { None } else { input::what_is(&candidate.path).ok() };
        let usable = match kind {
            Some(kind @ (Kind::NotAudio(_) | Kind::UnknownAudio(_))) => {
                attach_unknown && input::is_attachable(&kind, &candidate.path, candidate.size)
            }
            _ => true,
        };
        if !usable {
            bases.push("");
            continue;
        }
        let known = manifest.files.get(&candidate.relative)?;
        match known.as_ref().and_then(|record| manifest::stem_of_tiff(&record.chunks.first()?.tiff_path)) {
            Some(base) => bases.push(base),
            None => bases.push(&names.assign(&candidate.relative)),
        }
    }
    Ok(bases)
}

fn stem_key(relative: &str) -> String {
    let (dir, name) = relative.rsplit_once('/').unwrap_or(("", relative));
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| if stem.is_empty() { name } else { stem });
    format!("{dir}/{stem}").to_lowercase()
}

fn report_done(observer: &dyn Observer, record: &SourceRecord, notes: &[String]) {
    for note in notes {
        observer.on(&Event::Note { item: &record.relative_path, message: note });
    }
    for chunk in record.chunks.iter() {
        let mut details = Map::new();
        details.insert("chunk_id".into(), json!(chunk.chunk_id));
        details.insert("source".into(), json!(record.relative_path));
        details.insert("tiff_path".into(), json!(chunk.tiff_path));
        details.insert("flac_sha256".into(), json!(chunk.flac_sha256));
        details.insert("tiff_sha256".into(), json!(chunk.tiff_sha256));
        details.insert("size_bytes".into(), json!(chunk.size_bytes));
        let event = Event::Chunk { item: &chunk.tiff_path, status: Status::Archived, message: "", details };
        observer.on(&event);
    }
    let mut details = Map::new();
    details.insert("sha256".into(), json!(record.sha256));
    details.insert("size_bytes".into(), json!(record.size_bytes));
    details.insert("restore".into(), json!(record.restore));
    details.insert("chunks".into(), json!(record.chunks.len()));
    let tiffs: u64 = record.chunks.iter().filter_map(|c| c.size_bytes).sum();
    details.insert("archive_bytes".into(), Value::from(tiffs));
    observer.on(&Event::File { item: &record.relative_path, status: Status::Archived, message: "", details });
}

/// Says what a run would do with each file, and writes nothing.
fn dry_run(options: &Options, plan: &Plan, interrupt: &Interrupt, observer: &dyn Observer) -> Result<Summary> {
    let tally = Tally::default();
    report_problems(plan, observer, &tally);
    let manifest = Manifest::read(&options.output, &ReadLimits::default())?.unwrap_or_default();
    let bases = assign_names(plan, &manifest, options.attach_unknown)?;
    for (candidate, base) in plan.candidates().zip(bases.iter()) {
        interrupt.check()?;
        let item = candidate.relative.as_str();
        let known = manifest.files.contains(item) && options.existing != Existing::Overwrite;
        let outcome = match input::what_is(&candidate.path) {
            Ok(_) if known => Ok((Status::Skipped, "already in the archive".to_owned())),
            Ok(kind @ (Kind::NotAudio(_) | Kind::UnknownAudio(_))) if !options.attach_unknown => {
                not_audio(&candidate, &kind).map(|one| match one {
                    One::Skipped { message, .. } => (Status::Skipped, message),
                    One::Finished(_) => (Status::Planned, String::new()),
                })
            }
            Ok(kind) => Ok((
                Status::Planned,
                format!("{} → {base}_chunk_*.tiff", input::describe(&kind, options.chunk_seconds)),
            )),
            Err(e) => Err(e),
        };
        match outcome {
            Ok((status, message)) => {
                let counter = if status == Status::Planned { &tally.ok } else { &tally.skipped };
                Tally::add(counter, 1);
                observer.on(&Event::File { item, status, message: &message, details: Map::new() });
            }
            Err(e) => {
                Tally::add(&tally.errors, 1);
                observer.on(&Event::Failed { item, error: &e.at_path(&candidate.path) });
            }
        }
    }
    Ok(tally.summary())
}

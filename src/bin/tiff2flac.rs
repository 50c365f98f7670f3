//! `tiff2flac`: gives back what `audio2tiff` archived, and checks archives.

mod commands;
mod terminal;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use audio_tiff::bag;
use audio_tiff::error::ErrorKind;
use audio_tiff::events::{Event, Observer, Status, Summary};
use audio_tiff::extract;
use audio_tiff::info;
use audio_tiff::interrupt::Interrupt;
use audio_tiff::manifest::archive_dir;
use audio_tiff::parity::Redundancy;
use audio_tiff::sign;
use audio_tiff::transfer;
use audio_tiff::verify;
use clap::{Args, CommandFactory, Parser, Subcommand};
use terminal::{Terminal, Verbosity};

/// Extract the FLACs of an archive made by `audio2tiff`, each checked against its SHA-256, and rebuild the original
/// files byte for byte.
#[derive(Parser)]
#[command(
    name = "tiff2flac", version, after_help = EXAMPLES,
    args_conflicts_with_subcommands = true, subcommand_negates_reqs = true
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    extract: Extract,
}

#[derive(Args)]
struct Extract {
    /// The archive folder
    #[arg(long, value_name = "DIR", default_value = "out_tiffs")]
    input_dir: PathBuf,
    /// Where the FLACs go
    #[arg(long, value_name = "DIR", default_value = "recovered_flacs")]
    out_flac_dir: PathBuf,
    /// Where rebuilt files go
    #[arg(long, value_name = "DIR", default_value = "reconstructed")]
    out_wav_dir: PathBuf,
    /// Rebuild the original files too, and check their SHA-256
    #[arg(long)]
    reconstruct: bool,
    /// Leave alone what is there with the right checksum, and do the rest
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    workers: Workers,
    #[command(flatten)]
    verbosity: Verbosity,
    /// Write man pages and shell completions to PREFIX/share, and do nothing else
    #[arg(long, value_name = "PREFIX", exclusive = true)]
    install_docs: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct Workers {
    /// Threads in all [default: all cores]
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    workers: Option<u16>,
}

impl Workers {
    /// 0 for all.
    pub(crate) fn count(&self) -> usize {
        self.workers.map_or(0, usize::from)
    }
}

#[derive(Subcommand)]
enum Command {
    /// Check everything in archives
    Verify(Verify),
    /// Show all about TIFFs: pages, FLACs, source, metadata, what they restore to, and whether they are whole
    Info {
        /// TIFFs, of an archive or not
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
        #[command(flatten)]
        verbosity: Verbosity,
    },
    /// Sign the manifest with an SSH key (manifest.json.sig); one signature covers all of the archive
    Sign {
        /// The archive folder
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        /// A private key; or the public key of one that the agent or a token has
        #[arg(long, value_name = "KEY")]
        key: PathBuf,
        #[command(flatten)]
        verbosity: Verbosity,
    },
    /// Make a bag (BagIt, RFC 8493) of an archive, without copying; a bag goes on being an archive
    Bag(Bag),
    /// Make one archive of several; they stay as they are
    Merge {
        /// The archive folders
        #[arg(value_name = "DIR", required = true)]
        dirs: Vec<PathBuf>,
        /// The archive that takes all in; made if it is not there, added to if it is
        #[arg(long, value_name = "DIR")]
        into: PathBuf,
        /// Make hard links instead of copies that are compared with their SHA-256
        #[arg(long)]
        link: bool,
        /// Put the name of each archive's folder in front of its paths, to keep like-named recordings apart
        #[arg(long)]
        prefix: bool,
        #[command(flatten)]
        verbosity: Verbosity,
    },
    /// Take recordings out of an archive into another
    Split {
        /// The archive folder
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        /// The archive that takes them in; made if it is not there, added to if it is
        #[arg(long, value_name = "DIR")]
        into: PathBuf,
        /// Which recordings, by their relative paths, as often as needed: 'day1/*'
        #[arg(long, value_name = "PATTERN", required = true)]
        select: Vec<String>,
        /// Make hard links instead of copies that are compared with their SHA-256
        #[arg(long)]
        link: bool,
        /// Leave them in the first archive too
        #[arg(long)]
        keep: bool,
        #[command(flatten)]
        verbosity: Verbosity,
    },
    /// Write a lost manifest.json and SHA256SUMS again, from the TIFFs alone, after checking all of them
    RebuildManifest {
        /// The archive folder
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        /// Replace a manifest that is there
        #[arg(long)]
        overwrite: bool,
        #[command(flatten)]
        workers: Workers,
        #[command(flatten)]
        verbosity: Verbosity,
    },
    /// Add recovery data beside each TIFF, from which `repair` brings it back after damage; TIFFs stay as they are
    Protect {
        /// The archive folder
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        /// How much, in percent of each TIFF's size: 0.1 to 100
        #[arg(long, value_name = "PERCENT")]
        parity: Redundancy,
        #[command(flatten)]
        workers: Workers,
        #[command(flatten)]
        verbosity: Verbosity,
    },
    /// Bring damaged TIFFs back to their SHA-256, from the recovery data beside them
    Repair {
        /// The archive folder, or one TIFF
        #[arg(value_name = "PATH")]
        path: PathBuf,
        #[command(flatten)]
        workers: Workers,
        #[command(flatten)]
        verbosity: Verbosity,
    },
    /// Of damaged recordings, write all that is whole, silence for the rest, and a list of what is lost
    Salvage {
        /// The archive folder
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        /// Where salvaged recordings go; the archive is not changed
        #[arg(long, value_name = "OUT")]
        out_dir: PathBuf,
        #[command(flatten)]
        workers: Workers,
        #[command(flatten)]
        verbosity: Verbosity,
    },
    /// Take a passage out of a recording, to the sample
    Cut(commands::cut::Args),
    /// Make the search index of an archive, or bring it up to date
    #[cfg(feature = "index")]
    Index(commands::index::Args),
    /// Find recordings by words, metadata and time
    #[cfg(feature = "index")]
    Search(commands::search::Args),
    /// Look through an archive and listen to it, in a browser
    #[cfg(feature = "serve")]
    Serve(commands::serve::Args),
}

#[derive(Args)]
struct Verify {
    /// The archive folders
    #[arg(value_name = "DIR", required = true)]
    dirs: Vec<PathBuf>,
    /// Also decode everything and check that each source would come back with its SHA-256
    #[arg(long)]
    deep: bool,
    /// Go on with a check that was interrupted; what is checked is recorded for the next time
    #[arg(long)]
    resume: bool,
    /// Where to record what was checked [default: temp/verified.jsonl in the archive, with --resume or --since]
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Check only what was not found well since then (a date, or 36h, 7d, 2w ago)
    #[arg(long, value_name = "DATE|AGO", value_parser = since)]
    since: Option<SystemTime>,
    /// Check a share only; with --state the share goes round, so that repeated runs check everything
    #[arg(long, value_name = "PERCENT", value_parser = verify::parse_sample)]
    sample: Option<f64>,
    /// Choose the sample by this number, the same for the same number
    #[arg(long, value_name = "N", requires = "sample")]
    seed: Option<u64>,
    /// Files that are meant to be there though no manifest names them, as often as needed: 'README*'
    #[arg(long, value_name = "PATTERN")]
    ignore: Vec<String>,
    /// Write a report for a person
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Who may have signed the manifest: a file as ssh-keygen(1) describes it
    #[arg(long, value_name = "FILE")]
    allowed_signers: Option<PathBuf>,
    /// Exit with status 5 unless an allowed signer has signed the manifest
    #[arg(long, requires = "allowed_signers")]
    require_signature: bool,
    #[command(flatten)]
    workers: Workers,
    #[command(flatten)]
    verbosity: Verbosity,
}

#[derive(Args)]
struct Bag {
    /// The archive folder, which becomes the bag; or a bag, to bring it up to date
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Make the bag here, of hard links, and leave the archive as it is
    #[arg(long, value_name = "BAG")]
    into: Option<PathBuf>,
    /// A line of bag-info.txt, as often as needed: Source-Organization=…, Contact-Name=…
    #[arg(long, value_name = "LABEL=VALUE", value_parser = info)]
    info: Vec<(String, String)>,
    /// Read every TIFF and compare it with its checksum first
    #[arg(long)]
    verify: bool,
    #[command(flatten)]
    workers: Workers,
    #[command(flatten)]
    verbosity: Verbosity,
}

fn info(text: &str) -> Result<(String, String), String> {
    bag::parse_info(text).map_err(|e| e.to_string())
}

fn since(text: &str) -> Result<SystemTime, String> {
    verify::parse_since(text, SystemTime::now())
}

/// Exit status: all that is wrong can be mended by `tiff2flac repair`.
const MENDABLE: u8 = 4;

/// Exit status: a signature is required, and missing or bad.
const UNSIGNED: u8 = 5;

const EXAMPLES: &str = "Examples:
  tiff2flac --input-dir archive --out-flac-dir flacs
  tiff2flac --input-dir archive --reconstruct --out-wav-dir originals
  tiff2flac verify archive
  tiff2flac rebuild-manifest archive                if its manifest.json is lost
  tiff2flac protect archive --parity 5%             recovery data beside each TIFF
  tiff2flac repair archive                          mend damaged TIFFs with it
  tiff2flac salvage archive --out-dir salvaged      what is left of what cannot be mended
  tiff2flac search archive 'harbour anna' --from 2026-05-01 --field speaker=anna
  tiff2flac cut archive --source interview.wav --from 1:30:00 --to 1:31:10 -o passage.flac
  tiff2flac serve archive                           look and listen, in a browser

Exit status: 0 all well; 1 the run could not go on (no archive there, output not writable); 2 wrong
usage; 3 something could not be verified or restored (named on stderr), all the rest was done;
4 all that `verify` found can be mended by `repair`; 5 signature missing or bad where required; 130 stopped by Ctrl-C.";

fn main() -> ExitCode {
    let cli = Cli::parse();
    let interrupt = Interrupt::new();
    terminal::on_signals(&interrupt);
    match cli.command {
        Some(Command::Verify(args)) => verify(args, &interrupt),
        Some(Command::Merge { dirs, into, link, prefix, verbosity }) => {
            let terminal = Terminal::new(verbosity, "merging");
            let options = transfer::Merge { from: dirs, into, how: how(link), prefix };
            terminal.finish(transfer::merge(&options, &interrupt, &terminal))
        }
        Some(Command::Split { dir, into, select, link, keep, verbosity }) => {
            let terminal = Terminal::new(verbosity, "splitting");
            let options = transfer::Split { from: dir, into, select, how: how(link), keep };
            terminal.finish(transfer::split(&options, &interrupt, &terminal))
        }
        Some(Command::Info { files, verbosity }) => show_info(&files, verbosity, &interrupt),
        Some(Command::Sign { dir, key, verbosity }) => sign_manifest(&dir, &key, verbosity),
        Some(Command::Bag(args)) => make_bag(args, &interrupt),
        Some(Command::RebuildManifest { dir, overwrite, workers, verbosity }) => {
            let terminal = Terminal::new(verbosity, "reading");
            let result = extract::rebuild_manifest(&dir, overwrite, workers.count(), &interrupt, &terminal);
            terminal.finish(result)
        }
        Some(Command::Protect { dir, parity, workers, verbosity }) => {
            let terminal = Terminal::new(verbosity, "protecting");
            let result = extract::protect(&archive_dir(&dir), parity, workers.count(), &interrupt, &terminal);
            terminal.finish(result)
        }
        Some(Command::Repair { path, workers, verbosity }) => {
            let terminal = Terminal::new(verbosity, "checking");
            let result = extract::repair(&archive_dir(&path), workers.count(), &interrupt, &terminal);
            terminal.finish(result)
        }
        Some(Command::Salvage { dir, out_dir, workers, verbosity }) => {
            let terminal = Terminal::new(verbosity, "salvaging");
            let result = extract::salvage(&archive_dir(&dir), &out_dir, workers.count(), &interrupt, &terminal);
            terminal.finish(result)
        }
        Some(Command::Cut(args)) => commands::cut::run(args, &interrupt),
        #[cfg(feature = "index")]
        Some(Command::Index(args)) => commands::index::run(args, &interrupt),
        #[cfg(feature = "index")]
        Some(Command::Search(args)) => commands::search::run(args, &interrupt),
        #[cfg(feature = "serve")]
        Some(Command::Serve(args)) => commands::serve::run(args, &interrupt),
        None => match &cli.extract.install_docs {
            Some(prefix) => terminal::docs::install(Cli::command(), prefix),
            None => run(cli.extract, &interrupt),
        },
    }
}

fn run(args: Extract, interrupt: &Interrupt) -> ExitCode {
    let options = extract::Options {
        input_dir: args.input_dir,
        out_flac_dir: args.out_flac_dir,
        out_wav_dir: args.out_wav_dir,
        reconstruct: args.reconstruct,
        resume: args.resume,
        workers: args.workers.count(),
    };
    let terminal = Terminal::new(args.verbosity, "extracting");
    let result = extract::run(&options, interrupt, &terminal);
    terminal.finish(result)
}

fn how(link: bool) -> transfer::How {
    if link { transfer::How::Link } else { transfer::How::Copy }
}

fn show_info(files: &[PathBuf], verbosity: Verbosity, interrupt: &Interrupt) -> ExitCode {
    let terminal = Terminal::new(verbosity, "looking at");
    let mut summary = Summary::default();
    for file in files {
        match info::examine(file, interrupt) {
            Ok(about) => {
                let shown = if verbosity.json { format!("{}\n", about.json) } else { info::text(&about.json) };
                // A closed pipe ends the listing, not the looking.
                let _ = std::io::stdout().lock().write_all(shown.as_bytes());
                match about.whole {
                    Some(true) => summary.ok += 1,
                    Some(false) => summary.errors += 1,
                    None => summary.skipped += 1,
                }
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => return terminal.finish(Err(e)),
            Err(e) => {
                terminal.on(&Event::Failed { item: &file.to_string_lossy(), error: &e });
                summary.errors += 1;
            }
        }
    }
    terminal.finish(Ok(summary))
}

fn sign_manifest(dir: &Path, key: &Path, verbosity: Verbosity) -> ExitCode {
    let terminal = Terminal::new(verbosity, "signing");
    let result = sign::Key::open(key).and_then(|key| key.sign(dir)).map(|signed| {
        let message = format!("signed with {} {}", signed.algorithm, signed.fingerprint);
        let item = signed.path.to_string_lossy();
        let (status, details) = (Status::Archived, serde_json::Map::new());
        terminal.on(&Event::File { item: &item, status, message: &message, details });
        if !verbosity.json && !verbosity.quiet {
            terminal.on(&Event::Note { item: &item, message: &message });
        }
        Summary { ok: 1, ..Summary::default() }
    });
    terminal.finish(result)
}

fn make_bag(args: Bag, interrupt: &Interrupt) -> ExitCode {
    let options = bag::Options {
        dir: args.dir,
        into: args.into,
        info: args.info,
        verify: args.verify,
        workers: args.workers.count(),
    };
    let terminal = Terminal::new(args.verbosity, "bagging");
    let result = bag::run(&options, interrupt, &terminal);
    terminal.finish(result)
}

fn verify(args: Verify, interrupt: &Interrupt) -> ExitCode {
    let options = verify::Options {
        dirs: args.dirs,
        deep: args.deep,
        workers: args.workers.count(),
        resume: args.resume,
        state: args.state,
        since: args.since,
        sample: args.sample,
        seed: args.seed,
        ignore: args.ignore,
        report: args.report,
        allowed_signers: args.allowed_signers,
        require_signature: args.require_signature,
    };
    let terminal = Terminal::new(args.verbosity, "verifying");
    let result = verify::run(&options, interrupt, &terminal);
    terminal.finish_as(result.map(|outcome| {
        let code = match outcome.summary.errors {
            _ if outcome.signature_failed => UNSIGNED,
            0 => terminal::OK,
            _ if outcome.all_mendable() => MENDABLE,
            _ => terminal::INCOMPLETE,
        };
        let more = [("warnings", outcome.warnings), ("mendable", outcome.mendable)];
        (outcome.summary, more.into_iter().map(|(key, n)| (key.to_owned(), n.into())).collect(), code)
    }))
}

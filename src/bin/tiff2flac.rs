//! `tiff2flac`: gives back what `audio2tiff` archived, and checks archives.

mod terminal;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use audio_tiff::extract;
use audio_tiff::interrupt::Interrupt;
use audio_tiff::parity::Redundancy;
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
struct Workers {
    /// Threads in all [default: all cores]
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    workers: Option<u16>,
}

impl Workers {
    fn count(&self) -> usize {
        let all = || std::thread::available_parallelism().map_or(1, |n| n.get());
        self.workers.map_or_else(all, usize::from)
    }
}

#[derive(Subcommand)]
enum Command {
    /// Check everything in an archive; writes nothing
    Verify {
        /// The archive folder
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        /// Also decode everything and check that each source would come back with its SHA-256
        #[arg(long)]
        deep: bool,
        #[command(flatten)]
        workers: Workers,
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
}

const EXAMPLES: &str = "Examples:
  tiff2flac --input-dir archive --out-flac-dir flacs
  tiff2flac --input-dir archive --reconstruct --out-wav-dir originals
  tiff2flac verify archive
  tiff2flac rebuild-manifest archive                if its manifest.json is lost
  tiff2flac protect archive --parity 5%             recovery data beside each TIFF
  tiff2flac repair archive                          mend damaged TIFFs with it
  tiff2flac salvage archive --out-dir salvaged      what is left of what cannot be mended

Exit status: 0 all well; 1 the run could not go on (no archive there, output not writable); 2 wrong
usage; 3 something could not be verified or restored (named on stderr), all the rest was done;
130 stopped by Ctrl-C.";

fn main() -> ExitCode {
    let cli = Cli::parse();
    let interrupt = Interrupt::new();
    terminal::on_signals(&interrupt);
    match cli.command {
        Some(Command::Verify { dir, deep, workers, verbosity }) => {
            verify(&dir, deep, workers.count(), verbosity, &interrupt)
        }
        Some(Command::RebuildManifest { dir, overwrite, workers, verbosity }) => {
            let terminal = Terminal::new(verbosity, "reading");
            let result = extract::rebuild_manifest(&dir, overwrite, workers.count(), &interrupt, &terminal);
            terminal.finish(result)
        }
        Some(Command::Protect { dir, parity, workers, verbosity }) => {
            let terminal = Terminal::new(verbosity, "protecting");
            let result = extract::protect(&dir, parity, workers.count(), &interrupt, &terminal);
            terminal.finish(result)
        }
        Some(Command::Repair { path, workers, verbosity }) => {
            let terminal = Terminal::new(verbosity, "checking");
            let result = extract::repair(&path, workers.count(), &interrupt, &terminal);
            terminal.finish(result)
        }
        Some(Command::Salvage { dir, out_dir, workers, verbosity }) => {
            let terminal = Terminal::new(verbosity, "salvaging");
            let result = extract::salvage(&dir, &out_dir, workers.count(), &interrupt, &terminal);
            terminal.finish(result)
        }
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

fn verify(dir: &Path, deep: bool, workers: usize, verbosity: Verbosity, interrupt: &Interrupt) -> ExitCode {
    let terminal = Terminal::new(verbosity, "verifying");
    let result = extract::verify(dir, deep, workers, interrupt, &terminal);
    terminal.finish(result)
}

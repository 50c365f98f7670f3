//! `tiff2flac index`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use audio_tiff::error::Result;
use audio_tiff::events::{Event, Observer, Summary};
use audio_tiff::index;
use audio_tiff::interrupt::Interrupt;

use crate::Workers;
use crate::terminal::{Terminal, Verbosity};

#[derive(clap::Args)]
pub struct Args {
    /// The archive folder
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Keep the index in this file [default: DIR/index.sqlite]
    #[arg(long, value_name = "FILE")]
    index: Option<PathBuf>,
    /// Begin anew
    #[arg(long)]
    rebuild: bool,
    /// Leave out the small pictures; `serve` makes those that it needs
    #[arg(long)]
    no_thumbnails: bool,
    #[command(flatten)]
    workers: Workers,
    #[command(flatten)]
    verbosity: Verbosity,
}

/// Where the index is.
pub fn path(dir: &Path, given: Option<PathBuf>) -> PathBuf {
    given.unwrap_or_else(|| index::default_path(dir))
}

/// How an index is brought up to date before it is used: pictures can wait.
pub fn refreshing(dir: PathBuf, path: PathBuf, workers: usize) -> index::Options {
    index::Options { dir, path, workers, thumbnails: false, rebuild: false }
}

pub fn run(args: Args, interrupt: &Interrupt) -> ExitCode {
    let terminal = Terminal::new(args.verbosity, "indexing");
    let options = index::Options {
        path: path(&args.dir, args.index),
        dir: args.dir,
        workers: args.workers.count(),
        thumbnails: !args.no_thumbnails,
        rebuild: args.rebuild,
    };
    terminal.finish(update(&options, interrupt, &terminal))
}

fn update(options: &index::Options, interrupt: &Interrupt, terminal: &Terminal) -> Result<Summary> {
    let changes = index::update(options, interrupt, terminal)?;
    let message = format!(
        "{} sources, {} chunks in the index; {} sources read, {} taken out, {} thumbnails made",
        changes.sources, changes.chunks, changes.read, changes.removed, changes.thumbnails
    );
    terminal.on(&Event::Note { item: &options.path.display().to_string(), message: &message });
    Ok(Summary {
        ok: changes.read,
        skipped: changes.sources.saturating_sub(changes.read),
        errors: changes.problems,
        ..Summary::default()
    })
}

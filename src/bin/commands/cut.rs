//! `tiff2flac cut`.

use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use audio_tiff::error::Result;
use audio_tiff::events::{Event, Observer, Status, Summary};
use audio_tiff::extract::cut::{self, Cut, Recording};
use audio_tiff::extract::find;
use audio_tiff::interrupt::Interrupt;
use audio_tiff::manifest::archive_dir;
use serde_json::{Map, json};

use crate::terminal::{Terminal, Verbosity};

#[derive(clap::Args)]
#[command(
    after_help = "TIME is 1:30:00.5, 90:00, seconds (5400.5), samples (238140000samples), or, where the recording says when it \
                  began, a date and time (2026-05-01T04:31:00). A WAV has all samples exactly; a FLAC has those of up to 24 bits exactly."
)]
pub struct Args {
    /// The archive folder
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// The recording: its relative path, its file name, or the beginning of its SHA-256
    #[arg(long, value_name = "SOURCE")]
    source: String,
    /// Where the passage begins [default: at the start]
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Where it ends; the sample there is the first that is left out [default: at the end]
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// The file to write, .flac or .wav; - writes a WAV to stdout
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Replace a file that is there
    #[arg(long)]
    overwrite: bool,
    #[command(flatten)]
    verbosity: Verbosity,
}

pub fn run(args: Args, interrupt: &Interrupt) -> ExitCode {
    let terminal = Terminal::new(args.verbosity, "cutting");
    match cut(&args, interrupt, &terminal) {
        // Nothing but the sound belongs on stdout.
        Ok(_) if args.output == Path::new("-") => ExitCode::SUCCESS,
        result => terminal.finish(result),
    }
}

fn cut(args: &Args, interrupt: &Interrupt, terminal: &Terminal) -> Result<Summary> {
    let found = find(&archive_dir(&args.dir), interrupt)?;
    for note in &found.notes {
        terminal.on(&Event::Note { item: &note.item, message: &note.text });
    }
    let source = cut::pick(&found.sources, &args.source)?;
    let source = source.as_ref();
    let recording = Recording::of(source)?;
    let range = cut::range(&recording, cut::recorded(source), args.from.as_deref(), args.to.as_deref())?;
    let done = if args.output == Path::new("-") {
        let mut out = BufWriter::with_capacity(256 << 10, std::io::stdout().lock());
        let notes = cut::cut_to_wav(source, &recording, range, &mut out, interrupt)?;
        Cut { from: range.0, to: range.1, notes }
    } else {
        cut::cut_to_file(source, &recording, range, &args.output, args.overwrite, interrupt)?
    };
    for note in &done.notes {
        terminal.on(&Event::Note { item: &source.relative_path, message: note });
    }
    if args.output != Path::new("-") {
        let rate = recording.sample_rate;
        let message = format!("{} to {}", cut::text_of(done.from, rate), cut::text_of(done.to, rate));
        let details = Map::from_iter([
            ("output".to_owned(), json!(args.output.to_string_lossy())),
            ("from_sample".to_owned(), json!(done.from)),
            ("to_sample".to_owned(), json!(done.to)),
        ]);
        let item = &source.relative_path;
        terminal.on(&Event::File { item, status: Status::Restored, message: &message, details });
    }
    Ok(Summary { ok: 1, ..Summary::default() })
}

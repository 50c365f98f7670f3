//! `audio2tiff`: archives audio as TIFFs that hold a picture of the sound and the sound itself as FLAC.

mod terminal;

use std::path::PathBuf;
use std::process::ExitCode;

use audio_tiff::archive::{self, Existing, Options};
use audio_tiff::events::{Event, Observer};
use audio_tiff::flac::Level;
use audio_tiff::interrupt::Interrupt;
use audio_tiff::parity::Redundancy;
use audio_tiff::preview::{ChannelView, ColorMap, DbRange, Kind};
use audio_tiff::source::tags::{MetadataFile, parse_meta_arg};
use clap::{CommandFactory, Parser, ValueEnum};
use terminal::{Terminal, Verbosity};

/// Archive recordings without loss: each chunk of audio becomes one TIFF with a spectrogram picture (page 0) and the
/// audio as FLAC (page 1), and a manifest.json holds the checksums. `tiff2flac` gives everything back, byte for byte.
#[derive(Parser)]
#[command(name = "audio2tiff", version, after_help = EXAMPLES)]
struct Args {
    /// A folder with recordings (sub-folders too), or one file
    #[arg(long, short, value_name = "PATH", required = true)]
    input: Option<PathBuf>,
    /// The archive folder; made if it is not there, added to if it is
    #[arg(long, short, value_name = "DIR", default_value = "out_tiffs")]
    output: PathBuf,
    /// Length of a chunk; a longer recording becomes several TIFFs
    #[arg(long, value_name = "SECONDS", default_value_t = 21_600, value_parser = clap::value_parser!(u64).range(1..))]
    chunk_seconds: u64,
    /// Threads in all [default: all cores]
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    workers: Option<u16>,
    /// Go on with an archive: recordings whose file and TIFFs still have their checksums are left alone
    #[arg(long, conflicts_with = "overwrite")]
    resume: bool,
    /// Archive recordings again that the archive has already
    #[arg(long)]
    overwrite: bool,
    /// Put NAME/ in front of every path in the archive, to keep like-named recordings of two inputs apart
    #[arg(long, value_name = "NAME")]
    prefix: Option<String>,
    /// Archive the bytes of audio that nothing here can decode (WavPack, APE, DSD…) and of damaged files that are named
    /// like audio, without FLAC and picture
    #[arg(long)]
    attach_unknown: bool,
    /// Add recovery data beside each TIFF, from which `tiff2flac repair` brings it back after damage: percent of its size,
    /// 0.1 to 100
    #[arg(long, value_name = "PERCENT")]
    parity: Option<Redundancy>,
    /// How hard the FLAC encoder tries
    #[arg(long, value_enum, default_value_t = EncoderLevel::Default)]
    level: EncoderLevel,
    /// Metadata for all recordings of this run, as often as needed: speaker, location, rights…
    #[arg(long, value_name = "KEY=VALUE", value_parser = meta)]
    meta: Vec<(String, String)>,
    /// Metadata per recording, from a JSON or CSV file
    #[arg(long, value_name = "FILE", value_parser = metadata_file)]
    metadata: Option<MetadataFile>,
    /// Sign the manifest with this SSH key at the end (manifest.json.sig)
    #[arg(long, value_name = "KEY")]
    sign_manifest: Option<PathBuf>,
    #[command(flatten)]
    picture: Picture,
    /// Say what would be done and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Keep the folder temp/ inside the archive at the end
    #[arg(long)]
    keep_temp: bool,
    /// Of the Python script: made pictures smaller until the TIFF was smaller than the source
    #[arg(long, hide = true)]
    minify_loop: bool,
    /// Of the Python script: left out the FLAC
    #[arg(long, hide = true)]
    no_flac: bool,
    #[command(flatten)]
    verbosity: Verbosity,
    /// Write man pages and shell completions to PREFIX/share, and do nothing else
    #[arg(long, value_name = "PREFIX", exclusive = true)]
    install_docs: Option<PathBuf>,
}

/// How the pictures look
#[derive(clap::Args)]
struct Picture {
    /// Largest side of the pictures [default: 1280]
    #[arg(long, value_name = "PX", value_parser = clap::value_parser!(u32).range(32..=8192))]
    max_image_dim: Option<u32>,
    /// Colours of the pictures
    #[arg(long, value_enum, default_value_t = Colors::Magma)]
    cmap: Colors,
    /// Write each picture as a PNG beside its TIFF too
    #[arg(long)]
    preview_png: bool,
    /// What the pictures show
    #[arg(long, value_enum, value_name = "KIND", default_value_t = Shown::Spectrogram)]
    preview: Shown,
    /// Several channels mixed into one picture, or stacked
    #[arg(long, value_enum, default_value_t = Channels::Mix)]
    channels: Channels,
    /// Levels of the darkest and brightest colour, in dB of full scale, to make pictures comparable [default: measured over
    /// each recording]
    #[arg(long, value_name = "LO,HI", allow_hyphen_values = true, value_parser = db_range)]
    db_range: Option<DbRange>,
    /// Lowest frequency shown
    #[arg(long, value_name = "HZ")]
    fmin: Option<f64>,
    /// Highest frequency shown [default: half the sample rate]
    #[arg(long, value_name = "HZ")]
    fmax: Option<f64>,
    /// Only the picture: no axes, no text, no level strip
    #[arg(long)]
    bare: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Shown {
    /// Level over time and frequency
    Spectrogram,
    /// Three acoustic indices per minute (in short recordings, per 1 or 10 seconds) and band as red, green and blue
    FalseColor,
}

#[derive(Clone, Copy, ValueEnum)]
enum Channels {
    Mix,
    Separate,
}

fn meta(text: &str) -> Result<(String, String), String> {
    parse_meta_arg(text).map_err(|e| e.to_string())
}

fn metadata_file(path: &str) -> Result<MetadataFile, String> {
    MetadataFile::read(path.as_ref()).map_err(|e| e.to_string())
}

fn db_range(text: &str) -> Result<DbRange, String> {
    let (low, high) = text.split_once(',').ok_or("two numbers with a comma between them, as in -90,-10")?;
    let number = |text: &str| text.trim().parse::<f64>().map_err(|e| format!("{text}: {e}"));
    DbRange::new(number(low)?, number(high)?).map_err(|e| e.to_string())
}

const EXAMPLES: &str = "Examples:
  audio2tiff --input recordings --output archive
  audio2tiff -i interview.wav -o archive --chunk-seconds 3600
  audio2tiff -i recordings -o archive --resume      after an interruption, or to add what is new

Exit status: 0 all archived; 1 the run could not go on; 2 wrong usage; 3 something could not be
archived (named on stderr), all the rest was; 130 stopped by Ctrl-C, finished work kept.";

#[derive(Clone, Copy, ValueEnum)]
enum EncoderLevel {
    /// Least time
    Fast,
    /// As small as `flac -5` or smaller
    Default,
    /// As small as `flac -8`
    Best,
}

#[derive(Clone, Copy, ValueEnum)]
enum Colors {
    Magma,
    Viridis,
    Inferno,
    Plasma,
    Gray,
}

impl Args {
    fn options(&self) -> Options {
        let mut options = Options::new(self.input.clone().unwrap_or_default(), &self.output);
        options.chunk_seconds = self.chunk_seconds;
        if let Some(workers) = self.workers {
            options.workers = usize::from(workers);
        }
        options.existing = match (self.resume, self.overwrite) {
            (true, _) => Existing::Resume,
            (_, true) => Existing::Overwrite,
            _ => Existing::Report,
        };
        options.prefix.clone_from(&self.prefix);
        options.attach_unknown = self.attach_unknown;
        options.level = match self.level {
            EncoderLevel::Fast => Level::Fast,
            EncoderLevel::Default => Level::Default,
            EncoderLevel::Best => Level::Best,
        };
        options.meta.clone_from(&self.meta);
        options.metadata.clone_from(&self.metadata);
        options.sign_manifest.clone_from(&self.sign_manifest);
        options.parity = self.parity;
        options.dry_run = self.dry_run;
        options.keep_temp = self.keep_temp;
        self.picture.apply(&mut options);
        options
    }

    /// Names the flags that are given for nothing.
    fn note_what_has_no_effect(&self, terminal: &Terminal) {
        if self.minify_loop {
            let message =
                "has no effect: pictures are small beside the audio, and --max-image-dim says how large they are";
            terminal.on(&Event::Note { item: "--minify-loop", message });
        }
        if matches!(self.picture.preview, Shown::FalseColor) {
            let message = "has no effect on false-color pictures, whose colours are three indices";
            if !matches!(self.picture.cmap, Colors::Magma) {
                terminal.on(&Event::Note { item: "--cmap", message });
            }
            if self.picture.db_range.is_some() {
                terminal.on(&Event::Note { item: "--db-range", message });
            }
        }
    }
}

impl Picture {
    fn apply(&self, options: &mut Options) {
        options.preview_png = self.preview_png;
        let preview = &mut options.preview;
        preview.color_map = match self.cmap {
            Colors::Magma => ColorMap::Magma,
            Colors::Viridis => ColorMap::Viridis,
            Colors::Inferno => ColorMap::Inferno,
            Colors::Plasma => ColorMap::Plasma,
            Colors::Gray => ColorMap::Gray,
        };
        if let Some(width) = self.max_image_dim {
            preview.max_image_dim = width;
        }
        preview.kind = match self.preview {
            Shown::Spectrogram => Kind::Spectrogram,
            Shown::FalseColor => Kind::FalseColor,
        };
        preview.channels = match self.channels {
            Channels::Mix => ChannelView::Mix,
            Channels::Separate => ChannelView::Separate,
        };
        preview.db_range = self.db_range;
        preview.fmin = self.fmin;
        preview.fmax = self.fmax;
        preview.bare = self.bare;
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(prefix) = &args.install_docs {
        return terminal::docs::install(Args::command(), prefix);
    }
    if args.no_flac {
        let text = "--no-flac: nothing could be given back of an archive without its audio; leave this flag out";
        Args::command().error(clap::error::ErrorKind::ArgumentConflict, text).exit();
    }
    let interrupt = Interrupt::new();
    terminal::on_signals(&interrupt);
    let terminal = Terminal::new(args.verbosity, "archiving");
    args.note_what_has_no_effect(&terminal);
    let result = archive::run(&args.options(), &interrupt, &terminal);
    terminal.finish(result)
}

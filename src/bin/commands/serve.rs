//! `tiff2flac serve`.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use audio_tiff::error::{Error, ErrorKind, Result};
use audio_tiff::events::{Event, Observer, Summary};
use audio_tiff::index;
use audio_tiff::interrupt::Interrupt;
use audio_tiff::manifest::archive_dir;
use audio_tiff::serve::{self, LEAST_TOKEN, LOOPBACK, Token};

use crate::Workers;
use crate::commands::index::{path, refreshing};
use crate::terminal::{INTERRUPTED, Terminal, Verbosity};

#[derive(clap::Args)]
#[command(
    after_help = "Open the address that is printed in a browser; Ctrl-C ends. Only this machine can ask, unless --listen names an \
                  address of the network, which needs --token. The index is made, or brought up to date, first."
)]
pub struct Args {
    /// The archive folder
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// The port [default: 7424, or any that is free if that is taken]
    #[arg(long, value_name = "N")]
    port: Option<u16>,
    /// Let others than this machine ask, at this address: 192.0.2.7, or 0.0.0.0 for all of this machine's
    #[arg(long, value_name = "ADDR", requires = "token")]
    listen: Option<IpAddr>,
    /// What everyone who asks has to know, at least 16 characters
    #[arg(long, value_name = "TOKEN", value_parser = token)]
    token: Option<String>,
    /// A name by which the server is asked for, beside its address, as often as needed
    #[arg(long, value_name = "NAME")]
    host: Vec<String>,
    /// The index's file [default: DIR/index.sqlite]
    #[arg(long, value_name = "FILE")]
    index: Option<PathBuf>,
    /// Serve the index as it is, without looking whether the archive has changed
    #[arg(long)]
    no_update: bool,
    #[command(flatten)]
    workers: Workers,
    #[command(flatten)]
    verbosity: Verbosity,
}

/// The port that is tried where none is given.
const PORT: u16 = 7424;

fn token(text: &str) -> std::result::Result<String, String> {
    let refused = || format!("a token has at least {LEAST_TOKEN} characters of ASCII, without spaces");
    Token::new(text).map(|_| text.to_owned()).ok_or_else(refused)
}

pub fn run(args: Args, interrupt: &Interrupt) -> ExitCode {
    let terminal = Terminal::new(args.verbosity, "indexing");
    match serve(args, interrupt, &terminal) {
        // Asked to end, it has: nothing is left to go on with.
        Err(e) if e.kind() == ErrorKind::Interrupted => ExitCode::from(INTERRUPTED),
        Err(e) => terminal.finish(Err::<Summary, _>(e)),
        Ok(()) => ExitCode::SUCCESS,
    }
}

fn serve(args: Args, interrupt: &Interrupt, terminal: &Terminal) -> Result<()> {
    let dir = archive_dir(&args.dir);
    let index = path(&dir, args.index);
    let workers = args.workers.count();
    if !args.no_update {
        index::update(&refreshing(dir.clone(), index.clone(), workers), interrupt, terminal)?;
    }
    let ip = args.listen.unwrap_or(LOOPBACK);
    let options = |port| serve::Options {
        dir: dir.clone(),
        index: index.clone(),
        address: SocketAddr::new(ip, port),
        token: args.token.as_deref().and_then(Token::new),
        hosts: args.host.clone(),
        workers,
    };
    let ready = |bound: SocketAddr| {
        // The first line of stdout is the address and nothing else, for whoever started this.
        let _ = writeln!(std::io::stdout(), "http://{bound}/").and_then(|()| std::io::stdout().flush());
        let message = "listening; Ctrl-C ends";
        terminal.on(&Event::Note { item: &dir.display().to_string(), message });
    };
    let taken = |e: &Error| e.io_error().is_some_and(|e| e.kind() == std::io::ErrorKind::AddrInUse);
    match serve::run(options(args.port.unwrap_or(PORT)), interrupt, &ready) {
        Err(e) if args.port.is_none() && taken(&e) => serve::run(options(0), interrupt, &ready),
        other => other,
    }
}

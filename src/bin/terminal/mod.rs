//! What both programs show: bars and messages on stderr, results or JSON Lines on stdout, the exit status.

pub mod docs;

use std::collections::{HashMap, HashSet};
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use audio_tiff::error::{Error, ErrorKind, Result};
use audio_tiff::events::{Event, Observer, Summary};
use audio_tiff::interrupt::Interrupt;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Map, Value};

/// All well.
pub const OK: u8 = 0;
/// The run could not go on.
pub const FAILED: u8 = 1;
/// The request made no sense.
pub const USAGE: u8 = 2;
/// The run ended, but not everything could be done.
pub const INCOMPLETE: u8 = 3;
/// Stopped by Ctrl-C.
pub const INTERRUPTED: u8 = 130;

/// How much is said.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Verbosity {
    /// Report as JSON Lines on stdout, one object per file, chunk, note and error, and a summary at the end
    #[arg(long)]
    pub json: bool,
    /// No bars, notes or summary; failures are still shown
    #[arg(long, short, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say what became of every file and chunk
    #[arg(long, short)]
    pub verbose: bool,
}

/// Bars that are drawn at once, at most; more sources than this may be in work without a bar of their own.
const BARS: usize = 8;

/// Shows events.
pub struct Terminal {
    verbosity: Verbosity,
    verb: &'static str,
    bars: MultiProgress,
    state: Mutex<State>,
    began: Instant,
}

#[derive(Default)]
struct State {
    total: Option<ProgressBar>,
    items: HashMap<String, ProgressBar>,
    /// Codes of findings whose remedy has been told.
    told: HashSet<String>,
}

impl Terminal {
    /// `verb` is what is done, for the bar: "archiving".
    pub fn new(verbosity: Verbosity, verb: &'static str) -> Terminal {
        let drawn = std::io::stderr().is_terminal() && !verbosity.quiet;
        let target = if drawn { ProgressDrawTarget::stderr_with_hz(8) } else { ProgressDrawTarget::hidden() };
        Terminal {
            verbosity,
            verb,
            bars: MultiProgress::with_draw_target(target),
            state: Mutex::default(),
            began: Instant::now(),
        }
    }

    /// A line on stderr, above the bars.
    fn say(&self, line: &str) {
        self.bars.suspend(|| {
            // Nobody is left to be told when stderr is gone.
            let lines: Vec<String> = line.split('\n').map(printable).collect();
            let _ = writeln!(std::io::stderr().lock(), "{}", lines.join("\n"));
        });
    }

    fn json(&self, value: &Value) {
        let mut out = std::io::stdout().lock();
        if writeln!(out, "{value}").is_err() {
            // A closed pipe ends the report, not the work.
        }
    }

    /// Takes the bars away.
    fn clear(&self) {
        if let Ok(mut state) = self.state.lock() {
            state.items.drain().for_each(|(_, bar)| bar.finish_and_clear());
            if let Some(bar) = state.total.take() {
                bar.finish_and_clear();
            }
        }
    }

    /// Shows how the run came out, and gives the exit status.
    pub fn finish(&self, result: Result<Summary>) -> ExitCode {
        self.finish_as(result.map(|summary| (summary, Map::new(), if summary.errors > 0 { INCOMPLETE } else { OK })))
    }

    /// As [`Terminal::finish`], with further fields for the summary, and the exit status of a run that ended.
    pub fn finish_as(&self, result: Result<(Summary, Map<String, Value>, u8)>) -> ExitCode {
        self.clear();
        let code = match result {
            Ok((summary, more, code)) => {
                if self.verbosity.json {
                    let mut value = summary.to_json();
                    for (key, field) in more {
                        value[key] = field;
                    }
                    value["seconds"] = serde_json::json!(self.began.elapsed().as_secs_f64());
                    self.json(&value);
                } else if !self.verbosity.quiet || summary.errors > 0 {
                    let _ = writeln!(std::io::stdout(), "{}", summary.line());
                }
                code
            }
            Err(e) => {
                if self.verbosity.json
                    && let Some(value) = (Event::Failed { item: "", error: &e }).to_json()
                {
                    self.json(&value);
                }
                match e.kind() {
                    ErrorKind::Interrupted => {
                        self.say("interrupted: what was finished is kept; run again with --resume to go on");
                        INTERRUPTED
                    }
                    kind => {
                        self.say(&format!("error: {e}"));
                        if kind == ErrorKind::Usage { USAGE } else { FAILED }
                    }
                }
            }
        };
        ExitCode::from(code)
    }

    fn bar(&self, bytes: u64, template: &str) -> ProgressBar {
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = self.bars.add(ProgressBar::new(bytes));
        bar.set_style(style.progress_chars("=> "));
        bar.enable_steady_tick(Duration::from_millis(500));
        bar
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.clear();
    }
}

impl Observer for Terminal {
    fn on(&self, event: &Event<'_>) {
        if self.verbosity.json
            && let Some(value) = event.to_json()
        {
            self.json(&value);
        }
        let loud = self.verbosity.verbose;
        let normal = !self.verbosity.quiet;
        match event {
            // A bar that nobody sees would still take a thread to move it.
            Event::Planned { items, bytes } if !self.bars.is_hidden() => {
                let template = "{prefix} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec}, {eta} left {msg}";
                let bar = self.bar(*bytes, template);
                bar.set_prefix(format!("{} {items} files", self.verb));
                if let Ok(mut state) = self.state.lock() {
                    state.total = Some(bar);
                }
            }
            Event::Started { item, bytes } => {
                if let Ok(mut state) = self.state.lock()
                    && !self.bars.is_hidden()
                    && state.items.len() < BARS
                {
                    let bar = self.bar(*bytes, "  [{bar:20}] {percent:>3}% {bytes_per_sec} {eta} {msg}");
                    bar.set_message((*item).to_owned());
                    state.items.insert((*item).to_owned(), bar);
                }
            }
            Event::Advanced { item, bytes } => {
                if let Ok(state) = self.state.lock() {
                    if let Some(bar) = &state.total {
                        bar.inc(*bytes);
                    }
                    if let Some(bar) = state.items.get(*item) {
                        bar.inc(*bytes);
                    }
                }
            }
            Event::Ended { item } => {
                if let Ok(mut state) = self.state.lock()
                    && let Some(bar) = state.items.remove(*item)
                {
                    bar.finish_and_clear();
                    self.bars.remove(&bar);
                }
            }
            Event::File { item, status, message, .. } | Event::Chunk { item, status, message, .. } => {
                let planned = *status == audio_tiff::events::Status::Planned && normal && !self.verbosity.json;
                if planned {
                    let _ = writeln!(std::io::stdout(), "{item}: {message}");
                } else if loud && message.is_empty() {
                    self.say(&format!("{}: {item}", status.word()));
                } else if loud {
                    self.say(&format!("{}: {item}: {message}", status.word()));
                }
            }
            Event::Note { item, message } if normal => self.say(&format!("note: {item}: {message}")),
            Event::Failed { item, error } => self.say(&format!("error: {}", failure(item, error))),
            Event::Found { item, code, counts, error, remedy, .. } if *counts || normal => {
                let word = if *counts { "error" } else { "note" };
                self.say(&format!("{word}: {} [{code}]", failure(item, error)));
                // The same advice over and over would hide what was found.
                let first = self.state.lock().is_ok_and(|mut state| state.told.insert((*code).to_owned()));
                if first && !remedy.is_empty() {
                    self.say(&format!("  what to do about {code}: {remedy}"));
                }
            }
            _ => {}
        }
    }
}

/// The item, unless the error names its file by itself.
fn failure(item: &str, error: &Error) -> String {
    match error.path() {
        Some(path) if path.to_string_lossy().ends_with(item) => error.to_string(),
        _ if item.is_empty() => error.to_string(),
        _ => format!("{item}: {error}"),
    }
}

/// Text without what would move a terminal's cursor or turn its writing around.
pub fn printable(text: &str) -> String {
    let odd = |c: char| {
        c.is_control() || matches!(c, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if odd(c) { '\u{FFFD}' } else { c }).collect()
}

/// First Ctrl-C (or TERM, HUP): stop soon, tidily. Second: at once.
pub fn on_signals(interrupt: &Interrupt) {
    let flag = interrupt.clone();
    let installed = ctrlc::set_handler(move || {
        if flag.is_stopped() {
            std::process::exit(i32::from(INTERRUPTED));
        }
        flag.stop();
        let _ = writeln!(std::io::stderr(), "stopping (again for at once)");
    });
    if let Err(e) = installed {
        let _ = writeln!(std::io::stderr(), "note: Ctrl-C will stop at once ({e})");
    }
}

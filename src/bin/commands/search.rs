//! `tiff2flac search`.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use audio_tiff::error::Result;
use audio_tiff::events::{Event, Observer, SCHEMA_VERSION, Summary};
use audio_tiff::index::{self, Bound, Hit, Hits, Query};
use audio_tiff::interrupt::Interrupt;
use audio_tiff::preview::elapsed_text;
use serde_json::json;

use crate::Workers;
use crate::commands::index::{path, refreshing};
use crate::terminal::{Terminal, Verbosity, printable};

#[derive(clap::Args)]
#[command(
    after_help = "Times without an offset are compared with each recording's own clock, times with one (Z, +02:00) with \
                  those recordings whose offset from UTC is known."
)]
pub struct Args {
    /// The archive folder
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Words that path or metadata must hold, each the beginning of a word; "in double quotes": word for word
    #[arg(value_name = "WORDS")]
    words: Vec<String>,
    /// Recordings that go on after this: 2026-05-01, 2026-05-01T04:30, 2026-05-01T04:30:00+02:00
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Recordings that begin before this; a day alone counts to its end
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Recordings whose metadata has these words under this key, as often as needed
    #[arg(long, value_name = "KEY=WORDS", value_parser = field)]
    field: Vec<(String, String)>,
    /// Hits to show
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u32,
    /// Search the index as it is, without looking whether the archive has changed
    #[arg(long)]
    no_update: bool,
    /// The index's file [default: DIR/index.sqlite]
    #[arg(long, value_name = "FILE")]
    index: Option<PathBuf>,
    #[command(flatten)]
    workers: Workers,
    #[command(flatten)]
    verbosity: Verbosity,
}

fn field(argument: &str) -> std::result::Result<(String, String), String> {
    match argument.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=WORDS, or KEY= for any value".into()),
    }
}

pub fn run(args: Args, interrupt: &Interrupt) -> ExitCode {
    let terminal = Terminal::new(args.verbosity, "indexing");
    let json = args.verbosity.json;
    match find(args, interrupt, &terminal) {
        Ok(hits) => {
            // A closed pipe ends the list.
            let _ = if json { lines(&hits) } else { table(&hits) };
            ExitCode::SUCCESS
        }
        Err(e) => terminal.finish(Err::<Summary, _>(e)),
    }
}

fn find(args: Args, interrupt: &Interrupt, terminal: &Terminal) -> Result<Hits> {
    let query = Query {
        text: args.words.join(" "),
        from: args.from.as_deref().map(|text| Bound::parse(text, false)).transpose()?,
        to: args.to.as_deref().map(|text| Bound::parse(text, true)).transpose()?,
        fields: args.field,
        limit: args.limit,
        offset: 0,
    };
    let path = path(&args.dir, args.index);
    if !args.no_update {
        let options = refreshing(args.dir, path.clone(), args.workers.count());
        let item = path.display().to_string();
        let changes = index::update(&options, interrupt, terminal)?;
        if changes.built || changes.read > 0 || changes.removed > 0 {
            let what = if changes.built { "the index was made" } else { "the index was brought up to date" };
            let message = format!("{what}: {} sources read, {} taken out", changes.read, changes.removed);
            terminal.on(&Event::Note { item: &item, message: &message });
        }
    }
    let hits = index::search(&index::open_read_only(&path)?, &query)?;
    if hits.without_offset > 0 {
        let message = format!(
            "{} recordings do not say their offset from UTC and were left out; give times without an offset to go by their own clocks",
            hits.without_offset
        );
        terminal.on(&Event::Note { item: "search", message: &message });
    }
    Ok(hits)
}

fn lines(hits: &Hits) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for hit in &hits.hits {
        let mut value = hit.to_json();
        value["schema_version"] = json!(SCHEMA_VERSION);
        value["type"] = json!("hit");
        writeln!(out, "{value}")?;
    }
    let shown = hits.hits.len();
    writeln!(
        out,
        "{}",
        json!({ "schema_version": SCHEMA_VERSION, "type": "summary", "hits": hits.total, "shown": shown })
    )
}

fn table(hits: &Hits) -> std::io::Result<()> {
    let rows: Vec<[String; 5]> = hits.hits.iter().map(row).collect();
    let head = ["RECORDED", "LENGTH", "MATCHES", "FORMAT", "SOURCE"].map(str::to_owned);
    let mut widths = [0; 5];
    for row in rows.iter().chain([&head]) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = std::io::stdout().lock();
    let titled = std::io::stdout().is_terminal();
    for row in titled.then_some(&head).into_iter().filter(|_| !rows.is_empty()).chain(&rows) {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        writeln!(out, "{}", cells.join("  ").trim_end())?;
    }
    writeln!(out, "{} of {} recordings", rows.len(), hits.total)
}

fn row(hit: &Hit) -> [String; 5] {
    let recorded = match (&hit.recorded, hit.clock(0.0)) {
        (_, Some(clock)) if clock.ends_with('Z') || clock.rfind(['+', '-']) > Some(10) => clock,
        (Some(text), _) => format!("{text} (no UTC offset)"),
        _ => "-".to_owned(),
    };
    let whole = hit.duration_seconds.is_none_or(|d| hit.span == Some((0.0, d)));
    let span = match hit.span {
        Some((from, to)) if !whole => format!("{}-{}", elapsed_text(from, 1), elapsed_text(to, 1)),
        _ => "all".to_owned(),
    };
    let rate = hit.sample_rate.map_or("?".to_owned(), |r| format!("{} kHz", r / 1000.0));
    let format = format!("{} {rate} {} ch", hit.sample_format.as_deref().unwrap_or("?"), hit.channels.unwrap_or(0));
    [
        printable(&recorded),
        hit.duration_seconds.map_or("?".to_owned(), |seconds| elapsed_text(seconds, 1)),
        span,
        printable(&format),
        printable(&hit.relative_path),
    ]
}

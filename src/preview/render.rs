//! Draws a [`Spectrum`] as a picture.
//!
//! ```text
//! name · chunk · format                        level range      title
//! UTC  04:00      05:00      06:00                              clock, where the recording says when it began
//! kHz ┌──────────────────────────────────────┐
//!  10 │              spectrogram             │
//!   1 │                                      │
//!     ├──────────────────────────────────────┤
//!  dB │              level strip             │
//!     └──────────────────────────────────────┘
//!  0:00:00    1:00:00    2:00:00                                elapsed time
//! ```

use std::ops::Range;

use super::axes::{Tick, clock_ticks, elapsed_text, elapsed_ticks, frequency_ticks, kilohertz};
use super::canvas::{Band, Color, Ink, Palette, Picture, Sketch, shortened, text_width};
use super::clock::WallClock;
use super::deflate::Zlib;
use super::font;
use super::layout::Layout;
use super::name::{self, Name};
use super::range::DbRange;
use super::settings::Settings;
use super::spectrum::{Level, Spectrum, Values, rounded, store_db};
use crate::threads::threads;
use crate::vector::{transposed, vectorised};

const PAPER: Color = [22, 22, 26];
const INK: Color = [214, 214, 218];
const FAINT: Color = [142, 142, 150];
const LINE: Color = [92, 92, 100];
const STRIP: Color = [10, 10, 12];
const PEAK: Color = [58, 92, 114];
const RMS: Color = [118, 170, 192];
const CLIPPED: Color = [236, 44, 44];

/// Pixels that are drawn at a time: they stay in the processor's cache until they are compressed.
const BAND_PIXELS: usize = 48 << 10;

/// Picture columns that are coloured at a time.
const BLOCK: usize = 64;
/// Levels that the widest vector units make shades of at once.
const AT_ONCE: usize = 16;

const SHADES: usize = Palette::SHADES;

/// Columns that a long name gets at least.
const LEAST_NAME: usize = 120;
/// Letters of a text for which there must be room, or it is left out.
const LEAST_TEXT: usize = 8;
/// Where the title's small letters begin, and where the time labels or the spectrogram below it do.
const TITLE_TOP: usize = 11;
const TITLE_HEIGHT: usize = 28;

/// Height of the level strip and the levels at its ends.
const STRIP_HEIGHT: usize = 40;
const STRIP_LOW_DB: f64 = -80.0;
/// Pixels that a time label may take up, on average.
const TIME_LABEL_ROOM: f64 = 80.0;
/// Pixels between two frequency labels at least.
const FREQUENCY_LABEL_ROOM: f64 = 15.0;

/// What is written around the picture.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Labels {
    /// Name of the source, shortened in the middle where it is too long.
    pub source_name: String,
    /// Number of the chunk, from 0.
    pub chunk_index: u64,
    /// Number of chunks of the recording, where known.
    pub chunk_count: Option<u64>,
    /// Where in the recording the chunk begins, seconds.
    pub start_seconds: f64,
    /// What holds the samples and how many bits they have, for people: `WAV, 24 bit`. May be empty.
    pub format: String,
    /// When the *recording* began, where it says so.
    pub recording_start: Option<WallClock>,
}

impl Labels {
    /// When the chunk began, where the recording says when it did.
    pub fn chunk_start(&self) -> Option<WallClock> {
        self.recording_start?.plus_seconds(self.start_seconds)
    }
}

/// Where the spectrograms lie within the picture, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plot {
    pub x: usize,
    pub y: usize,
    pub width: usize,
    pub height: usize,
}

/// The frame around the spectrograms: where they lie, and how large the whole picture is.
pub(crate) struct Frame {
    pub layout: Layout,
    pub plot: Plot,
    pub width: usize,
    pub height: usize,
    strip_y: usize,
}

impl Frame {
    pub fn new(spectrum: &Spectrum, labels: &Labels, settings: &Settings) -> Frame {
        let layout = Layout::new(settings, spectrum.streams as usize);
        let (width, height, zoom) = (layout.plot_width, layout.plot_height(), layout.zoom);
        if !layout.axes {
            let plot = Plot { x: 0, y: 0, width, height };
            return Frame { layout, plot, width, height, strip_y: height };
        }
        let clock_room = if labels.chunk_start().is_some() { 14 } else { 0 };
        let plot = Plot { x: Layout::LEFT * zoom, y: (TITLE_HEIGHT + clock_room) * zoom, width, height };
        let strip_y = plot.y + height + 3 * zoom;
        Frame {
            layout,
            plot,
            width: width + (Layout::LEFT + Layout::RIGHT) * zoom,
            height: strip_y + (STRIP_HEIGHT + 22) * zoom,
            strip_y,
        }
    }
}

/// Draws the picture of a chunk with the range that its recording shares.
///
/// Where [`Settings::db_range`] is given, it is taken instead of `range`. Settings must be those of the analysis, save
/// for the colours and `db_range`; a picture of other sizes is drawn all the same, but with bands left out or repeated.
pub fn render(spectrum: &Spectrum, range: &DbRange, labels: &Labels, settings: &Settings) -> Picture {
    Drawing::new(spectrum, range, labels, settings).picture()
}

/// A picture that is drawn band by band.
pub struct Drawing<'a> {
    frame: Frame,
    values: DrawnValues<'a>,
    bars: Vec<LevelBars>,
    sketch: Sketch,
    palette: Palette,
}

impl<'a> Drawing<'a> {
    /// Lays out the picture that [`render`] draws of the same things.
    pub fn new(spectrum: &'a Spectrum, range: &DbRange, labels: &Labels, settings: &Settings) -> Drawing<'a> {
        let frame = Frame::new(spectrum, labels, settings);
        let range = settings.db_range.unwrap_or(*range);
        let table = settings.color_map.table();
        let mut sketch = Sketch::default();
        if frame.layout.axes {
            draw_title(&mut sketch, &frame, spectrum, &range, labels, &table);
            draw_frequencies(&mut sketch, &frame, spectrum);
            draw_level_scale(&mut sketch, &frame);
            draw_times(&mut sketch, &frame, spectrum, labels);
        }
        let shades = std::array::from_fn(|shade| table[shade * 255 / (SHADES - 1)]);
        let palette = Palette::new(shades, [PAPER, STRIP, PEAK, RMS, CLIPPED].into_iter().chain(sketch.colors()));
        // Without axes there is no strip.
        let bars = if frame.layout.axes { level_bars(spectrum, &frame) } else { Vec::new() };
        Drawing { values: DrawnValues::new(spectrum, &frame, &range), bars, frame, sketch, palette }
    }

    /// In pixels.
    pub fn width(&self) -> u32 {
        self.frame.width as u32
    }

    /// In pixels.
    pub fn height(&self) -> u32 {
        self.frame.height as u32
    }

    /// All of it at once.
    pub fn picture(&self) -> Picture {
        let mut rgb = Vec::with_capacity(3 * self.frame.width * self.frame.height);
        let taken: Result<(), std::convert::Infallible> = self.each_band::<u32, _>(0..self.frame.height, |band| {
            let words = band.pixels().iter().map(|pixel| pixel.word(&self.palette));
            rgb.extend(words.flat_map(|word| word.to_le_bytes().into_iter().take(3)));
            Ok(())
        });
        let Ok(()) = taken;
        Picture { width: self.width(), height: self.height(), rgb }
    }

    /// The picture's pixels as one zlib stream, row by row without filters, which `take` gets in pieces: what a TIFF page of
    /// one strip with compression 8 (Deflate) and no predictor holds. With `halves_at_once` the lower half is made at the same
    /// time as the upper one, where the thread pool that this is called in has a thread for it; the stream is the same.
    ///
    /// # Errors
    /// Those of `take`, which is not called again then.
    pub fn deflate<E: Send>(
        &self,
        halves_at_once: bool,
        take: impl FnMut(&[u8]) -> Result<(), E> + Send,
    ) -> Result<(), E> {
        match self.values.values {
            Values::Levels(_) if self.palette.is_small() => self.deflate_as::<u8, E>(halves_at_once, take),
            _ => self.deflate_as::<u32, E>(halves_at_once, take),
        }
    }

    fn deflate_as<P: Ink, E: Send>(
        &self,
        halves_at_once: bool,
        mut take: impl FnMut(&[u8]) -> Result<(), E> + Send,
    ) -> Result<(), E> {
        let (width, height) = (self.frame.width, self.frame.height);
        let (upper, lower) = (0..height / 2, height / 2..height);
        let begin = |take: &mut (dyn FnMut(&[u8]) -> Result<(), E> + Send)| {
            let (rest, checksum) = self.deflate_rows::<P, E>(Zlib::new(width, false), upper, take)?.finish_beginning();
            take(&rest).map(|()| checksum)
        };
        let end = |take: &mut dyn FnMut(&[u8]) -> Result<(), E>| {
            self.deflate_rows::<P, E>(Zlib::continued(width, false), lower, take)
        };
        if halves_at_once && threads() > 1 {
            let mut bytes = Vec::new();
            let collect = &mut |piece: &[u8]| {
                bytes.extend_from_slice(piece);
                Ok(())
            };
            let (begun, end) = rayon::join(|| begin(&mut take), || end(collect));
            let (checksum, end) = (begun?, end?);
            take(&bytes)?;
            take(&end.finish_behind(checksum))
        } else {
            let checksum = begin(&mut take)?;
            let end = end(&mut take)?;
            take(&end.finish_behind(checksum))
        }
    }

    /// Puts some rows into a stream, of which `take` gets what is done.
    fn deflate_rows<P: Ink, E>(
        &self,
        mut stream: Zlib<P>,
        rows: Range<usize>,
        take: &mut dyn FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<Zlib<P>, E> {
        self.each_band::<P, E>(rows, |band| {
            for row in band.pixels().chunks(self.frame.width) {
                stream.row(row, |pixel| pixel.word(&self.palette));
            }
            stream.hand_over(&mut *take)
        })?;
        Ok(stream)
    }

    /// Draws some rows of the picture, a few at a time from the top.
    fn each_band<P: Ink, E>(
        &self,
        rows: Range<usize>,
        mut take: impl FnMut(&Band<'_, P>) -> Result<(), E>,
    ) -> Result<(), E> {
        let width = self.frame.width;
        let step = (BAND_PIXELS / width).max(1);
        let mut band = Band::new(width, &self.palette);
        for top in rows.clone().step_by(step) {
            band.move_to(top..rows.end.min(top + step), PAPER);
            self.values.draw(&self.frame, &self.palette, &mut band);
            if self.frame.layout.axes {
                draw_level(&mut band, &self.frame, &self.bars, &self.palette);
                self.sketch.draw(&mut band);
            }
            take(&band)?;
        }
        Ok(())
    }
}

/// The spectrograms themselves.
struct DrawnValues<'a> {
    values: &'a Values,
    rows: usize,
    /// Which columns of the spectrum make up each column of the picture.
    sources: Vec<Source>,
    /// Rows of the spectrum and where they begin in the picture, from the top.
    lines: Vec<(usize, usize)>,
    shading: Shading,
}

impl<'a> DrawnValues<'a> {
    fn new(spectrum: &'a Spectrum, frame: &Frame, range: &DbRange) -> DrawnValues<'a> {
        let (plot, layout) = (frame.plot, frame.layout);
        let (columns, rows, bands) = (spectrum.columns(), spectrum.rows(), spectrum.bands as usize);
        let lines = (0..layout.streams).flat_map(|stream| {
            let top = plot.y + stream * (layout.stream_height() + layout.gap());
            (0..layout.bands).rev().map(move |band| {
                (stream * bands + band * bands / layout.bands, top + (layout.bands - 1 - band) * layout.band_height)
            })
        });
        DrawnValues {
            values: &spectrum.values,
            rows,
            sources: (0..plot.width).filter(|_| columns > 0).map(|x| Source::new(x, plot.width, columns)).collect(),
            lines: lines.filter(|(row, _)| *row < rows).collect(),
            shading: Shading::new(range),
        }
    }

    fn draw<P: Ink>(&self, frame: &Frame, palette: &Palette, band: &mut Band<'_, P>) {
        let visible = |y: usize| y.max(band.rows().start)..(y + frame.layout.band_height).min(band.rows().end);
        let lines: Vec<(usize, Range<usize>)> =
            self.lines.iter().map(|(row, y)| (*row, visible(*y))).filter(|(_, rows)| !rows.is_empty()).collect();
        let Some(lowest) = lines.iter().map(|(row, _)| *row).min() else { return };
        let end = lines.iter().map(|(row, _)| row + 1).max().unwrap_or(lowest);
        // Some more, where there are, so that none are left over for one by one.
        let len = (end - lowest).next_multiple_of(AT_ONCE).min(self.rows);
        let start = lowest.min(self.rows - len);
        let used = start..start + len;
        let mut shades = Shades::new(used.clone());
        // Values lie column by column, the picture row by row: a few columns at a time, so that both stay in the cache.
        for (block, sources) in self.sources.chunks(BLOCK).enumerate() {
            let x = frame.plot.x + block * BLOCK;
            match self.values {
                Values::Levels(values) => {
                    fast_shades(&self.shading, values, self.rows, sources, &mut shades);
                    for (row, y) in &lines {
                        let pixels = band.line_mut(x, y.start, sources.len());
                        for (pixel, shade) in pixels.iter_mut().zip(shades.row(*row)) {
                            *pixel = P::shade(*shade, palette);
                        }
                    }
                }
                Values::Indices { colors: values, .. } => {
                    for (row, y) in &lines {
                        let pixels = band.line_mut(x, y.start, sources.len());
                        for (pixel, source) in pixels.iter_mut().zip(sources) {
                            *pixel = P::of(values[source.nearest * self.rows + row], palette);
                        }
                    }
                }
            }
        }
        for (_, rows) in lines {
            band.repeat_line(frame.plot.x, rows.start, frame.plot.width, rows.start + 1..rows.end);
        }
    }
}

/// From stored levels to shades of the colour map.
struct Shading {
    low: f32,
    steps: f32,
}

impl Shading {
    /// The lowest level of `range` is shade 0, the highest the last one.
    fn new(range: &DbRange) -> Shading {
        let (low, high) = (f32::from(store_db(range.low() as f32)), f32::from(store_db(range.high() as f32)));
        Shading { low, steps: (SHADES - 1) as f32 / (high - low).max(1.0) }
    }

    #[inline(always)]
    fn share(&self, stored: u16) -> f32 {
        ((f32::from(stored) - self.low) * self.steps).clamp(0.0, (SHADES - 1) as f32)
    }

    /// The shades of up to [`BLOCK`] picture columns out of levels that have `rows` rows in all.
    #[inline(always)]
    fn shades(&self, values: &[u16], rows: usize, sources: &[Source], shades: &mut Shades) {
        let used = shades.rows.clone();
        for (source, shades) in sources.iter().zip(shades.columns.chunks_exact_mut(shades.height)) {
            let of = |column: usize| &values[column * rows..][used.clone()];
            self.column(source, of(source.left), of(source.right), &mut shades[..used.len()]);
        }
        shades.turn();
    }

    #[inline(always)]
    fn column(&self, source: &Source, left: &[u16], right: &[u16], shades: &mut [u8]) {
        if source.left == source.right {
            shades.iter_mut().zip(left).for_each(|(shade, value)| *shade = rounded(self.share(*value)) as u8);
            return;
        }
        for ((shade, left), right) in shades.iter_mut().zip(left).zip(right) {
            let (left, right) = (self.share(*left), self.share(*right));
            *shade = rounded(left + (right - left) * source.right_share) as u8;
        }
    }
}

vectorised! {
    fn fast_shades(
        shading: &Shading,
        values: &[u16],
        rows: usize,
        sources: &[Source],
        shades: &mut Shades
    ) = Shading::shades
}

/// The shades of some rows of [`BLOCK`] picture columns.
struct Shades {
    /// Rows of the spectrum.
    rows: Range<usize>,
    /// As many, but a multiple of eight.
    height: usize,
    /// Column by column, lowest band first, and row by row.
    columns: Vec<u8>,
    lines: Vec<[u8; BLOCK]>,
}

impl Shades {
    fn new(rows: Range<usize>) -> Shades {
        let height = rows.len().next_multiple_of(8);
        Shades { rows, height, columns: vec![0; BLOCK * height], lines: vec![[0; BLOCK]; height] }
    }

    fn row(&self, row: usize) -> &[u8; BLOCK] {
        &self.lines[row - self.rows.start]
    }

    /// Columns to rows, eight by eight.
    #[inline(always)]
    fn turn(&mut self) {
        for (top, lines) in self.lines.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            for (left, columns) in self.columns.chunks_exact(8 * self.height).enumerate() {
                let square = std::array::from_fn(|i| columns[i * self.height..].as_chunks().0[top]);
                for (line, row) in lines.iter_mut().zip(transposed(square)) {
                    line.as_chunks_mut().0[left] = row;
                }
            }
        }
    }
}

/// Which columns of the spectrum make up a column of the picture.
struct Source {
    left: usize,
    right: usize,
    right_share: f32,
    nearest: usize,
}

impl Source {
    /// For column `x` of `width`, out of `columns`: between the two nearest where there are fewer than the picture has.
    fn new(x: usize, width: usize, columns: usize) -> Source {
        let last = columns.saturating_sub(1);
        let nearest = (x * columns / width).min(last);
        if columns >= width {
            return Source { left: nearest, right: nearest, right_share: 0.0, nearest };
        }
        let position = ((x as f64 + 0.5) * columns as f64 / width as f64 - 0.5).max(0.0);
        let left = (position as usize).min(last);
        Source { left, right: (left + 1).min(last), right_share: (position - left as f64) as f32, nearest }
    }
}

fn draw_title(
    p: &mut Sketch,
    frame: &Frame,
    spectrum: &Spectrum,
    range: &DbRange,
    labels: &Labels,
    table: &[Color; 256],
) {
    let zoom = frame.layout.zoom;
    let (left, right, y) = (8 * zoom, frame.width - Layout::RIGHT * zoom, TITLE_TOP * zoom);
    let scale_left = draw_scale(p, frame, spectrum, range, table);
    let mut facts = Vec::new();
    if let Some(count) = labels.chunk_count.filter(|count| *count > 1) {
        facts.push(format!("chunk {} of {count}", labels.chunk_index + 1));
    } else if labels.chunk_index > 0 {
        facts.push(format!("chunk {}", labels.chunk_index + 1));
    }
    let channels = match spectrum.channels {
        1 => "mono".into(),
        2 => "stereo".into(),
        n => format!("{n} channels"),
    };
    let samples = format!("{} kHz, {channels}", kilohertz(f64::from(spectrum.sample_rate)));
    facts.push(if labels.format.is_empty() { samples } else { format!("{}, {samples}", labels.format) });
    let decimals = if spectrum.seconds() < 10.0 { 3 } else { 0 };
    facts.push(elapsed_text(spectrum.seconds(), decimals));
    facts.extend(remark(spectrum));
    if let Some(start) = labels.chunk_start() {
        facts.push(format!("{} {}, {}", start.date_text(), start.time_text(), start.offset_text()));
    }
    let facts = facts.join(" · ");
    let clipped = match spectrum.clipped {
        0 => String::new(),
        1_000_000.. => format!("clipped: {:.1} million samples", spectrum.clipped as f64 / 1e6),
        n => format!("clipped: {n} samples"),
    };
    let space = 2 * font::ADVANCE * zoom;
    let taken = |text: &str| if text.is_empty() { 0 } else { text_width(text, zoom) + space };
    let room = scale_left.min(right).saturating_sub(left + taken(&facts) + taken(&clipped)) / zoom;
    let name = Name::new(&labels.source_name).shortened(room.max(LEAST_NAME));
    let name_width = name.width();
    p.name(left, y - (name::BASELINE - font::BASELINE) * zoom, zoom, name, INK);
    let mut x = left + name_width * zoom + if name_width > 0 { space } else { 0 };
    for (text, color) in [(&facts, FAINT), (&clipped, CLIPPED)] {
        let letters = scale_left.saturating_sub(x) / (font::ADVANCE * zoom);
        if !text.is_empty() && letters >= LEAST_TEXT {
            x = p.text(x, y, zoom, &shortened(text, letters), color) + space;
        }
    }
}

/// What the title says about a picture that would leave its reader guessing: one without anything to see, and one in false
/// colours, whose columns stand for more or less time, as the recording is long or short.
fn remark(spectrum: &Spectrum) -> Option<String> {
    if spectrum.samples == 0 {
        Some("no samples".into())
    } else if spectrum.levels.iter().all(|level| level.peak == 0.0) {
        Some("digital silence".into())
    } else if spectrum.index_seconds().is_some() {
        let seconds = (spectrum.seconds() / spectrum.columns().max(1) as f64).max(spectrum.index_seconds()?.into());
        Some(match seconds {
            60.0 => "1 min per column".into(),
            ..60.0 => format!("{} s per column", seconds.round()),
            _ => format!("{} per column", elapsed_text(seconds, 0)),
        })
    } else {
        None
    }
}

/// The colours and what they stand for, at the right; returns where it begins.
fn draw_scale(p: &mut Sketch, frame: &Frame, spectrum: &Spectrum, range: &DbRange, table: &[Color; 256]) -> usize {
    let zoom = frame.layout.zoom;
    let (mut x, y) = (frame.plot.x + frame.plot.width, TITLE_TOP * zoom);
    let space = font::ADVANCE * zoom;
    if spectrum.index_seconds().is_some() {
        for (text, color) in
            [("events", [80, 120, 255]), ("concentration", [60, 220, 60]), ("complexity", [255, 70, 70])]
        {
            x = x.saturating_sub(text_width(text, zoom));
            p.text(x, y, zoom, text, color);
            x = x.saturating_sub(space);
        }
        return x;
    }
    let high = format!("{} dBFS", minus(range.high()));
    let low = minus(range.low());
    x = x.saturating_sub(text_width(&high, zoom));
    p.text(x, y, zoom, &high, FAINT);
    let width = 96 * zoom;
    x = x.saturating_sub(space + width);
    for i in 0..width {
        p.fill(x + i, y, 1, 7 * zoom, table[i * 255 / (width - 1)]);
    }
    x = x.saturating_sub(space + text_width(&low, zoom));
    p.text(x, y, zoom, &low, FAINT);
    x.saturating_sub(2 * space)
}

/// A level with a sign that is as wide as a digit, without decimals where there are none.
fn minus(db: f64) -> String {
    let text = format!("{db:.1}");
    text.trim_end_matches(".0").replace('-', "−")
}

fn draw_frequencies(p: &mut Sketch, frame: &Frame, spectrum: &Spectrum) {
    let (plot, layout) = (frame.plot, frame.layout);
    let zoom = layout.zoom;
    let height = layout.stream_height();
    // The unit stands where the uppermost label would, so keep clear of it.
    let apart = FREQUENCY_LABEL_ROOM * zoom as f64 / height as f64;
    let ticks = frequency_ticks(spectrum.scale, spectrum.fmin, spectrum.fmax, apart);
    for stream in 0..layout.streams {
        let top = plot.y + stream * (height + layout.gap());
        for tick in &ticks {
            let y = top + ((1.0 - tick.at) * (height - 1) as f64).round() as usize;
            p.fill(plot.x - 4 * zoom, y, 3 * zoom, zoom, LINE);
            p.fill(plot.x + plot.width + zoom, y, 3 * zoom, zoom, LINE);
            // At the bottom a zero would stand right above that of the level strip.
            let text = if tick.at == 0.0 && spectrum.fmin == 0.0 { "" } else { &tick.label };
            let text_y = y.saturating_sub(if tick.at == 0.0 { 6 } else { 3 } * zoom);
            p.text(plot.x.saturating_sub(7 * zoom + text_width(text, zoom)), text_y, zoom, text, FAINT);
        }
        if layout.streams > 1 && height >= 12 * zoom {
            let label = (stream + 1).to_string();
            p.text(plot.x + plot.width + 8 * zoom, top + height / 2 - 4 * zoom, zoom, &label, INK);
        }
    }
    p.text(4 * zoom, plot.y, zoom, "kHz", FAINT);
}

/// A column of the level strip: how high its bars reach, in pixels, and whether it is clipped.
struct LevelBars {
    peak: usize,
    rms: usize,
    clipped: bool,
}

/// Those of all columns; none where there are no levels.
fn level_bars(spectrum: &Spectrum, frame: &Frame) -> Vec<LevelBars> {
    let (width, count) = (frame.plot.width, spectrum.levels.len());
    let height = (STRIP_HEIGHT * frame.layout.zoom) as f64;
    let bars = |x: usize| {
        let first = x * count / width;
        let end = ((x + 1) * count / width).max(first + 1);
        let levels = &spectrum.levels[first..end];
        let bar = |value: fn(&Level) -> f32| {
            (strip_share(levels.iter().map(value).fold(0.0, f32::max)) * height).round() as usize
        };
        LevelBars {
            peak: bar(|level| level.peak),
            rms: bar(|level| level.rms),
            clipped: levels.iter().any(|level| level.clipped > 0),
        }
    };
    (0..width).filter(|_| count > 0).map(bars).collect()
}

fn draw_level<P: Ink>(band: &mut Band<'_, P>, frame: &Frame, bars: &[LevelBars], palette: &Palette) {
    let (plot, zoom) = (frame.plot, frame.layout.zoom);
    let (top, height) = (frame.strip_y, STRIP_HEIGHT * zoom);
    if !band.meets(top, height) {
        return;
    }
    let [strip, peak_ink, rms_ink, clipped_ink] = [STRIP, PEAK, RMS, CLIPPED].map(|color| P::of(color, palette));
    for y in 0..height {
        band.fill(plot.x, top + y, plot.width, 1, strip);
        let line = band.line_mut(plot.x, top + y, plot.width);
        for (pixel, bars) in line.iter_mut().zip(bars) {
            if height - y <= bars.rms {
                *pixel = rms_ink;
            } else if height - y <= bars.peak {
                *pixel = if bars.clipped { clipped_ink } else { peak_ink };
            }
        }
    }
    for (x, _) in bars.iter().enumerate().filter(|(_, bars)| bars.clipped) {
        band.fill((plot.x + x).saturating_sub(zoom / 2), top, zoom, 6 * zoom, clipped_ink);
    }
}

fn draw_level_scale(p: &mut Sketch, frame: &Frame) {
    let (plot, zoom) = (frame.plot, frame.layout.zoom);
    let (top, height) = (frame.strip_y, STRIP_HEIGHT * zoom);
    for (share, text) in [(0.0, "0"), (0.5, "−40"), (1.0, "−80")] {
        let y = top + (share * (height - zoom) as f64) as usize;
        p.fill(plot.x - 4 * zoom, y, 3 * zoom, zoom, LINE);
        let text_y = (y - 3 * zoom).min(top + height - 8 * zoom).max(top);
        p.text(plot.x.saturating_sub(7 * zoom + text_width(text, zoom)), text_y, zoom, text, FAINT);
    }
    p.text(4 * zoom, top + height / 2 - 3 * zoom, zoom, "dB", FAINT);
}

/// How far up the level strip an amplitude reaches.
fn strip_share(amplitude: f32) -> f64 {
    let db = super::arith::decibels(f64::from(amplitude) * f64::from(amplitude));
    (1.0 - db / STRIP_LOW_DB).clamp(0.0, 1.0)
}

fn draw_times(p: &mut Sketch, frame: &Frame, spectrum: &Spectrum, labels: &Labels) {
    let (plot, zoom) = (frame.plot, frame.layout.zoom);
    let seconds = spectrum.seconds();
    let most = plot.width as f64 / (TIME_LABEL_ROOM * zoom as f64);
    let bottom = frame.strip_y + STRIP_HEIGHT * zoom;
    let elapsed = elapsed_ticks(labels.start_seconds, seconds, most);
    draw_time_ticks(p, frame, &elapsed, bottom + zoom, bottom + 7 * zoom, 0);
    if let Some(start) = labels.chunk_start() {
        let text_y = plot.y - 14 * zoom;
        let offset = start.utc_offset().map_or(String::new(), |_| start.offset_text());
        let free_from = p.text(2 * zoom, text_y, zoom, &offset, FAINT);
        draw_time_ticks(p, frame, &clock_ticks(start, seconds, most), plot.y - 4 * zoom, text_y, free_from);
    }
}

/// Ticks at `tick_y`, and as many labels at `text_y`, from `free_from` on, as do not touch.
fn draw_time_ticks(p: &mut Sketch, frame: &Frame, ticks: &[Tick], tick_y: usize, text_y: usize, mut free_from: usize) {
    let (plot, zoom) = (frame.plot, frame.layout.zoom);
    for tick in ticks {
        let x = plot.x + (tick.at * (plot.width - 1) as f64).round() as usize;
        p.fill(x, tick_y, zoom, 3 * zoom, LINE);
        let width = text_width(&tick.label, zoom);
        let text_x = x.saturating_sub(width / 2).min(frame.width - width - 2 * zoom);
        if text_x >= free_from {
            p.text(text_x, text_y, zoom, &tick.label, FAINT);
            free_from = text_x + width + font::ADVANCE * zoom;
        }
    }
}

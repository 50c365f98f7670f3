//! The preview: a picture that tells a person what is on hours of tape.
//!
//! ```text
//! samples ─► analyzer ─► stft ─► bands ─► grid, or columns ─► Spectrum ─┬─► histogram ─► RangeEstimator
//!               │                                                       │                    │
//!               └──────► level ─────────────────────────────────────────┘     render ◄───────┘
//! ```
//!
//! An [`Analyzer`] takes in a chunk's samples as they pass, in bounded memory (about 4 MiB at the usual size of the
//! picture and one stream, 1 MiB where it is told how many samples come; in proportion for larger pictures and separate
//! channels), and leaves a [`Spectrum`]: the picture before it gets its colours. When all chunks of a recording are known, a
//! [`RangeEstimator`] finds the range of levels that they share, and [`render`] draws each, or a [`Drawing`] in bands. Same
//! samples and settings give the same bytes on every machine: the transform and all functions are made of IEEE operations in a
//! fixed order, without the platform's mathematics library.
//!
//! ```
//! use audio_tiff::preview::{Analyzer, Labels, RangeEstimator, Settings, encode_png, render};
//!
//! let settings = Settings::default();
//! let mut analyzer = Analyzer::new(8_000, 1, 16, &settings)?;
//! let samples: Vec<i32> = (0..8_000).map(|i| i * 37 % 2_000).collect();
//! analyzer.push(&[&samples]);
//! let spectrum = analyzer.finish();
//! let mut range = RangeEstimator::new();
//! range.add(&spectrum.histogram());
//! let picture = render(&spectrum, &range.range(), &Labels::default(), &settings);
//! assert_eq!(picture.rgb.len() as u32, picture.width * picture.height * 3);
//! let png = encode_png(&picture);
//! # assert!(png.starts_with(b"\x89PNG"));
//! # Ok::<(), audio_tiff::error::Error>(())
//! ```

mod analyzer;
pub mod arith;
mod axes;
pub mod bands;
mod canvas;
pub mod clock;
mod colormap;
mod columns;
mod complex;
mod deflate;
mod encode;
mod false_color;
mod fft;
mod font;
mod grid;
mod lanes;
mod layout;
mod level;
mod name;
mod packed;
mod range;
mod render;
mod settings;
mod spectrum;
pub mod stft;

pub use analyzer::Analyzer;
pub use axes::elapsed_text;
pub use canvas::Picture;
pub use clock::{WallClock, start_from_file_name};
pub use colormap::ColorMap;
pub use encode::{describe, encode_deflate, encode_png};
pub use range::{DbRange, Histogram, RangeEstimator};
pub use render::{Drawing, Labels, render};
pub use settings::{ChannelView, Kind, Settings};
pub use spectrum::Spectrum;

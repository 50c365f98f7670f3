//! Audio archived in TIFF: recordings go in, pictures with the sound as FLAC inside come out, and the same files come
//! back, byte for byte.
//!
//! ```text
//! source ──► archive ──► container ──► *.tiff      manifest.json ◄── manifest ◄── archive
//!              │  │                      │                │
//!           flac  preview                └──► extract ◄───┘ ──► *.flac, the source files
//! ```
//!
//! | module | what it is |
//! |---|---|
//! | [`archive`] | encode side: plan → chunk → write → prove → record |
//! | [`extract`] | decode side: find → check → copy → rebuild |
//! | [`info`] | all about one TIFF |
//! | [`sign`] | the manifest's signature by an SSH key |
//! | [`bag`] | BagIt around an archive |
//! | [`verify`] | checking archives: findings, damage as time ranges, states, reports |
//! | [`transfer`] | sources from one archive to another |
//! | [`source`] | what a source file is: scanners of plain-sample containers, decoders of coded audio, sample formats |
//! | [`flac`] | frames, encoder, decoder, metadata blocks (RFC 9639) |
//! | [`preview`] | STFT → mel bands → picture |
//! | [`container`] | pages ↔ TIFF 6.0 and BigTIFF |
//! | [`parity`] | Reed–Solomon recovery data of a TIFF: written beside it, judged, repaired with |
//! | [`manifest`] | `manifest.json`, the journal, `SHA256SUMS`; manifests of the original programs |
//! | `index` (feature) | an SQLite database of what is in the archive, and searching it |
//! | `serve` (feature) | a local page to look through an archive and listen to it |
//! | [`mod@format`] | what the pages of our TIFFs say about themselves |
//! | [`events`], [`error`], [`interrupt`] | what a run tells, how it fails, how it is stopped |
//! | [`hash`], [`durable`], [`positioned`], [`timestamp`] | checksums, files that are whole or not there, positioned reads, file times |
//!
//! The library prints nothing and never exits; the programs `audio2tiff` and `tiff2flac` are thin.

#![warn(clippy::unwrap_used)]

pub mod archive;
pub mod bag;
pub mod container;
pub mod durable;
pub mod error;
pub mod events;
pub mod extract;
pub mod flac;
pub mod format;
pub mod hash;
#[cfg(feature = "index")]
pub mod index;
pub mod info;
pub mod interrupt;
pub mod manifest;
mod packed;
pub mod parity;
pub mod positioned;
pub mod preview;
#[cfg(feature = "serve")]
pub mod serve;
pub mod sign;
pub mod source;
mod spare;
mod threads;
pub mod timestamp;
pub mod transfer;
mod vector;
pub mod verify;

//! Chunks between their audio and their directories: those need to know all chunks of the source.

use std::borrow::Cow;
use std::fs::File;
use std::path::Path;

use crate::archive::write::{Parked, Scratch};
use crate::container::PageLayout;
use crate::error::{Error, Result};
use crate::preview::Spectrum;

/// A chunk whose audio is written and whose directories are not.
pub(super) struct Pending {
    pub(super) parked: Parked,
    pub(super) index: u64,
    pub(super) start: u64,
    pub(super) frames: u64,
    pub(super) flacs: Vec<FlacPlace>,
    /// Pages behind the FLACs: source bytes and remainder.
    pub(super) others: Vec<PageLayout>,
    pub(super) spectrum: Kept,
}

#[derive(Clone)]
pub(super) struct FlacPlace {
    pub(super) offset: u64,
    pub(super) len: u64,
    pub(super) first_channel: u32,
    pub(super) channels: u32,
    /// Where the page's bytes stand in the source, if they are the source's own.
    pub(super) source_offset: Option<u64>,
    pub(super) block: u32,
}

/// A chunk's spectrum: in memory where it is the only chunk's, else in a file beside the TIFF, so that a recording of many
/// chunks takes no more memory than one of few.
pub(super) enum Kept {
    Memory(Box<Spectrum>),
    Parked(Scratch),
}

impl Kept {
    pub(super) fn new(spectrum: Spectrum) -> Kept {
        Kept::Memory(Box::new(spectrum))
    }

    /// Moves it to a file beside the TIFF at `tiff`.
    pub(super) fn park(&mut self, tiff: &Path) -> Result<()> {
        if let Kept::Memory(spectrum) = self {
            *self = Kept::Parked(Scratch::write_with(tiff.with_extension("mel"), |file| spectrum.write_to(file))?);
        }
        Ok(())
    }

    pub(super) fn take(&self) -> Result<Cow<'_, Spectrum>> {
        match self {
            Kept::Memory(spectrum) => Ok(Cow::Borrowed(spectrum)),
            Kept::Parked(file) => {
                let path = file.path();
                let opened = File::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
                let (len, mut file) = opened.map_err(Error::while_("reading a temporary file", path))?;
                Spectrum::read_from(&mut file, len).map(Cow::Owned).map_err(|e| e.at_path(path))
            }
        }
    }
}

//! FLACs that their TIFFs hold compressed (archives of the original programs), kept at hand: the first way to a place in one
//! is the longest.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use crate::container::InflatedPage;
use crate::error::{Error, Result};
use crate::extract::tiff::{ChunkTiff, FlacPage};

/// FLACs that are kept.
const KEPT: usize = 4;

/// The compressed FLACs that were read last.
#[derive(Default)]
pub struct InflatedFlacs(Mutex<Vec<Kept>>);

struct Kept {
    path: PathBuf,
    page: usize,
    /// Length and time of last change of the TIFF.
    state: (u64, Option<SystemTime>),
    bytes: Arc<InflatedPage>,
}

impl InflatedFlacs {
    /// The bytes of a FLAC at any position.
    ///
    /// # Errors
    /// Those of the page, and `Io`.
    pub fn get(&self, tiff: &ChunkTiff, flac: &FlacPage) -> Result<Arc<InflatedPage>> {
        let metadata = tiff.file.metadata().map_err(Error::while_("looking at", &tiff.path))?;
        let state = (metadata.len(), metadata.modified().ok());
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |k: &Kept| k.path == tiff.path && k.page == flac.page && k.state == state;
        if let Some(at) = kept.iter().position(same) {
            let entry = kept.remove(at);
            let bytes = entry.bytes.clone();
            kept.push(entry);
            return Ok(bytes);
        }
        let bytes = Arc::new(tiff.inflated(flac)?);
        if kept.len() >= KEPT {
            kept.remove(0);
        }
        kept.push(Kept { path: tiff.path.clone(), page: flac.page, state, bytes: bytes.clone() });
        Ok(bytes)
    }
}

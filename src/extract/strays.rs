//! TIFFs in an archive's folder that its manifest does not name, and that are therefore not extracted.

use std::fs;
use std::path::Path;

use crate::events::{Event, Observer};
use crate::extract::sources::Found;
use crate::manifest::{self, NameSet, TEMP_DIR};

/// That many are named one by one.
const NAMED: usize = 20;

/// Tells of those that are not `listed`. Where there is no manifest, all TIFFs were asked themselves, and have been told of.
pub(super) fn tell(dir: &Path, found: &Found, listed: &NameSet, observer: &dyn Observer) {
    if found.from_tiffs {
        return;
    }
    let mut strays = Vec::new();
    collect(dir, Path::new(""), listed, &mut strays);
    strays.sort_unstable();
    for name in strays.iter().take(NAMED) {
        observer.on(&Event::Note { item: name, message: "a TIFF that no manifest names; left out [extra-tiff]" });
    }
    if strays.len() > NAMED {
        let message = format!("and {} TIFFs more that no manifest names", strays.len() - NAMED);
        observer.on(&Event::Note { item: &dir.to_string_lossy(), message: &message });
    }
}

/// Names below `dir/relative` that are not `listed`. What cannot be looked into holds nothing that is asked for, or is missed
/// by name.
fn collect(dir: &Path, relative: &Path, listed: &NameSet, strays: &mut Vec<String>) {
    let mut folders = Vec::new();
    for entry in fs::read_dir(dir.join(relative)).into_iter().flatten().flatten() {
        let below = relative.join(entry.file_name());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            folders.push(below);
        } else if manifest::is_tiff_name(&below) {
            strays.extend(manifest::path_to_text(&below).filter(|name| !listed.contains(name)));
        }
    }
    for folder in folders.iter().filter(|folder| **folder != Path::new(TEMP_DIR)) {
        collect(dir, folder, listed, strays);
    }
}

//! Where an archive is in the folder that was named: there itself, or, where that folder is a bag (RFC 8493), in its payload.

use std::path::{Path, PathBuf};

use super::file::MANIFEST_NAME;
use super::journal::TEMP_DIR;
use super::sums::SUMS_NAME;

/// The payload folder of a bag.
pub const PAYLOAD_DIR: &str = "data";

/// The folder of the archive that `dir` names: `dir/data` where `dir` is a bag around an archive, else `dir`.
///
/// An archive in a bag that has lost its manifest is known by its checksums.
pub fn archive_dir(dir: &Path) -> PathBuf {
    let data = dir.join(PAYLOAD_DIR);
    let lost = || data.join(SUMS_NAME).is_file() && !dir.join(MANIFEST_NAME).exists();
    match dir.join("bagit.txt").is_file() && (data.join(MANIFEST_NAME).is_file() || lost()) {
        true => data,
        false => dir.to_path_buf(),
    }
}

/// The bag around the archive in `root`, if there is one.
pub fn bag_around(root: &Path) -> Option<PathBuf> {
    let bag = root.parent().filter(|_| root.file_name().is_some_and(|name| name == PAYLOAD_DIR))?;
    let bag = if bag.as_os_str().is_empty() { Path::new(".") } else { bag };
    bag.join("bagit.txt").is_file().then(|| bag.to_path_buf())
}

/// Where what is not part of the archive may be kept: its `temp/`, or the bag's, since a payload must be as it is listed.
pub fn side_dir(root: &Path) -> PathBuf {
    bag_around(root).unwrap_or_else(|| root.to_path_buf()).join(TEMP_DIR)
}

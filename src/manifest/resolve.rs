//! Where the TIFF is that a manifest of the original scripts names.
//!
//! Their `tiff_path` is absolute, in the style of Windows, or relative to wherever the program was started, and the
//! archive has often been moved since. The path is taken as given if that leads into the archive's folder; else the
//! longest end of it that exists there is taken, which in the end is its base name beside the manifest.

use std::fs;
use std::path::Path;

use super::paths::{confine, is_absolute, path_to_text, safe_foreign_path, safe_relative_path};

/// How a path was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// As it is given.
    AsGiven,
    /// By an end of it, inside the archive's folder.
    ByEnd,
    /// Not at all; the path is where it would have to be.
    Nowhere,
}

/// The path relative to `root` as text, and how it was found; `None` where there is nothing safe to look for.
///
/// `real_root` is `root` without symbolic links.
pub(super) fn resolve(root: &Path, real_root: &Path, given: &str) -> Option<(String, Found)> {
    if given.contains('\0') {
        return None;
    }
    let as_given = fs::canonicalize(given).ok().filter(|path| path.is_file());
    if let Some(text) = as_given.and_then(|path| path_to_text(path.strip_prefix(real_root).ok()?)) {
        return Some((text, Found::AsGiven));
    }
    let relative = !is_absolute(given);
    let slashed = given.replace('\\', "/");
    // A backslash may also be part of a name, so the path is first cut at `/` alone.
    for (style, path) in [given, &slashed].into_iter().enumerate() {
        let mut end = path.trim_start_matches("./");
        let mut whole = relative;
        loop {
            let safe = if style == 0 { safe_relative_path(end) } else { safe_foreign_path(end) };
            let exists = |path: &Path| root.join(path).is_file() && confine(root, path).is_ok();
            if let Some(text) = safe.ok().filter(|path| exists(path)).and_then(|path| path_to_text(&path)) {
                return Some((text, if whole { Found::AsGiven } else { Found::ByEnd }));
            }
            whole = false;
            match end.split_once('/') {
                Some((_, rest)) => end = rest,
                None => break,
            }
        }
    }
    let base = slashed.rsplit('/').next().unwrap_or(&slashed);
    let base = safe_foreign_path(base).ok()?;
    Some((path_to_text(&base)?, Found::Nowhere))
}

//! Which page is the FLAC.

use std::io::Read;

use super::read::Page;
use crate::positioned::ReadAt;

/// The page that holds the FLAC file's bytes, if there is one.
///
/// It is the first whose JSON says `"embedded_flac_bytes": true`; its index is not to be relied on, since archives of
/// the originals can have it on page 0. Where no page says so, perhaps because a photo tool has overwritten the
/// descriptions, it is the first readable grey page whose bytes begin with `fLaC`. An ordinary picture gives `None`.
pub fn find_flac_page<'p>(file: &dyn ReadAt, pages: &'p [Page]) -> Option<&'p Page> {
    pages.iter().find(|page| page.says_flac()).or_else(|| {
        pages.iter().find(|page| {
            let mut magic = [0; 4];
            page.samples_per_pixel == 1
                && page.reader(file).is_ok_and(|mut r| r.read_exact(&mut magic).is_ok())
                && &magic == b"fLaC"
        })
    })
}

//! Any bytes as a TIFF: directories, descriptions, pixels, and what pages say about themselves.
#![no_main]

use std::io::Read;

use audio_tiff::container::{self, Limits};
use audio_tiff::format::{ChunkMetadata, Role};
use libfuzzer_sys::fuzz_target;

/// Pixels that are read of one page, at most: a page may inflate to far more than the file is long.
const ENOUGH: u64 = 1 << 20;

fuzz_target!(|data: &[u8]| {
    let Ok(pages) = container::read_pages(&data, &Limits::default()) else { return };
    for page in &pages {
        let _ = page.check();
        let _ = (page.description_json(), page.says_flac(), Role::of(page), ChunkMetadata::of(page).is_ok());
        if let Some((start, len)) = page.contiguous() {
            assert!(start.checked_add(len).is_some_and(|end| end <= data.len() as u64), "pixels past the end");
        }
        if let Ok(reader) = page.reader(&data) {
            let total = reader.image_bytes();
            let mut pixels = Vec::new();
            let whole = reader.take(ENOUGH).read_to_end(&mut pixels).is_ok();
            assert!(!whole || pixels.len() as u64 == total.min(ENOUGH), "a page ends early without an error");
        }
    }
    let _ = container::find_flac_page(&data, &pages);
});

//! Any bytes as a source file: what it is, and, where it holds plain samples, how they are taken apart.
#![no_main]

use audio_tiff::source::remainder::{Plan, Steps};
use audio_tiff::source::{self, Kind};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(kind) = source::identify(&data) else { return };
    if let Kind::Plain(scan) = kind {
        let len = data.len() as u64;
        assert_eq!(scan.file_len, len);
        assert!(scan.data_offset.checked_add(scan.data_len).is_some_and(|end| end <= len));
        assert!(scan.data_len.is_multiple_of(scan.frame_bytes()), "the samples are whole frames");
        assert!(scan.sample_rate > 0 && scan.channels > 0);
        let _ = Plan::probe(&data, &scan, Steps::AsSource);
    }
});

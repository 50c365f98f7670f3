//! Any bytes as a sidecar: the scan ends, and what it finds can be judged.
#![no_main]

use audio_tiff::interrupt::Interrupt;
use audio_tiff::parity;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let sidecar = bytes.to_vec();
    let interrupt = Interrupt::new();
    if let Ok(Some(found)) = parity::scan(&sidecar, None, &interrupt) {
        let whole = found.recovery(&sidecar, &interrupt).expect("shards can be judged");
        assert!(whole.len() <= found.subject.geometry.recovery() as usize);
    }
});

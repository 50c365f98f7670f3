//! Any bytes as a manifest: ours is read and written without loss, the originals' forms are made an index.
#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use audio_tiff::manifest::{ArchiveIndex, MANIFEST_NAME, Manifest, ReadLimits, Sums};
use libfuzzer_sys::fuzz_target;

/// A folder for this process; in memory where the system has such a place.
fn folder() -> &'static PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let shm = PathBuf::from("/dev/shm");
        let base = if shm.is_dir() { shm } else { std::env::temp_dir() };
        let dir = base.join(format!("audio-tiff-fuzz-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("a folder for the manifest");
        dir
    })
}

fuzz_target!(|data: &[u8]| {
    let limits = ReadLimits { bytes: 1 << 20, objects: 10_000, original_bytes: 1 << 20 };
    if let Ok(manifest) = Manifest::from_reader(data, &limits) {
        let mut text = Vec::new();
        manifest.to_writer(&mut text).expect("what was read can be written");
        let again = Manifest::from_reader(&text[..], &ReadLimits::default()).expect("what was written can be read");
        assert!(again == manifest, "a manifest changes on its way through a file");
    }
    let _ = Sums::from_reader(data);
    fs::write(folder().join(MANIFEST_NAME), data).expect("the manifest can be put into its folder");
    if let Ok(Some(index)) = ArchiveIndex::load(folder(), &limits) {
        for source in index.sources.iter() {
            for chunk in &source.expect("what was read can be read again").chunks {
                if let Ok(path) = index.tiff_path(chunk) {
                    assert!(path.starts_with(folder()), "{path:?} leads out of the archive");
                }
            }
        }
    }
});

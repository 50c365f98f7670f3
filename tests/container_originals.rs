//! TIFFs that the original Python scripts wrote: every FLAC page is found and is the bytes it should be.
//!
//! Runs on the corpus where there is one (`AUDIO_TIFF_CORPUS`, else `../shared/corpus`).

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use audio_tiff::container::{Limits, find_flac_page, read_pages};
use serde_json::Value;
use sha2::{Digest, Sha256};

fn corpus() -> Option<PathBuf> {
    let dir = std::env::var_os("AUDIO_TIFF_CORPUS").map(PathBuf::from);
    let dir = dir.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"));
    dir.is_dir().then_some(dir)
}

#[test]
fn the_flac_of_every_original_tiff_has_its_checksum() {
    let Some(corpus) = corpus() else { return };
    let mut seen = 0;
    for version in ["v2", "anyfmt"] {
        for case in fs::read_dir(corpus.join("original-archives").join(version)).unwrap() {
            let case = case.unwrap().path();
            let expected: Value = serde_json::from_slice(&fs::read(case.join("expected.json")).unwrap()).unwrap();
            for (name, facts) in expected["tiffs"].as_object().unwrap() {
                let file = File::open(case.join("archive").join(name)).unwrap();
                let pages = read_pages(&file, &Limits::default()).unwrap();
                assert_eq!(pages.len() as u64, facts["pages"].as_u64().unwrap(), "{name}");
                let page = find_flac_page(&file, &pages).unwrap();
                assert_eq!(page.index as u64, facts["flac_page"].as_u64().unwrap(), "{name}");
                assert_eq!(u64::from(page.compression), facts["flac_page_compression"].as_u64().unwrap(), "{name}");
                assert_eq!(page.descriptions.len(), 2, "{name}");
                let mut flac = Vec::new();
                page.reader(&file).unwrap().read_to_end(&mut flac).unwrap();
                assert_eq!(flac.len() as u64, facts["flac_bytes"].as_u64().unwrap(), "{name}");
                let sum: String = Sha256::digest(&flac).iter().map(|b| format!("{b:02x}")).collect();
                assert_eq!(sum, facts["flac_sha256"].as_str().unwrap(), "{name}");
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 14);
}

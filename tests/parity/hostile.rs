//! Sidecars that somebody made to do harm, or that damage happened to make look like that: no panic, no memory beyond the bound, no
//! file that is not the right one.

use std::fs;

use audio_tiff::interrupt::Interrupt;
use audio_tiff::manifest::Sha256Sum;
use audio_tiff::parity::{self, Assessment, Content, Geometry, Header, MAX_FILE_BYTES, Subject};
use proptest::prelude::*;

use crate::code::protect;
use crate::common::{Numbers, Scratch};

fn header(subject: Subject, content: Content) -> Vec<u8> {
    Header { subject, content, payload_hash: [0; 16] }.to_bytes().to_vec()
}

/// The resident memory of this process at its highest, in bytes.
fn peak() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}

#[test]
fn the_largest_numbers_that_a_record_can_claim_take_little_memory() {
    let s = Scratch::new();
    let path = s.path("x.tiff");
    fs::write(&path, b"a small file").unwrap();
    let before = peak();
    let mut sidecar = Vec::new();
    for n in 0..60u8 {
        // 32,768 shards of 8 GiB each, of sixty different files; recovery shards that are not there.
        let geometry = Geometry::new(MAX_FILE_BYTES, MAX_FILE_BYTES / 16_384, 16_384).unwrap();
        let subject = Subject { sha256: Sha256Sum::of(&[n]), geometry };
        for index in [0, 1, 16_383] {
            sidecar.extend(header(subject, Content::Recovery { index }));
        }
    }
    fs::write(parity::sidecar_of(&path), &sidecar).unwrap();
    assert!(matches!(parity::assess(&path).unwrap(), Assessment::Beyond(e) if e.available == 0));
    let error = parity::repair(&path, &s.path("temp"), None, &Interrupt::new()).unwrap_err();
    assert!(error.message().contains("beyond repair"), "{error}");
    assert!(!s.path("temp").exists());
    if let (Some(before), Some(after)) = (before, peak()) {
        assert!(after - before < 64 << 20, "{} MiB more", (after - before) >> 20);
    }
}

#[test]
fn records_that_contradict_one_another_harm_only_the_repair() {
    let s = Scratch::new();
    let path = s.path("x.tiff");
    let file = Numbers(4).bytes(6000);
    let subject = protect(&path, &file, 64, 10);
    let real = fs::read(parity::sidecar_of(&path)).unwrap();
    let mut damaged = file.clone();
    damaged[100] ^= 1;
    // The same file, cut another way; a longer file with the same SHA-256; the same record a thousand times.
    let other = |len, shard, n| Subject { geometry: Geometry::new(len, shard, n).unwrap(), ..subject };
    let mut fake = Vec::new();
    for subject in [other(6000, 128, 10), other(7000, 64, 10), other(6000, 64, 11), other(1 << 40, 1 << 30, 3)] {
        fake.extend(header(subject, Content::Recovery { index: 0 }));
    }
    let once = header(subject, Content::Recovery { index: 3 });
    fake.extend(std::iter::repeat_n(once, 1000).flatten());
    for sidecar in [[&fake[..], &real].concat(), [&real[..], &fake].concat()] {
        fs::write(&path, &damaged).unwrap();
        fs::write(parity::sidecar_of(&path), &sidecar).unwrap();
        parity::repair(&path, &s.path("temp"), Some(subject.sha256), &Interrupt::new()).unwrap();
        assert!(fs::read(&path).unwrap() == file);
        assert!(fs::read(parity::sidecar_of(&path)).unwrap() == real);
    }
}

#[test]
fn hashes_and_shards_that_lie_never_give_another_file() {
    let s = Scratch::new();
    let path = s.path("x.tiff");
    let file = Numbers(5).bytes(64 * 20);
    let subject = protect(&path, &file, 64, 4);
    let mut sidecar = fs::read(parity::sidecar_of(&path)).unwrap();
    // A recovery shard that is wrong, with a header that says it is right.
    let at = (0..sidecar.len())
        .find(|&at| Header::parse(&sidecar[at..]).is_some_and(|h| h.content == Content::Recovery { index: 0 }))
        .unwrap();
    sidecar[at + 128] ^= 1;
    let lie = Header {
        subject,
        content: Content::Recovery { index: 0 },
        payload_hash: parity::hash(&sidecar[at + 128..at + 192]),
    };
    sidecar[at..at + 128].copy_from_slice(&lie.to_bytes());
    let mut damaged = file.clone();
    damaged[700] ^= 1;
    fs::write(&path, &damaged).unwrap();
    fs::write(parity::sidecar_of(&path), &sidecar).unwrap();
    let error = parity::repair(&path, &s.path("temp"), None, &Interrupt::new()).unwrap_err();
    assert!(error.message().contains("what was reconstructed"), "{error}");
    assert!(fs::read(&path).unwrap() == damaged && !s.path("temp").exists());
}

#[test]
fn recovery_data_of_another_file_is_not_used() {
    let s = Scratch::new();
    let path = s.path("x.tiff");
    let file = Numbers(6).bytes(5000);
    protect(&path, &file, 64, 70);
    let expected = Sha256Sum::of(b"the file that the manifest means");
    fs::write(&path, &file[..4000]).unwrap();
    let error = parity::repair(&path, &s.path("temp"), Some(expected), &Interrupt::new()).unwrap_err();
    assert!(error.message().contains("of another file"), "{error}");
    let none = parity::assess_for(&path, Some(expected), &Interrupt::new()).unwrap();
    assert_eq!(none, Assessment::NoParity);
    assert_eq!(fs::read(&path).unwrap().len(), 4000);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Pieces of real records, cut, turned and mixed with anything: the scan ends, and whatever it finds can be judged.
    #[test]
    fn any_sidecar_at_all_can_be_scanned(
        pieces in proptest::collection::vec((0usize..4000, 0usize..600, any::<u8>(), any::<bool>()), 0..12),
    ) {
        let file = Numbers(7).bytes(2000);
        let s = Scratch::new();
        let path = s.path("x.tiff");
        protect(&path, &file, 64, 5);
        let real = fs::read(parity::sidecar_of(&path)).unwrap();
        let mut sidecar = Vec::new();
        for (at, len, change, noise) in pieces {
            let from = at.min(real.len());
            let mut piece = real[from..(from + len).min(real.len())].to_vec();
            if noise && !piece.is_empty() {
                let n = usize::from(change) % piece.len();
                piece[n] ^= change;
            }
            sidecar.extend(piece);
        }
        let found = parity::scan(&sidecar, None, &Interrupt::new()).unwrap();
        if let Some(found) = found {
            prop_assert_eq!(found.subject.geometry.file_bytes(), 2000);
            let whole = found.recovery(&sidecar, &Interrupt::new()).unwrap();
            prop_assert!(whole.len() <= 5);
            prop_assert!(!found.is_whole(&whole) || sidecar == real);
        }
        fs::write(parity::sidecar_of(&path), &sidecar).unwrap();
        let mut damaged = file.clone();
        damaged[64 * 3] ^= 1;
        fs::write(&path, &damaged).unwrap();
        match parity::repair(&path, &s.path("temp"), None, &Interrupt::new()) {
            Ok(_) => prop_assert!(fs::read(&path).unwrap() == file),
            Err(_) => prop_assert!(fs::read(&path).unwrap() == damaged),
        }
    }
}

//! The bytes of sidecars: pinned, and the same as those of the reference.

use std::fs;
use std::path::Path;

use audio_tiff::interrupt::Interrupt;
use audio_tiff::manifest::Sha256Sum;
use audio_tiff::parity::{self, Geometry, Subject};

use crate::common::{Numbers, Scratch};
use crate::reference::{self, Field};

/// Writes `bytes` and its sidecar with given shards.
pub fn protect(path: &Path, bytes: &[u8], shard: u64, recovery: u64) -> Subject {
    let geometry = Geometry::new(bytes.len() as u64, shard, recovery).unwrap();
    let subject = Subject { sha256: Sha256Sum::of(bytes), geometry };
    fs::write(path, bytes).unwrap();
    parity::write_sidecar(&bytes.to_vec(), &subject, &parity::sidecar_of(path), &Interrupt::new()).unwrap();
    subject
}

#[test]
fn sidecars_are_to_the_byte_what_the_format_says() {
    let field = Field::new();
    let s = Scratch::new();
    let mut numbers = Numbers(1);
    // Both ways in which the code is laid out, at and around powers of two; last shards that are short by one byte or all but.
    let cases = [
        (1, 1),
        (1, 2),
        (2, 1),
        (2, 2),
        (3, 2),
        (3, 3),
        (4, 3),
        (3, 4),
        (5, 2),
        (7, 7),
        (8, 5),
        (5, 8),
        (8, 8),
        (9, 8),
        (16, 9),
        (17, 1),
        (33, 7),
        (60, 64),
        (64, 60),
        (70, 3),
        (3, 70),
        (100, 17),
        (300, 5),
        (255, 2),
        (257, 40),
    ];
    for (n, (data, recovery)) in cases.into_iter().enumerate() {
        let shard = [64, 128, 192][n % 3];
        let short = [0, 1, 63, shard - 1][n % 4];
        let file = numbers.bytes(data * shard - short);
        let path = s.path("x.tiff");
        protect(&path, &file, shard as u64, recovery as u64);
        let written = fs::read(parity::sidecar_of(&path)).unwrap();
        let should = reference::sidecar(&field, &file, shard, recovery);
        assert!(written == should, "{data} + {recovery} shards of {shard}");
    }
}

#[test]
fn sidecars_stay_what_they_were() {
    let s = Scratch::new();
    let path = s.path("x.tiff");
    let golden = [
        (100_000, "5%", "60608609"),
        (3_000_000, "5%", "aad90c6a"),
        (1_000_000, "100%", "f73bb70f"),
        (70_000_000, "0.5%", "08dd6a92"),
    ];
    let mut sums = Vec::new();
    for (len, share, _) in golden {
        let file = Numbers(len as u64).bytes(len);
        let subject = Subject::new(Sha256Sum::of(&file), len as u64, share.parse().unwrap()).unwrap();
        let g = subject.geometry;
        let sidecar = parity::sidecar_of(&path);
        parity::write_sidecar(&file, &subject, &sidecar, &Interrupt::new()).unwrap();
        let written = fs::read(&sidecar).unwrap();
        assert_eq!(written.len() as u64, g.sidecar_bytes());
        sums.push((len, share, Sha256Sum::of(&written).to_string()[..8].to_owned()));
    }
    assert_eq!(sums, golden.map(|(len, share, sum)| (len, share, sum.to_owned())));
}

#[test]
fn the_same_bytes_come_from_any_number_of_threads() {
    let file = Numbers(9).bytes(700_000);
    let s = Scratch::new();
    let one = |threads: usize| {
        let path = s.path(&format!("{threads}.tiff"));
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| protect(&path, &file, 4096, 20));
        fs::read(parity::sidecar_of(&path)).unwrap()
    };
    let alone = one(1);
    assert!(one(2) == alone && one(5) == alone);
}

#[test]
fn the_reference_repairs_what_the_library_wrote_and_the_other_way_round() {
    let field = Field::new();
    let s = Scratch::new();
    let mut numbers = Numbers(3);
    for (data, recovery) in [(40, 6), (6, 10), (20, 20), (1, 1), (300, 9)] {
        let file = numbers.bytes(data * 64 - 5);
        let path = s.path("y.tiff");
        protect(&path, &file, 64, recovery as u64);
        let sidecar = fs::read(parity::sidecar_of(&path)).unwrap();
        let mut damaged = file.clone();
        for n in 0..recovery.min(data) {
            let at = (n * data / recovery.min(data)) * 64 + (numbers.next() % 59) as usize;
            damaged[at] ^= 0x55;
        }
        assert!(reference::repair(&field, &damaged, &sidecar) == Some(file.clone()));
        fs::write(&path, &damaged).unwrap();
        parity::repair(&path, &s.path("temp"), None, &Interrupt::new()).unwrap();
        assert!(fs::read(&path).unwrap() == file);
    }
}

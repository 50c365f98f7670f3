//! Damage at random, within the bound and beyond it: what can be mended is mended to the byte, and nothing else is touched.

use std::collections::BTreeSet;
use std::fs;

use audio_tiff::interrupt::Interrupt;
use audio_tiff::manifest::Sha256Sum;
use audio_tiff::parity::{self, Assessment, Geometry, HEADER_BYTES, Subject};

use crate::code::protect;
use crate::common::{Numbers, Scratch};

/// A protected file in memory, and what is done to it.
struct Case {
    geometry: Geometry,
    file: Vec<u8>,
    sidecar: Vec<u8>,
    scratch: Scratch,
}

const SHARD: u64 = 64;

impl Case {
    fn new(data: u64, short: u64, recovery: u64, seed: u64) -> Case {
        let scratch = Scratch::new();
        let path = scratch.path("x.tiff");
        let file = Numbers(seed).bytes((data * SHARD - short) as usize);
        let subject = protect(&path, &file, SHARD, recovery);
        let sidecar = fs::read(parity::sidecar_of(&path)).unwrap();
        Case { geometry: subject.geometry, file, sidecar, scratch }
    }

    /// Assesses and repairs; what is mended has to be the file and the sidecar as they were, what is not has to be as it is.
    #[track_caller]
    fn outcome(&self, file: Option<&[u8]>, sidecar: &[u8]) -> Assessment {
        let path = self.scratch.path("x.tiff");
        let beside = parity::sidecar_of(&path);
        match file {
            Some(bytes) => fs::write(&path, bytes).unwrap(),
            None => {
                let _ = fs::remove_file(&path);
            }
        }
        fs::write(&beside, sidecar).unwrap();
        let state = parity::assess(&path).unwrap();
        let expected = Sha256Sum::of(&self.file);
        let repaired = parity::repair(&path, &self.scratch.path("temp"), Some(expected), &Interrupt::new());
        assert!(!self.scratch.path("temp").exists());
        match state {
            Assessment::Mendable(_) | Assessment::Intact(_) => {
                repaired.unwrap();
                assert!(fs::read(&path).unwrap() == self.file, "another file came back");
                assert!(fs::read(&beside).unwrap() == self.sidecar, "another sidecar came back");
            }
            _ => {
                repaired.unwrap_err();
                assert!(fs::read(&path).ok().as_deref() == file, "an unmended file was touched");
                assert!(fs::read(&beside).unwrap() == sidecar);
            }
        }
        state
    }
}

/// Changes each of some shards somewhere.
fn damage(bytes: &mut [u8], geometry: &Geometry, shards: &BTreeSet<u32>, numbers: &mut Numbers) {
    for &index in shards {
        let (start, len) = geometry.shard(index);
        let at = (start + numbers.next() % len) as usize;
        match numbers.next() % 3 {
            0 => bytes[at] ^= 1 << (numbers.next() % 8),
            1 => bytes[start as usize..(start + len) as usize].fill(numbers.next() as u8),
            _ => bytes[at] = bytes[at].wrapping_add(1),
        }
        if bytes[start as usize..(start + len) as usize].iter().all(|b| *b == bytes[at]) {
            bytes[start as usize] ^= 1;
        }
    }
}

fn choose(count: u64, of: u64, numbers: &mut Numbers) -> BTreeSet<u32> {
    let mut chosen = BTreeSet::new();
    while (chosen.len() as u64) < count {
        chosen.insert((numbers.next() % of) as u32);
    }
    chosen
}

#[test]
fn as_many_shards_as_there_is_recovery_data_for_come_back_and_not_one_more() {
    let mut numbers = Numbers(2026);
    let mut runs = 0;
    for round in 0..100 {
        let data = 1 + numbers.next() % 40;
        let recovery = 1 + numbers.next() % 12;
        let case = Case::new(data, numbers.next() % SHARD, recovery, round);
        for _ in 0..12 {
            // Recovery shards may be among the damage, in their bytes or in their headers.
            let broken = choose(numbers.next() % (recovery + 1), recovery, &mut numbers);
            let mut sidecar = case.sidecar.clone();
            for &index in &broken {
                let at = recovery_offset(&case, index) + numbers.next() % (HEADER_BYTES + SHARD);
                sidecar[at as usize] ^= 1 << (numbers.next() % 8);
            }
            let left = recovery - broken.len() as u64;
            for lost in [left, left + 1] {
                if lost > data {
                    continue;
                }
                let shards = choose(lost, data, &mut numbers);
                let mut file = case.file.clone();
                damage(&mut file, &case.geometry, &shards, &mut numbers);
                let state = case.outcome(Some(&file), &sidecar);
                let (extent, mendable) = match state {
                    Assessment::Mendable(extent) | Assessment::Intact(extent) => (extent, true),
                    Assessment::Beyond(extent) => (extent, false),
                    Assessment::NoParity => panic!("the sidecar was not found"),
                };
                assert_eq!(mendable, lost <= left, "{data} + {recovery}, {lost} lost, {left} left");
                assert_eq!((u64::from(extent.lost), u64::from(extent.available)), (lost, left));
                assert_eq!(extent.sidecar_whole, broken.is_empty());
                runs += 1;
            }
        }
    }
    assert!(runs > 2000, "{runs}");
}

/// Where the record of a recovery shard begins, found by its header.
fn recovery_offset(case: &Case, index: u32) -> u64 {
    let at = (0..case.sidecar.len()).find(|&at| {
        parity::Header::parse(&case.sidecar[at..]).is_some_and(|h| h.content == parity::Content::Recovery { index })
    });
    at.expect("a record") as u64
}

#[test]
fn a_truncated_file_has_lost_what_is_missing() {
    let case = Case::new(50, 17, 10, 5);
    let len = case.file.len();
    let shard = SHARD as usize;
    for kept in [len - 1, len - 40, len - 48, len - 47 - shard * 9, len - 47 - shard * 9 + 1] {
        let state = case.outcome(Some(&case.file[..kept]), &case.sidecar);
        assert!(matches!(state, Assessment::Mendable(_)), "{kept} of {len}: {state:?}");
    }
    for kept in [len - 48 - shard * 9, len - 47 - shard * 10, 100, 0] {
        let state = case.outcome(Some(&case.file[..kept]), &case.sidecar);
        assert!(matches!(state, Assessment::Beyond(_)), "{kept} of {len}: {state:?}");
    }
    // Bytes that were added do no harm to those in front of them.
    let longer = [&case.file[..], b"something else"].concat();
    assert!(matches!(case.outcome(Some(&longer), &case.sidecar), Assessment::Mendable(e) if e.lost == 0));
    assert!(matches!(case.outcome(None, &case.sidecar), Assessment::Beyond(_)));
}

#[test]
fn a_missing_file_comes_back_where_there_is_as_much_recovery_data() {
    for (data, recovery) in [(1, 1), (10, 10), (7, 8), (64, 64)] {
        let case = Case::new(data, 3, recovery, data);
        assert!(matches!(case.outcome(None, &case.sidecar), Assessment::Mendable(e) if e.found_bytes.is_none()));
        let mut one_less = case.sidecar.clone();
        for index in 0..=recovery - data {
            let at = recovery_offset(&case, index as u32) as usize;
            one_less[at + HEADER_BYTES as usize] ^= 1;
        }
        assert!(matches!(case.outcome(None, &one_less), Assessment::Beyond(_)));
    }
}

#[test]
fn one_copy_of_the_hashes_is_enough_wherever_it_is() {
    // More than 256 shards: two records a copy.
    let case = Case::new(300, 0, 8, 11);
    let records: Vec<(usize, usize)> = (0..case.sidecar.len())
        .filter_map(|at| {
            let header = parity::Header::parse(&case.sidecar[at..])?;
            matches!(header.content, parity::Content::Hashes { .. })
                .then_some((at, (HEADER_BYTES + header.payload_bytes()) as usize))
        })
        .collect();
    assert_eq!(records.len(), 6);
    let mut numbers = Numbers(6);
    for kept in 0..8 {
        // Of each of the two records, one copy is left.
        let mut sidecar = case.sidecar.clone();
        for (n, &(at, len)) in records.iter().enumerate() {
            let (copy, record) = (n / 2, n % 2);
            if copy != (kept >> record) % 3 {
                sidecar[at + (numbers.next() % len as u64) as usize] ^= 0x10;
            }
        }
        let mut file = case.file.clone();
        damage(&mut file, &case.geometry, &choose(8, 300, &mut numbers), &mut numbers);
        assert!(matches!(case.outcome(Some(&file), &sidecar), Assessment::Mendable(_)));
    }
    // All three copies of the second record: its 44 shards count as lost.
    let mut sidecar = case.sidecar.clone();
    records.iter().skip(1).step_by(2).for_each(|&(at, _)| sidecar[at + 5] ^= 1);
    let state = case.outcome(Some(&case.file), &sidecar);
    assert!(matches!(state, Assessment::Beyond(e) if e.lost == 44), "{state:?}");
}

#[test]
fn records_are_found_at_any_byte() {
    let case = Case::new(30, 9, 6, 21);
    let mut numbers = Numbers(8);
    let mut file = case.file.clone();
    damage(&mut file, &case.geometry, &choose(3, 30, &mut numbers), &mut numbers);
    // Bytes in front, and bytes cut out of the middle of a recovery shard: everything behind is elsewhere.
    let hole = recovery_offset(&case, 2) as usize + 150;
    for shift in [1, 7, 63, 4096, 1 << 20, (1 << 20) - 3] {
        let moved = [&numbers.bytes(shift)[..], &case.sidecar[..hole], &case.sidecar[hole + 5..]].concat();
        let state = case.outcome(Some(&file), &moved);
        assert!(matches!(state, Assessment::Mendable(e) if e.available == 5 && !e.sidecar_whole), "{state:?}");
    }
    // Only its second half is left.
    let tail = &case.sidecar[case.sidecar.len() / 2..];
    let mut one = case.file.clone();
    one[5] ^= 1;
    assert!(matches!(case.outcome(Some(&one), tail), Assessment::Mendable(_)));
    assert_eq!(case.outcome(Some(&one), b""), Assessment::NoParity);
}

#[test]
fn damage_in_one_stretch_over_file_and_sidecar_alike() {
    let mut numbers = Numbers(99);
    let case = Case::new(200, 33, 20, 4);
    for _ in 0..600 {
        let mut file = case.file.clone();
        let len = 1 + numbers.next() as usize % (30 * SHARD as usize);
        let at = numbers.next() as usize % (file.len() - len);
        file[at..at + len].iter_mut().for_each(|b| *b = !*b);
        let mut sidecar = case.sidecar.clone();
        let hole = 1 + numbers.next() as usize % (sidecar.len() / 4);
        let from = numbers.next() as usize % (sidecar.len() - hole);
        sidecar[from..from + hole].fill(0);
        let lost = (at + len).div_ceil(SHARD as usize) - at / SHARD as usize;
        match case.outcome(Some(&file), &sidecar) {
            Assessment::Mendable(e) => assert!(e.lost as usize == lost && e.lost <= e.available),
            Assessment::Beyond(e) => assert!(e.lost as usize == lost && e.lost > e.available),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn shards_and_columns_of_every_size_agree() {
    // Shards that are no power of two, columns narrower than a shard, and more shards than one record holds.
    let s = Scratch::new();
    let mut numbers = Numbers(12);
    for (len, shard, recovery) in
        [(3_000_001, 4096, 37), (900_000, 8256, 11), (40_000, 20_032, 2), (1_900_000, 64, 3000)]
    {
        let file = numbers.bytes(len);
        let path = s.path("x.tiff");
        let subject: Subject = protect(&path, &file, shard, recovery);
        let mut damaged = file.clone();
        let lost = choose(u64::from(subject.geometry.recovery()), u64::from(subject.geometry.data()), &mut numbers);
        damage(&mut damaged, &subject.geometry, &lost, &mut numbers);
        fs::write(&path, &damaged).unwrap();
        parity::repair(&path, &s.path("temp"), None, &Interrupt::new()).unwrap();
        assert!(fs::read(&path).unwrap() == file, "{len} {shard}");
    }
}

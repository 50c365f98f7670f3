//! The journal gives back every synced entry, whatever a crash did to its end, and finishes what was begun.

use std::fs;
use std::path::Path;

use audio_tiff::error::ErrorKind;
use audio_tiff::manifest::*;
use proptest::prelude::*;
use serde_json::json;

fn record(name: &str, contents: &[&[u8]]) -> SourceRecord {
    let chunks: Vec<ChunkRecord> = contents
        .iter()
        .enumerate()
        .map(|(n, bytes)| ChunkRecord {
            chunk_id: format!("chunk_{n:06}"),
            tiff_path: format!("{name}_chunk_{n:06}.tiff"),
            tiff_sha256: Some(Sha256Sum::of(bytes)),
            size_bytes: Some(bytes.len() as u64),
            ..ChunkRecord::default()
        })
        .collect();
    let mut record = SourceRecord { relative_path: name.into(), chunks: chunks.into(), ..SourceRecord::default() };
    record.extra.put("x", JsonText::new(&json!({"ü": "line\nbreak"})));
    record
}

/// An entry whose files lie in `temp/`.
fn staged(dir: &Path, name: &str, contents: &[&[u8]]) -> Entry {
    let source = record(name, contents);
    fs::create_dir_all(dir.join(TEMP_DIR)).unwrap();
    let renames = source.chunks.iter().zip(contents).map(|(chunk, bytes)| {
        let from = format!("{}.part", chunk.tiff_path.replace('/', "_"));
        fs::write(dir.join(TEMP_DIR).join(&from), bytes).unwrap();
        Rename { from, to: chunk.tiff_path.clone() }
    });
    let renames = renames.collect();
    Entry::commit(source, renames)
}

/// What a journal with these entries gives back.
fn journalled(entries: &[Entry]) -> Replay {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = Journal::open(dir.path()).unwrap();
    entries.iter().for_each(|entry| journal.append(entry).unwrap());
    assert_eq!(journal.sync().unwrap().len(), entries.len());
    replay(dir.path()).unwrap()
}

fn entries(replay: &Replay) -> Vec<Entry> {
    replay.entries().map(|entry| entry.unwrap().0).collect()
}

fn journal_path(dir: &Path) -> std::path::PathBuf {
    dir.join(TEMP_DIR).join(JOURNAL_NAME)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_torn_end_costs_only_what_was_not_synced(names in proptest::collection::vec("[a-zÜ\"\\\\ ]{1,12}", 1..8), cut in any::<u32>(), garbage in any::<bool>()) {
        let dir = tempfile::tempdir().unwrap();
        let entries: Vec<Entry> = names.iter().map(|name| Entry::commit(record(name, &[b"1", b"2"]), vec![])).collect();
        let mut ends = vec![0];
        let (mut journal, _) = Journal::open(dir.path()).unwrap();
        for entry in &entries {
            journal.append(entry).unwrap();
            journal.sync().unwrap();
            ends.push(fs::metadata(journal_path(dir.path())).unwrap().len());
        }
        drop(journal);
        let whole = fs::read(journal_path(dir.path())).unwrap();
        let cut = cut as usize % (whole.len() + 1);
        let mut torn = whole[..cut].to_vec();
        if garbage {
            torn.resize(whole.len(), 0);
        }
        fs::write(journal_path(dir.path()), &torn).unwrap();
        let survivors = ends.iter().filter(|&&end| end as usize <= cut).count() - 1;
        let read = replay(dir.path()).unwrap();
        prop_assert_eq!(&self::entries(&read), &entries[..survivors]);
        prop_assert_eq!(read.torn_tail, torn.len() as u64 != ends[survivors]);
        // Going on after the crash.
        let (mut journal, read) = Journal::open(dir.path()).unwrap();
        prop_assert_eq!(read.len(), survivors);
        for entry in &entries[survivors..] {
            journal.append(entry).unwrap();
        }
        journal.sync().unwrap();
        prop_assert_eq!(fs::read(journal_path(dir.path())).unwrap(), whole);
    }

    #[test]
    fn a_flipped_bit_is_seen_and_costs_one_line(at in any::<u32>(), bit in 0u8..8) {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(dir.path()).unwrap();
        for name in ["a", "b", "c"] {
            journal.append(&Entry::commit(record(name, &[b"1"]), vec![])).unwrap();
        }
        journal.sync().unwrap();
        let mut bytes = fs::read(journal_path(dir.path())).unwrap();
        let at = at as usize % bytes.len();
        bytes[at] ^= 1 << bit;
        fs::write(journal_path(dir.path()), &bytes).unwrap();
        let read = replay(dir.path()).unwrap();
        prop_assert!(read.torn_tail || !read.damaged_lines.is_empty());
        let names: Vec<String> = entries(&read).into_iter().map(|e| e.source.relative_path).collect();
        // A flipped line break makes one bad line of two.
        prop_assert!(names.len() == 2 || names.len() == 1 && bytes[at] ^ (1 << bit) == b'\n', "{:?}", names);
        prop_assert!(names.is_sorted());
    }
}

#[test]
fn entries_with_keys_read_from_an_indented_manifest_stay_on_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let text = "{\"files\": [{\"relative_path\": \"a\", \"x\": {\n  \"y\": [\r\n1]\n}, \"chunks\": []}]}";
    let manifest = Manifest::from_reader(text.as_bytes(), &ReadLimits::default()).unwrap();
    let source = manifest.files.get("a").unwrap().unwrap().into_owned();
    let (mut journal, _) = Journal::open(dir.path()).unwrap();
    journal.append(&Entry::commit(source, vec![])).unwrap();
    journal.sync().unwrap();
    assert_eq!(fs::read_to_string(journal_path(dir.path())).unwrap().lines().count(), 1);
    let read = replay(dir.path()).unwrap();
    assert_eq!(entries(&read)[0].source.extra.get("x").unwrap().value().unwrap(), json!({"y": [1]}));
}

#[test]
fn finished_files_go_to_their_places_and_old_ones_away() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    fs::create_dir_all(root.join("day1")).unwrap();
    for n in 0..3 {
        fs::write(root.join(format!("day1/long_chunk_{n:06}.tiff")), "old").unwrap();
    }
    let mut entry = staged(root, "day1/long", &[b"new 0", b"new 1"]);
    entry.removes = (0..3).map(|n| format!("day1/long_chunk_{n:06}.tiff")).collect();
    let deep = staged(root, "a/b/c/d", &[b"deep"]);
    finish_renames(root, &[entry.clone(), deep]).unwrap();
    assert_eq!(fs::read(root.join("day1/long_chunk_000000.tiff")).unwrap(), b"new 0");
    assert_eq!(fs::read(root.join("day1/long_chunk_000001.tiff")).unwrap(), b"new 1");
    assert!(!root.join("day1/long_chunk_000002.tiff").exists());
    assert_eq!(fs::read(root.join("a/b/c/d_chunk_000000.tiff")).unwrap(), b"deep");
    finish_renames(root, std::slice::from_ref(&entry)).unwrap();
    fs::remove_file(root.join("day1/long_chunk_000001.tiff")).unwrap();
    assert_eq!(finish_renames(root, &[entry]).unwrap_err().kind(), ErrorKind::Missing);
}

#[test]
fn recovery_completes_every_state_that_a_crash_can_leave() {
    let contents: [&[u8]; 4] = [b"zero", b"one", b"two", b"three"];
    for renamed in 0..=contents.len() {
        let dir = tempfile::tempdir().unwrap();
        let entry = staged(dir.path(), "a", &contents);
        let (mut journal, _) = Journal::open(dir.path()).unwrap();
        journal.append(&entry).unwrap();
        journal.sync().unwrap();
        for rename in &entry.renames[..renamed] {
            fs::rename(dir.path().join(TEMP_DIR).join(&rename.from), dir.path().join(&rename.to)).unwrap();
        }
        let (journal, read) = Journal::open(dir.path()).unwrap();
        assert!(recover_renames(dir.path(), &read).unwrap().is_empty());
        for (n, bytes) in contents.iter().enumerate() {
            assert_eq!(&fs::read(dir.path().join(format!("a_chunk_{n:06}.tiff"))).unwrap(), bytes);
        }
        journal.remove().unwrap();
        assert!(replay(dir.path()).unwrap().is_empty());
    }
}

#[test]
fn recovery_takes_no_half_file_under_a_used_name_and_names_what_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let entry = staged(dir.path(), "a", &[b"zero", b"one"]);
    finish_renames(dir.path(), std::slice::from_ref(&entry)).unwrap();
    fs::write(dir.path().join(TEMP_DIR).join(&entry.renames[0].from), "hal").unwrap();
    fs::remove_file(dir.path().join(&entry.renames[1].to)).unwrap();
    let lost = recover_renames(dir.path(), &journalled(&[entry])).unwrap();
    assert_eq!(fs::read(dir.path().join("a_chunk_000000.tiff")).unwrap(), b"zero");
    assert_eq!(lost, ["a_chunk_000001.tiff"]);
}

#[test]
fn no_entry_moves_or_removes_a_file_outside_the_archive() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("archive");
    fs::create_dir(&root).unwrap();
    let outside = dir.path().join("outside.tiff");
    fs::write(&outside, "precious").unwrap();
    let good = staged(&root, "a", &[b"1"]);
    for path in ["../outside.tiff", outside.to_str().unwrap()] {
        let mut from = good.clone();
        from.renames[0].from = format!("../{path}");
        let mut to = good.clone();
        to.renames[0].to = path.into();
        let mut removes = good.clone();
        removes.renames.clear();
        removes.removes = vec![path.into()];
        for entry in [from, to, removes] {
            assert!(finish_renames(&root, std::slice::from_ref(&entry)).is_err());
            assert!(recover_renames(&root, &journalled(&[entry])).is_err());
        }
    }
    assert_eq!(fs::read(&outside).unwrap(), b"precious");
}

#[test]
fn what_was_appended_but_not_synced_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = Journal::open(dir.path()).unwrap();
    journal.append(&Entry::commit(record("a", &[]), vec![])).unwrap();
    assert!(replay(dir.path()).unwrap().is_empty());
    journal.sync().unwrap();
    journal.sync().unwrap();
    assert_eq!(replay(dir.path()).unwrap().len(), 1);
}

#[test]
fn of_two_states_of_one_source_in_a_journal_the_later_counts() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let mut first = staged(root, "a", &[b"old 0", b"old 1"]);
    first.removes = vec!["a_chunk_000002.tiff".into()];
    finish_renames(root, std::slice::from_ref(&first)).unwrap();
    let later = staged(root, "a", &[b"newer 0", b"newer 1", b"newer 2"]);
    fs::rename(root.join(TEMP_DIR).join(&later.renames[2].from), root.join(&later.renames[2].to)).unwrap();
    // The earlier state's file must not pass for the later one.
    fs::remove_file(root.join(TEMP_DIR).join(&later.renames[1].from)).unwrap();
    let lost = recover_renames(root, &journalled(&[first, later])).unwrap();
    assert_eq!(fs::read(root.join("a_chunk_000000.tiff")).unwrap(), b"newer 0");
    assert_eq!(fs::read(root.join("a_chunk_000002.tiff")).unwrap(), b"newer 2", "removed by the earlier entry");
    assert_eq!(lost, ["a_chunk_000001.tiff"]);
}

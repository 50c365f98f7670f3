//! `tiff2flac bag`: a bag that bagit-python accepts, around an archive that goes on being one.

mod common;

use std::fs;
use std::path::Path;
use std::process::Stdio;

use common::{Numbers, Run, Scratch, archive, flip, python, reconstruct, sound, tiff2flac, tree, verify, wav};

fn bag(dir: &Path, more: &[&str]) -> Run {
    Run::of(tiff2flac().arg("bag").arg(dir).args(more).output().unwrap())
}

/// What bagit-python says of a bag.
#[track_caller]
fn assert_valid(dir: &Path) {
    let script = "
import sys, bagit
bag = bagit.Bag(sys.argv[1])
bag.validate(processes=1)
print('valid', bag.version, sorted(bag.info))
";
    if let Some(run) = python("bagit", script, &[dir.to_str().unwrap()]) {
        run.exits(0).says("valid 1.0");
    }
}

fn archived() -> Scratch {
    let s = Scratch::new();
    for (n, name) in ["a", "b", "day1/c"].into_iter().enumerate() {
        s.put(&format!("in/{name}.wav"), &wav(2, 8000, 16, &sound(20_000, 2, 16, n as u64)));
    }
    archive(&s.path("in"), &s.path("archive"), &["--chunk-seconds", "1"]).exits(0);
    s
}

#[test]
fn an_archive_becomes_a_bag_in_place_and_goes_on_being_an_archive() {
    let s = archived();
    let dir = s.path("archive");
    let before = tree(&dir);
    let info = ["--info", "Source-Organization=City archive", "--info", "Contact-Name=Ünï"];
    bag(&dir, &info).exits(0);
    assert_valid(&dir);
    let after = tree(&dir);
    for (name, bytes) in &before {
        assert!(after[&format!("data/{name}")] == *bytes, "{name}");
    }
    assert_eq!(after.len(), before.len() + 4, "{:?}", after.keys());
    let text = String::from_utf8(after["bag-info.txt"].clone()).unwrap();
    let octets: usize = before.values().map(Vec::len).sum();
    for line in
        ["Source-Organization: City archive", "Contact-Name: Ünï", "Bag-Software-Agent: tiff2flac", "Bagging-Date: 20"]
    {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(text.contains(&format!("Payload-Oxum: {octets}.{}\n", before.len())), "{text}");
    // All commands go on with the folder's name.
    verify(&dir, &["--deep"]).exits(0).says("errors/mismatches: 0");
    verify(&dir, &["--resume"]).exits(0);
    assert_valid(&dir);
    reconstruct(&dir, &s.path("back"), &[]).exits(0);
    assert!(tree(&s.path("back/wav")) == tree(&s.path("in")));
    archive(&s.path("in"), &dir, &["--chunk-seconds", "1", "--resume"]).exits(0).says("skipped: 3");
    assert_valid(&dir);
    // Adding to it makes the bag's manifest stale, which is said, and found, and mended.
    s.put("more/d.wav", &wav(1, 8000, 16, &sound(9000, 1, 16, 9)));
    archive(&s.path("more"), &dir, &[]).exits(0).says("tiff2flac bag");
    assert!(dir.join("data/d_chunk_000000.tiff").exists());
    verify(&dir, &[]).exits(3).says("[bag-differs]").says("d_chunk_000000.tiff");
    bag(&dir, &["--verify"]).exits(0);
    assert_valid(&dir);
    verify(&dir, &[]).exits(0);
    let text = fs::read_to_string(dir.join("bag-info.txt")).unwrap();
    assert!(text.contains("Source-Organization: City archive"), "what was said before stays: {text}");
    assert_eq!(text.matches("Payload-Oxum").count(), 1);
}

#[test]
fn a_bag_elsewhere_is_made_of_links_and_stays_as_it_is() {
    let s = archived();
    let dir = s.path("archive");
    let before = tree(&dir);
    bag(&dir, &["--into", s.path("bags/one").to_str().unwrap()]).exits(0);
    assert!(before == tree(&dir));
    assert_valid(&s.path("bags/one"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let inode = |path: &str| fs::metadata(s.path(path)).unwrap().ino();
        assert_eq!(inode("archive/a_chunk_000000.tiff"), inode("bags/one/data/a_chunk_000000.tiff"));
    }
    // The archive goes on; the bag is what it was.
    s.put("in/a.wav", &wav(2, 8000, 16, &sound(12_000, 2, 16, 77)));
    archive(&s.path("in"), &dir, &["--chunk-seconds", "1", "--overwrite"]).exits(0);
    assert_valid(&s.path("bags/one"));
    verify(&s.path("bags/one"), &[]).exits(0);
    bag(&dir, &["--into", s.path("bags/one").to_str().unwrap()]).exits(2).says("there already");
}

#[cfg(unix)]
#[test]
fn names_with_line_breaks_and_percent_signs_are_encoded_as_the_rfc_wants_it() {
    let s = Scratch::new();
    s.put("in/line\nbreak\r.wav", &wav(1, 8000, 16, &sound(900, 1, 16, 1)));
    archive(&s.path("in"), &s.path("archive"), &[]).exits(0);
    bag(&s.path("archive"), &[]).exits(0);
    assert_valid(&s.path("archive"));
    let text = fs::read_to_string(s.path("archive/manifest-sha256.txt")).unwrap();
    assert!(text.contains("  data/line%0Abreak%0D_chunk_000000.tiff\n"), "{text}");
    s.put("more/100%.wav", &wav(1, 8000, 16, &sound(900, 1, 16, 1)));
    archive(&s.path("more"), &s.path("archive"), &[]).exits(0);
    bag(&s.path("archive"), &[]).exits(0).says("bagit-python");
    let text = fs::read_to_string(s.path("archive/manifest-sha256.txt")).unwrap();
    assert!(text.contains("  data/100%25_chunk_000000.tiff\n"), "{text}");
    verify(&s.path("archive"), &[]).exits(0);
}

#[test]
fn nothing_is_made_of_an_archive_that_is_not_whole() {
    let s = archived();
    let dir = s.path("archive");
    fs::remove_file(dir.join("a_chunk_000000.tiff")).unwrap();
    let bytes = fs::read(dir.join("b_chunk_000001.tiff")).unwrap();
    fs::write(dir.join("b_chunk_000001.tiff"), &bytes[1..]).unwrap();
    bag(&dir, &[]).exits(3).says("a_chunk_000000.tiff").says("b_chunk_000001.tiff").says("errors/mismatches: 2");
    assert!(!dir.join("bagit.txt").exists() && !dir.join("data").exists() && !dir.join("temp").exists());
    let s = archived();
    flip(&s.path("archive/day1/c_chunk_000002.tiff"), 7000);
    bag(&s.path("archive"), &["--verify"]).exits(3).says("day1/c_chunk_000002.tiff");
    assert!(!s.path("archive/bagit.txt").exists());
    fs::create_dir(s.path("empty")).unwrap();
    bag(&s.path("empty"), &[]).exits(1);
    bag(&s.path("archive"), &["--info", "Payload-Oxum=1.1"]).exits(2);
}

#[test]
fn an_archive_with_recordings_in_a_folder_named_data_becomes_a_bag_too() {
    let s = Scratch::new();
    s.put("in/data/a.wav", &wav(1, 8000, 16, &sound(900, 1, 16, 1)));
    s.put("in/b.wav", &wav(1, 8000, 16, &sound(900, 1, 16, 2)));
    archive(&s.path("in"), &s.path("archive"), &[]).exits(0);
    bag(&s.path("archive"), &[]).exits(0);
    assert_valid(&s.path("archive"));
    assert!(s.path("archive/data/data/a_chunk_000000.tiff").exists());
    verify(&s.path("archive"), &[]).exits(0).says("ok: 2");
}

#[test]
fn killed_at_any_moment_the_archive_is_whole_and_the_bag_is_completed() {
    let s = Scratch::new();
    s.put("in/a.wav", &wav(1, 8000, 16, &sound(8000 * 120, 1, 16, 3)));
    archive(&s.path("in"), &s.path("whole"), &["--chunk-seconds", "1"]).exits(0);
    let whole = tree(&s.path("whole"));
    let mut numbers = Numbers(11);
    for round in 0..10 {
        let name = format!("archive-{round}");
        for (file, bytes) in &whole {
            s.put(&format!("{name}/{file}"), bytes);
        }
        for _ in 0..4 {
            let mut child =
                tiff2flac().arg("bag").arg(s.path(&name)).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            std::thread::sleep(std::time::Duration::from_micros(numbers.next() % 60_000));
            child.kill().unwrap();
            child.wait().unwrap();
            let run = verify(&s.path(&name), &["--json"]);
            let last: serde_json::Value = serde_json::from_str(run.stdout.lines().last().unwrap()).unwrap();
            assert_eq!(last["ok"], 120, "{run:?}");
        }
        bag(&s.path(&name), &[]).exits(0);
        verify(&s.path(&name), &[]).exits(0).says("ok: 120, skipped: 0, errors/mismatches: 0");
        let after = tree(&s.path(&name));
        let names = || after.keys().filter(|name| !name.starts_with("data/a_chunk")).collect::<Vec<_>>();
        assert_eq!(after.len(), whole.len() + 4, "left over among {:?}", names());
        assert!(whole.iter().all(|(file, bytes)| after[&format!("data/{file}")] == *bytes));
    }
    assert_valid(&s.path("archive-0"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_name_that_is_no_text_is_told_once() {
    use std::os::unix::ffi::OsStrExt;
    let s = Scratch::new();
    let name = std::ffi::OsStr::from_bytes(b"latin\xe9.wav");
    fs::create_dir_all(s.path("in")).unwrap();
    fs::write(s.path("in").join(name), wav(1, 8000, 16, &sound(9000, 1, 16, 1))).unwrap();
    archive(&s.path("in"), &s.path("archive"), &[]).exits(0);
    bag(&s.path("archive"), &[]).exits(3).says("no Unicode text").says("errors/mismatches: 1");
    verify(&s.path("archive"), &[]).exits(0);
}

#[cfg(feature = "index")]
#[test]
fn the_search_index_stands_beside_the_payload() {
    let index = |dir: &Path| Run::of(tiff2flac().arg("index").arg(dir).output().unwrap()).exits(0);
    let search =
        |dir: &Path| Run::of(tiff2flac().arg("search").arg(dir).arg("day1").output().unwrap()).exits(0).says("1 of 1");
    let s = archived();
    let dir = s.path("archive");
    index(&dir);
    bag(&dir, &["--into", s.path("links").to_str().unwrap()]).exits(0);
    assert!(!s.path("links/data/index.sqlite").exists());
    bag(&dir, &[]).exits(0);
    assert!(dir.join("index.sqlite").exists() && !dir.join("data/index.sqlite").exists());
    index(&dir).says("skipped: 3");
    // Named by its payload's folder it is the same archive.
    index(&dir.join("data")).says("skipped: 3");
    search(&dir);
    for bag in [&dir, &s.path("links")] {
        search(bag);
        assert!(bag.join("index.sqlite").exists() && !bag.join("data/index.sqlite").exists());
        assert_valid(bag);
        verify(bag, &[]).exits(0);
    }
    let passage = s.path("p.wav");
    let mut cut = tiff2flac();
    cut.arg("cut").arg(&dir).args(["--source", "a.wav", "--to", "1"]).arg("-o").arg(&passage);
    Run::of(cut.output().unwrap()).exits(0);
    // Other commands take no notice of it, and it is brought up to date after them.
    s.put("more/day1/d.wav", &wav(1, 8000, 16, &sound(9000, 1, 16, 9)));
    archive(&s.path("more"), &dir, &[]).exits(0);
    fs::copy(dir.join("index.sqlite"), dir.join("data/index.sqlite")).unwrap();
    bag(&dir, &[]).exits(0);
    assert_valid(&dir);
    Run::of(tiff2flac().arg("search").arg(&dir).arg("day1").output().unwrap()).exits(0).says("2 of 2");
    Run::of(tiff2flac().arg("rebuild-manifest").arg(&dir).arg("--overwrite").output().unwrap()).exits(0);
    let into = s.path("merged");
    index(&s.path("links"));
    Run::of(tiff2flac().arg("merge").arg(&dir).arg("--into").arg(&into).output().unwrap()).exits(0);
    assert!(!into.join("index.sqlite").exists());
    // By renaming, where there are recordings in a folder named data.
    let s = Scratch::new();
    s.put("in/data/day1.wav", &wav(1, 8000, 16, &sound(900, 1, 16, 1)));
    archive(&s.path("in"), &s.path("archive"), &[]).exits(0);
    index(&s.path("archive"));
    bag(&s.path("archive"), &[]).exits(0);
    assert_valid(&s.path("archive"));
    search(&s.path("archive"));
    assert_valid(&s.path("archive"));
}

#[test]
fn a_lost_manifest_is_written_again_into_the_payload() {
    let s = archived();
    let dir = s.path("archive");
    bag(&dir, &[]).exits(0);
    let before = fs::read(dir.join("data/manifest.json")).unwrap();
    fs::remove_file(dir.join("data/manifest.json")).unwrap();
    let run = Run::of(tiff2flac().arg("rebuild-manifest").arg(&dir).output().unwrap());
    run.exits(0);
    assert!(!dir.join("manifest.json").exists() && !dir.join("SHA256SUMS").exists());
    let value = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).unwrap();
    let after = fs::read(dir.join("data/manifest.json")).unwrap();
    assert_eq!(value(&after)["files"][2]["chunks"], value(&before)["files"][2]["chunks"]);
    verify(&dir, &["--deep"]).exits(3).says("bag-differs");
}

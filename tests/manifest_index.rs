//! Archives of ours and of the original scripts come out in one form, whatever their manifests look like, and no path
//! leads out of the archive.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use audio_tiff::container::{Limits, find_flac_page, read_pages};
use audio_tiff::error::ErrorKind;
use audio_tiff::manifest::*;
use proptest::prelude::*;
use serde_json::{Value, json};

/// An archive's folder with these files (empty) and this manifest.
fn archive(files: &[&str], manifest: &Value) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for file in files {
        fs::create_dir_all(dir.path().join(file).parent().unwrap()).unwrap();
        fs::write(dir.path().join(file), "").unwrap();
    }
    fs::write(dir.path().join(MANIFEST_NAME), manifest.to_string()).unwrap();
    dir
}

fn load(dir: &Path) -> ArchiveIndex {
    ArchiveIndex::load(dir, &ReadLimits::default()).unwrap().unwrap()
}

fn sources(index: &ArchiveIndex) -> Vec<SourceEntry> {
    index.sources.iter().map(|source| source.unwrap().into_owned()).collect()
}

fn tiffs(sources: &[SourceEntry]) -> Vec<Vec<Option<&str>>> {
    sources.iter().map(|s| s.chunks.iter().map(|c| c.tiff.as_deref()).collect()).collect()
}

fn codes(index: &ArchiveIndex) -> Vec<&str> {
    index.findings.iter().map(|f| f.code).collect()
}

fn sum(digit: char) -> String {
    digit.to_string().repeat(64)
}

fn corpus() -> Option<PathBuf> {
    let dir = std::env::var_os("AUDIO_TIFF_CORPUS").map(PathBuf::from);
    let dir = dir.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"));
    dir.is_dir().then_some(dir)
}

#[test]
fn every_original_archive_is_found_and_its_checksums_hold() {
    let Some(corpus) = corpus() else { return };
    let mut checked = 0;
    for version in ["v2", "anyfmt"] {
        for case in fs::read_dir(corpus.join("original-archives").join(version)).unwrap() {
            let case = case.unwrap().path();
            let expected: Value = serde_json::from_slice(&fs::read(case.join("expected.json")).unwrap()).unwrap();
            let index = load(&case.join("archive"));
            assert_eq!(index.origin, Origin::Original);
            assert_eq!(codes(&index), ["paths-relocated"]);
            let sources = expected["manifest_sources"].as_array().unwrap();
            assert_eq!(index.sources.len(), sources.len());
            for (source, facts) in self::sources(&index).into_iter().zip(sources) {
                let name = facts["source"].as_str().unwrap();
                assert_eq!(
                    source.restore_as.as_deref().unwrap(),
                    Path::new(name).with_extension("wav").to_str().unwrap()
                );
                let names: Vec<&str> = source.chunks.iter().map(|c| c.tiff.as_deref().unwrap()).collect();
                assert_eq!(json!(names), facts["chunks"]);
                for chunk in &source.chunks {
                    let file = File::open(index.tiff_path(chunk).unwrap()).unwrap();
                    assert_eq!(file.metadata().unwrap().len(), chunk.record.size_bytes.unwrap());
                    let pages = read_pages(&file, &Limits::default()).unwrap();
                    let mut flac = Vec::new();
                    find_flac_page(&file, &pages).unwrap().reader(&file).unwrap().read_to_end(&mut flac).unwrap();
                    assert_eq!(Some(Sha256Sum::of(&flac)), chunk.record.flac_sha256);
                    checked += 1;
                }
            }
        }
    }
    assert_eq!(checked, 14);
}

#[test]
fn all_spellings_of_the_originals_are_understood() {
    let s = sum('a');
    let files = ["a.tiff", "b.tif"];
    for manifest in [
        json!({"files": [{"source_file": "x", "chunks": [{"tiff": "a.tiff", "sha256": s}, {"tiffPath": "b.tif", "flac_sha": s}]}]}),
        json!({"files": [{"source_file": "x", "chunks": [{"tiffFile": "a.tiff", "sha": s}, {"tiff_file": "b.tif", "flac_sha256": s}]}]}),
        json!({"chunks": [{"source_file": "x", "tiff_path": "a.tiff", "sha": s}, {"source_file": "x", "tiff_path": "b.tif", "sha": s}]}),
        json!({"entries": [{"source_file": "x", "entries": [{"tiff_path": "a.tiff", "sha": s}, {"tiff_path": "b.tif", "sha": s}]}]}),
        json!([{"source_file": "x", "chunks": [{"tiff_path": "a.tiff", "sha": s}, {"tiff_path": "b.tif", "sha": s.to_uppercase()}]}]),
        json!([{"source_file": "x", "tiff_path": "a.tiff", "sha": s}, {"source_file": "x", "tiff_path": "b.tif", "sha": s}]),
    ] {
        let dir = archive(&files, &manifest);
        let index = load(dir.path());
        assert_eq!(tiffs(&sources(&index)), [[Some("a.tiff"), Some("b.tif")]], "{manifest}");
        assert!(sources(&index)[0].chunks.iter().all(|c| c.record.flac_sha256.unwrap().to_string() == s), "{manifest}");
        assert_eq!(sources(&index)[0].restore_as.as_deref(), Some("x.wav"));
        assert!(index.findings.is_empty(), "{manifest}: {:?}", index.findings);
    }
    for manifest in [
        json!(["a.tiff", "b.tif"]),
        json!({"files": ["a.tiff", "b.tif"]}),
        json!({"what": {"ever": ["/x/a.tiff", {"deep": "C:\\y\\b.tif"}]}, "n": 1.5, "no": null}),
        json!({"files": [{"tiff_path": "a.tiff"}, {"odd": [["b.tif"]]}]}),
    ] {
        let dir = archive(&files, &manifest);
        let index = load(dir.path());
        assert_eq!(tiffs(&sources(&index)), [[Some("a.tiff")], [Some("b.tif")]], "{manifest}");
        assert_eq!(sources(&index)[1].restore_as.as_deref(), Some("b.wav"));
        assert_eq!(codes(&index).iter().filter(|c| **c == "no-checksum").count(), 2);
    }
    let dir = tempfile::tempdir().unwrap();
    for nothing in ["{}", "3", "{\"files\": 3}", "\"a.tiff\""] {
        fs::write(dir.path().join(MANIFEST_NAME), nothing).unwrap();
        let error = ArchiveIndex::load(dir.path(), &ReadLimits::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed, "{nothing}");
        assert!(error.path().is_some());
    }
}

#[test]
fn moved_windows_and_relative_paths_are_resolved_inside_the_archive_only() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret.tiff"), "").unwrap();
    let secret = outside.path().join("secret.tiff");
    let files = ["a.tiff", "day1/b.tiff", "back\\slash.tiff"];
    let dir = archive(&files, &json!({}));
    let here = dir.path().join("day1/b.tiff");
    let cases = [
        (here.to_str().unwrap(), Some("day1/b.tiff")),
        ("/srv/out/a.tiff", Some("a.tiff")),
        ("/srv/out/day1/b.tiff", Some("day1/b.tiff")),
        ("C:\\audio\\out\\a.tiff", Some("a.tiff")),
        ("C:\\out\\day1\\b.tiff", Some("day1/b.tiff")),
        ("out\\a.tiff", Some("a.tiff")),
        ("out/a.tiff", Some("a.tiff")),
        ("./a.tiff", Some("a.tiff")),
        ("../../a.tiff", Some("a.tiff")),
        ("back\\slash.tiff", Some("back\\slash.tiff")),
        ("x/back\\slash.tiff", Some("back\\slash.tiff")),
        (secret.to_str().unwrap(), Some("secret.tiff")),
        ("../gone.tiff", Some("gone.tiff")),
        ("", None),
        ("..", None),
        ("a/..", None),
        ("a.tiff\0", None),
    ];
    let chunks: Vec<Value> = cases.iter().map(|(path, _)| json!({"tiff_path": path, "sha": sum('a')})).collect();
    fs::write(dir.path().join(MANIFEST_NAME), json!({"files": [{"source_file": "x", "chunks": chunks}]}).to_string())
        .unwrap();
    let index = load(dir.path());
    // A chunk with an empty path names nothing at all and is left out of the list.
    let expected: Vec<Option<&str>> = cases.iter().filter(|(p, _)| !p.is_empty()).map(|(_, want)| *want).collect();
    assert_eq!(tiffs(&sources(&index)), [expected]);
    assert_eq!(codes(&index).iter().filter(|c| **c == "unsafe-path").count(), 3);
    for chunk in &sources(&index)[0].chunks {
        if let Ok(path) = index.tiff_path(chunk) {
            assert!(path.starts_with(dir.path()) && !path.to_str().unwrap().contains(".."), "{}", path.display());
        }
    }
}

#[cfg(unix)]
#[test]
fn links_out_of_the_archive_are_not_followed() {
    use std::os::unix::fs::symlink;
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret.tiff"), "").unwrap();
    for ours in [true, false] {
        let dir = archive(&[], &json!({}));
        symlink(outside.path().join("secret.tiff"), dir.path().join("a.tiff")).unwrap();
        symlink(outside.path(), dir.path().join("sub")).unwrap();
        let mut manifest = json!({"files": [{"source_file": "x", "chunks": [{"tiff_path": "a.tiff"}, {"tiff_path": "sub/secret.tiff"}]}]});
        if ours {
            manifest["format"] = json!("audio-tiff");
            manifest["files"][0]["relative_path"] = json!("x");
        }
        fs::write(dir.path().join(MANIFEST_NAME), manifest.to_string()).unwrap();
        let index = load(dir.path());
        let reach = |chunk: &ChunkEntry| index.tiff_path(chunk).is_ok_and(|path| path.exists());
        assert_eq!(sources(&index)[0].chunks.len(), 2);
        assert!(!sources(&index)[0].chunks.iter().any(reach), "ours: {ours}");
    }
}

#[test]
fn failed_empty_unordered_and_colliding_entries_are_named() {
    let manifest = json!({"input_dir": "C:\\audios", "chunk_seconds": 2, "files": [
        {"source_file": "C:\\audios\\day1\\a.wav", "chunks": [
            {"chunk_id": "chunk_000001", "tiff_path": "C:\\o\\chunk_000001.tiff", "flac_sha256": sum('a'), "start_time_seconds": 2},
            {"chunk_id": "chunk_000000", "tiff_path": "C:\\o\\chunk_000000.tiff", "flac_sha256": sum('b'), "start_time_seconds": 0},
            {"chunk_id": "chunk_000002", "error": "ffmpeg failed", "start_time_seconds": 4}]},
        {"source_file": "C:\\audios\\day1\\a.mp3", "chunks": [
            {"chunk_id": "chunk_000000", "tiff_path": "chunk_000000.tiff", "flac_sha256": sum('c'), "start_time_seconds": 0}]},
        {"source_file": "C:\\audios\\empty.wav", "chunks": []},
        {"source_file": "D:\\elsewhere\\z.wav", "chunks": [
            {"chunk_id": "z", "tiff_path": "z.tiff", "flac_sha256": "xyz", "start_time_seconds": 0},
            {"chunk_id": "z", "tiff_path": "z.tiff", "flac_sha256": "xyz", "start_time_seconds": 1}]},
        {"source_file": "..", "chunks": []},
    ]});
    let dir = archive(&["chunk_000000.tiff", "chunk_000001.tiff", "z.tiff"], &manifest);
    let index = load(dir.path());
    assert_eq!(tiffs(&sources(&index))[0], [Some("chunk_000000.tiff"), Some("chunk_000001.tiff")]);
    let failed = &sources(&index)[0].failed;
    assert_eq!((failed.len(), failed[0].error.as_str()), (1, "ffmpeg failed"));
    let sources = sources(&index);
    let names: Vec<Option<&str>> = sources.iter().map(|s| s.restore_as.as_deref()).collect();
    assert_eq!(names, [Some("day1/a.wav"), Some("day1/a~2.wav"), Some("empty.wav"), Some("z.wav"), None]);
    let mut codes = codes(&index);
    codes.sort_unstable();
    assert_eq!(
        codes,
        [
            "chunk-failed",
            "chunks-out-of-order",
            "names-collide",
            "no-checksum",
            "no-checksum",
            "no-chunks",
            "no-chunks",
            "paths-relocated",
            "tiff-named-twice",
            "tiff-named-twice",
            "unsafe-path",
        ]
    );
    let twice: Vec<_> = index.findings.iter().filter(|f| f.code == "tiff-named-twice").collect();
    assert_eq!((twice[0].severity, twice[0].item.as_str()), (Severity::Error, "chunk_000000.tiff"));
    assert_eq!((twice[1].severity, twice[1].item.as_str()), (Severity::Warning, "z.tiff"));
}

fn ours(files: Value) -> Value {
    json!({"format": "audio-tiff", "format_version": 1, "input_dir": "/in", "chunk_seconds": 60, "files": files})
}

#[test]
fn our_own_manifests_are_checked_for_paths_and_doubles() {
    let manifest = ours(json!([
        {"relative_path": "a.wav", "chunks": [
            {"tiff_path": "a_chunk_000001.tiff", "start_sample": 10}, {"tiff_path": "a_chunk_000000.tiff", "start_sample": 0}]},
        {"relative_path": "a.wav", "chunks": []},
        {"relative_path": "../b.wav", "chunks": [{"tiff_path": "/etc/b.tiff"}, {"tiff_path": "x/../../b.tiff"}]},
        {"relative_path": "c.wav", "chunks": [{"tiff_path": "a_chunk_000000.tiff", "flac_sha256": sum('a')}]},
        {"source_file": "/srv/in/old.wav", "chunks": [{"tiff_path": "/srv/out/old.tiff", "flac_sha256": sum('a'), "start_time_seconds": 0}]},
    ]));
    let dir = archive(&["a_chunk_000000.tiff", "a_chunk_000001.tiff", "old.tiff"], &manifest);
    let index = load(dir.path());
    assert_eq!(index.origin, Origin::Ours { version: 1 });
    assert_eq!(
        tiffs(&sources(&index)),
        [
            vec![Some("a_chunk_000000.tiff"), Some("a_chunk_000001.tiff")],
            vec![],
            vec![None, None],
            vec![Some("a_chunk_000000.tiff")],
            vec![Some("old.tiff")],
        ]
    );
    let sources = sources(&index);
    let names: Vec<Option<&str>> = sources.iter().map(|s| s.restore_as.as_deref()).collect();
    assert_eq!(names, [Some("a.wav"), None, None, Some("c.wav"), Some("old.wav")]);
    assert_eq!(
        codes(&index),
        [
            "chunks-out-of-order",
            "source-twice",
            "unsafe-path",
            "unsafe-path",
            "unsafe-path",
            "paths-relocated",
            "tiff-named-twice",
        ]
    );
    assert!(sources[2].chunks.iter().all(|c| index.tiff_path(c).is_err()));
}

#[test]
fn a_damaged_manifest_of_ours_is_not_taken_for_one_of_the_originals() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(MANIFEST_NAME);
    fs::write(
        &path,
        ours(json!([{"relative_path": "a", "sha256": "00", "chunks": [{"tiff_path": "a.tiff"}]}])).to_string(),
    )
    .unwrap();
    let error = ArchiveIndex::load(dir.path(), &ReadLimits::default()).unwrap_err();
    assert_eq!((error.kind(), error.path()), (ErrorKind::Malformed, Some(path.as_path())));
    assert!(error.to_string().contains("SHA-256"), "{error}");
    fs::write(&path, "{\"format\": \"audio-tiff\", \"files\": [\"a.tiff\",").unwrap();
    assert!(ArchiveIndex::load(dir.path(), &ReadLimits::default()).is_err());
}

#[test]
fn no_manifest_is_no_archive_and_a_mark_in_front_does_not_matter() {
    let dir = tempfile::tempdir().unwrap();
    assert!(ArchiveIndex::load(dir.path(), &ReadLimits::default()).unwrap().is_none());
    for manifest in [ours(json!([{"relative_path": "a"}])), json!({"files": [{"source_file": "a", "chunks": []}]})] {
        fs::write(dir.path().join(MANIFEST_NAME), format!("\u{FEFF}{manifest}")).unwrap();
        assert_eq!(load(dir.path()).sources.len(), 1);
    }
}

#[test]
fn an_unfinished_run_is_seen_through_its_journal() {
    let record = |path: &str, tiff: &str| SourceRecord {
        relative_path: path.into(),
        chunks: vec![ChunkRecord { tiff_path: tiff.into(), ..ChunkRecord::default() }].into(),
        ..SourceRecord::default()
    };
    for manifest in [
        None,
        Some(ours(json!([{"relative_path": "a.wav", "chunks": [{"tiff_path": "old.tiff"}]}]))),
        Some(json!({"files": [{"source_file": "o.wav", "chunks": []}]})),
    ] {
        let dir = tempfile::tempdir().unwrap();
        if let Some(manifest) = &manifest {
            fs::write(dir.path().join(MANIFEST_NAME), manifest.to_string()).unwrap();
        }
        let (mut journal, _) = Journal::open(dir.path()).unwrap();
        journal.append(&Entry::commit(record("a.wav", "a_chunk_000000.tiff"), vec![])).unwrap();
        journal.append(&Entry::commit(record("b.wav", "b_chunk_000000.tiff"), vec![])).unwrap();
        journal.sync().unwrap();
        let index = load(dir.path());
        assert!(codes(&index).contains(&"unfinished-run"));
        let sources = sources(&index);
        let ours: Vec<_> = sources.iter().filter(|s| !s.record.relative_path.is_empty()).collect();
        assert_eq!(ours.iter().map(|s| s.name()).collect::<Vec<_>>(), ["a.wav", "b.wav"]);
        assert_eq!(ours[0].chunks[0].tiff.as_deref(), Some("a_chunk_000000.tiff"));
    }
}

#[test]
fn hostile_documents_are_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let small = ReadLimits { objects: 100, ..ReadLimits::default() };
    let many = format!("[{}\"z.tif\"]", "\"a.tif\",".repeat(200));
    let deep = format!("{}\"a.tif\"{}", "[".repeat(500_000), "]".repeat(500_000));
    let deep_keys = format!("{{\"files\":{}1{}}}", "{\"chunks\":[".repeat(10_000), "]}".repeat(10_000));
    for (text, kind) in [(&many, Some(ErrorKind::Limit)), (&deep, None), (&deep_keys, None)] {
        fs::write(dir.path().join(MANIFEST_NAME), text).unwrap();
        let read = ArchiveIndex::load(dir.path(), &small);
        match kind {
            Some(_) => assert!(read.is_err()),
            None => assert!(read.is_err() || read.unwrap().unwrap().sources.is_empty()),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_change_to_a_manifest_leads_out_of_the_archive(
        ours_too: bool,
        changes in proptest::collection::vec((any::<u32>(), "[\\[\\]{}\",:./\\\\a-c0]{1,3}"), 0..6),
        path in "(/|\\.\\./|C:|\\\\|[ab/.\\\\]){1,8}\\.tiff?",
    ) {
        let chunk = json!({"chunk_id": "c", "tiff_path": path, "flac_sha256": sum('a'), "start_time_seconds": 0});
        let source = json!({"source_file": format!("/srv/{path}.wav"), "relative_path": path, "chunks": [chunk]});
        let mut manifest = if ours_too { ours(json!([source])) } else { json!({"input_dir": "/srv", "files": [source]}) };
        if !ours_too {
            manifest["files"][0].as_object_mut().unwrap().remove("relative_path");
        }
        let mut text = manifest.to_string().into_bytes();
        for (at, bytes) in changes {
            let at = at as usize % text.len();
            let end = (at + bytes.len()).min(text.len());
            text[at..end].copy_from_slice(&bytes.as_bytes()[..end - at]);
        }
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.tiff"), "").unwrap();
        fs::write(dir.path().join(MANIFEST_NAME), &text).unwrap();
        let Ok(Some(index)) = ArchiveIndex::load(dir.path(), &ReadLimits::default()) else { return Ok(()) };
        let plain = |path: &Path| path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
        for source in sources(&index) {
            if let Some(name) = &source.restore_as {
                prop_assert!(plain(&safe_relative_path(name).unwrap()), "{name}");
            }
            for chunk in &source.chunks {
                if let Ok(path) = index.tiff_path(chunk) {
                    prop_assert!(plain(path.strip_prefix(dir.path()).unwrap()), "{}", path.display());
                }
            }
        }
    }
}

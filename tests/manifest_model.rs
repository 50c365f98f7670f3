//! Manifests are read and written without losing a key, whatever they hold, and always as the same bytes.

use std::fs;

use audio_tiff::error::ErrorKind;
use audio_tiff::manifest::*;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn parse(value: &Value) -> Manifest {
    Manifest::from_reader(value.to_string().as_bytes(), &ReadLimits::default()).unwrap()
}

fn text(manifest: &Manifest) -> String {
    let mut out = Vec::new();
    manifest.to_writer(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// Any JSON, nested a few levels.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter("JSON has no such number", |f| f.is_finite()).prop_map(Value::from),
        "\\PC{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec(("\\PC{0,8}", inner), 0..4).prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

/// Keys that no version knows.
fn unknown_keys() -> impl Strategy<Value = Map<String, Value>> {
    proptest::collection::vec(("x_\\PC{0,8}", any_json()), 0..3).prop_map(|keys| keys.into_iter().collect())
}

fn sum() -> impl Strategy<Value = Value> {
    any::<[u8; 32]>().prop_map(|bytes| Value::from(Sha256Sum(bytes).to_string()))
}

prop_compose! {
    fn chunk()(
        number in 0u32..1_000_000,
        path in "[a-zÜ–/]{1,12}",
        flac in sum(),
        tiff in proptest::option::of(sum()),
        start in any::<u32>(),
        rate in 1u32..400_000,
        size in any::<u64>(),
        group in proptest::option::of((any::<u32>(), 1u32..9, sum(), unknown_keys())),
        extra in unknown_keys(),
    ) -> Value {
        let time = f64::from(start) / f64::from(rate);
        let time = if start % rate == 0 { json!(start / rate) } else { json!(time) };
        let mut chunk = json!({
            "chunk_id": format!("chunk_{number:06}"), "tiff_path": path, "flac_sha256": flac, "start_time_seconds": time,
            "size_bytes": size, "start_sample": start,
        });
        let map = chunk.as_object_mut().unwrap();
        map.extend(tiff.map(|sum| ("tiff_sha256".to_string(), sum)));
        if let Some((page, channels, sum, extra)) = group {
            let mut group = json!({"page": page, "channels": channels, "flac_sha256": sum});
            group.as_object_mut().unwrap().extend(extra);
            map.insert("groups".into(), json!([group]));
        }
        map.extend(extra);
        chunk
    }
}

prop_compose! {
    fn source()(
        path in "[ -~]{1,20}",
        sum in sum(),
        restore in prop_oneof![Just("byte-identical"), Just("original-bytes"), Just("in some other way")],
        rate in prop_oneof![Just(json!(48_000)), Just(json!(22_254.545_454_545_454)), Just(json!(1_500_000))],
        metadata in any_json(),
        warnings in proptest::collection::vec("\\PC{0,20}", 1..3),
        chunks in proptest::collection::vec(chunk(), 0..4),
        extra in unknown_keys(),
    ) -> Value {
        let mut source = json!({
            "source_file": format!("/in/{path}"), "relative_path": path, "sha256": sum, "sample_rate": rate,
            "restore": restore, "channel_groups": [8, 4], "metadata": metadata, "warnings": warnings, "chunks": chunks,
        });
        let map = source.as_object_mut().unwrap();
        if map["metadata"].is_null() {
            map.remove("metadata");
        }
        map.extend(extra);
        source
    }
}

prop_compose! {
    fn manifest()(
        sources in proptest::collection::vec(source(), 0..6),
        extra in unknown_keys(),
    ) -> Value {
        let mut manifest = json!({
            "input_dir": "/in", "chunk_seconds": 21600, "format": "audio-tiff", "format_version": 1,
            "created_by": "audio2tiff 0.1.0",
        });
        let map = manifest.as_object_mut().unwrap();
        map.insert("files".into(), sources.into());
        map.extend(extra);
        manifest
    }
}

/// The sources in the order they are written.
fn sorted(mut manifest: Value) -> Value {
    let files = manifest["files"].as_array_mut().unwrap();
    files.sort_by(|a, b| a["relative_path"].as_str().cmp(&b["relative_path"].as_str()));
    manifest
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn nothing_is_lost_in_reading_and_writing(value in manifest()) {
        let manifest = parse(&value);
        let once = text(&manifest);
        prop_assert_eq!(serde_json::from_str::<Value>(&once).unwrap(), sorted(value));
        let again = Manifest::from_reader(once.as_bytes(), &ReadLimits::default()).unwrap();
        prop_assert_eq!(&again, &manifest);
        prop_assert_eq!(text(&again), once, "the same manifest is written as the same bytes");
    }

    #[test]
    fn the_order_of_finishing_leaves_no_trace(value in manifest(), seed in any::<u64>()) {
        let manifest = parse(&value);
        let mut records: Vec<SourceRecord> = manifest.files.iter().map(|r| r.unwrap().into_owned()).collect();
        records.sort_by(|a, b| a.relative_path.cmp(&b.relative_path));
        records.dedup_by(|a, b| a.relative_path == b.relative_path);
        let mut shuffled = records.clone();
        let len = shuffled.len();
        for i in 1..len {
            shuffled.swap(i, (seed as usize).wrapping_mul(31 + i) % (i + 1));
        }
        let with = |files: Vec<SourceRecord>| text(&Manifest { files: files.into_iter().collect(), ..manifest.clone() });
        prop_assert_eq!(with(records), with(shuffled));
    }

    #[test]
    fn no_bytes_make_the_reader_panic(value in manifest(), cuts in proptest::collection::vec((any::<u32>(), any::<u8>()), 1..6)) {
        let mut bytes = value.to_string().into_bytes();
        for (at, byte) in cuts {
            let at = at as usize % bytes.len();
            if byte == 0 { bytes.truncate(at.max(1)); } else { bytes[at] = byte; }
        }
        let _ = Manifest::from_reader(&bytes[..], &ReadLimits::default());
    }
}

#[test]
fn the_layout_of_the_text_is_fixed() {
    let mut manifest = Manifest::new("/in", Real::from(21600));
    manifest.created_by = "audio2tiff 0.1.0".into();
    manifest.files.put(SourceRecord {
        source_file: "/in/a.wav".into(),
        relative_path: "a.wav".into(),
        sha256: Some(Sha256Sum([0xab; 32])),
        sample_rate: Some(48_000.into()),
        restore: Some(Restore::ByteIdentical),
        metadata: Some(JsonText::new(&json!({"speaker": "Ünï"}))),
        chunks: vec![ChunkRecord {
            chunk_id: "chunk_000000".into(),
            tiff_path: "a_chunk_000000.tiff".into(),
            start_time_seconds: Real::seconds(24_000, 48_000.into()),
            ..ChunkRecord::default()
        }]
        .into(),
        ..SourceRecord::default()
    });
    let expected = r#"{
  "input_dir": "/in",
  "chunk_seconds": 21600,
  "format": "audio-tiff",
  "format_version": 1,
  "created_by": "audio2tiff 0.1.0",
  "files": [
    {
      "source_file": "/in/a.wav",
      "relative_path": "a.wav",
      "sha256": "abababababababababababababababababababababababababababababababab",
      "sample_rate": 48000,
      "restore": "byte-identical",
      "metadata": {"speaker":"Ünï"},
      "chunks": [
        {
          "chunk_id": "chunk_000000",
          "tiff_path": "a_chunk_000000.tiff",
          "start_time_seconds": 0.5
        }
      ]
    }
  ]
}
"#;
    assert_eq!(text(&manifest), expected);
}

#[test]
fn a_manifest_of_the_original_scripts_passes_through() {
    let original = json!({
    "input_dir": "/srv/audios", "chunk_seconds": 21600,
    "files": [
        {"source_file": "/srv/b.wav", "chunks": [
            {"chunk_id": "b", "tiff_path": "/srv/out/b.tiff", "flac_sha256": "ab".repeat(32),
             "start_time_seconds": 0, "size_bytes": 1, "preview_included": true},
            {"chunk_id": "c", "start_time_seconds": 1.5, "error": "it \u{201c}failed\u{201d}"}]},
        {"source_file": "/srv/a.wav", "chunks": []},
    ]});
    let manifest = parse(&original);
    assert!(!manifest.is_ours());
    assert_eq!(serde_json::from_str::<Value>(&text(&manifest)).unwrap(), original);
}

#[test]
fn numbers_of_unknown_keys_keep_their_digits() {
    let source = r#"{"files":[],"big":123456789012345678901234567890,"small":1.10,"e":1E+2}"#;
    let manifest = Manifest::from_reader(source.as_bytes(), &ReadLimits::default()).unwrap();
    let text = text(&manifest);
    for part in ["\"big\": 123456789012345678901234567890", "\"small\": 1.10", "\"e\": 1E+2"] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn writing_replaces_the_manifest_as_a_whole_with_ordinary_permissions() {
    let dir = tempfile::tempdir().unwrap();
    assert!(Manifest::read(dir.path(), &ReadLimits::default()).unwrap().is_none());
    let mut manifest = Manifest::new("/in", Real::from(60));
    fs::write(dir.path().join(".manifest.json.partial"), "left by a crash").unwrap();
    let sum = manifest.write(dir.path()).unwrap();
    let bytes = fs::read(dir.path().join(MANIFEST_NAME)).unwrap();
    assert_eq!(sum, Sha256Sum::of(&bytes));
    manifest.files.put(SourceRecord { relative_path: "a".into(), ..SourceRecord::default() });
    manifest.write(dir.path()).unwrap();
    assert_eq!(Manifest::read(dir.path(), &ReadLimits::default()).unwrap().unwrap(), manifest);
    let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, [MANIFEST_NAME], "nothing else is left behind");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let ordinary = dir.path().join("ordinary");
        fs::write(&ordinary, "").unwrap();
        let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&dir.path().join(MANIFEST_NAME)), mode(&ordinary));
    }
}

#[test]
fn a_failed_write_leaves_the_old_manifest() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(MANIFEST_NAME);
    fs::write(&path, "old").unwrap();
    let failed = write_atomically(&path, |out| {
        out.write_all(b"half").unwrap();
        Err(audio_tiff::error::Error::interrupted())
    });
    assert_eq!(failed.unwrap_err().kind(), ErrorKind::Interrupted);
    assert_eq!(fs::read(&path).unwrap(), b"old");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn damaged_hostile_and_later_manifests_are_told_apart() {
    let kind = |text: &str, limits: &ReadLimits| Manifest::from_reader(text.as_bytes(), limits).unwrap_err().kind();
    let limits = ReadLimits::default();
    for text in [
        "",
        "[]",
        "{",
        "null",
        "{\"files\":{}}",
        "{} x",
        "{\"files\":[{\"sha256\":\"ab\"}]}",
        "{\"files\":[1]}",
        "{\"files\":[],\"files\":[]}",
        "{\"files\":[{\"size_bytes\":-1}]}",
        "{\"chunk_seconds\":1e999}",
    ] {
        assert_eq!(kind(text, &limits), ErrorKind::Malformed, "{text}");
    }
    let error = Manifest::from_reader("{\n  \"files\": [,]}".as_bytes(), &limits).unwrap_err();
    assert!(error.to_string().contains("line 2 column 13"), "{error}");
    let deep = format!("{{\"files\":[{{\"chunks\":{}", "[".repeat(1_000_000));
    assert_eq!(kind(&deep, &limits), ErrorKind::Malformed);
    let small = ReadLimits { bytes: 1000, objects: 10, ..limits };
    assert_eq!(kind(&format!("{{\"x\":\"{}\"}}", "y".repeat(2000)), &small), ErrorKind::Limit);
    let crowd = format!("{{\"files\":[{}{{}}]}}", "{},".repeat(50));
    assert_eq!(kind(&crowd, &small), ErrorKind::Limit);
    let later = parse(&json!({"format": "audio-tiff", "format_version": 2, "files": []}));
    assert_eq!(later.check_writable().unwrap_err().kind(), ErrorKind::Unsupported);
    assert!(parse(&json!({"files": []})).check_writable().is_ok());
}

#[test]
fn deep_unknown_values_are_carried_without_being_followed() {
    let deep = format!("{{\"files\":[],\"x\":{}{}}}", "[".repeat(500_000), "]".repeat(500_000));
    let manifest = Manifest::from_reader(deep.as_bytes(), &ReadLimits::default()).unwrap();
    assert!(manifest.extra.get("x").unwrap().value().is_none());
    assert!(text(&manifest).contains(&"[".repeat(500_000)));
}

#[test]
fn sources_are_found_replaced_and_removed_by_path() {
    let record = |path: &str, size| SourceRecord {
        relative_path: path.into(),
        size_bytes: Some(size),
        ..SourceRecord::default()
    };
    let mut files = Files::default();
    for n in 0..1000 {
        assert!(!files.put(record(&format!("{n}"), n)));
    }
    let size = |files: &Files, path: &str| files.get(path).unwrap().and_then(|record| record.size_bytes);
    assert!(files.put(record("500", 7)));
    assert_eq!((size(&files, "500"), size(&files, "999"), files.len()), (Some(7), Some(999), 1000));
    files.retain(|record| record.size_bytes.is_some_and(|size| size % 2 == 1)).unwrap();
    assert_eq!(files.len(), 501, "500 odd sizes, and the one that was replaced");
    assert_eq!((size(&files, "501"), size(&files, "502"), size(&files, "500")), (Some(501), None, Some(7)));
    assert!(files.contains("501") && !files.contains("502") && !files.contains(""));
}

#[test]
fn records_that_stay_in_their_file_are_the_ones_that_were_read() {
    let dir = tempfile::tempdir().unwrap();
    let record = |path: &str, size| SourceRecord {
        relative_path: path.into(),
        size_bytes: Some(size),
        notes: vec!["\"}]{[ü\n".into()],
        ..SourceRecord::default()
    };
    let mut manifest = Manifest::new("/in", Real::from(60));
    manifest.files = ["c", "a", "b", "a"].into_iter().zip(0..).map(|(path, size)| record(path, size)).collect();
    // Not in the order and form that this program writes.
    let compact = serde_json::json!({
        "input_dir": "/in", "chunk_seconds": 60, "format": "audio-tiff", "format_version": 1, "files": [
            {"relative_path": "c", "size_bytes": 0, "notes": ["\"}]{[ü\n"], "chunks": []},
            {"relative_path": "a", "size_bytes": 1, "notes": ["\"}]{[ü\n"], "chunks": []},
            {"relative_path": "b", "size_bytes": 2, "notes": ["\"}]{[ü\n"], "chunks": []},
            {"relative_path": "a", "size_bytes": 3, "notes": ["\"}]{[ü\n"], "chunks": []},
        ], "created_by": manifest.created_by,
    });
    let path = dir.path().join(MANIFEST_NAME);
    fs::write(&path, format!("\u{feff} {compact} ")).unwrap();
    let mut read = Manifest::read(dir.path(), &ReadLimits::default()).unwrap().unwrap();
    assert_eq!(read, manifest);
    assert_eq!(text(&read), text(&manifest), "sorted, of two with one path the first stays first");
    // Replaced as every writer here does it, and by somebody's editor that writes into the file.
    read.write(dir.path()).unwrap();
    assert_eq!(read, manifest);
    read.files.put(record("d", 4));
    read.files.retain(|record| record.relative_path != "a").unwrap();
    read.write(dir.path()).unwrap();
    let read = Manifest::read(dir.path(), &ReadLimits::default()).unwrap().unwrap();
    let sizes: Vec<_> = read.files.iter().map(|record| record.unwrap().size_bytes.unwrap()).collect();
    assert_eq!(sizes, [2, 0, 4]);
    fs::write(&path, "x").unwrap();
    let error = read.files.get("b").unwrap_err();
    assert_eq!(error.path(), Some(&*path));
    fs::write(&path, "x".repeat(5000)).unwrap();
    let error = read.files.get("b").unwrap_err();
    assert!(error.to_string().contains("changed while it was being read"), "{error}");
    assert!(Sums::of(&read, Sha256Sum([0; 32])).is_err() && read.to_writer(&mut Vec::new()).is_err());
}

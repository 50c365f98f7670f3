//! `tiff2flac index` and `search` through the real program, and the database with other programs.
#![cfg(feature = "index")]

mod common;

use std::fs;
use std::path::Path;
use std::process::Output;

use common::*;
use serde_json::Value;

fn index(archive: &Path, more: &[&str]) -> Run {
    Run::of(tiff2flac().arg("index").arg(archive).args(more).output().expect("tiff2flac runs"))
}

fn search(archive: &Path, more: &[&str]) -> Run {
    let output: Output = tiff2flac().arg("search").arg(archive).args(more).output().expect("tiff2flac runs");
    Run::of(output)
}

/// The relative paths that a search finds, in its order.
fn found(archive: &Path, more: &[&str]) -> Vec<String> {
    let run = search(archive, &[&["--json"], more].concat()).exits(0);
    let lines = run.stdout.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    lines.filter(|v| v["type"] == "hit").map(|v| v["relative_path"].as_str().expect("a path").to_owned()).collect()
}

fn summary(run: &Run) -> Value {
    serde_json::from_str(run.stdout.lines().last().expect("a summary")).expect("JSON")
}

/// An archive of a few recordings with names, times and speakers.
fn example(scratch: &Scratch) -> std::path::PathBuf {
    let sound = |seed| wav(1, 8000, 16, &sound(20_000, 1, 16, seed));
    scratch.put("in/interviews/Anna_Grün_2026-05-01T10-00-00.wav", &sound(1));
    scratch.put("in/field/20260501T043000+0200_reed.wav", &sound(2));
    scratch.put("in/field/20260502_043000.wav", &sound(3));
    scratch.put("in/鳥の声の録音.wav", &sound(4));
    scratch.put("in/plain.wav", &sound(5));
    let metadata = scratch.put(
        "metadata.json",
        r#"{ "plain.wav": { "speaker": "Chloë Dubois", "location": "the old mill", "rights": "CC-BY" },
            "interviews/*": { "speaker": "Anna" } }"#
            .as_bytes(),
    );
    let out = scratch.path("archive");
    let metadata = metadata.to_str().expect("a path");
    archive(&scratch.path("in"), &out, &["--metadata", metadata, "--chunk-seconds", "1"]).exits(0);
    out
}

#[test]
fn words_fields_and_times_find_recordings() {
    let scratch = Scratch::new();
    let dir = example(&scratch);
    let (anna, reed) = ("interviews/Anna_Grün_2026-05-01T10-00-00.wav", "field/20260501T043000+0200_reed.wav");
    search(&dir, &["nothing-like-it"]).exits(0).says("the index was made").says("0 of 0 recordings");
    assert_eq!(found(&dir, &["anna"]), [anna]);
    assert_eq!(found(&dir, &["GRUN", "ann"]), [anna], "case, accents and beginnings of words");
    assert_eq!(found(&dir, &["chloe mil"]), ["plain.wav"]);
    assert_eq!(found(&dir, &["\"old mill\""]), ["plain.wav"]);
    assert!(found(&dir, &["\"mill old\""]).is_empty());
    assert_eq!(found(&dir, &["録音"]), ["鳥の声の録音.wav"]);
    assert_eq!(found(&dir, &["--field", "speaker=dubois"]), ["plain.wav"]);
    assert_eq!(found(&dir, &["--field", "SPEAKER="]), [anna, "plain.wav"]);
    assert!(found(&dir, &["--field", "location=dubois"]).is_empty());
    assert_eq!(found(&dir, &["--field", "sample_rate=8000"]).len(), 5);
    assert_eq!(found(&dir, &["--from", "2026-05-01", "--to", "2026-05-01"]), [reed, anna]);
    assert_eq!(found(&dir, &["--from", "2026-05-01T04:30:01", "--to", "2026-05-01T04:30:02"]), [reed]);
    assert_eq!(found(&dir, &["--from", "2026-05-01T02:30:01Z", "--to", "2026-05-01T02:31Z"]), [reed]);
    let run = search(&dir, &["--from", "2026-05-01T02:00Z"]).exits(0);
    run.says("2 recordings do not say their offset from UTC").says("2026-05-01T04:30:00+02:00");
    search(&dir, &["--from", "2026-05-02"]).exits(0).says("2026-05-02T04:30:00 (no UTC offset)");
    assert_eq!(search(&dir, &["--from", "soon"]).code, Some(2));
}

#[test]
fn a_hit_says_where_in_the_recording_the_time_is() {
    let scratch = Scratch::new();
    let dir = example(&scratch);
    let run =
        search(&dir, &["reed", "--json", "--from", "2026-05-01T04:30:01.25", "--to", "2026-05-01T04:30:02"]).exits(0);
    let hit: Value =
        serde_json::from_str(run.stdout.lines().find(|l| l.contains("\"hit\"")).expect("a hit")).expect("JSON");
    assert_eq!((&hit["from_seconds"], &hit["to_seconds"]), (&1.25.into(), &2.0.into()));
    assert_eq!(hit["from_clock"], "2026-05-01T04:30:01.25+02:00");
    assert_eq!(hit["utc_offset_known"], true);
    let tiffs: Vec<_> = hit["tiffs"].as_array().expect("TIFFs").iter().filter_map(Value::as_str).collect();
    assert_eq!(tiffs.len(), 2, "the second chunk, and the third that begins where the span ends: {tiffs:?}");
    assert!(tiffs[0].ends_with("_chunk_000001.tiff"));
}

#[test]
fn nothing_that_is_typed_is_an_error() {
    let scratch = Scratch::new();
    let dir = example(&scratch);
    index(&dir, &[]).exits(0);
    let odd = [
        "\"",
        "\"\"",
        "*",
        "a*b",
        "(",
        "NEAR(a b)",
        "a AND",
        "NOT",
        "OR OR",
        "col:a",
        "-a",
        "^a",
        "{a}",
        "a\"b\"c",
        "'; DROP TABLE sources; --",
        "\u{202E}txt",
        "a\nb",
        "\u{0}".trim_matches('\0'),
        "%",
        "_",
        "\\",
        "🦉",
        "ß",
        "\u{301}",
    ];
    for text in odd {
        search(&dir, &["--no-update", "--", text]).exits(0);
        search(&dir, &["--no-update", "--field", &format!("speaker={text}")]).exits(0);
        search(&dir, &["--no-update", "--field", &format!("container={text}")]).exits(0);
    }
    assert_eq!(found(&dir, &[]).len(), 5);
}

#[test]
fn an_update_reads_what_has_changed_and_nothing_else() {
    let scratch = Scratch::new();
    let dir = example(&scratch);
    let first = index(&dir, &["--json"]).exits(0);
    assert_eq!((&summary(&first)["ok"], &summary(&first)["skipped"]), (&5.into(), &0.into()));
    let again = index(&dir, &["--json"]).exits(0);
    assert_eq!((&summary(&again)["ok"], &summary(&again)["skipped"]), (&0.into(), &5.into()));
    // One more source, through the manifest.
    scratch.put("in/later.wav", &wav(1, 8000, 16, &sound(9000, 1, 16, 9)));
    archive(&scratch.path("in"), &dir, &["--resume", "--chunk-seconds", "1"]);
    let more = index(&dir, &["--json"]).exits(0);
    assert!(summary(&more)["skipped"].as_u64() >= Some(4), "{}", more.stdout);
    assert_eq!(found(&dir, &["later"]), ["later.wav"]);
    // The whole archive elsewhere: the same records, the same files.
    let moved = scratch.path("moved");
    fs::rename(&dir, &moved).expect("a move");
    assert_eq!(summary(&index(&moved, &["--json"]).exits(0))["ok"], 0);
    // A TIFF that is gone is named, every time, and its source stays findable.
    let gone = tiffs(&moved).into_iter().find(|p| p.to_string_lossy().contains("plain")).expect("a TIFF");
    fs::remove_file(&gone).expect("removed");
    for _ in 0..2 {
        index(&moved, &[]).exits(3).says("plain").says("not there");
    }
    assert_eq!(found(&moved, &["plain"]), ["plain.wav"]);
}

#[test]
fn a_manifest_that_another_program_has_written_again_is_the_same() {
    let scratch = Scratch::new();
    let dir = example(&scratch);
    index(&dir, &[]).exits(0);
    let path = dir.join("manifest.json");
    let value: Value = serde_json::from_slice(&fs::read(&path).expect("a manifest")).expect("JSON");
    // Keys the other way round, at every level, and other white space.
    fn turned(value: &Value) -> Value {
        match value {
            Value::Object(map) => Value::Object(map.iter().rev().map(|(k, v)| (k.clone(), turned(v))).collect()),
            Value::Array(list) => Value::Array(list.iter().map(turned).collect()),
            other => other.clone(),
        }
    }
    let text = serde_json::to_string(&turned(&value)).expect("JSON").replace(":{", " :\n\t{ ");
    assert_ne!(text.as_bytes(), fs::read(&path).expect("a manifest"));
    fs::write(&path, text).expect("written");
    let again = index(&dir, &["--json"]).exits(0);
    assert_eq!((&summary(&again)["ok"], &summary(&again)["skipped"]), (&0.into(), &5.into()), "{}", again.stdout);
    // What does say something else is read.
    let mut other = value;
    let about = other["files"].as_array_mut().expect("files").iter_mut().find(|f| f["relative_path"] == "plain.wav");
    about.expect("a source")["metadata"]["speaker"] = "Dora".into();
    fs::write(&path, other.to_string()).expect("written");
    let again = index(&dir, &["--json"]).exits(0);
    assert_eq!((&summary(&again)["ok"], &summary(&again)["skipped"]), (&1.into(), &4.into()), "{}", again.stdout);
    assert_eq!(found(&dir, &["--field", "speaker=dora"]), ["plain.wav"]);
}

/// The program run by somebody who may not write to a folder. (Root may, so the tests of root are run as nobody.)
#[cfg(unix)]
fn by_a_reader(scratch: &Scratch, archive: &Path) -> impl Fn(&[&str]) -> Run {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::process::CommandExt;
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("permissions");
    let program = scratch.path("tiff2flac");
    fs::copy(tiff2flac().get_program(), &program).expect("a copy of the program");
    mode(&program, 0o755);
    mode(&scratch.path(""), 0o755);
    mode(archive, 0o555);
    let root = fs::metadata(archive).expect("a folder").uid() == 0;
    move |arguments| {
        let mut command = std::process::Command::new(&program);
        command.args(arguments);
        if root {
            command.uid(65_534).gid(65_534);
        }
        run_within(120, &mut command)
    }
}

#[cfg(unix)]
#[test]
fn an_archive_that_cannot_be_written_to_is_indexed_elsewhere() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = Scratch::new();
    let dir = example(&scratch);
    let elsewhere = scratch.path("elsewhere");
    fs::create_dir(&elsewhere).expect("a folder");
    fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o777)).expect("permissions");
    let run = by_a_reader(&scratch, &dir);
    let (dir_text, file) = (dir.to_str().expect("a path"), elsewhere.join("a.sqlite"));
    let file = file.to_str().expect("a path");
    // No index yet: what to do is said.
    for command in [&["index", dir_text][..], &["search", dir_text, "anna"], &["serve", dir_text, "--port", "0"]] {
        run(command).exits(1).says("--index FILE");
    }
    run(&["search", dir_text, "anna", "--no-update"]).exits(1).says("tiff2flac index");
    run(&["search", dir_text, "anna", "--index", file]).exits(0).says("1 of 1 recordings");
    run(&["index", dir_text, "--index", file]).exits(0);
    assert!(!dir.join("index.sqlite").exists());
    // One that was made before the archive was closed is used as long as it is right.
    fs::copy(file, dir.join("index.sqlite")).expect("a copy");
    fs::set_permissions(dir.join("index.sqlite"), fs::Permissions::from_mode(0o444)).expect("permissions");
    run(&["search", dir_text, "anna"]).exits(0).says("1 of 1 recordings");
    run(&["index", dir_text]).exits(0);
    scratch.put("in/later.wav", &wav(1, 8000, 16, &sound(9000, 1, 16, 9)));
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).expect("permissions");
    archive(&scratch.path("in"), &dir, &["--resume", "--chunk-seconds", "1"]);
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o555)).expect("permissions");
    for command in [&["index", dir_text][..], &["search", dir_text, "anna"], &["serve", dir_text, "--port", "0"]] {
        run(command).exits(1).says("--index FILE").says("--no-update");
    }
    run(&["search", dir_text, "later", "--no-update"]).exits(0).says("0 of 0 recordings");
    run(&["search", dir_text, "later", "--index", file]).exits(0).says("1 of 1 recordings");
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).expect("permissions");
}

#[test]
fn what_is_asked_for_as_it_is_is_not_brought_up_to_date() {
    let scratch = Scratch::new();
    let dir = example(&scratch);
    search(&dir, &["anna", "--no-update"]).exits(1).says("tiff2flac index");
    index(&dir, &[]).exits(0);
    let before = fs::read(dir.join("index.sqlite")).expect("an index");
    scratch.put("in/later.wav", &wav(1, 8000, 16, &sound(9000, 1, 16, 9)));
    archive(&scratch.path("in"), &dir, &["--resume", "--chunk-seconds", "1"]);
    assert!(found(&dir, &["later", "--no-update"]).is_empty());
    assert_eq!(found(&dir, &["anna", "--no-update"]).len(), 1);
    assert!(before == fs::read(dir.join("index.sqlite")).expect("an index"), "nothing was written");
    assert_eq!(found(&dir, &["later"]), ["later.wav"]);
}

#[test]
fn splitting_and_rebuilding_leave_the_index_to_itself() {
    let scratch = Scratch::new();
    let dir = example(&scratch);
    index(&dir, &[]).exits(0);
    // Taken out of the archive, a recording is in the index of neither until that is brought up to date.
    let part = scratch.path("part");
    let mut command = tiff2flac();
    command.arg("split").arg(&dir).arg("--into").arg(&part).args(["--select", "plain.wav"]);
    Run::of(command.output().expect("runs")).exits(0);
    assert!(dir.join("index.sqlite").is_file() && !part.join("index.sqlite").exists());
    assert_eq!(found(&part, &[]), ["plain.wav"]);
    assert_eq!(found(&dir, &[]).len(), if dir.join("plain_chunk_000000.tiff").exists() { 5 } else { 4 });
    verify(&dir, &["--deep"]).exits(0);
    verify(&part, &["--deep"]).exits(0);
    // The list made anew: the index is taken neither for a TIFF nor for a reason to stop, and finds the same afterwards.
    let all = found(&dir, &[]);
    for file in ["manifest.json", "SHA256SUMS"] {
        fs::remove_file(dir.join(file)).expect("removed");
    }
    Run::of(tiff2flac().arg("rebuild-manifest").arg(&dir).output().expect("runs")).exits(0);
    assert!(dir.join("index.sqlite").is_file());
    let sums = fs::read_to_string(dir.join("SHA256SUMS")).expect("sums");
    assert!(!sums.contains("index.sqlite"));
    let mut after = found(&dir, &[]);
    let mut before = all;
    after.sort();
    before.sort();
    assert_eq!(before, after);
    verify(&dir, &[]).exits(0);
}

#[test]
fn the_index_is_a_cache_that_the_archive_does_not_know() {
    let scratch = Scratch::new();
    let dir = example(&scratch);
    let before = tree(&dir);
    index(&dir, &[]).exits(0);
    let mut after = tree(&dir);
    let database = after.remove("index.sqlite").expect("an index");
    assert_eq!(before, after, "nothing else is written or changed");
    verify(&dir, &["--deep"]).exits(0);
    reconstruct(&dir, &scratch.path("back"), &[]).exits(0);
    // Damaged, of another version, empty: made anew. Of another program: left alone.
    let file = dir.join("index.sqlite");
    let mut damaged = database.clone();
    damaged[8192..8192 * 6].fill(0xA5);
    fs::write(&file, damaged).expect("damage");
    index(&dir, &[]).exits(0).says("made anew");
    let mut newer = database.clone();
    newer[60..64].copy_from_slice(&99u32.to_be_bytes());
    fs::write(&file, newer).expect("a newer version");
    index(&dir, &[]).exits(0).says("newer version");
    fs::write(&file, b"").expect("an empty file");
    index(&dir, &[]).exits(0);
    assert_eq!(found(&dir, &[]).len(), 5);
    fs::write(&file, b"a file of mine").expect("another file");
    index(&dir, &[]).exits(2).says("no index of this program");
    assert_eq!(fs::read(&file).expect("still there"), b"a file of mine");
    let elsewhere = scratch.path("elsewhere.sqlite");
    index(&dir, &["--index", elsewhere.to_str().expect("a path")]).exits(0);
    assert!(elsewhere.is_file());
}

#[test]
fn an_archive_without_a_manifest_is_indexed_from_its_tiffs() {
    let scratch = Scratch::new();
    let dir = example(&scratch);
    fs::remove_file(dir.join("manifest.json")).expect("removed");
    index(&dir, &[]).exits(0).says("there is no manifest.json");
    assert_eq!(found(&dir, &["anna"]).len(), 1);
    let again = index(&dir, &["--json"]).exits(0);
    assert_eq!(summary(&again)["ok"], 0);
}

/// The queries of docs/INDEX.md, with a program that is not ours.
#[test]
fn other_programs_read_the_index() {
    let scratch = Scratch::new();
    let dir = example(&scratch);
    index(&dir, &[]).exits(0);
    let file = dir.join("index.sqlite");
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/INDEX.md")).expect("the page");
    let queries: Vec<&str> = page.split("```sql\n").skip(1).filter_map(|part| part.split("```").next()).collect();
    assert!(queries.len() >= 5, "the page has its examples");
    let script = "import sqlite3, sys, json\n\
        db = sqlite3.connect('file:' + sys.argv[1] + '?mode=ro', uri=True)\n\
        print(json.dumps([[str(v) for row in db.execute(q) for v in row] for q in sys.argv[2:]]))";
    let mut arguments = vec![file.to_str().expect("a path")];
    arguments.extend(&queries);
    if let Some(run) = python("sqlite3", script, &arguments) {
        let answers: Vec<Vec<String>> = serde_json::from_str(run.exits(0).stdout.trim()).expect("JSON");
        assert!(answers.iter().all(|rows| !rows.is_empty()), "{answers:?}");
        assert!(answers[0].iter().any(|v| v.contains("Anna")), "{answers:?}");
    }
    if let Some(run) = witness(
        "sqlite3",
        &[
            file.to_str().expect("a path"),
            "PRAGMA integrity_check; SELECT count(*) FROM thumbnails WHERE jpeg IS NOT NULL;",
        ],
    ) {
        assert_eq!(run.exits(0).stdout, "ok\n15\n");
    }
    // The FLAC's place in the TIFF is right, and the thumbnail is a JPEG of the plot's shape.
    let script = "import sqlite3, sys, hashlib\n\
        db = sqlite3.connect(sys.argv[1] + '/index.sqlite')\n\
        for path, at, n, want, jpeg in db.execute('select tiff_path, flac_offset, flac_size, flac_sha256, jpeg from flacs \
        join chunks c on c.id = flacs.chunk_id join thumbnails t on t.chunk_id = c.id'):\n\
        \x20   f = open(sys.argv[1] + '/' + path, 'rb'); f.seek(at)\n\
        \x20   assert hashlib.sha256(f.read(n)).hexdigest() == want, path\n\
        \x20   assert jpeg[:3] == b'\\xff\\xd8\\xff', path\n\
        print('right')";
    if let Some(run) = python("sqlite3", script, &[dir.to_str().expect("a path")]) {
        run.exits(0).says("right");
    }
}

#[cfg(unix)]
#[test]
fn names_do_not_steer_the_terminal() {
    let scratch = Scratch::new();
    let name = "a\u{1b}]0;title\u{7}\u{202e}x\ny.wav";
    scratch.put(&format!("in/{name}"), &wav(1, 8000, 16, &sound(900, 1, 16, 1)));
    let dir = scratch.path("archive");
    archive(&scratch.path("in"), &dir, &[]).exits(0);
    assert_eq!(found(&dir, &["title"]), [name]);
    let shown = search(&dir, &["title"]).exits(0).stdout;
    assert!(!shown.contains(['\u{1b}', '\u{7}', '\u{202e}']) && shown.lines().count() == 2, "{shown:?}");
}

//! `tiff2flac info`, and what photo tools find in a TIFF.

mod common;

use std::fs;
use std::path::Path;

use common::{Run, Scratch, archive, flip, float_wav, sound, tiff2flac, tree, wav, witness};
use serde_json::Value;

fn info(path: &Path, more: &[&str]) -> Run {
    Run::of(tiff2flac().arg("info").arg(path).args(more).output().unwrap())
}

fn json(path: &Path, code: i32) -> Value {
    let run = info(path, &["--json"]).exits(code);
    serde_json::from_str(run.stdout.lines().next().unwrap()).unwrap()
}

const META: [&str; 14] = [
    "--meta",
    "artist=Ünï & Sons",
    "--meta",
    "copyright=2026 City archive",
    "--meta",
    "description=Dawn <chorus>",
    "--meta",
    "latitude=47.1234",
    "--meta",
    "longitude=-122.5",
    "--meta",
    "location=Tarn",
    "--meta",
    "keywords=birds; dawn",
];

/// A recorder's file of three seconds in chunks of one.
fn archived() -> Scratch {
    let s = Scratch::new();
    s.put("in/20260501_043000.wav", &wav(2, 8000, 16, &sound(24_000, 2, 16, 1)));
    archive(&s.path("in"), &s.path("archive"), &[&["--chunk-seconds", "1"], &META[..]].concat()).exits(0);
    s
}

#[test]
fn all_that_a_tiff_holds_is_shown() {
    let s = archived();
    let tiff = s.path("archive/20260501_043000_chunk_000001.tiff");
    let about = json(&tiff, 0);
    assert_eq!(about["origin"], "audio-tiff");
    assert_eq!(about["size_bytes"], fs::metadata(&tiff).unwrap().len());
    assert_eq!(about["source"]["relative_path"], "20260501_043000.wav");
    assert_eq!((&about["chunk"]["start_seconds"], &about["chunk"]["end_seconds"]), (&1.0.into(), &2.0.into()));
    assert_eq!(about["metadata"]["artist"], "Ünï & Sons");
    assert_eq!(about["state"]["whole"], true);
    assert!(about["state"]["manifest"].as_str().unwrap().ends_with("archive/manifest.json"));
    let pages = about["pages"].as_array().unwrap();
    assert_eq!(pages[0]["role"], "preview");
    assert_eq!(pages[0]["tags"]["DateTime"], "2026:05:01 04:30:01");
    assert_eq!(pages[0]["tags"]["Copyright"], "2026 City archive");
    assert!(pages[0]["xmp"]["bytes"].as_u64().unwrap() > 500);
    let flac = &pages[1]["flac"];
    assert_eq!((pages[1]["role"].as_str(), flac["total_samples"].as_u64()), (Some("flac"), Some(8000)));
    let bytes = fs::read(&tiff).unwrap();
    assert!(bytes[flac["offset"].as_u64().unwrap() as usize..].starts_with(b"fLaC"));
    info(&tiff, &[])
        .exits(0)
        .says("state: whole")
        .says("00:00:01.000 to 00:00:02.000 of the recording")
        .says("restores to: 20260501_043000.wav: the same file, byte for byte")
        .says("ARTIST=Ünï & Sons");
}

#[test]
fn what_the_keeper_says_about_the_time_goes_before_file_and_name() {
    let s = Scratch::new();
    let input = s.put("in/20260501_043000.wav", &wav(2, 8000, 16, &sound(24_000, 2, 16, 1)));
    let about = |name: &str, recorded: &str| {
        let meta = format!("recorded={recorded}");
        archive(&input, &s.path(name), &["--meta", &meta, "--chunk-seconds", "1"]).exits(0);
        json(&s.path(&format!("{name}/20260501_043000_chunk_000001.tiff")), 0)
    };
    let about_known = about("known", "1998-07-06 05:04+02:00");
    assert_eq!(about_known["metadata"]["recorded"], "1998-07-06T05:04+02:00");
    assert_eq!(about_known["metadata"]["recorded_from"], "keeper");
    assert_eq!(about_known["pages"][0]["tags"]["DateTime"], "1998:07:06 05:04:01");
    // A day is no time of day: not even the file's name gives one then.
    let day = about("day", "1998-07-06");
    assert_eq!(
        (&day["metadata"]["recorded"], &day["metadata"]["recorded_from"]),
        (&"1998-07-06".into(), &"keeper".into())
    );
    assert!(day["pages"][0]["tags"].get("DateTime").is_none());
    let words = ["--meta", "recorded=one summer"];
    archive(&input, &s.path("words"), &words)
        .exits(2)
        .says("\"one summer\" is no date and time")
        .says("2026-05-01T04:30:00");
    let table = s.put("table.csv", b"file,recorded\n20260501_043000.wav,1998-13-01\n");
    archive(&input, &s.path("table"), &["--metadata", table.to_str().unwrap()]).exits(2).says("line 2: recorded");
    assert!(!s.path("words").exists() && !s.path("table").exists());
}

#[test]
fn of_what_nothing_decodes_nothing_is_said_about_samples() {
    let s = Scratch::new();
    s.put("in/a.wv", &[b"wvpk".as_slice(), &[0x85; 4000]].concat());
    archive(&s.path("in"), &s.path("archive"), &["--attach-unknown"]).exits(0);
    let run = info(&s.path("archive/a_chunk_000000.tiff"), &[]).exits(0);
    let run = run.says("WavPack, not decoded").says("own bytes (4004 bytes").says("state: whole");
    assert!(!run.stdout.contains("FLAC is a copy") && !run.stdout.contains("0 channels"), "{}", run.stdout);
}

#[test]
fn whether_it_is_whole_is_told_with_and_without_a_manifest() {
    let s = archived();
    let tiff = s.path("archive/20260501_043000_chunk_000001.tiff");
    let alone = s.path("elsewhere.tiff");
    fs::copy(&tiff, &alone).unwrap();
    let about = json(&alone, 0);
    assert_eq!((&about["state"]["whole"], &about["state"]["manifest"]), (&Value::Bool(true), &Value::Null));
    let at = about["pages"][1]["flac"]["frames_offset"].as_u64().unwrap() + 700;
    for path in [&tiff, &alone] {
        flip(path, at);
        let about = json(path, 3);
        assert_eq!(about["state"]["whole"], false);
        let finding =
            about["state"]["findings"].as_array().unwrap().iter().find(|f| f["code"] == "flac-damaged").unwrap();
        assert_eq!(finding["damage"][0]["start_sample"].as_u64().unwrap() / 8000, 1, "on the recording's time line");
        info(path, &[]).exits(3).says("NOT WHOLE").says("[flac-damaged]");
        flip(path, at);
    }
    // What only the manifest can know: a bit of the picture's text.
    let picture = about["pages"][0]["xmp"]["offset"].as_u64().unwrap() + 100;
    flip(&tiff, picture);
    flip(&alone, picture);
    assert_eq!(json(&tiff, 3)["state"]["findings"][0]["code"], "tiff-changed");
    assert_eq!(json(&alone, 0)["state"]["whole"], true);
}

#[test]
fn pages_beside_the_flac_are_named_by_their_roles() {
    let s = Scratch::new();
    s.put("in/float.wav", &[float_wav(20_000, 2, 2), b"stray".to_vec()].concat());
    archive(&s.path("in"), &s.path("archive"), &[]).exits(0);
    let about = json(&s.path("archive/float_chunk_000000.tiff"), 0);
    let roles: Vec<&str> = about["pages"].as_array().unwrap().iter().map(|p| p["role"].as_str().unwrap()).collect();
    assert_eq!(roles[..2], ["preview", "flac"]);
    assert!(roles.contains(&"remainder") && roles.contains(&"source-bytes"), "{roles:?}");
}

#[test]
fn a_tiff_of_something_else_is_said_to_be_none_of_an_archive() {
    let s = Scratch::new();
    let photo = s.path("photo.tiff");
    let mut encoder = tiff::encoder::TiffEncoder::new(fs::File::create(&photo).unwrap()).unwrap();
    encoder.write_image::<tiff::encoder::colortype::Gray8>(4, 2, &[1, 2, 3, 4, 5, 6, 7, 8]).unwrap();
    let about = json(&photo, 0);
    assert_eq!((about["origin"].as_str(), about.get("state")), (Some("foreign"), None));
    info(&photo, &[]).exits(0).says("not of an archive").says("nothing: this is no TIFF of an archive");
    let text = s.put("text.tiff", b"This is no TIFF");
    info(&text, &[photo.to_str().unwrap()]).exits(3).says("not a TIFF file").says("4 × 2 pixels");
    info(&s.path("nowhere.tiff"), &[]).exits(3).says("nowhere.tiff");
}

#[test]
fn exiftool_reads_who_when_where_and_whose() {
    let s = archived();
    let tiff = s.path("archive/20260501_043000_chunk_000001.tiff");
    let args = ["-json", "-G1", "-c", "%.6f", "-n", tiff.to_str().unwrap()];
    let Some(run) = witness("exiftool", &args) else { return };
    let all: Value = serde_json::from_str(&run.exits(0).stdout).unwrap();
    let about = &all[0];
    for (tag, value) in [
        ("XMP-dc:Creator", "Ünï & Sons"),
        ("XMP-dc:Rights", "2026 City archive"),
        ("XMP-dc:Description", "Dawn <chorus>"),
        ("XMP-xmp:CreateDate", "2026:05:01 04:30:01"),
        ("XMP-photoshop:DateCreated", "2026:05:01 04:30:01"),
        ("XMP-iptcCore:Location", "Tarn"),
        ("IFD0:Copyright", "2026 City archive"),
        ("IFD0:ModifyDate", "2026:05:01 04:30:01"),
    ] {
        assert_eq!(about[tag], value, "{tag} in {about:#}");
    }
    assert_eq!(about["XMP-dc:Subject"], serde_json::json!(["birds", "dawn"]));
    assert!((about["XMP-exif:GPSLatitude"].as_f64().unwrap() - 47.1234).abs() < 1e-6, "{about:#}");
    assert!((about["XMP-exif:GPSLongitude"].as_f64().unwrap() + 122.5).abs() < 1e-6);
    let valid = witness("exiftool", &["-validate", "-warning", "-a", tiff.to_str().unwrap()]).unwrap();
    assert!(!valid.stdout.to_lowercase().contains("xmp"), "{}", valid.stdout);
}

#[test]
fn the_same_recording_gives_the_same_bytes_with_all_of_its_metadata() {
    let s = archived();
    let again = s.path("again");
    archive(&s.path("in"), &again, &[&["--chunk-seconds", "1", "-w", "3"], &META[..]].concat()).exits(0);
    let tiffs = |dir: &Path| tree(dir).into_iter().filter(|(name, _)| name.ends_with(".tiff")).collect::<Vec<_>>();
    assert!(tiffs(&again) == tiffs(&s.path("archive")));
}

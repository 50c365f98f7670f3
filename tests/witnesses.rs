//! Programs that we did not write read what we write.

mod common;

use std::fs;
use std::path::Path;

use common::{Scratch, archive, fixtures, python, reconstruct, sound, tiffs, tree, wav, witness};

/// An archive of the fixtures and of some more formats, extracted and rebuilt.
fn everything() -> Scratch {
    let s = Scratch::new();
    for (name, bytes) in tree(&fixtures().join("recordings")) {
        s.put(&format!("in/{name}"), &bytes);
    }
    for (channels, bits) in [(1u16, 8u16), (6, 24), (8, 16), (12, 24)] {
        let data = sound(7000, channels.into(), bits.into(), 9);
        s.put(&format!("in/{channels}x{bits}.wav"), &wav(channels, 48_000, bits, &data));
    }
    s.put("in/none.wav", &wav(2, 44_100, 16, &[]));
    archive(&s.path("in"), &s.path("archive"), &["--chunk-seconds", "2"]).exits(0);
    reconstruct(&s.path("archive"), &s.path("back"), &[]).exits(0);
    s
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path that is text")
}

#[test]
fn flac_and_ffmpeg_accept_every_extracted_flac() {
    let s = everything();
    let flacs = tree(&s.path("back/flac"));
    assert!(flacs.len() > 15);
    for name in flacs.keys() {
        let path = s.path("back/flac").join(name);
        // Of a stream without a single frame flac cannot check the length, and warns; ffmpeg calls it an error.
        let empty = name.starts_with("none");
        let strict: &[&str] = if empty { &[] } else { &["-w"] };
        if let Some(run) = witness("flac", &[&["-t", "-s"], strict, &[text(&path)]].concat()) {
            run.exits(0);
        }
        if !empty && let Some(run) = witness("ffmpeg", &["-v", "error", "-i", text(&path), "-f", "null", "-"]) {
            assert_eq!(run.stderr, "", "{name}");
            run.exits(0);
        }
    }
}

#[test]
fn claxon_decodes_what_we_encode_to_the_same_samples() {
    let s = Scratch::new();
    let data = sound(30_000, 2, 16, 4);
    s.put("in/a.wav", &wav(2, 44_100, 16, &data));
    archive(&s.path("in"), &s.path("archive"), &[]).exits(0);
    reconstruct(&s.path("archive"), &s.path("back"), &[]).exits(0);
    let mut reader = claxon::FlacReader::open(s.path("back/flac/a_chunk_000000.flac")).unwrap();
    let decoded: Vec<u8> = reader.samples().flat_map(|v| (v.unwrap() as i16).to_le_bytes()).collect();
    assert!(decoded == data);
    let tags: Vec<(String, String)> = reader.tags().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    assert!(tags.contains(&("SOURCE_FILE".into(), "a.wav".into())), "{tags:?}");
    assert!(tags.contains(&("CHUNK".into(), "chunk_000000".into())), "{tags:?}");
}

#[test]
fn tifffile_reads_both_pages_and_page_one_is_the_flac() {
    let s = everything();
    let script = "
import sys, glob, os, json, tifffile
archive, flacs = sys.argv[1:]
n = 0
for t in glob.glob(archive + '/**/*.tiff', recursive=True):
    picture = tifffile.imread(t, key=0)
    assert picture.ndim == 3 and picture.shape[2] == 3 and picture.dtype == 'uint8', picture.shape
    flac = os.path.join(flacs, os.path.relpath(t, archive)[:-5] + '.flac')
    assert tifffile.imread(t, key=1).tobytes() == open(flac, 'rb').read(), t
    with tifffile.TiffFile(t) as f:
        first, second = (json.loads(p.tags['ImageDescription'].value) for p in f.pages[:2])
        assert first['preview'] is True and 'relative_path' in first['metadata']
        assert second['embedded_flac_bytes'] is True
    n += 1
print('read', n)
";
    let (a, f) = (s.path("archive"), s.path("back/flac"));
    if let Some(run) = python("tifffile", script, &[text(&a), text(&f)]) {
        run.exits(0).says(&format!("read {}", tiffs(&a).len()));
    }
}

#[test]
fn the_original_extractors_way_of_reading_works() {
    let s = everything();
    let script = "
import sys, os, json, hashlib, tifffile
folder = sys.argv[1]
manifest = json.load(open(os.path.join(folder, 'manifest.json')))
assert manifest['input_dir'] and manifest['chunk_seconds'] == 2
for entry in manifest['files']:
    assert os.path.basename(entry['source_file'])
    for chunk in entry['chunks']:
        flac = tifffile.imread(os.path.join(folder, chunk['tiff_path']), key=1).tobytes()
        assert hashlib.sha256(flac).hexdigest() == chunk['flac_sha256'], chunk
        assert chunk['chunk_id'].startswith('chunk_') and chunk['start_time_seconds'] >= 0
        assert os.path.getsize(os.path.join(folder, chunk['tiff_path'])) == chunk['size_bytes']
print('all right')
";
    if let Some(run) = python("tifffile", script, &[text(&s.path("archive"))]) {
        run.exits(0).says("all right");
    }
}

#[test]
fn libtiff_imagemagick_and_sha256sum_are_content() {
    let s = everything();
    for tiff in tiffs(&s.path("archive")) {
        if let Some(run) = witness("tiffinfo", &["-D", text(&tiff)]) {
            assert_eq!(run.stderr, "", "{}", tiff.display());
            run.exits(0);
        }
        if let Some(run) = witness("identify", &[&format!("{}[0]", text(&tiff))]) {
            assert_eq!(run.stderr, "", "{}", tiff.display());
            run.exits(0).says("8-bit sRGB");
        }
    }
    let check = format!("cd '{}' && sha256sum -c --strict --quiet SHA256SUMS", text(&s.path("archive")));
    if let Some(run) = witness("sh", &["-c", &check]) {
        run.exits(0);
    }
    let sums = fs::read_to_string(s.path("archive/SHA256SUMS")).unwrap();
    assert_eq!(sums.lines().count(), tiffs(&s.path("archive")).len() + 1);
}

#[test]
fn page_one_lies_in_one_piece_that_can_be_mapped() {
    let s = everything();
    let manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(s.path("archive/manifest.json")).unwrap()).unwrap();
    let chunk = &manifest["files"][0]["chunks"][0];
    let file = fs::File::open(s.path("archive").join(chunk["tiff_path"].as_str().unwrap())).unwrap();
    // SAFETY: the file is this test's own and nobody changes it while it is mapped.
    #[allow(unsafe_code)]
    let map = unsafe { memmap2::Mmap::map(&file) }.unwrap();
    let start = chunk["flac_offset"].as_u64().unwrap() as usize;
    let flac = &map[start..start + chunk["flac_size_bytes"].as_u64().unwrap() as usize];
    assert!(flac.starts_with(b"fLaC"));
    let stem = Path::new(chunk["tiff_path"].as_str().unwrap()).with_extension("flac");
    assert!(flac == fs::read(s.path("back/flac").join(stem)).unwrap());
}

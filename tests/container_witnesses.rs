//! Programs that others wrote read our files: libtiff, exiftool, tifffile, Pillow, ImageMagick. Each is asked where it
//! is installed.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::process::{Command, Output};

use audio_tiff::container::*;

/// Writes a file with a picture, a FLAC page at an odd offset, compressed bytes and all optional tags. With `gap` the
/// bytes of the FLAC begin so far into the file, as a hole.
fn write(path: &Path, gap: u64) -> Kind {
    let mut file = File::options().read(true).write(true).create(true).truncate(true).open(path).unwrap();
    let head = 8192;
    file.seek(SeekFrom::Start(head)).unwrap();
    let mut picture = DeflatePageWriter::picture(&mut file, head, Pixels::Rgb8, 400);
    for y in 0..256u32 {
        let row: Vec<u8> = (0..400u32).flat_map(|x| [x as u8, y as u8, (x ^ y) as u8]).collect();
        picture.write_all(&row).unwrap();
    }
    let (mut first, _, at) =
        picture.finish(r#"{"metadata":{"source":"\u00dcn\u00ef"},"preview":true}"#.into()).unwrap();
    first.text_tags = vec![
        (DATE_TIME, "2026:05:01 04:00:00".into()),
        (ARTIST, "Nobody".into()),
        (COPYRIGHT, "CC0".into()),
        (SOFTWARE, "audio2tiff".into()),
    ];
    let xmp = "<?xpacket begin=\"\u{FEFF}\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?><x:xmpmeta xmlns:x=\"adobe:ns:meta/\">\
        <rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\"><rdf:Description rdf:about=\"\" \
        xmlns:dc=\"http://purl.org/dc/elements/1.1/\"><dc:creator><rdf:Seq><rdf:li>Ünï</rdf:li></rdf:Seq></dc:creator>\
        </rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end=\"r\"?>";
    first.xmp = Some(xmp.as_bytes().to_vec());
    let flac_at = (at + gap) | 1;
    file.seek(SeekFrom::Start(flac_at)).unwrap();
    file.write_all(&flac()).unwrap();
    let length = flac().len() as u64;
    let mut flac = RawPage { offset: flac_at, length }.rows("{\"embedded_flac_bytes\":true}".into()).unwrap();
    let at = flac_at + length;
    let mut tail = DeflatePageWriter::raw(&mut file, at);
    tail.write_all(&[7; 5000]).unwrap();
    let (mut tail, _, _) = tail.finish("{\"role\":\"tail\",\"length\":5000}".into()).unwrap();
    (flac.subfile_type, tail.subfile_type) = (2, 2);
    write_head(&mut file, &[first, flac, tail], head).unwrap()
}

/// Stands for a FLAC: 25 rows that begin with its magic.
fn flac() -> Vec<u8> {
    b"fLaC".iter().copied().chain((4..102_400u32).map(|i| (i.wrapping_mul(i) >> 5) as u8)).collect()
}

fn run(program: &str, args: &[&str]) -> Option<Output> {
    Command::new(program).args(args).output().ok()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Kinds of file that every witness gets: classic, and a sparse BigTIFF of 5 GiB.
fn files() -> Vec<(tempfile::TempDir, String, Kind)> {
    [(0, Kind::Classic), (5 << 30, Kind::Big)]
        .into_iter()
        .map(|(gap, kind)| {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("a.tiff");
            assert_eq!(write(&path, gap), kind);
            (dir, path.to_str().unwrap().to_string(), kind)
        })
        .collect()
}

#[test]
fn our_own_reader_reads_beyond_four_gigabytes() {
    for (_dir, path, _) in files() {
        let file = File::open(path).unwrap();
        let pages = read_pages(&file, &Limits::default()).unwrap();
        assert_eq!(pages.len(), 3);
        let mut out = Vec::new();
        std::io::copy(&mut find_flac_page(&file, &pages).unwrap().reader(&file).unwrap(), &mut out).unwrap();
        assert_eq!(out, flac());
        assert!(pages.iter().all(|page| page.directory_offset < 8192));
    }
}

#[test]
fn libtiff_has_nothing_to_say() {
    for (_dir, path, kind) in files() {
        for option in ["-D", "-s"] {
            let Some(out) = run("tiffinfo", &[option, &path]) else { return };
            assert!(out.status.success(), "{kind:?}");
            assert_eq!(text(&out.stderr), "", "{kind:?} {option}");
            assert_eq!(
                text(&out.stdout).matches("TIFF Directory").count().max(text(&out.stdout).matches("=== TIFF").count()),
                3
            );
        }
    }
}

/// exiftool lets page 0 of a classic TIFF have no compression but those of TIFF 6.0 itself, of which Deflate is not
/// one, and would have a BigTIFF called `.btf`; it must have nothing else to say.
fn the_one_warning(kind: Kind) -> &'static str {
    match kind {
        Kind::Classic => "Invalid value for IFD0 tag 0x0103 Compression",
        Kind::Big => "File has wrong extension (should be BTF, not TIFF)",
    }
}

#[test]
fn exiftool_finds_the_file_valid_and_its_tags() {
    for (_dir, path, kind) in files() {
        let Some(out) = run("exiftool", &["-validate", "-warning", "-error", "-a", "-s3", &path]) else { return };
        let said = text(&out.stdout);
        assert_eq!(said.lines().collect::<Vec<_>>(), ["1 Warning", the_one_warning(kind)]);
        let out = run("exiftool", &["-s", "-Creator", "-ModifyDate", "-Copyright", "-Artist", &path]).unwrap();
        for part in ["Ünï", "2026:05:01 04:00:00", "CC0", "Nobody"] {
            assert!(text(&out.stdout).contains(part), "{kind:?}: {}", text(&out.stdout));
        }
    }
}

#[test]
fn exiftool_has_nothing_to_say_of_an_uncompressed_picture() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.tiff");
    let mut file = File::create(&path).unwrap();
    file.seek(SeekFrom::Start(1024)).unwrap();
    file.write_all(&flac()).unwrap();
    let page = RawPage { offset: 1024, length: flac().len() as u64 }.rows("{}".into()).unwrap();
    write_head(&mut file, &[page], 1024).unwrap();
    let Some(out) = run("exiftool", &["-validate", "-warning", "-error", "-a", "-s3", path.to_str().unwrap()]) else {
        return;
    };
    assert_eq!(text(&out.stdout).trim(), "OK");
}

#[test]
fn imagemagick_shows_the_preview() {
    for (_dir, path, kind) in files() {
        let Some(out) = run("identify", &[&format!("{path}[0]")]) else { return };
        assert!(out.status.success() && out.stderr.is_empty(), "{kind:?}: {}", text(&out.stderr));
        let format = if kind == Kind::Big { " TIFF64 400x256 " } else { " TIFF 400x256 " };
        assert!(text(&out.stdout).contains(format), "{kind:?}: {}", text(&out.stdout));
    }
}

#[test]
fn python_readers_give_the_same_bytes() {
    const SCRIPT: &str = r#"
import sys, warnings, hashlib
warnings.simplefilter("error")
import numpy, tifffile
path = sys.argv[1]
with open(sys.argv[2], "rb") as f:
    flac = f.read()
assert tifffile.imread(path, key=1).tobytes() == flac
assert tifffile.memmap(path, page=1, mode="r").tobytes() == flac
assert tifffile.imread(path, key=2).tobytes() == (b"\x07" * 5000).ljust(8192, b"\0")
y, x = numpy.mgrid[0:256, 0:400]
picture = numpy.stack([x & 255, y, (x ^ y) & 255], -1).astype(numpy.uint8)
assert (tifffile.imread(path, key=0) == picture).all()
with tifffile.TiffFile(path) as t:
    assert len(t.pages) == 3 and t.pages[0].description.startswith('{"metadata"')
try:
    from PIL import Image
except ImportError:
    sys.exit(0)
with Image.open(path) as image:
    assert image.n_frames == 3 and (numpy.asarray(image) == picture).all()
"#;
    for (dir, path, kind) in files() {
        if !run("python3", &["-c", "import tifffile"]).is_some_and(|out| out.status.success()) {
            return;
        }
        let flac_path = dir.path().join("flac");
        std::fs::write(&flac_path, flac()).unwrap();
        let out = run("python3", &["-c", SCRIPT, &path, flac_path.to_str().unwrap()]).unwrap();
        assert!(out.status.success(), "{kind:?}: {}", text(&out.stderr));
        assert_eq!(text(&out.stderr), "", "{kind:?}");
    }
}

#[test]
fn libtiff_copies_every_page() {
    for (dir, path, kind) in files() {
        if kind == Kind::Big {
            continue;
        }
        let copy = dir.path().join("copy.tiff");
        let Some(out) = run("tiffcp", &["-c", "none", &path, copy.to_str().unwrap()]) else { return };
        assert!(out.status.success() && out.stderr.is_empty(), "{}", text(&out.stderr));
        let file = File::open(copy).unwrap();
        let pages = read_pages(&file, &Limits::default()).unwrap();
        let mut bytes = Vec::new();
        std::io::copy(&mut find_flac_page(&file, &pages).unwrap().reader(&file).unwrap(), &mut bytes).unwrap();
        assert_eq!(bytes, flac());
    }
}

//! What the tests of the programs share: scratch folders, runs of the real programs, WAV files made byte by byte, and
//! outside programs as witnesses.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder that is removed at the end.
pub struct Scratch(tempfile::TempDir);

impl Scratch {
    pub fn new() -> Scratch {
        Scratch(tempfile::tempdir().expect("a scratch folder"))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file, making its folders.
    pub fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
        fs::write(&path, bytes).expect("a scratch file");
        path
    }
}

/// How a run of a program came out.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    pub fn of(output: Output) -> Run {
        Run {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    #[track_caller]
    pub fn exits(self, code: i32) -> Run {
        assert_eq!(self.code, Some(code), "\nstdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    pub fn says(self, text: &str) -> Run {
        let all = format!("{}{}", self.stdout, self.stderr);
        assert!(all.contains(text), "{text:?} is not in\n{all}");
        self
    }
}

pub fn audio2tiff() -> Command {
    Command::new(env!("CARGO_BIN_EXE_audio2tiff"))
}

pub fn tiff2flac() -> Command {
    Command::new(env!("CARGO_BIN_EXE_tiff2flac"))
}

/// Archives `input` into `output` with further arguments.
pub fn archive(input: &Path, output: &Path, more: &[&str]) -> Run {
    Run::of(audio2tiff().arg("-i").arg(input).arg("-o").arg(output).args(more).output().expect("audio2tiff runs"))
}

/// Extracts and rebuilds: FLACs go to `<to>/flac`, sources to `<to>/wav`.
pub fn reconstruct(archive: &Path, to: &Path, more: &[&str]) -> Run {
    let mut command = tiff2flac();
    command.arg("--input-dir").arg(archive).arg("--reconstruct");
    command.arg("--out-flac-dir").arg(to.join("flac")).arg("--out-wav-dir").arg(to.join("wav")).args(more);
    Run::of(command.output().expect("tiff2flac runs"))
}

pub fn verify(archive: &Path, more: &[&str]) -> Run {
    Run::of(tiff2flac().arg("verify").arg(archive).args(more).output().expect("tiff2flac runs"))
}

/// Every file below a folder, by its relative path with `/`.
pub fn tree(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    fn walk(root: &Path, dir: &Path, into: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(dir).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(root, &path, into);
            } else {
                let name = path.strip_prefix(root).expect("below").to_string_lossy().replace('\\', "/");
                into.insert(name, fs::read(&path).expect("a file"));
            }
        }
    }
    let mut files = BTreeMap::new();
    if dir.is_dir() {
        walk(dir, dir, &mut files);
    }
    files
}

/// The TIFFs below a folder.
pub fn tiffs(dir: &Path) -> Vec<PathBuf> {
    tree(dir).into_keys().filter(|name| name.ends_with(".tiff")).map(|name| dir.join(name)).collect()
}

/// Archives a folder, rebuilds it, and compares every file with the source, byte for byte.
#[track_caller]
pub fn assert_round_trip(input: &Path, scratch: &Scratch, more: &[&str]) {
    let out = scratch.path("archive");
    archive(input, &out, more).exits(0);
    verify(&out, &["--deep"]).exits(0);
    let back = scratch.path("back");
    reconstruct(&out, &back, &[]).exits(0);
    let (sources, rebuilt) = (tree(input), tree(&back.join("wav")));
    for (name, bytes) in &sources {
        let same = rebuilt.get(name).is_some_and(|b| b == bytes);
        assert!(same, "{name} did not come back as it was");
    }
}

/// Numbers that look random and are the same in every run (splitmix64).
pub struct Numbers(pub u64);

impl Numbers {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn bytes(&mut self, n: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(n + 8);
        while out.len() < n {
            out.extend_from_slice(&self.next().to_le_bytes());
        }
        out.truncate(n);
        out
    }
}

/// Sample bytes of something between a tone and noise, `frames × channels` samples of `bits` (8: unsigned).
pub fn sound(frames: usize, channels: usize, bits: usize, seed: u64) -> Vec<u8> {
    let mut numbers = Numbers(seed);
    let full = f64::from(1u32 << (bits - 1));
    let mut out = Vec::with_capacity(frames * channels * bits / 8);
    for n in 0..frames {
        for c in 0..channels {
            let noise = (numbers.next() % 2001) as f64 / 1000.0 - 1.0;
            let tone = (n as f64 * (0.05 + 0.013 * c as f64)).sin();
            let v = (full * (0.6 * tone + 0.01 * noise)) as i32;
            match bits {
                8 => out.push((v + 128) as u8),
                _ => out.extend_from_slice(&v.to_le_bytes()[..bits / 8]),
            }
        }
    }
    out
}

pub fn chunk(id: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut out = [&id[..], &(body.len() as u32).to_le_bytes(), body].concat();
    if body.len() % 2 == 1 {
        out.push(0);
    }
    out
}

pub fn fmt(channels: u16, rate: u32, bits: u16) -> Vec<u8> {
    let block = channels * bits.div_ceil(8);
    let mut body = Vec::new();
    body.extend_from_slice(&1u16.to_le_bytes());
    body.extend_from_slice(&channels.to_le_bytes());
    body.extend_from_slice(&rate.to_le_bytes());
    body.extend_from_slice(&(rate * u32::from(block)).to_le_bytes());
    body.extend_from_slice(&block.to_le_bytes());
    body.extend_from_slice(&bits.to_le_bytes());
    chunk(b"fmt ", &body)
}

/// WAVE_FORMAT_EXTENSIBLE.
pub fn fmt_extensible(channels: u16, rate: u32, bits: u16, valid: u16, mask: u32) -> Vec<u8> {
    let mut body = fmt(channels, rate, bits)[8..].to_vec();
    body[..2].copy_from_slice(&0xFFFEu16.to_le_bytes());
    body.extend_from_slice(&22u16.to_le_bytes());
    body.extend_from_slice(&valid.to_le_bytes());
    body.extend_from_slice(&mask.to_le_bytes());
    body.extend_from_slice(&[1, 0, 0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71]);
    chunk(b"fmt ", &body)
}

pub fn riff(chunks: &[Vec<u8>]) -> Vec<u8> {
    let body = [b"WAVE".to_vec(), chunks.concat()].concat();
    [b"RIFF".to_vec(), (body.len() as u32).to_le_bytes().to_vec(), body].concat()
}

pub fn wav(channels: u16, rate: u32, bits: u16, data: &[u8]) -> Vec<u8> {
    riff(&[fmt(channels, rate, bits), chunk(b"data", data)])
}

/// Runs an outside program if it is there. Under CI (the variable `CI` is set) it has to be there.
pub fn witness(program: &str, args: &[&str]) -> Option<Run> {
    match Command::new(program).args(args).output() {
        Ok(output) => Some(Run::of(output)),
        Err(e) if std::env::var_os("CI").is_some() => panic!("{program} must be there under CI: {e}"),
        Err(_) => {
            eprintln!("{program} is not installed; this part of the test was left out");
            None
        }
    }
}

/// Runs a Python script with a module that must be importable, as [`witness`] does.
pub fn python(module: &str, script: &str, args: &[&str]) -> Option<Run> {
    let probe = witness("python3", &["-c", &format!("import {module}")])?;
    if probe.code != Some(0) {
        assert!(std::env::var_os("CI").is_none(), "Python's {module} must be there under CI");
        eprintln!("Python's {module} is not installed; this part of the test was left out");
        return None;
    }
    witness("python3", &[&["-c", script], args].concat())
}

/// The folder of recordings that are not part of this repository, if it is there.
pub fn corpus() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    let dir = std::env::var_os("AUDIO_TIFF_CORPUS").map_or_else(beside, PathBuf::from);
    dir.is_dir().then_some(dir)
}

pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// Flips one bit of a file.
pub fn flip(path: &Path, at: u64) {
    let mut bytes = fs::read(path).expect("a file to damage");
    bytes[at as usize] ^= 1;
    fs::write(path, bytes).expect("a damaged file");
}

/// Runs a program that has to end by itself within `seconds`.
#[track_caller]
pub fn run_within(seconds: u64, command: &mut Command) -> Run {
    use std::io::Read;
    use std::process::Stdio;
    use std::time::{Duration, Instant};

    fn read_all(from: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<Vec<u8>> {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            if let Some(mut from) = from {
                from.read_to_end(&mut bytes).expect("a pipe");
            }
            bytes
        })
    }
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    let (stdout, stderr) = (read_all(child.stdout.take()), read_all(child.stderr.take()));
    let began = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child") {
            break status;
        }
        if began.elapsed() > Duration::from_secs(seconds) {
            child.kill().expect("a child to end");
            child.wait().expect("a child");
            panic!("{command:?} did not end within {seconds} s");
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let (stdout, stderr) = (stdout.join().expect("stdout"), stderr.join().expect("stderr"));
    Run::of(Output { status, stdout, stderr })
}

/// A WAV of 32-bit floats, most of which are no 24-bit steps.
pub fn float_wav(frames: usize, channels: u16, seed: u64) -> Vec<u8> {
    let mut numbers = Numbers(seed);
    let values = (0..frames * usize::from(channels)).map(|n| {
        let noise = (numbers.next() % 2001) as f32 / 100_000.0;
        ((n as f32 * 0.021).sin() * 0.7 + noise).to_le_bytes()
    });
    let data: Vec<u8> = values.flatten().collect();
    let mut head = fmt(channels, 16_000, 32);
    head[8..10].copy_from_slice(&3u16.to_le_bytes());
    riff(&[head, chunk(b"data", &data)])
}

/// A page of a TIFF made by hand: descriptions, compression, width, height, stored bytes.
pub type MadePage<'a> = (&'a [&'a str], u32, u32, u32, &'a [u8]);

/// A classic little-endian TIFF of grey pages of one strip, whose descriptions stand behind it.
pub fn made_tiff(pages: &[MadePage<'_>]) -> Vec<u8> {
    let mut out = b"II*\0\0\0\0\0".to_vec();
    let mut link = 4;
    for (descriptions, compression, width, height, stored) in pages {
        let mut put = |bytes: &[u8]| {
            let at = out.len() as u32;
            out.extend_from_slice(bytes);
            out.resize(out.len().next_multiple_of(2), 0);
            at
        };
        let strip = put(stored);
        let mut entries = vec![
            (256u16, 4u16, 1, *width),
            (257, 4, 1, *height),
            (258, 3, 1, 8),
            (259, 3, 1, *compression),
            (262, 3, 1, 1),
        ];
        for description in *descriptions {
            let text = [description.as_bytes(), b"\0"].concat();
            entries.push((270, 2, text.len() as u32, put(&text)));
        }
        entries.extend([(273, 4, 1, strip), (277, 3, 1, 1), (278, 4, 1, *height), (279, 4, 1, stored.len() as u32)]);
        let mut directory = (entries.len() as u16).to_le_bytes().to_vec();
        for (tag, kind, count, value) in entries {
            directory.extend_from_slice(&tag.to_le_bytes());
            directory.extend_from_slice(&kind.to_le_bytes());
            directory.extend_from_slice(&u32::to_le_bytes(count));
            directory.extend_from_slice(&u32::to_le_bytes(value));
        }
        directory.extend_from_slice(&[0; 4]);
        let at = put(&directory);
        out[link..link + 4].copy_from_slice(&at.to_le_bytes());
        link = at as usize + directory.len() - 4;
    }
    out
}

#!/usr/bin/env bash
# Compares whole programs on the same WAV files and prints tables of ratios: CPU seconds (user and system) of ours over those of a
# peer, medians of RUNS runs (default 5) taken in turn.
# Usage: cargo build --release --examples --bins && benches/peers.sh FILE.wav…
# Needs flac, sha256sum, python3, GNU time for the memory; and libFLAC 1.5 as a program where CMake is there to build it (benches/libflac).
set -euo pipefail
export RUNS=${RUNS:-5}
cd "$(dirname "$0")/.."
cargo build --release --quiet --manifest-path benches/libflac/Cargo.toml 2>/dev/null || echo 'libFLAC 1.5 is left out: building it needs CMake' >&2
exec python3 - "$@" <<'PYTHON'
import filecmp, os, pathlib, resource, shutil, statistics, subprocess, sys, tempfile, time

RUNS = int(os.environ["RUNS"])
OURS = pathlib.Path("target/release").resolve()
LIBFLAC = pathlib.Path("benches/libflac/target/release/libflac-peer").resolve()


def run(command, clean=None):
    """CPU seconds and wall seconds of one run."""
    if clean is not None:
        shutil.rmtree(clean, ignore_errors=True)
    began = time.perf_counter()
    child = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        sys.exit(f"{command} ended with status {status}")
    return usage.ru_utime + usage.ru_stime, time.perf_counter() - began


def pair(ours, peer, what=0):
    """The medians of two commands that run in turn, and their ratio."""
    rows = [(run(*ours)[what], run(*peer)[what]) for _ in range(RUNS)]
    a, b = (statistics.median(column) for column in zip(*rows))
    return f"{a:.3f} / {b:.3f} s = {a / b:.2f}"


def peak(command, clean):
    """Peak memory in MiB. Asked of a small program, as what Linux tells of a child begins with its parent's memory."""
    if not shutil.which("time"):
        return "needs time"
    shutil.rmtree(clean, ignore_errors=True)
    told = subprocess.run(["time", "-f", "%M", *command], check=True, capture_output=True, text=True).stderr
    return f"{int(told.split()[-1]) / 1024:.1f}"


def version(*command):
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "")
peers = [("flac 1.4", lambda *args: ["flac", "-s", "-f", *args[:1], "-o", args[2], args[1]])]
names = [version("flac", "--version")]
if LIBFLAC.exists():
    peers.append(("libFLAC 1.5", lambda *args: [LIBFLAC, *args]))
    names.append(version(LIBFLAC, "--version"))
print(f"{', '.join(names)}, {version(OURS / 'audio2tiff', '--version')}; {os.cpu_count()} cores ({model}), medians of {RUNS} runs\n")

with tempfile.TemporaryDirectory() as scratch:
    scratch = pathlib.Path(scratch)
    archive, back, flac, wav_back = (scratch / name for name in ("archive", "back", "peer.flac", "peer.wav"))
    head = ["file"]
    for name, _ in peers:
        head += [f"encoder / {name} -5", f"audio2tiff / {name} -5", f"--reconstruct / {name} -d"]
    head += ["verify / sha256sum", "extract / sha256sum", "2 threads / 1, wall", "FLAC size / flac -5", "peak MiB"]
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for wav in map(pathlib.Path, sys.argv[1:]):
        make = ([OURS / "audio2tiff", "-q", "-w", "1", "-i", wav, "-o", archive], archive)
        make2 = ([OURS / "audio2tiff", "-q", "-w", "2", "-i", wav, "-o", archive], archive)
        flacs = [OURS / "tiff2flac", "-q", "-w", "1", "--input-dir", archive, "--out-flac-dir", back / "flac"]
        rebuild = (flacs + ["--reconstruct", "--out-wav-dir", back / "wav"], back)
        row = [wav.name]
        # Only reading, MD5, frames and writing, as the peers do.
        encode = ([OURS / "examples/flac_bench", "encode", "default", wav, scratch / "ours.flac", "md5"], None)
        for _, peer in peers:
            row.append(pair(encode, (peer("-5", wav, flac), None)))
            row.append(pair(make, (peer("-5", wav, flac), None)))
            row.append(pair(rebuild, (peer("-d", flac, wav_back), None)))
        tiffs = sorted(archive.rglob("*.tiff"))
        sums = (["sha256sum", *tiffs], None)
        row.append(pair(([OURS / "tiff2flac", "verify", "-q", "-w", "1", archive], None), sums))
        row.append(pair((flacs, back), sums))
        run(*rebuild)
        assert filecmp.cmp(back / "wav" / wav.name, wav, shallow=False), "not the same file"
        sizes = sum(path.stat().st_size for path in (back / "flac").rglob("*.flac"))
        run(peers[0][1]("-5", wav, flac))
        row.append(pair(make2, make, 1))
        row.append(f"{sizes / flac.stat().st_size:.4f}")
        row.append(peak(*make))
        print("| " + " | ".join(row) + " |", flush=True)
PYTHON

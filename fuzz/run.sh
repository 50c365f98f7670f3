#!/usr/bin/env bash
# Builds the fuzz targets on stable Rust and runs one of them, from the seeds of this repository:
#   fuzz/run.sh TARGET [SECONDS]      (TARGET: scanner, tiff, manifest, flac_frame, parity; default 900 s)
# libFuzzer's counters come from LLVM's own instrumentation pass, which stable rustc passes on; no sanitizer is used, since
# the code under test has no unsafe parts that these targets reach. Findings are written to fuzz/artifacts/TARGET/.
set -euo pipefail
cd "$(dirname "$0")"
target=$1
seconds=${2:-900}
host=$(rustc -vV | sed -n 's/^host: //p')
flags="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4"
flags+=" -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table"
flags+=" -Cllvm-args=-sanitizer-coverage-trace-compares -Clink-dead-code"
RUSTFLAGS="$flags" cargo build --release --locked --target "$host" --bin "$target"
mkdir -p "corpus/$target" "artifacts/$target"
./seeds.sh "$target"
exec "target/$host/release/$target" "corpus/$target" -artifact_prefix="artifacts/$target/" -max_total_time="$seconds" \
    -timeout=10 -rss_limit_mb=1024 -max_len=65536 -print_final_stats=1

#!/usr/bin/env bash
# Compares whole programs on the same WAV files and prints a table of ratios: our CPU seconds over flac's, medians of RUNS runs.
# Usage: benches/peers.sh FILE.wav…   (build first: cargo build --release)
# Needs flac, sha256sum and GNU time (/usr/bin/time).
set -euo pipefail
RUNS=${RUNS:-5}
cd "$(dirname "$0")/.."
ours=$PWD/target/release
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# CPU seconds (user + system) of one run.
cpu() {
    /usr/bin/time -f '%U %S' -o "$scratch/time" "$@" >/dev/null 2>&1
    awk '{ print $1 + $2 }' "$scratch/time"
}

# Medians of two commands run in turn; the commands are functions that take no arguments.
pair() {
    local a=() b=()
    for ((i = 0; i < RUNS; i++)); do
        a+=("$("$1")")
        b+=("$("$2")")
    done
    median() { printf '%s\n' "$@" | sort -g | sed -n "$(((RUNS + 1) / 2))p"; }
    awk -v a="$(median "${a[@]}")" -v b="$(median "${b[@]}")" 'BEGIN { printf "%.2f s / %.2f s = %.2f", a, b, (b > 0 ? a / b : 0) }'
}

archive() { rm -rf "$scratch/archive"; cpu "$ours/audio2tiff" -q -w 1 -i "$wav" -o "$scratch/archive"; }
encode() { cpu flac -5 -s -f -o "$scratch/peer.flac" "$wav"; }
rebuild() {
    rm -rf "$scratch/back"
    cpu "$ours/tiff2flac" -q -w 1 --input-dir "$scratch/archive" --reconstruct \
        --out-flac-dir "$scratch/back/flac" --out-wav-dir "$scratch/back/wav"
}
decode() { cpu flac -d -s -f -o "$scratch/peer.wav" "$scratch/peer.flac"; }
verify() { cpu "$ours/tiff2flac" verify -q -w 1 "$scratch/archive"; }
sums() { cpu sh -c "sha256sum '$scratch'/archive/*.tiff"; }

echo "$(flac --version), $("$ours/audio2tiff" --version), $(nproc) cores, medians of $RUNS runs"
echo
echo '| file | audio2tiff / flac -5 | tiff2flac --reconstruct / flac -d | tiff2flac verify / sha256sum | FLAC size / flac -5 |'
echo '|---|---|---|---|---|'
for wav in "$@"; do
    first=$(pair archive encode)
    second=$(pair rebuild decode)
    third=$(pair verify sums)
    size=$(awk -v a="$(stat -c %s "$scratch"/back/flac/*.flac | awk '{ n += $1 } END { print n }')" \
        -v b="$(stat -c %s "$scratch/peer.flac")" 'BEGIN { printf "%.4f", a / b }')
    echo "| $(basename "$wav") | $first | $second | $third | $size |"
done

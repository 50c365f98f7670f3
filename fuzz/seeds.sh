#!/usr/bin/env bash
# Fills corpus/TARGET with small files to begin from: the fixtures, and an archive made of them.
set -euo pipefail
cd "$(dirname "$0")"
target=$1
to=corpus/$target
small() { find "$@" -type f -size -64k -exec cp -n {} "$to/" \;; }
case $target in
scanner) small ../fixtures ${AUDIO_TIFF_CORPUS:+"$AUDIO_TIFF_CORPUS"} ;;
flac_frame)
    for flac in $(find ../fixtures -name '*.flac'); do
        for kib in 8 16 48; do head -c "${kib}K" "$flac" >"$to/$(basename "$flac").$kib"; done
    done
    # Single frames follow two bytes that choose channels and bits.
    for flac in "$to"/*.flac.*; do tail -c 4096 "$flac" | cat <(printf '\001\014') - >"$to/tail-$(basename "$flac")"; done
    ;;
tiff | manifest | parity)
    archive=$(mktemp -d)
    trap 'rm -rf "$archive"' EXIT
    programs=../target/release
    [ -x "$programs/audio2tiff" ] || programs=../target/debug
    # Without an archive to begin from these targets hardly get past the first bytes.
    [ -x "$programs/audio2tiff" ] || (cd .. && cargo build --locked --bin audio2tiff)
    "$programs/audio2tiff" -q -i ../fixtures/odd -o "$archive/a" --max-image-dim 64 --parity 5% >/dev/null || true
    if [ "$target" = tiff ]; then
        small "$archive" -name '*.tiff'
    elif [ "$target" = parity ]; then
        small "$archive" -name '*.parity'
    else
        cp "$archive/a/manifest.json" "$to/ours.json"
        cp seeds/manifest/* "$to/"
    fi
    ;;
esac

#!/bin/sh
# Makes the coded files of this folder: 0.5 s of one sine per channel, channel c (from 0) at 300 + 100 c Hz, amplitude 0.25.
# Needs ffmpeg with libmp3lame, libvorbis and libopus. The files are kept, so that tests run without these programs.
set -e
cd "$(dirname "$0")"
sine() { # channels, rate
    expr=""
    c=0
    while [ "$c" -lt "$1" ]; do
        expr="$expr|0.25*sin(2*PI*$((300 + 100 * c))*t)"
        c=$((c + 1))
    done
    layout=stereo
    [ "$1" = 1 ] && layout=mono
    [ "$1" = 6 ] && layout=5.1
    printf 'aevalsrc=%s:s=%s:d=0.5:c=%s' "${expr#|}" "$2" "$layout"
}
make() { in=$1; shift; ffmpeg -v error -y -f lavfi -i "$in" -fflags +bitexact -flags:a +bitexact "$@"; }
make "$(sine 2 44100)" -c:a libmp3lame -b:a 64k sine_stereo.mp3
make "$(sine 1 22050)" -c:a libmp3lame -b:a 24k -write_xing 0 sine_mono_mpeg2_no_xing.mp3
make "$(sine 2 48000)" -c:a mp2 -b:a 96k sine_stereo.mp2
make "$(sine 2 44100)" -c:a aac -b:a 128k sine_stereo.aac
make "$(sine 2 44100)" -c:a aac -b:a 128k sine_stereo_aac.m4a
make "$(sine 2 44100)" -c:a aac -b:a 128k -movflags empty_moov -frag_duration 100000 sine_stereo_fragments.m4a
make "$(sine 2 44100)" -sample_fmt s16p -c:a alac sine_stereo_alac.m4a
make "$(sine 1 44100)" -sample_fmt s32p -c:a alac sine_mono_alac24.caf
make "$(sine 2 44100)" -c:a libvorbis -q:a 0 sine_stereo.ogg
make "$(sine 6 48000)" -c:a libvorbis -q:a 0 sine_51.ogg
make "$(sine 1 48000)" -c:a libopus -b:a 24k sine_mono.opus
make "$(sine 6 48000)" -c:a libopus -mapping_family 1 -b:a 96k sine_51.opus
make "$(sine 2 44100)" -c:a adpcm_ms sine_stereo_ms.wav
make "$(sine 2 44100)" -c:a adpcm_ima_wav sine_stereo_ima.wav
make "$(sine 2 44100)" -c:a adpcm_ima_qt sine_stereo_ima.caf
make "$(sine 2 44100)" -c:a pcm_alaw sine_stereo_alaw.caf

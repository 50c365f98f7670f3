//! Files over 4 GiB, mostly of holes, and files that are nothing but chunks.

use crate::support::{File, Sparse, audio, caf, comm, found, plain, rf64, w64};
use audio_tiff::source::{Kind, SampleFormat, identify};
use proptest::prelude::*;

const GIB: u64 = 1 << 30;

#[test]
fn sizes_that_wrapped_at_4_gib_are_found_out() {
    let data_len = 5 * GIB + 400;
    for fill in [0, 0x90] {
        let head = File::riff(b"RIFF").cd().claim(b"data", data_len as u32, &[]).bytes;
        // To the end, and with chunks behind.
        let whole = Sparse { pieces: vec![(0, head.clone())], len: 44 + data_len, fill };
        assert_eq!(found(&plain(identify(&whole).unwrap())), (SampleFormat::S16Le, 44, 44 + data_len));
        let tail = File::default().chunk(b"LIST", b"INFOISFT\x04\0\0\0abc\0").bytes;
        let len = 44 + data_len + tail.len() as u64;
        let with_tail = Sparse { pieces: vec![(0, head.clone()), (44 + data_len, tail)], len, fill };
        let scan = plain(identify(&with_tail).unwrap());
        assert_eq!(found(&scan), (SampleFormat::S16Le, 44, 44 + data_len));
        assert_eq!(scan.chunks.len(), 1);
        // Cut off somewhere: to the end.
        let cut = Sparse { pieces: vec![(0, head)], len: 5 * GIB - 3, fill };
        assert_eq!(found(&plain(identify(&cut).unwrap())), (SampleFormat::S16Le, 44, 5 * GIB - 4));
    }
}

#[test]
fn placeholders_in_files_larger_than_they_say_take_everything() {
    for size in [0x7FFF_F000, 0x7FFF_FFFF, 0xFFFF_FFFF, 0] {
        let head = File::riff(b"RIFF").cd().claim(b"data", size, &[]).bytes;
        for len in [3 * GIB, 5 * GIB, 40 * GIB] {
            let file = Sparse { pieces: vec![(0, head.clone())], len: len + 44, fill: 0 };
            assert_eq!(found(&plain(identify(&file).unwrap())).2, len + 44, "size {size:#X}, {len} bytes");
        }
    }
}

#[test]
fn sizes_of_64_bits_are_used_as_they_are() {
    let data_len = 6 * GIB + 20;
    let tail = File::default().chunk(b"bext", &[0; 9]).bytes;
    let head = rf64(b"RF64", data_len, &[]).cd().claim(b"data", u32::MAX, &[]).bytes;
    let at = head.len() as u64;
    let len = at + data_len + tail.len() as u64;
    let scan = plain(identify(&Sparse { pieces: vec![(0, head), (at + data_len, tail)], len, fill: 0 }).unwrap());
    assert_eq!((found(&scan).2, scan.chunks.len(), scan.notes.len()), (at + data_len, 1, 0));
    let head = w64().w64_fmt(16).w64_claim(b"data", 24 + data_len, &[]).bytes;
    let at = head.len() as u64;
    let scan = plain(identify(&Sparse { pieces: vec![(0, head)], len: at + data_len, fill: 0 }).unwrap());
    assert_eq!(found(&scan).2, at + data_len);
    let head = caf(b"lpcm", 2, 4, 2, 16).caf_claim(b"data", 4 + data_len as i64, &[0; 4]).bytes;
    let at = head.len() as u64;
    let scan = plain(identify(&Sparse { pieces: vec![(0, head)], len: at + data_len + 12, fill: 0 }).unwrap());
    assert_eq!(found(&scan).2, at + data_len);
    // AIFF counts frames, which reaches further than its sizes in bytes.
    let frames = (data_len / 4) as u32;
    let head = File::form(b"AIFF")
        .chunk(b"COMM", &comm(2, frames, 16, b""))
        .claim(b"SSND", data_len as u32 + 8, &[0; 8])
        .bytes;
    let at = head.len() as u64;
    let scan = plain(identify(&Sparse { pieces: vec![(0, head)], len: at + data_len + 1_000_000, fill: 0 }).unwrap());
    assert_eq!(found(&scan).2, at + data_len);
}

#[test]
fn a_real_sparse_file_of_5_gib_is_scanned_at_once() {
    let file = tempfile::tempfile().unwrap();
    let data_len = 5 * GIB;
    std::io::Write::write_all(&mut &file, &File::riff(b"RIFF").cd().claim(b"data", data_len as u32, &[]).bytes)
        .unwrap();
    file.set_len(44 + data_len).unwrap();
    assert_eq!(found(&plain(identify(&file).unwrap())), (SampleFormat::S16Le, 44, 44 + data_len));
}

#[test]
fn endless_chunks_are_given_up() {
    let mut file = File::riff(b"RIFF");
    for _ in 0..20_000 {
        file = file.chunk(b"note", &[]);
    }
    let scan = match file.cd().chunk(b"data", &audio(8)).kind() {
        Kind::Plain(scan) => *scan,
        Kind::NotAudio(_) => return,
        other => panic!("{other:?}"),
    };
    assert!(scan.chunks.len() <= 4096);
}

/// Sometimes the right size, sometimes any.
fn size_of(true_size: usize) -> impl Strategy<Value = u32> {
    prop_oneof![3 => Just(true_size as u32), 1 => any::<u32>(), 1 => 0u32..300, 1 => Just(0), 1 => Just(u32::MAX)]
}

fn any_chunk() -> impl Strategy<Value = Vec<u8>> {
    let id = prop::sample::select(
        &[b"fmt ", b"data", b"LIST", b"ds64", b"bext", b"COMM", b"SSND", b"\0\0\0\0", b"desc"][..],
    );
    (id, prop::collection::vec(any::<u8>(), 0..70), prop::collection::vec(any::<u8>(), 0..3)).prop_flat_map(
        |(id, content, pad)| {
            size_of(content.len()).prop_map(move |size| {
                let mut bytes = id.to_vec();
                bytes.extend_from_slice(&size.to_le_bytes());
                bytes.extend_from_slice(&content);
                bytes.extend_from_slice(&pad);
                bytes
            })
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn chunks_of_any_kind_and_size_never_break_the_scan(
        magic in prop::sample::select(vec![&b"RIFF\0\0\0\0WAVE"[..], b"RIFX\0\0\0\0WAVE", b"RF64\xFF\xFF\xFF\xFFWAVE", b"FORM\0\0\0\0AIFF",
            b"FORM\0\0\0\0AIFC", b"caff\0\x01\0\0", b".snd\0\0\0\x18", b""]),
        fmt in any::<bool>(),
        chunks in prop::collection::vec(any_chunk(), 0..8),
    ) {
        let mut bytes = magic.to_vec();
        if fmt {
            bytes.extend(File::default().cd().bytes);
        }
        bytes.extend(chunks.concat());
        if let Kind::Plain(scan) = identify(&bytes).unwrap() {
            prop_assert!(scan.data_offset + scan.data_len <= bytes.len() as u64);
            prop_assert!(scan.data_len.is_multiple_of(scan.frame_bytes()));
            prop_assert!(scan.sample_rate > 0 && scan.channels > 0);
            prop_assert_eq!(scan.file_len, bytes.len() as u64);
            prop_assert!(scan.chunks.iter().all(|c| c.offset + c.len <= scan.file_len));
        }
    }

    #[test]
    fn any_bytes_are_identified_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        identify(&bytes).unwrap();
    }
}

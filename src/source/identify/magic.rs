//! First bytes of formats that are named and not opened any further.

/// One format: what stands at which place, and what it is called.
type Entry = (usize, &'static [u8], &'static str);

/// Audio that nothing here decodes.
const AUDIO: &[Entry] = &[
    (0, b"wvpk", "WavPack"),
    (0, b"MAC ", "Monkey's Audio"),
    (0, b"tBaK", "TAK"),
    (0, b"OFR ", "OptimFROG"),
    (0, b"TTA1", "TTA"),
    (0, b"TTA2", "TTA"),
    (0, b"MP+", "Musepack SV7"),
    (0, b"MPCK", "Musepack SV8"),
    (0, b"DSD \x1C\0\0\0\0\0\0\0", "DSD in DSF"),
    (12, b"DSD FVER", "DSD in DSDIFF"),
    (0, b"DTSHDHDR", "DTS-HD"),
    (0, b"\x7F\xFE\x80\x01", "DTS"),
    (0, b"\xFE\x7F\x01\x80", "DTS"),
    (0, b"\x1F\xFF\xE8\x00", "DTS"),
    (0, b"\xFF\x1F\x00\xE8", "DTS"),
    (0, b"\x30\x26\xB2\x75\x8E\x66\xCF\x11\xA6\xD9\x00\xAA\x00\x62\xCE\x6C", "Windows Media (ASF)"),
    (0, b".ra\xFD", "RealAudio"),
    (0, b".RMF", "RealMedia"),
    (0, b"#!AMR", "AMR"),
    (0, b"#!SILK_V3", "SILK"),
    (0, b"ADIF", "AAC in ADIF"),
    (0, b"MThd", "MIDI"),
    (8, b"RMID", "MIDI in RIFF"),
    (8, b"8SVX", "8SVX"),
    (8, b"16SV", "16SV"),
    (8, b"MAUD", "MAUD"),
    (0, b"Creative Voice File\x1A", "Creative VOC"),
    (0, b"NIST_1A\n", "NIST SPHERE"),
    (0, b"\x64\xA3\x01\x00", "IRCAM"),
    (0, b"\x64\xA3\x02\x00", "IRCAM"),
    (0, b"\x64\xA3\x03\x00", "IRCAM"),
    (0, b"\x64\xA3\x04\x00", "IRCAM"),
    (0, b"\x00\x01\xA3\x64", "IRCAM"),
    (0, b"\x00\x02\xA3\x64", "IRCAM"),
    (0, b"\x00\x03\xA3\x64", "IRCAM"),
    (0, b"ajkg", "Shorten"),
    (0, b"LA02", "La (Lossless Audio)"),
    (0, b"LA03", "La (Lossless Audio)"),
    (0, b"LA04", "La (Lossless Audio)"),
    (0, b"LPAC", "LPAC"),
    (0, b"RKA", "RK Audio"),
    (0, b"ALS\0", "MPEG-4 ALS"),
    (0, b"2BIT", "AVR"),
    (0, b"PVF1\n", "Portable Voice Format"),
    (0, b"PVF2\n", "Portable Voice Format"),
    (0, b"fap ", "PAF"),
    (0, b" paf", "PAF"),
    (0, b"SOUND SAMPLE DATA ", "Gravis or SampleVision"),
    (0, b".SoX", "SoX temporary file"),
    (0, b"XoS.", "SoX temporary file"),
    (0, b"ea3\x03", "Sony ATRAC (OpenMG)"),
    (0, b"EA3\x01", "Sony ATRAC (OpenMG)"),
    (0, b"VQLF", "TwinVQ"),
    (0, b"TWIN", "TwinVQ"),
    (0, b"\x1A\x45\xDF\xA3", "Matroska or WebM"),
    (0, b"FLV\x01", "Flash video"),
    (0, b"Extended Module: ", "a tracker module"),
    (0, b"IMPM", "a tracker module"),
    (44, b"SCRM", "a tracker module"),
];

/// Files of other kinds that are often met among recordings.
const OTHER: &[Entry] = &[
    (0, b"\xFF\xD8\xFF", "a JPEG picture"),
    (0, b"\x89PNG\r\n\x1A\n", "a PNG picture"),
    (0, b"GIF8", "a GIF picture"),
    (8, b"WEBP", "a WebP picture"),
    (0, b"II*\0", "a TIFF picture"),
    (0, b"MM\0*", "a TIFF picture"),
    (0, b"II+\0", "a BigTIFF picture"),
    (0, b"MM\0+", "a BigTIFF picture"),
    (8, b"AVI ", "an AVI film"),
    (0, b"\0\0\x01\xBA", "an MPEG film"),
    (0, b"\0\0\x01\xB3", "an MPEG film"),
    (0, b"%PDF-", "a PDF document"),
    (0, b"PK\x03\x04", "a ZIP archive"),
    (0, b"PK\x05\x06", "an empty ZIP archive"),
    (0, b"Rar!\x1A\x07", "a RAR archive"),
    (0, b"7z\xBC\xAF\x27\x1C", "a 7z archive"),
    (0, b"\x1F\x8B", "a gzip file"),
    (0, b"BZh", "a bzip2 file"),
    (0, b"\xFD7zXZ\0", "an xz file"),
    (0, b"\x28\xB5\x2F\xFD", "a Zstandard file"),
    (257, b"ustar", "a tar archive"),
    (0, b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", "a Microsoft Office document"),
    (0, b"SQLite format 3\0", "an SQLite database"),
    (0, b"\x7FELF", "a program"),
    (0, b"MZ", "a program"),
    (0, b"{\\rtf", "an RTF document"),
    (0, b"\0\0\0\x01Bud1", "a macOS folder view (.DS_Store)"),
    (0, b"\0\x05\x16\x07", "macOS file attributes (AppleDouble)"),
    (0, b"\0\x05\x16\x00", "macOS file attributes (AppleSingle)"),
    (0, b"\x89HDF\r\n\x1A\n", "an HDF5 file"),
    (0, b"BM", "a BMP picture"),
];

/// The name of an audio format, by the first bytes of its file.
pub(super) fn audio(head: &[u8]) -> Option<&'static str> {
    find(AUDIO, head).or_else(|| ac3(head))
}

/// What a file is that is no audio, by its first bytes.
pub(super) fn other(head: &[u8]) -> Option<&'static str> {
    let name = find(OTHER, head)?;
    // Two letters prove little: a BMP says its length and reserves four zero bytes, a program has its header.
    let weak = (name == "a BMP picture" && head.get(6..10) != Some(&[0; 4]))
        || (name == "a program" && head.starts_with(b"MZ") && head.len() < 64);
    (!weak).then_some(name)
}

fn find(table: &[Entry], head: &[u8]) -> Option<&'static str> {
    let matches = |(at, bytes, _): &&Entry| head.get(*at..).is_some_and(|h| h.starts_with(bytes));
    table.iter().find(matches).map(|(_, _, name)| *name)
}

/// AC-3 and E-AC-3: a sync word of 16 bits, and fields behind it that have to make sense.
fn ac3(head: &[u8]) -> Option<&'static str> {
    let [0x0B, 0x77, .., rates, id] = head.first_chunk::<6>()? else { return None };
    match id >> 3 {
        0..=10 if rates >> 6 != 3 && rates & 0x3F < 38 => Some("AC-3"),
        11..=16 => Some("E-AC-3"),
        _ => None,
    }
}

//! Puts together files of chunks, as they should be and as they should not.

use audio_tiff::positioned::ReadAt;
use audio_tiff::source::{Kind, SampleFormat, Scan, identify};
use std::io;

/// A file that is put together piece by piece.
#[derive(Clone, Default)]
pub struct File {
    pub bytes: Vec<u8>,
    pub big: bool,
}

impl File {
    pub fn riff(kind: &[u8; 4]) -> File {
        let file = File { bytes: Vec::new(), big: kind == b"RIFX" || kind == b"FORM" };
        file.raw(kind).u32(0).raw(b"WAVE")
    }

    pub fn form(kind: &[u8; 4]) -> File {
        File { bytes: Vec::new(), big: true }.raw(b"FORM").u32(0).raw(kind)
    }

    pub fn raw(mut self, bytes: &[u8]) -> File {
        self.bytes.extend_from_slice(bytes);
        self
    }

    pub fn u16(self, v: u16) -> File {
        let bytes = if self.big { v.to_be_bytes() } else { v.to_le_bytes() };
        self.raw(&bytes)
    }

    pub fn u32(self, v: u32) -> File {
        let bytes = if self.big { v.to_be_bytes() } else { v.to_le_bytes() };
        self.raw(&bytes)
    }

    pub fn u64(self, v: u64) -> File {
        let bytes = if self.big { v.to_be_bytes() } else { v.to_le_bytes() };
        self.raw(&bytes)
    }

    /// A chunk with the right size and, if odd, a pad byte.
    pub fn chunk(self, id: &[u8; 4], content: &[u8]) -> File {
        let pad = vec![0; content.len() % 2];
        self.claim(id, content.len() as u32, content).raw(&pad)
    }

    /// A chunk with a size of its own, and no pad byte.
    pub fn claim(self, id: &[u8; 4], size: u32, content: &[u8]) -> File {
        self.raw(id).u32(size).raw(content)
    }

    /// `fmt ` of 16 bytes.
    pub fn fmt(self, tag: u16, channels: u16, rate: u32, bits: u16) -> File {
        let align = channels * bits.div_ceil(8);
        self.fmt_fields(16, tag, channels, rate, rate.wrapping_mul(u32::from(align)), align, bits)
    }

    #[allow(clippy::too_many_arguments)]
    pub fn fmt_fields(self, size: u32, tag: u16, ch: u16, rate: u32, byte_rate: u32, align: u16, bits: u16) -> File {
        self.raw(b"fmt ").u32(size).u16(tag).u16(ch).u32(rate).u32(byte_rate).u16(align).u16(bits)
    }

    /// Stereo, 16 bits, 48 kHz.
    pub fn cd(self) -> File {
        self.fmt(1, 2, 48_000, 16)
    }

    /// Sets the size field of the outermost chunk right.
    pub fn closed(mut self) -> File {
        let size = (self.bytes.len() - 8) as u32;
        self.bytes[4..8].copy_from_slice(&if self.big { size.to_be_bytes() } else { size.to_le_bytes() });
        self
    }

    pub fn kind(&self) -> Kind {
        identify(&self.bytes).unwrap()
    }

    pub fn scan(&self) -> Scan {
        plain(self.kind())
    }
}

pub fn plain(kind: Kind) -> Scan {
    match kind {
        Kind::Plain(scan) => *scan,
        other => panic!("not plain: {other:?}"),
    }
}

/// Bytes that do not look like chunks.
pub fn audio(n: usize) -> Vec<u8> {
    (0..n).map(|i| (i * 37 % 251) as u8 | 0x80).collect()
}

/// The format, and first and last byte of the samples.
pub fn found(scan: &Scan) -> (SampleFormat, u64, u64) {
    assert!(scan.data_len.is_multiple_of(scan.frame_bytes()));
    assert_eq!(scan.data_offset + scan.data_len + scan.tail_len(), scan.file_len);
    (scan.sample_format, scan.data_offset, scan.tail_offset())
}

pub fn noted(scan: &Scan, words: &str) -> bool {
    scan.notes.iter().any(|note| note.contains(words))
}

pub fn rf64(kind: &[u8; 4], data_size: u64, table: &[(&[u8; 4], u64)]) -> File {
    let mut ds64 = File::default().u64(0).u64(data_size).u64(7).u32(table.len() as u32);
    for (id, size) in table {
        ds64 = ds64.raw(*id).u64(*size);
    }
    File::riff(kind).chunk(b"ds64", &ds64.bytes)
}

const W64: &[u8; 12] = b"\xF3\xAC\xD3\x11\x8C\xD1\x00\xC0\x4F\x8E\xDB\x8A";

pub fn w64() -> File {
    File::default().raw(b"riff\x2E\x91\xCF\x11\xA5\xD6\x28\xDB\x04\xC1\0\0").u64(0).raw(b"wave").raw(W64)
}

impl File {
    pub fn w64_claim(self, id: &[u8; 4], size: u64, content: &[u8]) -> File {
        self.raw(id).raw(W64).u64(size).raw(content)
    }

    pub fn w64_chunk(self, id: &[u8; 4], content: &[u8]) -> File {
        let pad = vec![0; content.len().next_multiple_of(8) - content.len()];
        self.w64_claim(id, 24 + content.len() as u64, content).raw(&pad)
    }

    pub fn w64_fmt(self, bits: u16) -> File {
        let fmt = File::default().cd().bytes;
        let mut fmt = fmt[8..].to_vec();
        fmt[14..16].copy_from_slice(&bits.to_le_bytes());
        fmt[12..14].copy_from_slice(&(bits / 4).to_le_bytes());
        self.w64_chunk(b"fmt ", &fmt)
    }
}

pub fn comm(channels: u16, frames: u32, bits: u16, coding: &[u8]) -> Vec<u8> {
    let rate = b"\x40\x0E\xAC\x44\0\0\0\0\0\0";
    File { bytes: Vec::new(), big: true }.u16(channels).u32(frames).u16(bits).raw(rate).raw(coding).bytes
}

pub fn ssnd(offset: u32, samples: &[u8]) -> Vec<u8> {
    let head = File { bytes: Vec::new(), big: true }.u32(offset).u32(0);
    head.raw(&vec![0xEE; offset as usize]).raw(samples).bytes
}

pub fn caf(coding: &[u8; 4], flags: u32, packet: u32, channels: u32, bits: u32) -> File {
    let file = File { bytes: Vec::new(), big: true }.raw(b"caff").u16(1).u16(0);
    let desc = File { bytes: Vec::new(), big: true }.raw(&48_000f64.to_be_bytes()).raw(coding).u32(flags);
    file.caf_chunk(b"desc", &desc.u32(packet).u32(1).u32(channels).u32(bits).bytes)
}

impl File {
    pub fn caf_claim(self, id: &[u8; 4], size: i64, content: &[u8]) -> File {
        self.raw(id).u64(size.cast_unsigned()).raw(content)
    }

    pub fn caf_chunk(self, id: &[u8; 4], content: &[u8]) -> File {
        self.caf_claim(id, content.len() as i64, content)
    }
}

pub fn caf_data(n: usize) -> Vec<u8> {
    [&[0, 0, 0, 1][..], &audio(n)].concat()
}

pub fn au(big: bool, start: u32, size: u32, encoding: u32, channels: u32) -> File {
    let file = File { bytes: Vec::new(), big }.raw(if big { b".snd" } else { b"dns." });
    file.u32(start).u32(size).u32(encoding).u32(8000).u32(channels)
}

/// A file with a few pieces and zeros (or any byte) between them.
pub struct Sparse {
    pub pieces: Vec<(u64, Vec<u8>)>,
    pub len: u64,
    pub fill: u8,
}

impl ReadAt for Sparse {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let n = buf.len().min(usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX));
        buf[..n].fill(self.fill);
        for (at, bytes) in &self.pieces {
            for (i, byte) in bytes.iter().enumerate() {
                let position = at + i as u64;
                if position >= offset && position < offset + n as u64 {
                    buf[(position - offset) as usize] = *byte;
                }
            }
        }
        Ok(n)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.len)
    }
}

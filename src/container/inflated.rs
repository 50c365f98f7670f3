//! The bytes of a Deflate page at any position.
//!
//! Deflate can only be read from the front, so places that were passed are marked (some 43 KiB each: the window and the
//! tables), and reading goes on from the nearest one before. What is behind the last mark has to be inflated once.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::sync::{Mutex, PoisonError};

use super::pixels::Place;
use super::read::Page;
use crate::error::Result;
use crate::positioned::ReadAt;

/// Marks of a page, at most.
const MARKS: u64 = 128;
/// Inflated bytes from one mark to the next, at least.
const APART: u64 = 1 << 20;
/// Readers (some 110 KiB each) that stand somewhere in the page, ready to go on.
const READERS: usize = 12;
/// Bytes passed over at a time.
const PASSED: usize = 64 << 10;

/// A Deflate page in random access: its length is that of the image.
pub struct InflatedPage {
    file: File,
    page: Page,
    len: u64,
    apart: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    marks: BTreeMap<u64, Place>,
    /// The one used last stands last.
    readers: Vec<Place>,
}

impl InflatedPage {
    /// A page of a file.
    ///
    /// # Errors
    /// As [`Page::check`].
    pub fn new(file: File, page: Page) -> Result<InflatedPage> {
        let len = page.image_bytes()?;
        let apart = APART.max(len / MARKS);
        Ok(InflatedPage { file, page, len, apart, state: Mutex::default() })
    }

    /// The reader or mark that is nearest before a byte.
    fn take(&self, byte: u64) -> Place {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let strip = Place::at_strip(&self.page, byte);
        let mark = state.marks.range(..=byte).next_back().map(|(_, mark)| mark).filter(|mark| mark.at > strip.at);
        let least = mark.map_or(strip.at, |mark| mark.at);
        let mark = mark.map(Place::mark);
        let readers = state.readers.iter().enumerate().filter(|(_, r)| (least..=byte).contains(&r.at));
        match readers.max_by_key(|(_, r)| r.at).map(|(i, _)| i) {
            Some(i) => state.readers.remove(i),
            None => mark.unwrap_or(strip),
        }
    }

    fn give_back(&self, place: Place) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.readers.len() >= READERS {
            state.readers.remove(0);
        }
        state.readers.push(place);
    }

    /// Reads as far as the next place for a mark at most, and sets it.
    fn read_on(&self, place: &mut Place, buf: &mut [u8]) -> io::Result<usize> {
        let next = (place.at / self.apart + 1) * self.apart;
        let want = usize::try_from(next - place.at).unwrap_or(usize::MAX).min(buf.len());
        let got = place.read(&self.file, &self.page, &mut buf[..want])?;
        if place.at == next {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.marks.entry(next).or_insert_with(|| place.mark());
        }
        Ok(got)
    }
}

impl ReadAt for InflatedPage {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        if offset >= self.len || buf.is_empty() {
            return Ok(0);
        }
        let mut place = self.take(offset);
        let mut passed = Vec::new();
        while place.at < offset {
            let left = usize::try_from(offset - place.at).unwrap_or(PASSED).min(PASSED);
            passed.resize(left, 0);
            if self.read_on(&mut place, &mut passed)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let got = self.read_on(&mut place, buf)?;
        self.give_back(place);
        Ok(got)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.len)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek, SeekFrom, Write};

    use super::*;
    use crate::container::{DeflatePageWriter, Limits, PageEstimate, head_capacity, read_pages, write_head};

    /// A TIFF with bytes on a Deflate page, of strips of 1 MiB or in one.
    fn page(bytes: &[u8], one_strip: bool) -> (File, Page) {
        let mut file = tempfile::tempfile().unwrap();
        let head = head_capacity(&[PageEstimate { strips: 64, description: 64, text_tags: Vec::new(), xmp: 0 }]);
        file.seek(SeekFrom::Start(head)).unwrap();
        let mut writer = DeflatePageWriter::raw(&mut file, head);
        writer.write_all(bytes).unwrap();
        let (mut layout, _, at) = writer.finish("{}".into()).unwrap();
        if one_strip {
            let packed = miniz_oxide::deflate::compress_to_vec_zlib(bytes, 1);
            file.seek(SeekFrom::Start(at)).unwrap();
            file.write_all(&packed).unwrap();
            layout.rows_per_strip = layout.height;
            layout.strips = vec![crate::container::Strip { offset: at, len: packed.len() as u64 }];
        }
        write_head(&mut file, &[layout], head).unwrap();
        let page = read_pages(&file, &Limits::default()).unwrap().remove(0);
        (file, page)
    }

    #[test]
    fn any_byte_is_the_one_of_the_image() {
        let mut random = 1u64;
        let mut number = move |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 33) % below
        };
        let bytes: Vec<u8> = (0..4096 * 700).map(|n| if n % 9000 < 3000 { 7 } else { number(256) as u8 }).collect();
        for one_strip in [false, true] {
            let (file, page) = page(&bytes, one_strip);
            let mut inflated = InflatedPage::new(file, page).unwrap();
            inflated.apart = 100_000;
            let mut whole = vec![0; bytes.len()];
            for _ in 0..200 {
                let at = number(bytes.len() as u64) as usize;
                let n = (number(70_000) as usize).min(bytes.len() - at);
                inflated.read_exact_at(&mut whole[..n], at as u64).unwrap();
                assert!(whole[..n] == bytes[at..at + n], "{n} bytes from {at}");
            }
            inflated.read_exact_at(&mut whole, 0).unwrap();
            assert!(whole == bytes);
            assert_eq!(inflated.read_at(&mut whole, bytes.len() as u64).unwrap(), 0);
            assert!(inflated.read_exact_at(&mut whole[..2], bytes.len() as u64 - 1).is_err());
            let state = inflated.state.lock().unwrap();
            assert!(state.readers.len() <= READERS && state.marks.len() <= bytes.len() / 100_000);
        }
    }

    #[test]
    fn damage_is_an_error_wherever_one_reads() {
        let bytes: Vec<u8> = (0..4096u32 * 300).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let (mut file, page) = page(&bytes, true);
        let middle = page.strips[0].offset + page.strips[0].len / 2;
        let mut byte = [0];
        file.seek(SeekFrom::Start(middle)).unwrap();
        file.read_exact(&mut byte).unwrap();
        file.seek(SeekFrom::Start(middle)).unwrap();
        file.write_all(&[byte[0] ^ 0x5A, !byte[0], byte[0] ^ 0xA5]).unwrap();
        let inflated = InflatedPage::new(file, page).unwrap();
        let mut piece = vec![0; 1000];
        inflated.read_exact_at(&mut piece, 1000).unwrap();
        assert!(piece == bytes[1000..2000]);
        assert!(inflated.read_exact_at(&mut piece, bytes.len() as u64 - 1000).is_err());
    }
}

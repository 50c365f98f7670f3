//! Ogg pages (RFC 3533): found, checked against their CRC-32, and found again after damage.

use crate::error::{Error, Result};

use super::super::input::Input;
use super::super::stream::Log;
use super::super::{WarningCode, le32};

/// One page whose checksum matches.
pub(super) struct Page {
    /// From the start of the file.
    pub(super) offset: u64,
    pub(super) continued: bool,
    /// Begins a logical stream.
    pub(super) first: bool,
    /// Ends a logical stream.
    pub(super) last: bool,
    /// Position after the last packet that ends here; `None` where none does.
    pub(super) granule: Option<i64>,
    pub(super) serial: u32,
    pub(super) sequence: u32,
    lacing: Vec<u8>,
    body: Vec<u8>,
}

/// A piece of a packet on one page.
pub(super) struct Piece<'a> {
    pub(super) bytes: &'a [u8],
    /// From the start of the file.
    pub(super) offset: u64,
    /// Whether the packet ends with it.
    pub(super) complete: bool,
}

impl Page {
    /// The pieces of packets on this page, in order.
    pub(super) fn pieces(&self) -> Vec<Piece<'_>> {
        let mut pieces = Vec::new();
        let body_at = self.offset + 27 + self.lacing.len() as u64;
        let (mut from, mut to) = (0usize, 0usize);
        let mut open = false;
        for &lace in &self.lacing {
            to += usize::from(lace);
            open = lace == 255;
            if !open {
                pieces.push(Piece { bytes: &self.body[from..to], offset: body_at + from as u64, complete: true });
                from = to;
            }
        }
        if open {
            pieces.push(Piece { bytes: &self.body[from..to], offset: body_at + from as u64, complete: false });
        }
        pieces
    }
}

/// Goes from page to page.
pub(super) struct Pages {
    input: Input,
    at: u64,
    /// Bytes of pages whose checksum failed; bounded, so that a file made of false pages ends in time.
    wasted: u64,
    table: Box<[u32; 256]>,
}

impl Pages {
    pub(super) fn new(input: Input) -> Self {
        let table = std::array::from_fn(|i| {
            (0..8).fold((i as u32) << 24, |crc, _| if crc >> 31 == 1 { (crc << 1) ^ 0x04C1_1DB7 } else { crc << 1 })
        });
        Pages { at: input.start(), input, wasted: 0, table: Box::new(table) }
    }

    /// Back to the start.
    pub(super) fn rewind(&mut self) {
        self.at = self.input.start();
        self.wasted = 0;
    }

    /// The next page, or `None` at the end of the file. Bytes that belong to no good page are passed over and reported.
    pub(super) fn next(&mut self, log: &mut Log) -> Result<Option<Page>> {
        let from = self.at;
        let mut false_pages = 0u64;
        loop {
            let view = self.input.view(self.at, 4)?;
            if view.len() < 4 {
                break;
            }
            if view == b"OggS" {
                if let Some(page) = self.page_here()? {
                    self.report(from, self.at, false_pages, log);
                    self.at += 27 + page.lacing.len() as u64 + page.body.len() as u64;
                    return Ok(Some(page));
                }
                false_pages += 1;
            }
            let view = self.input.ahead(self.at + 1, 4)?;
            let step = view.windows(4).position(|w| w == b"OggS").unwrap_or(view.len().saturating_sub(3).max(1));
            self.at += 1 + step as u64;
            if self.wasted > 8 * (self.at - self.input.start()) + (64 << 20) {
                return Err(Error::limit("the Ogg pages are too damaged to find the good ones").at_offset(self.at));
            }
        }
        let end = self.input.end();
        self.report(from, end, false_pages, log);
        self.at = end;
        Ok(None)
    }

    fn report(&self, from: u64, to: u64, false_pages: u64, log: &mut Log) {
        if from == to {
            return;
        }
        let bytes = to - from;
        if to == self.input.end() {
            log.at(
                WarningCode::Truncated,
                from,
                format!("the last {bytes} bytes are no complete Ogg page and are left out"),
            );
        } else if false_pages > 0 {
            log.at(WarningCode::Checksum, from, format!("{bytes} bytes of damaged Ogg pages (checksum) are left out"));
        } else {
            log.at(WarningCode::SkippedBytes, from, format!("{bytes} bytes between two Ogg pages are passed over"));
        }
    }

    /// The page at the present place, if it is whole and its checksum matches.
    fn page_here(&mut self) -> Result<Option<Page>> {
        let offset = self.at;
        let head = self.input.view(offset, 27 + 255)?;
        let Some(&segments) = head.get(26).filter(|_| head[4] == 0) else { return Ok(None) };
        let Some(lacing) = head.get(27..27 + usize::from(segments)) else { return Ok(None) };
        let body_at = 27 + lacing.len();
        let size = body_at + lacing.iter().map(|&l| usize::from(l)).sum::<usize>();
        let page = self.input.view(offset, size)?;
        if page.len() < size {
            return Ok(None);
        }
        let lacing = &page[27..body_at];
        let step = |crc: u32, byte: u8| (crc << 8) ^ self.table[usize::from((crc >> 24) as u8 ^ byte)];
        let crc = page[..22].iter().chain(&[0; 4]).chain(&page[26..]).fold(0u32, |crc, &byte| step(crc, byte));
        if crc != le32(page, 22) {
            self.wasted += size as u64;
            return Ok(None);
        }
        let granule = u64::from(le32(page, 6)) | u64::from(le32(page, 10)) << 32;
        Ok(Some(Page {
            offset,
            continued: page[5] & 1 != 0,
            first: page[5] & 2 != 0,
            last: page[5] & 4 != 0,
            granule: (granule != u64::MAX).then_some(granule as i64),
            serial: le32(page, 14),
            sequence: le32(page, 18),
            lacing: lacing.to_vec(),
            body: page[body_at..].to_vec(),
        }))
    }
}

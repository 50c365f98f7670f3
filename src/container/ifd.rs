//! The lowest layer of reading: file header, directories (IFDs) and the values of their entries, under a budget.
//!
//! Nothing here trusts a count or an offset: what is read must lie inside the file, and all that is read together is
//! bounded by [`Limits::directory_bytes`], so that neither memory nor time can grow beyond what the file backs.

use super::layout::Kind;
use super::read::{ByteOrder, Limits};
use super::tags;
use crate::error::{Error, ErrorKind, Result};
use crate::positioned::ReadAt;

/// A file whose header has been read.
pub(super) struct TiffFile<'a> {
    pub file: &'a dyn ReadAt,
    pub len: u64,
    pub order: ByteOrder,
    pub kind: Kind,
    /// Bytes that may still be spent on directories, strings and strip tables.
    budget: u64,
    /// The file's first bytes, read in one go.
    head: Vec<u8>,
}

/// Where directories stand at the head of a file, as in ours, that many bytes are all that is read for them.
const HEAD_BYTES: u64 = 8 << 10;

/// A directory as it stands in the file.
pub(super) struct RawDirectory {
    pub offset: u64,
    /// Bytes of the directory, count and link included.
    pub len: u64,
    pub entries: Vec<Entry>,
    /// Where the next directory is; 0 means that there is none.
    pub next: u64,
}

/// One entry: tag, type, count, and its value or the place of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub tag: u16,
    pub field_type: u16,
    pub count: u64,
    /// The value field as it stands in the file; the first 4 bytes of it in a classic TIFF.
    field: [u8; 8],
    /// Where this entry stands, from the start of the file.
    pub at: u64,
}

impl<'a> TiffFile<'a> {
    /// Reads the file header; gives the file and the offset of its first directory.
    pub fn open(file: &'a dyn ReadAt, limits: &Limits) -> Result<(Self, u64)> {
        let len = file.len().map_err(|e| Error::io("finding the length", e))?;
        let mut head = vec![0u8; len.min(HEAD_BYTES) as usize];
        let got = file.read_up_to_at(&mut head, 0).map_err(|e| Error::io("reading the TIFF header", e))?;
        head.truncate(got);
        if got < 8 {
            return Err(Error::malformed(format!("{len} bytes are too few for a TIFF file")).at_offset(0));
        }
        let order = match &head[..2] {
            b"II" => ByteOrder::LittleEndian,
            b"MM" => ByteOrder::BigEndian,
            [0, 0] => {
                let text = "not a TIFF file: it has no header, so its writing was never finished";
                return Err(Error::malformed(text).at_offset(0));
            }
            _ => return Err(Error::malformed("not a TIFF file").at_offset(0)),
        };
        let (kind, first) = match order.u16(&head[2..]) {
            42 => (Kind::Classic, u64::from(order.u32(&head[4..]))),
            43 if got < 16 => return Err(Error::malformed("the BigTIFF header is cut short").at_offset(0)),
            43 if order.u16(&head[4..]) == 8 && order.u16(&head[6..]) == 0 => (Kind::Big, order.u64(&head[8..])),
            43 => return Err(Error::malformed("a BigTIFF whose offsets are not of 8 bytes").at_offset(4)),
            other => return Err(Error::malformed(format!("not a TIFF file: version {other}")).at_offset(2)),
        };
        Ok((TiffFile { file, len, order, kind, budget: limits.directory_bytes, head }, first))
    }

    /// Reads the directory at `offset`, without its out-of-line values.
    pub fn directory(&mut self, offset: u64) -> Result<RawDirectory> {
        let count_len = self.kind.count_len() as u64;
        let entry_len = self.kind.entry_len();
        if offset < self.kind.header_len() {
            return Err(Error::malformed(format!("a page directory at byte {offset}, inside the file header"))
                .at_offset(offset));
        }
        let count_bytes = self.read(offset, count_len, "a page directory")?;
        let count = self.order.uint(&count_bytes);
        if count == 0 {
            return Err(Error::malformed("a page directory without entries").at_offset(offset));
        }
        let rest = count
            .checked_mul(entry_len as u64)
            .and_then(|bytes| bytes.checked_add(self.kind.offset_len() as u64))
            .filter(|&bytes| bytes <= self.len)
            .ok_or_else(|| {
                let text = format!("a page directory claims {count} entries, more than the file can hold");
                Error::malformed(text).at_offset(offset)
            })?;
        // `offset + count_len` was read, so it does not overflow.
        let bytes = self.read(offset + count_len, rest, "a page directory")?;
        let (entry_bytes, link) = bytes.split_at(bytes.len() - self.kind.offset_len());
        let mut entries = Vec::with_capacity(entry_bytes.len() / entry_len);
        for (number, entry) in entry_bytes.chunks_exact(entry_len).enumerate() {
            let (count, value) = entry[4..].split_at(self.kind.offset_len());
            let mut field = [0; 8];
            field[..value.len()].copy_from_slice(value);
            entries.push(Entry {
                tag: self.order.u16(entry),
                field_type: self.order.u16(&entry[2..]),
                count: self.order.uint(count),
                field,
                at: offset + count_len + (number * entry_len) as u64,
            });
        }
        Ok(RawDirectory { offset, len: count_len + rest, entries, next: self.order.uint(link) })
    }

    /// Where the value of an entry lies, and its length: inside the entry or anywhere in the file.
    pub fn locate(&self, entry: &Entry) -> Result<(u64, u64)> {
        let bad = |text: String| Error::malformed(format!("tag {}: {text}", entry.tag)).at_offset(entry.at);
        let size =
            tags::type_size(entry.field_type).ok_or_else(|| bad(format!("no field type {}", entry.field_type)))?;
        let len = entry.count.checked_mul(size).filter(|&len| len <= self.len);
        let len = len.ok_or_else(|| bad(format!("{} values, more than the file can hold", entry.count)))?;
        let offset_len = self.kind.offset_len();
        let offset = if len <= offset_len as u64 {
            entry.at + 4 + offset_len as u64
        } else {
            self.order.uint(&entry.field[..offset_len])
        };
        if offset.checked_add(len).is_none_or(|end| end > self.len) {
            return Err(bad(format!("its {len} bytes at byte {offset} lie beyond the end of the file")));
        }
        Ok((offset, len))
    }

    /// The bytes of an entry's value.
    pub fn value(&mut self, entry: &Entry) -> Result<Vec<u8>> {
        let (offset, len) = self.locate(entry)?;
        if len <= self.kind.offset_len() as u64 {
            self.spend(len, offset)?;
            return Ok(entry.field[..len as usize].to_vec());
        }
        self.read(offset, len, "a tag's value")
    }

    /// An entry's values as unsigned integers (BYTE, SHORT, LONG, LONG8, IFD, IFD8).
    pub fn integers(&mut self, entry: &Entry) -> Result<Vec<u64>> {
        let size = match entry.field_type {
            1 | 3 | 4 | 13 | 16 | 18 => tags::type_size(entry.field_type).unwrap_or(1) as usize,
            other => {
                let text = format!("tag {}: values of type {other} where whole numbers belong", entry.tag);
                return Err(Error::malformed(text).at_offset(entry.at));
            }
        };
        self.locate(entry)?;
        // In memory each value takes 8 bytes, whatever it takes in the file.
        self.spend(entry.count.saturating_mul(8), entry.at)?;
        let bytes = self.value(entry)?;
        Ok(bytes.chunks_exact(size).map(|b| self.order.uint(b)).collect())
    }

    /// Takes `bytes` off the budget.
    pub fn spend(&mut self, bytes: u64, at: u64) -> Result<()> {
        match self.budget.checked_sub(bytes) {
            Some(left) => {
                self.budget = left;
                Ok(())
            }
            None => Err(Error::limit("the page directories take more memory than is allowed for them").at_offset(at)),
        }
    }

    fn read(&mut self, offset: u64, len: u64, what: &str) -> Result<Vec<u8>> {
        if offset.checked_add(len).is_none_or(|end| end > self.len) {
            let text = format!("{what} of {len} bytes lies beyond the end of the file ({} bytes)", self.len);
            return Err(Error::malformed(text).at_offset(offset));
        }
        self.spend(len, offset)?;
        let len = usize::try_from(len).map_err(|_| Error::limit(format!("{what} is too large")))?;
        let at_head = usize::try_from(offset).ok().and_then(|from| self.head.get(from..)?.get(..len));
        if let Some(bytes) = at_head {
            return Ok(bytes.to_vec());
        }
        let mut bytes = vec![0; len];
        self.file
            .read_exact_at(&mut bytes, offset)
            .map_err(|e| Error::io(format!("reading {what}"), e).at_offset(offset))?;
        Ok(bytes)
    }
}

/// Whether an error stops the whole reading rather than one page: I/O, and the budget.
pub(super) fn is_fatal(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Io | ErrorKind::Limit)
}

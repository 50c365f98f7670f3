//! How a file is cut into shards, how many recovery shards it gets, and where everything lies in the sidecar.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, ErrorKind, Result};

/// Data and recovery shards of one file together, at most.
pub const MAX_SHARDS: u64 = 32_768;

/// Bytes of the smallest shard that is written by default: damage comes in blocks of a disk.
pub const MIN_SHARD_BYTES: u64 = 4 << 10;

/// Bytes of a shard of a file that is large, but not so large that there would be too many of them.
pub const USUAL_SHARD_BYTES: u64 = 64 << 10;

/// Shards are multiples of this many bytes: 32 elements of the field, low bytes and high bytes.
pub const SHARD_UNIT: u64 = 64;

/// Files of up to this many bytes can be protected.
pub const MAX_FILE_BYTES: u64 = 1 << 48;

/// Shard hashes in one record, at most.
pub const HASHES_PER_RECORD: u32 = 256;

/// Copies of the list of shard hashes.
pub const COPIES: u32 = 3;

/// Bytes of a record's header.
pub const HEADER_BYTES: u64 = 128;

/// Bytes of a hash: the first 16 of a SHA-256.
pub const HASH_BYTES: u64 = 16;

/// How much recovery data, in relation to the file: 0.1 % to 100 %, in thousandths of a percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Redundancy(u32);

impl Redundancy {
    /// So many thousandths of a percent; `None` outside of 100 to 100,000.
    pub fn from_thousandths(thousandths: u32) -> Option<Redundancy> {
        (100..=100_000).contains(&thousandths).then_some(Redundancy(thousandths))
    }

    /// Recovery shards for so many data shards: rounded up, at least one.
    fn shards(self, data: u64) -> u64 {
        data.saturating_mul(u64::from(self.0)).div_ceil(100_000).max(1)
    }
}

impl FromStr for Redundancy {
    type Err = Error;

    /// Takes `5`, `5%`, `0.25 %`; at most three decimals.
    fn from_str(text: &str) -> Result<Redundancy> {
        let bad = || {
            let text =
                format!("\"{text}\" is no share of recovery data: a number of percent from 0.1 to 100, as in 5%");
            Error::new(ErrorKind::Usage, text)
        };
        let number = text.trim().trim_end_matches('%').trim_end();
        let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
        let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty()
            || !digits(whole)
            || !digits(decimals)
            || decimals.len() > 3
            || text.matches('%').count() > 1
        {
            return Err(bad());
        }
        let thousandths = format!("{whole}{decimals:0<3}").parse().map_err(|_| bad())?;
        Redundancy::from_thousandths(thousandths).ok_or_else(bad)
    }
}

impl fmt::Display for Redundancy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 1000, self.0 % 1000);
        match rest {
            0 => write!(f, "{whole}%"),
            _ => write!(f, "{whole}.{}%", format!("{rest:03}").trim_end_matches('0')),
        }
    }
}

/// How a file is cut: the numbers that stand in every record of its sidecar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Geometry {
    file_bytes: u64,
    shard_bytes: u64,
    data: u32,
    recovery: u32,
}

impl Geometry {
    /// The cut for a file of `file_bytes`: about a thousand shards of 4 to 64 KiB, 64 KiB for larger files, and more than that
    /// only where there would be more than [`MAX_SHARDS`].
    ///
    /// # Errors
    /// Unsupported for empty files and for ones beyond [`MAX_FILE_BYTES`].
    pub fn for_file(file_bytes: u64, redundancy: Redundancy) -> Result<Geometry> {
        if file_bytes == 0 || file_bytes > MAX_FILE_BYTES {
            return Err(Error::unsupported(format!("a file of {file_bytes} bytes cannot be given recovery data")));
        }
        let thousandth = file_bytes.div_ceil(1024).next_power_of_two();
        let mut shard_bytes = thousandth.clamp(MIN_SHARD_BYTES, USUAL_SHARD_BYTES);
        loop {
            let data = file_bytes.div_ceil(shard_bytes);
            let recovery = redundancy.shards(data);
            if data + recovery <= MAX_SHARDS {
                return Geometry::new(file_bytes, shard_bytes, recovery);
            }
            shard_bytes *= 2;
        }
    }

    /// A cut with given numbers, as a record or a test says.
    ///
    /// # Errors
    /// Malformed where the numbers are no cut of a file: see the checks in the format's description.
    pub fn new(file_bytes: u64, shard_bytes: u64, recovery: u64) -> Result<Geometry> {
        let bad = |what: &str| Err(Error::malformed(format!("recovery data {what}")));
        if file_bytes == 0 || file_bytes > MAX_FILE_BYTES {
            return bad("for a file of impossible length");
        }
        if shard_bytes == 0 || !shard_bytes.is_multiple_of(SHARD_UNIT) || shard_bytes > MAX_FILE_BYTES {
            return bad("with an impossible length of shards");
        }
        let data = file_bytes.div_ceil(shard_bytes);
        if recovery == 0 || recovery > MAX_SHARDS || data > MAX_SHARDS || data + recovery > MAX_SHARDS {
            return bad("with an impossible number of shards");
        }
        let (Ok(data), Ok(recovery)) = (u32::try_from(data), u32::try_from(recovery)) else {
            return bad("with an impossible number of shards");
        };
        Ok(Geometry { file_bytes, shard_bytes, data, recovery })
    }

    /// Bytes of the file.
    pub fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// Bytes of a shard; the file's last one is filled up with zeros.
    pub fn shard_bytes(&self) -> u64 {
        self.shard_bytes
    }

    /// Shards of the file.
    pub fn data(&self) -> u32 {
        self.data
    }

    /// Recovery shards.
    pub fn recovery(&self) -> u32 {
        self.recovery
    }

    /// First byte in the file and length of data shard `index`; the last one ends with the file.
    pub fn shard(&self, index: u32) -> (u64, u64) {
        let start = u64::from(index) * self.shard_bytes;
        (start, self.shard_bytes.min(self.file_bytes.saturating_sub(start)))
    }

    /// Records of one copy of the list of hashes.
    pub(super) fn hash_records(&self) -> u32 {
        self.data.div_ceil(HASHES_PER_RECORD)
    }

    /// First shard and number of shards of a record of hashes.
    pub(super) fn hash_record(&self, number: u32) -> (u32, u32) {
        let first = number * HASHES_PER_RECORD;
        (first, HASHES_PER_RECORD.min(self.data - first))
    }

    fn list_bytes(&self) -> u64 {
        u64::from(self.hash_records()) * HEADER_BYTES + u64::from(self.data) * HASH_BYTES
    }

    /// Recovery shards in front of the middle copy of the list.
    fn first_half(&self) -> u32 {
        self.recovery.div_ceil(2)
    }

    /// Where record `number` of copy `copy` of the list of hashes begins in the sidecar.
    pub(super) fn hash_record_offset(&self, copy: u32, number: u32) -> u64 {
        let shards_before = match copy {
            0 => 0,
            1 => self.first_half(),
            _ => self.recovery,
        };
        let full = HEADER_BYTES + u64::from(HASHES_PER_RECORD) * HASH_BYTES;
        u64::from(copy) * self.list_bytes()
            + u64::from(shards_before) * self.recovery_record_bytes()
            + u64::from(number) * full
    }

    /// Where the record of recovery shard `index` begins in the sidecar.
    pub(super) fn recovery_offset(&self, index: u32) -> u64 {
        let lists = if index < self.first_half() { 1 } else { 2 };
        lists * self.list_bytes() + u64::from(index) * self.recovery_record_bytes()
    }

    fn recovery_record_bytes(&self) -> u64 {
        HEADER_BYTES + self.shard_bytes
    }

    /// Length of the sidecar in bytes.
    pub fn sidecar_bytes(&self) -> u64 {
        u64::from(COPIES) * self.list_bytes() + u64::from(self.recovery) * self.recovery_record_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_read_as_people_write_them() {
        for (text, thousandths) in [
            ("5", 5000),
            ("5%", 5000),
            ("0.1", 100),
            ("0.25 %", 250),
            ("100%", 100_000),
            ("12.345%", 12_345),
            ("007", 7000),
        ] {
            assert_eq!(text.parse::<Redundancy>().unwrap(), Redundancy(thousandths), "{text}");
        }
        for bad in
            ["", "%", "0", "0.09", "100.001", "101", "-5", "+5", "5%%", "1e1", "5,5", "5.0000", "five", ".5", "٥"]
        {
            assert!(bad.parse::<Redundancy>().is_err(), "{bad}");
        }
        assert_eq!(Redundancy(250).to_string(), "0.25%");
        assert_eq!(Redundancy(5000).to_string(), "5%");
    }

    #[test]
    fn shards_grow_with_the_file_and_never_become_too_many() {
        let five: Redundancy = "5".parse().unwrap();
        let cut = |bytes| Geometry::for_file(bytes, five).unwrap();
        assert_eq!((cut(1).shard_bytes(), cut(1).data(), cut(1).recovery()), (4096, 1, 1));
        assert_eq!((cut(3_000_000).shard_bytes(), cut(3_000_000).data(), cut(3_000_000).recovery()), (4096, 733, 37));
        assert_eq!(cut(64 << 20).shard_bytes(), 64 << 10);
        assert_eq!(cut(1 << 30).shard_bytes(), 64 << 10);
        for bytes in [2 << 30, (2 << 30) - 1, 1 << 40, MAX_FILE_BYTES] {
            for share in ["0.1", "5", "50", "100"] {
                let cut = Geometry::for_file(bytes, share.parse().unwrap()).unwrap();
                let all = u64::from(cut.data()) + u64::from(cut.recovery());
                assert!(all <= MAX_SHARDS && all > MAX_SHARDS / 4, "{bytes} {share} {cut:?}");
            }
        }
        assert!(Geometry::for_file(0, five).is_err() && Geometry::for_file(MAX_FILE_BYTES + 1, five).is_err());
    }

    #[test]
    fn records_adjoin_and_fill_the_sidecar() {
        for (bytes, shard, recovery) in
            [(1, 64, 1), (1000, 64, 1), (100_000, 64, 7), (300_000, 128, 2), (64 * 512, 64, 90)]
        {
            let cut = Geometry::new(bytes, shard, recovery).unwrap();
            let mut places = Vec::new();
            for copy in 0..COPIES {
                for n in 0..cut.hash_records() {
                    let len = HEADER_BYTES + u64::from(cut.hash_record(n).1) * HASH_BYTES;
                    places.push((cut.hash_record_offset(copy, n), len));
                }
            }
            places.extend((0..cut.recovery()).map(|i| (cut.recovery_offset(i), HEADER_BYTES + shard)));
            places.sort_unstable();
            let end = places.iter().fold(0, |at, &(offset, len)| {
                assert_eq!(offset, at);
                at + len
            });
            assert_eq!(end, cut.sidecar_bytes());
        }
    }
}

//! Checksums: SHA-256 (FIPS 180-4) of files and parts of files, MD5 (RFC 1321) of FLAC's samples, and two of them at once.

mod blocks;
mod md5;
mod sha256;
mod together;

pub use md5::Md5;
pub use sha256::Sha256;
pub use together::{update_md5_and_sha256, update_two_md5, update_two_sha256};

use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::manifest::Sha256Sum;
use crate::positioned::ReadAt;

/// SHA-256 of `len` bytes of `file` from `offset`; reads 1 MiB at a time and tells `progress` how many.
///
/// # Errors
/// `Io`, also where the file ends before; `Interrupted`.
pub fn sha256_range(
    file: &dyn ReadAt,
    offset: u64,
    len: u64,
    interrupt: &Interrupt,
    mut progress: impl FnMut(u64),
) -> Result<Sha256Sum> {
    let mut sha = Sha256::new();
    let mut buf = vec![0; len.clamp(1, 1 << 20) as usize];
    let mut done = 0;
    while done < len {
        interrupt.check()?;
        let n = (len - done).min(buf.len() as u64) as usize;
        file.read_exact_at(&mut buf[..n], offset + done)
            .map_err(|e| Error::io("reading", e).at_offset(offset + done))?;
        sha.update(&buf[..n]);
        done += n as u64;
        progress(n as u64);
    }
    Ok(sha.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_the_sum_of_its_bytes_alone() {
        let bytes: Vec<u8> = (0..=255).collect();
        let sum = sha256_range(&bytes, 3, 200, &Interrupt::new(), |_| ()).unwrap();
        assert_eq!(sum, Sha256Sum::of(&bytes[3..203]));
        assert!(sha256_range(&bytes, 3, 300, &Interrupt::new(), |_| ()).is_err());
    }
}

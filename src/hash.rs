//! SHA-256 (FIPS 180-4) of files and parts of files.

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::manifest::Sha256Sum;
use crate::positioned::ReadAt;

/// SHA-256 of `len` bytes of `file` from `offset`; reads 1 MiB at a time and tells `progress` how many.
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
    Ok(Sha256Sum::finish(sha))
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

//! Recovery data: Reed–Solomon parity beside a TIFF, from which a damaged TIFF comes back with its SHA-256.
//!
//! ```text
//! X.tiff ──► encode ──► X.tiff.parity
//! X.tiff (damaged), X.tiff.parity (damaged) ──► scan ──► assess ──► repair ──► X.tiff, X.tiff.parity as they were
//! ```
//!
//! | file | what |
//! |---|---|
//! | `geometry` | shards, recovery shards, where everything lies |
//! | `record` | one record of a sidecar: header, hashes |
//! | `columns` | the code, column by column, in bounded memory |
//! | `encode` | a file → its sidecar |
//! | `scan` | finding records, by their magic, at any byte |
//! | `assess` | what is lost, what could be brought back |
//! | `repair` | bringing it back, and proving it |
//!
//! # Where it lives
//!
//! In a file of its own beside the TIFF, `X.tiff.parity`. The TIFF and all that names its bytes (manifest, `SHA256SUMS`, a
//! signature over them) stay as they are, so an archive can be protected, protected anew and freed of it at any time. The
//! sidecar is neither in the manifest nor in `SHA256SUMS`: each record in it carries its own hash and names the TIFF by its
//! SHA-256. A TIFF that is moved takes its sidecar with it; one whose sidecar was left behind is as good as before, without
//! recovery data.
//!
//! # What it can do
//!
//! A file is cut into `K` data shards of 4 to 64 KiB (larger only beyond 2 GiB), to which `M` recovery shards are added:
//! `p` % of `K`, rounded up, at least one. Damage anywhere in a shard loses that shard. Whatever the damage, where it is and
//! how it is spread: as long as no more data shards are lost than recovery shards are left, the file comes back to the byte,
//! and what was reconstructed is only kept when its SHA-256 is right.
//!
//! - At 5 % one damaged stretch may be as long as 5 % of the file (less one shard, as it seldom begins where a shard does), or
//!   there may be as many separate damaged places as there are recovery shards.
//! - Headers, page directories and the sidecar itself may be among the damage. A damaged recovery shard is one less to mend
//!   with. The list of hashes is there three times, at the start, the middle and the end of the sidecar, in records of at
//!   most 256 hashes; only where the same record is damaged in all three do its (up to 256) shards count as lost.
//! - A truncated TIFF has lost the shards that are missing. A TIFF that is gone altogether has lost all of them, and comes
//!   back only at 100 %.
//!
//! What it cannot do: bytes that were inserted or removed shift all that is behind them, and these shards count as lost;
//! a sidecar that is gone, or of whose records none is whole, is no help; and damage is not kept away by it: an archive that
//! nobody checks collects more of it than any share can mend. It is no second copy.
//!
//! The format is laid down to the byte in `docs/FORMAT-parity.md`.

mod assess;
mod columns;
mod encode;
mod geometry;
mod record;
mod repair;
mod scan;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

pub use assess::{Assessment, Extent, assess, assess_for, check_sidecar, damaged_ranges};
pub use encode::{ShardHasher, write_sidecar, write_sidecar_with};
pub use geometry::{
    COPIES, Geometry, HASH_BYTES, HASHES_PER_RECORD, HEADER_BYTES, MAX_FILE_BYTES, MAX_SHARDS, Redundancy,
};
pub use record::{Content, Header, MAGIC, ShardHash, Subject, VERSION, hash};
pub use repair::{renew_sidecar, repair, repair_to};
pub use scan::{Found, scan};

/// What a sidecar's name has behind the TIFF's.
pub const SUFFIX: &str = ".parity";

/// The sidecar of a TIFF: `X.tiff.parity` beside `X.tiff`.
pub fn sidecar_of(tiff_path: &Path) -> PathBuf {
    let mut name = OsString::from(tiff_path);
    name.push(SUFFIX);
    PathBuf::from(name)
}

/// The TIFF that a file is named as the sidecar of; `None` for files that are not named like one.
pub fn tiff_of(sidecar_path: &Path) -> Option<PathBuf> {
    let tiff = sidecar_path.with_extension("");
    (crate::manifest::is_tiff_name(&tiff) && sidecar_of(&tiff) == sidecar_path).then_some(tiff)
}

impl Subject {
    /// A file of `file_bytes` with this SHA-256, to be given so much recovery data.
    ///
    /// # Errors
    /// As [`Geometry::for_file`].
    pub fn new(
        sha256: crate::manifest::Sha256Sum,
        file_bytes: u64,
        redundancy: Redundancy,
    ) -> crate::error::Result<Subject> {
        Ok(Subject { sha256, geometry: Geometry::for_file(file_bytes, redundancy)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sidecars_are_known_by_their_names() {
        assert_eq!(sidecar_of(Path::new("a/b.tiff")), Path::new("a/b.tiff.parity"));
        assert_eq!(tiff_of(Path::new("a/b.tiff.parity")), Some(PathBuf::from("a/b.tiff")));
        for other in ["a/b.parity", "a/b.tiff", "b.tiff.parity.part", ".parity", "x.tiff.PARITY"] {
            assert_eq!(tiff_of(Path::new(other)), None, "{other}");
        }
    }
}

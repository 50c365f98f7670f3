//! The same code, compiled for the vector units that the machine has.
//!
//! Loops are written in plain Rust and turned into vector instructions by the
//! compiler; here they are compiled twice more, for AVX2 and AVX-512, of which the best is chosen at run time. Fused multiply-add stays off, as
//! it rounds differently: every machine computes the same bits. Processors of other kinds have their vector units switched
//! on at compile time.

/// Whether the processor has those of the AVX-512 instructions that are used here (the foundation, those for bytes and words, and
/// all of them for shorter vectors: all but the very first with AVX-512 do), and what goes with AVX2.
#[cfg(target_arch = "x86_64")]
pub(crate) fn has_avx512() -> bool {
    use std::arch::is_x86_feature_detected;
    is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vl") && has_avx2()
}

/// Whether the processor has AVX2, and the instructions for single bits that came with it.
#[cfg(target_arch = "x86_64")]
pub(crate) fn has_avx2() -> bool {
    use std::arch::is_x86_feature_detected;
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("lzcnt")
}

/// `vectorised!(fn fast(a: A, b: &mut B) -> C = plain)` defines `fast`, which does what `plain` does, with AVX-512 or
/// AVX2 where the processor has it. `plain` and what it calls must be `#[inline(always)]` to gain from it. It may have type
/// parameters with one bound each: `fn fast<P: Pixel>(…)`.
macro_rules! vectorised {
    (
        $(#[$doc:meta])* $vis:vis fn $name:ident $(<$($type:ident: $bound:path),*>)?
        ($($arg:ident: $kind:ty),* $(,)?) $(-> $result:ty)? = $plain:path
    ) => {
        $(#[$doc])*
        $vis fn $name $(<$($type: $bound),*>)? ($($arg: $kind),*) $(-> $result)? {
            #[cfg(target_arch = "x86_64")]
            if $crate::vector::has_avx512() {
                #[target_feature(enable = "avx512bw,avx512vl,bmi1,bmi2,lzcnt")]
                fn avx512 $(<$($type: $bound),*>)? ($($arg: $kind),*) $(-> $result)? {
                    $plain($($arg),*)
                }
                // SAFETY: as below, with the instructions that `has_avx512` asked for.
                #[allow(unsafe_code)]
                return unsafe { avx512($($arg),*) };
            }
            #[cfg(target_arch = "x86_64")]
            if $crate::vector::has_avx2() {
                #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
                fn avx2 $(<$($type: $bound),*>)? ($($arg: $kind),*) $(-> $result)? {
                    $plain($($arg),*)
                }
                // SAFETY: the processor has what this function asks for beyond a plain one, as `has_avx2` said.
                #[allow(unsafe_code)]
                return unsafe { avx2($($arg),*) };
            }
            $plain($($arg),*)
        }
    };
}

pub(crate) use vectorised;

/// Four numbers of three bytes each, lowest byte first, put together in whole words. Their highest bytes must be zero.
#[inline(always)]
pub(crate) fn three_bytes_each([a, b, c, d]: [u32; 4]) -> [u8; 12] {
    let words = [a | b << 24, b >> 8 | c << 16, c >> 16 | d << 8].map(u32::to_le_bytes);
    let mut bytes = [0; 12];
    bytes.copy_from_slice(words.as_flattened());
    bytes
}

/// Rows and columns exchanged.
#[inline(always)]
pub(crate) fn transposed(rows: [[u8; 8]; 8]) -> [[u8; 8]; 8] {
    let mut words = rows.map(u64::from_le_bytes);
    // Of each pair of rows, the upper right and the lower left of their squares: of four by four bytes, then two by two, then one.
    for (distance, left) in [(4, 0x0000_0000_ffff_ffff), (2, 0x0000_ffff_0000_ffff), (1, 0x00ff_00ff_00ff_00ff)] {
        for upper in (0..8).filter(|row| row & distance == 0) {
            let lower = upper + distance;
            let exchanged = (words[upper] >> (8 * distance) ^ words[lower]) & left;
            words[upper] ^= exchanged << (8 * distance);
            words[lower] ^= exchanged;
        }
    }
    words.map(u64::to_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transposing_exchanges_rows_and_columns() {
        let rows: [[u8; 8]; 8] = std::array::from_fn(|i| std::array::from_fn(|j| (10 * i + j) as u8));
        let turned = transposed(rows);
        for (i, row) in rows.iter().enumerate() {
            assert_eq!(*row, turned.map(|turned| turned[i]));
        }
    }
}

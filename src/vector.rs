//! The same code, compiled for the vector units that the machine has.
//!
//! Loops are written in plain Rust and turned into vector instructions by the
//! compiler; here they are compiled twice more, for AVX2 and AVX-512, of which the best is chosen at run time. Fused multiply-add stays off, as
//! it rounds differently: every machine computes the same bits. Processors of other kinds have their vector units switched
//! on at compile time.

/// Whether the processor has those of the AVX-512 instructions that are used here: the foundation, those for bytes and words, and
/// all of them for shorter vectors. All but the very first with AVX-512 do.
#[cfg(target_arch = "x86_64")]
pub(crate) fn has_avx512() -> bool {
    std::arch::is_x86_feature_detected!("avx512bw") && std::arch::is_x86_feature_detected!("avx512vl")
}

/// `vectorised!(fn fast(a: A, b: &mut B) -> C = plain)` defines `fast`, which does what `plain` does, with AVX-512 or
/// AVX2 where the processor has it. `plain` and what it calls must be `#[inline(always)]` to gain from it.
macro_rules! vectorised {
    ($(#[$doc:meta])* $vis:vis fn $name:ident($($arg:ident: $kind:ty),*) $(-> $result:ty)? = $plain:path) => {
        $(#[$doc])*
        $vis fn $name($($arg: $kind),*) $(-> $result)? {
            #[cfg(target_arch = "x86_64")]
            if $crate::vector::has_avx512() {
                #[target_feature(enable = "avx512bw,avx512vl")]
                fn avx512($($arg: $kind),*) $(-> $result)? {
                    $plain($($arg),*)
                }
                // SAFETY: as below, with the instructions that `has_avx512` asked for.
                #[allow(unsafe_code)]
                return unsafe { avx512($($arg),*) };
            }
            #[cfg(target_arch = "x86_64")]
            if std::arch::is_x86_feature_detected!("avx2") {
                #[target_feature(enable = "avx2")]
                fn avx2($($arg: $kind),*) $(-> $result)? {
                    $plain($($arg),*)
                }
                // SAFETY: the processor has AVX2, which is all that this function asks for beyond a plain one.
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

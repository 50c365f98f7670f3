//! The same code, compiled for the vector units that the machine has.
//!
//! The one place with `unsafe` in the preview. Loops are written in plain Rust and turned into vector instructions by the
//! compiler; here they are compiled a second time for AVX2, which is chosen at run time. Fused multiply-add stays off, as
//! it rounds differently: every machine computes the same bits. Processors of other kinds have their vector units switched
//! on at compile time.

/// `vectorised!(fn fast(a: A, b: &mut B) -> C = plain)` defines `fast`, which does what `plain` does, with AVX2 where the
/// processor has it. `plain` and what it calls must be `#[inline(always)]` to gain from it.
macro_rules! vectorised {
    ($(#[$doc:meta])* fn $name:ident($($arg:ident: $kind:ty),*) $(-> $result:ty)? = $plain:path) => {
        $(#[$doc])*
        fn $name($($arg: $kind),*) $(-> $result)? {
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

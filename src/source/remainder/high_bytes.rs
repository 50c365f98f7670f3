//! 24-bit integers in the low bytes of 32 bits: the high byte, where it does not simply repeat the sign.

use super::bits::{take_array, take_byte};
use super::number::Number;
use crate::error::{Error, Result};

/// Bits below the high byte.
const LOW: u64 = 0x00FF_FFFF;

/// Appends the high bytes of `values`: one, if all are the same, or all of them.
pub(super) fn encode<N: Number>(values: &[N], out: &mut Vec<u8>) {
    let mut high = values.iter().map(|value| (value.to_word() >> 24) as u8);
    match high.next() {
        Some(first) if high.all(|byte| byte == first) => out.extend_from_slice(&[1, first]),
        _ => {
            out.push(0);
            out.extend(values.iter().map(|value| (value.to_word() >> 24) as u8));
        }
    }
}

/// Reads what [`encode`] wrote, from the front of `bytes`, and fills `values`.
pub(super) fn decode<N: Number>(bytes: &mut &[u8], plane: &[i32], values: &mut [N]) -> Result<()> {
    let same = match take_array::<1>(bytes)? {
        [0] => None,
        [1] => Some(take_byte(bytes)?),
        _ => return Err(Error::malformed("a remainder record has parameters that its format does not allow")),
    };
    for (value, &q) in values.iter_mut().zip(plane) {
        let high = match same {
            Some(byte) => byte,
            None => take_byte(bytes)?,
        };
        *value = N::from_word(N::of_step(q).to_word() & LOW | u64::from(high) << 24);
    }
    Ok(())
}

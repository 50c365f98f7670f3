//! The common case of binary32, many samples at a time: loops without branches, in single precision, which compile to
//! vector instructions on every x86-64 and aarch64. `floats` says what is computed here; tests hold both against each other.

use super::bits::{BitReader, BitWriter};
use super::floats::{FIRST, LAST, Parameters};

/// Samples in a group.
pub(super) const LANES: usize = 64;

/// Steps in 1.0.
const UNIT: f32 = 8_388_608.0;

/// The fields of one group.
pub(super) struct Lanes {
    widths: [i32; LANES],
    fields: [u32; LANES],
}

/// 2 to an integer power (−126 ..= 127).
#[inline(always)]
fn pow2(exponent: i32) -> f32 {
    f32::from_bits(((exponent + 127) << 23).cast_unsigned())
}

/// Bits of the field for a sample of step `q`, which is not 0: `Parameters::width` of its `magnitude_class`, which here is
/// the exponent of twice its smallest magnitude.
#[inline(always)]
fn width(q: i32, parameters: &Parameters) -> i32 {
    let class = ((2 * q.abs() - 1) as f32).to_bits() >> 23 & 0xFF;
    (parameters.mantissa as i32 + 128 - class as i32).max(0).min(parameters.grid as i32)
}

/// Whether a step is none that is coded in a way of its own, or with a field of 24 bits.
#[inline(always)]
fn is_ordinary(q: i32) -> bool {
    (q.abs() > 1) & (q != FIRST) & (q != LAST)
}

impl Lanes {
    pub(super) fn new() -> Lanes {
        Lanes { widths: [0; LANES], fields: [0; LANES] }
    }

    /// Writes the fields of a group, if all its samples are ordinary ones: of no step with a way of its own, and with fields
    /// that give them back. Else writes nothing and says so.
    pub(super) fn encode(
        &mut self,
        values: &[f32; LANES],
        plane: &[i32; LANES],
        parameters: &Parameters,
        writer: &mut BitWriter,
    ) -> bool {
        let mut ordinary = true;
        for i in 0..LANES {
            let q = plane[i];
            let k = width(q, parameters);
            let scale = pow2(k);
            let r = (values[i] * UNIT - q as f32) * scale;
            // As a field: numbers below zero from the top. Adding 2^23 leaves an integer below that in the mantissa.
            let field = if r < 0.0 { r + scale } else { r };
            let sum = field + UNIT;
            ordinary &= is_ordinary(q) & (sum - UNIT == field) & (r >= -0.5 * scale) & (r < 0.5 * scale);
            self.widths[i] = k;
            self.fields[i] = sum.to_bits() & 0x7F_FFFF;
        }
        if ordinary {
            let (widths, _) = self.widths.as_chunks::<2>();
            let (fields, _) = self.fields.as_chunks::<2>();
            let pairs = widths.iter().zip(fields).map(|([k0, k1], [f0, f1])| {
                let pair = u64::from(*f0) | u64::from(*f1) << k0;
                (pair, (k0 + k1).cast_unsigned())
            });
            writer.put_all(pairs, LANES * 3);
        }
        ordinary
    }

    /// Reads the fields of a group, if none of its steps has a way of its own. Else reads nothing and says so.
    pub(super) fn decode(
        &mut self,
        reader: &mut BitReader,
        plane: &[i32; LANES],
        parameters: &Parameters,
        values: &mut [f32; LANES],
    ) -> bool {
        let mut ordinary = true;
        let mut bits = 0;
        for (k, &q) in self.widths.iter_mut().zip(plane) {
            ordinary &= is_ordinary(q);
            *k = width(q, parameters);
            bits += *k;
        }
        let (widths, _) = self.widths.as_chunks::<2>();
        let (fields, _) = self.fields.as_chunks_mut::<2>();
        let pairs = widths.iter().map(|[k0, k1]| (k0 + k1).cast_unsigned());
        let split = |i: usize, pair: u64| {
            if let (Some(field), Some([k0, _])) = (fields.get_mut(i), widths.get(i)) {
                *field = [pair as u32 & ((1 << k0) - 1), (pair >> k0) as u32];
            }
        };
        if !ordinary || !reader.take_all(pairs, bits.cast_unsigned() as usize, split) {
            return false;
        }
        for i in 0..LANES {
            // A field of k bits stands for a number below zero if its top bit is set; a field of no bits is 0.
            let part = self.fields[i].cast_signed() as f32 * pow2(-self.widths[i]);
            let part = if part >= 0.5 { part - 1.0 } else { part };
            values[i] = (plane[i] as f32 + part) / UNIT;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::floats::{Edges, Zeros, encode_field, magnitude_class, number};
    use super::super::number::{Number, pow2};
    use super::*;
    use proptest::prelude::*;

    /// Samples of all magnitudes, now and then none of the ordinary ones.
    fn group() -> impl Strategy<Value = Vec<f32>> {
        let ordinary = (any::<u32>(), 105u32..127).prop_map(|(bits, e)| f32::from_bits(bits & 0x807F_FFFF | e << 23));
        let odd = prop_oneof![any::<f32>(), Just(0.0), Just(-1.0), Just(1.0), Just(f32::NAN), Just(1e-7)];
        prop_oneof![
            3 => prop::collection::vec(ordinary.clone(), LANES),
            1 => prop::collection::vec(prop_oneof![60 => ordinary, 1 => odd], LANES),
        ]
    }

    fn parameters() -> impl Strategy<Value = Parameters> {
        let few = |limit: u32| prop_oneof![2 => Just(limit), 1 => 0..=limit];
        (few(23), few(24)).prop_map(|(mantissa, grid)| Parameters {
            mantissa,
            grid,
            zeros: Zeros::Plus,
            edges: Edges::Window,
        })
    }

    proptest! {
        #[test]
        fn groups_are_coded_as_their_samples_are(values in group(), parameters in parameters(), coarse in any::<bool>()) {
            // Values that fit the parameters, and values that do not.
            let cut = |v: f32| match coarse {
                true => f32::from_bits(v.to_bits() & !((1u32 << (23 - parameters.mantissa)) - 1)),
                false => v,
            };
            let values: Vec<f32> = values.into_iter().map(cut).collect();
            let plane: Vec<i32> = values.iter().map(|v| v.step()).collect();
            let (mut fast, mut slow) = (Vec::new(), Vec::new());
            let mut writer = BitWriter::new(&mut fast, 8);
            let (values, plane) = (values.as_array().unwrap(), plane.as_array().unwrap());
            let done = Lanes::new().encode(values, plane, &parameters, &mut writer);
            writer.finish();
            let mut writer = BitWriter::new(&mut slow, 8);
            let mut fits = true;
            for (value, &q) in values.iter().zip(plane) {
                let k = if q == 0 { 0 } else { parameters.width(magnitude_class(q)) };
                fits &= encode_field(*value, q, k, pow2(k as i32), &mut writer) & is_ordinary(q);
            }
            writer.finish();
            prop_assert_eq!(done, fits);
            prop_assert_eq!(fast, if fits { slow } else { Vec::new() });
        }

        #[test]
        fn any_fields_are_decoded_as_sample_by_sample(
            plane in prop::collection::vec(-8_388_608i32..8_388_608, LANES),
            bytes in prop::collection::vec(any::<u8>(), 100..300),
            skip in 0u32..8,
            parameters in parameters(),
        ) {
            let plane: &[i32; LANES] = plane.as_array().unwrap();
            let mut values = [0.0; LANES];
            let mut reader = BitReader::new(&bytes);
            reader.take(skip);
            let done = Lanes::new().decode(&mut reader, plane, &parameters, &mut values);
            let mut slow = BitReader::new(&bytes);
            slow.take(skip);
            if done {
                for (value, &q) in values.iter().zip(plane) {
                    let k = parameters.width(magnitude_class(q));
                    let expected: f32 = number(q, slow.take_signed(k), k, pow2(-(k as i32)));
                    prop_assert_eq!(value.to_bits(), expected.to_bits());
                }
            }
            prop_assert_eq!(reader.take(40), slow.take(40));
        }
    }
}

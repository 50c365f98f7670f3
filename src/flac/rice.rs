//! Partitioned Rice coding on the encoder's side (RFC 9639, section 9.2.7): which partition order and parameters, and
//! the writing of the codes.

use super::bit_writer::BitWriter;
use super::predictor::unfold;
use super::simd::Isa;
use crate::vector::vectorised;

/// Highest partition order that the streamable subset allows.
pub(super) const MAX_PARTITION_ORDER: u32 = 8;

/// Highest parameters of four and of five bits; all ones stand for an escaped partition.
const MAX_SHORT_PARAMETER: u32 = 14;
const MAX_PARAMETER: u32 = 30;

/// Bits of the field that says how many bits the numbers of an escaped partition have.
const ESCAPE_BITS: u32 = 5;

/// How one partition is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Rice(u32),
    Escaped(u32),
}

/// Sum and union of a partition's folded numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PartSum {
    sum: u64,
    union: u32,
}

/// Sums over each `len` numbers; `union` is that of all of them.
#[inline(always)]
pub(super) fn sum_parts(folded: &[u32], union: u32, len: usize, sums: &mut Vec<PartSum>) {
    sums.clear();
    let narrow = (u64::from(union) * len as u64) <= u64::from(u32::MAX);
    sums.extend(folded.chunks_exact(len).map(|part| {
        let sum =
            if narrow { u64::from(part.iter().sum::<u32>()) } else { part.iter().map(|&value| u64::from(value)).sum() };
        PartSum { sum, union: part.iter().fold(0, |all, &value| all | value) }
    }));
}

/// Sum of what stands above the lowest `parameter` bits of the numbers.
#[inline(always)]
pub(super) fn sum_quotients(folded: &[u32], parameter: u32) -> u64 {
    folded.iter().map(|&value| u64::from(value >> parameter)).sum()
}

/// What a plan may make use of.
#[derive(Debug, Clone, Copy)]
pub(super) struct RiceLimits {
    pub(super) max_partition_order: u32,
    /// Whether partitions may be escaped. That pays for silence and for evenly spread small numbers, but recordings have
    /// little of them, and not every decoder knows it (claxon does not).
    pub(super) escapes: bool,
}

vectorised! {
    /// [`RicePlan::try_orders`], which counts leading zeros and shifts by any number of bits all the time.
    fn choose_order(plan: &mut RicePlan, order: u32, len: usize, predictor_order: usize, limits: RiceLimits) =
        RicePlan::try_orders
}

/// How a residual is split and coded.
#[derive(Debug, Clone, Default)]
pub(super) struct RicePlan {
    partition_order: u32,
    /// 4 or 5.
    parameter_bits: u32,
    codings: Vec<Coding>,
    /// Estimated bits of the whole coded residual.
    pub(super) bits: u64,
    sums: Vec<PartSum>,
    trial: Vec<Coding>,
}

/// The parameter for `count` (at least one) folded numbers that sum up to `sum`, and about how many bits they will take.
///
/// For numbers that fall off geometrically, parameter k is the best one from the k on for which 2^k reaches 0.4812 times
/// (mean + ½): there p^(2^k) meets the golden ratio.
#[inline(always)]
fn best_parameter(sum: u64, count: u64) -> (u32, u64) {
    let target = ((sum + count / 2) * 493) >> 10;
    let mut parameter = 0;
    if target > count {
        parameter = target.ilog2() - count.ilog2();
        parameter += u32::from(count << parameter < target);
        parameter = parameter.min(MAX_PARAMETER);
    }
    // The low bits of the numbers are taken to be half their range on average.
    let low = (count * ((1 << parameter) - 1)) / 2;
    (parameter, count * u64::from(parameter + 1) + (sum.saturating_sub(low) >> parameter))
}

impl RicePlan {
    /// Plans for `folded`, of which the first `predictor_order` places are zero and do not count. `union`: of all bits
    /// of the numbers.
    pub(super) fn make(&mut self, isa: Isa, folded: &[u32], union: u32, predictor_order: usize, limits: RiceLimits) {
        let len = folded.len();
        let mut order = limits.max_partition_order.min(MAX_PARTITION_ORDER).min(len.trailing_zeros());
        while order > 0 && len >> order <= predictor_order {
            order -= 1;
        }
        isa.sum_parts(folded, union, len >> order, &mut self.sums);
        choose_order(self, order, len, predictor_order, limits);
    }

    /// The best partition order up to `order`, of whose partitions there are sums.
    #[inline(always)]
    fn try_orders(&mut self, mut order: u32, len: usize, predictor_order: usize, limits: RiceLimits) {
        self.bits = u64::MAX;
        loop {
            self.try_order(order, len, predictor_order, limits);
            if order == 0 {
                break;
            }
            order -= 1;
            for i in 0..1 << order {
                let (a, b) = (self.sums[2 * i], self.sums[2 * i + 1]);
                self.sums[i] = PartSum { sum: a.sum + b.sum, union: a.union | b.union };
            }
        }
    }

    #[inline(always)]
    fn try_order(&mut self, order: u32, len: usize, predictor_order: usize, limits: RiceLimits) {
        self.trial.clear();
        let mut bits = 6;
        let mut highest = 0;
        let mut count = (len >> order) - predictor_order;
        for part in &self.sums[..1 << order] {
            let (parameter, rice) = best_parameter(part.sum, count as u64);
            let width = 32 - part.union.leading_zeros();
            let escaped = u64::from(ESCAPE_BITS) + count as u64 * u64::from(width);
            if limits.escapes && escaped < rice && width < 32 {
                self.trial.push(Coding::Escaped(width));
                bits += escaped;
            } else {
                self.trial.push(Coding::Rice(parameter));
                highest = highest.max(parameter);
                bits += rice;
            }
            count = len >> order;
        }
        let parameter_bits = if highest > MAX_SHORT_PARAMETER { 5 } else { 4 };
        bits += u64::from(parameter_bits) << order;
        if bits < self.bits {
            self.bits = bits;
            self.partition_order = order;
            self.parameter_bits = parameter_bits;
            std::mem::swap(&mut self.codings, &mut self.trial);
        }
    }

    /// Changes each parameter by one where that takes fewer bits, which are now counted, not estimated.
    pub(super) fn refine(&mut self, isa: Isa, folded: &[u32], predictor_order: usize) {
        let len = folded.len() >> self.partition_order;
        let most = (1 << self.parameter_bits) - 2;
        let mut skip = predictor_order;
        self.bits = 6 + (u64::from(self.parameter_bits) << self.partition_order);
        for (coding, part) in self.codings.iter_mut().zip(folded.chunks_exact(len)) {
            let part = &part[skip..];
            skip = 0;
            self.bits += match *coding {
                Coding::Rice(planned) => {
                    let bits =
                        |parameter| isa.sum_quotients(part, parameter) + part.len() as u64 * (u64::from(parameter) + 1);
                    let nearby = [planned, planned.saturating_sub(1), (planned + 1).min(most)];
                    let counted = nearby.map(|parameter| (bits(parameter), parameter));
                    let best =
                        counted.iter().fold(counted[0], |best, other| if other.0 < best.0 { *other } else { best });
                    *coding = Coding::Rice(best.1);
                    best.0
                }
                Coding::Escaped(width) => u64::from(ESCAPE_BITS) + part.len() as u64 * u64::from(width),
            };
        }
    }

    /// Writes the coded residual.
    pub(super) fn write(&self, isa: Isa, folded: &[u32], predictor_order: usize, out: &mut BitWriter) {
        out.put(u64::from(self.parameter_bits - 4), 2);
        out.put(u64::from(self.partition_order), 4);
        let len = folded.len() >> self.partition_order;
        let mut skip = predictor_order;
        for (coding, part) in self.codings.iter().zip(folded.chunks_exact(len)) {
            let part = &part[skip..];
            match *coding {
                Coding::Rice(parameter) => {
                    out.put(u64::from(parameter), self.parameter_bits);
                    isa.write_codes(part, parameter, out);
                }
                Coding::Escaped(width) => {
                    out.put((1 << self.parameter_bits) - 1, self.parameter_bits);
                    out.put(u64::from(width), ESCAPE_BITS);
                    if width > 0 {
                        part.iter().for_each(|&value| out.put_signed(i64::from(unfold(value)), width));
                    }
                }
            }
            skip = 0;
        }
    }
}

/// Writes Rice codes: for each number a unary quotient, then `parameter` low bits.
pub(super) fn write_codes(folded: &[u32], parameter: u32, out: &mut BitWriter) {
    let low_bits = (1u64 << parameter) - 1;
    for &value in folded {
        let quotient = value >> parameter;
        let low = u64::from(value) & low_bits;
        if quotient <= 24 {
            out.put(low | (1 << parameter), quotient + 1 + parameter);
        } else {
            out.put_unary(quotient);
            out.put(low, parameter);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bits that the numbers take with a parameter.
    fn exact(values: &[u32], parameter: u32) -> u64 {
        values.iter().map(|&value| u64::from(value >> parameter) + 1 + u64::from(parameter)).sum()
    }

    #[test]
    fn the_parameter_is_within_a_percent_of_the_best_for_laplacian_numbers() {
        let mut seed = 1u64;
        for mean in [0.1, 0.5, 1.0, 3.0, 10.0, 100.0, 5e3, 1e6, 1e8] {
            let values: Vec<u32> = (0..4096)
                .map(|_| {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    let uniform = ((seed >> 11) as f64 + 1.0) / (1u64 << 53) as f64;
                    (-uniform.ln() * mean) as u32
                })
                .collect();
            let sum = values.iter().map(|&value| u64::from(value)).sum();
            let (parameter, estimate) = best_parameter(sum, 4096);
            let best = (0..=30).map(|k| exact(&values, k)).min().unwrap();
            assert!(exact(&values, parameter) * 100 <= best * 101, "mean {mean}: {parameter}");
            assert!(estimate.abs_diff(best) * 12 <= best, "mean {mean}: estimate {estimate}, best {best}");
        }
    }

    #[test]
    fn refined_parameters_are_the_best_and_the_bits_are_those_that_are_written() {
        let mut seed = 7u64;
        let mut folded: Vec<u32> = (0..4096u32)
            .map(|n| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                ((seed >> 45) >> (n / 300)) as u32
            })
            .collect();
        folded[..3].fill(0);
        let union = folded.iter().fold(0, |all, value| all | value);
        for escapes in [false, true] {
            let mut plan = RicePlan::default();
            let isa = Isa::detect();
            plan.make(isa, &folded, union, 3, RiceLimits { max_partition_order: 6, escapes });
            plan.refine(isa, &folded, 3);
            let len = 4096 >> plan.partition_order;
            for (i, (coding, part)) in plan.codings.iter().zip(folded.chunks(len)).enumerate() {
                let part = if i == 0 { &part[3..] } else { part };
                if let Coding::Rice(parameter) = *coding {
                    assert!((0..=14).all(|k| exact(part, parameter) <= exact(part, k)), "partition {i}: {parameter}");
                }
            }
            let mut bytes = vec![0; 20_000];
            let mut writer = BitWriter::new(&mut bytes);
            plan.write(isa, &folded, 3, &mut writer);
            assert_eq!(writer.position() as u64, plan.bits);
        }
    }

    #[test]
    fn extreme_sums_do_not_overflow() {
        assert_eq!(best_parameter(u64::from(u32::MAX) * 65_535, 65_535).0, MAX_PARAMETER);
        assert_eq!(best_parameter(0, 65_535), (0, 65_535));
        assert_eq!(best_parameter(0, 1), (0, 1));
    }
}

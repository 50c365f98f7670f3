//! Choosing how the floating-point samples of one channel and block are coded: what is in use is counted, then each
//! choice's cost is added up.
//!
//! The counts are of a part of the samples, where there are enough of them. That costs a few exceptions at worst, since
//! the encoder proves each sample by itself.

use super::exceptions;
use super::floats::{Edges, Exponents, FIRST, LAST, Parameters, Zeros, fields, magnitude_class};
use super::number::Float;

/// Blocks of fewer samples are counted whole.
const SMALL: usize = 1024;
/// Of larger ones, every so many samples.
const STRIDE: usize = 4;

/// What is counted before the parameters are chosen.
pub(super) struct Census {
    /// Samples of ordinary steps by [`magnitude_class`].
    classes: [u32; 32],
    /// The same samples by mantissa bits in use.
    mantissas: [u32; 64],
    /// The same samples by binary places below a step.
    places: [u32; 64],
    zeros: Group,
    edges: Group,
    /// Samples of the outermost steps that lie outside their window.
    beyond: u64,
}

/// Samples that can be coded as numbers.
#[derive(Default)]
struct Group {
    plus_zeros: u64,
    minus_zeros: u64,
    /// Neither zero nor infinite nor NaN.
    others: u64,
    /// Infinite or NaN.
    specials: u64,
    lowest: u32,
    highest: u32,
    /// The most binary places below a step.
    places: u32,
}

impl Group {
    fn count(&self) -> u64 {
        self.plus_zeros + self.minus_zeros + self.others + self.specials
    }

    #[cold]
    fn take<F: Float>(&mut self, value: F, places: u32) {
        let (sign, exponent, mantissa) = fields(value);
        if exponent == (1 << F::EXPONENT) - 1 {
            self.specials += 1;
        } else if exponent == 0 && mantissa == 0 {
            *(if sign == 0 { &mut self.plus_zeros } else { &mut self.minus_zeros }) += 1;
        } else {
            self.lowest = if self.others == 0 { exponent } else { self.lowest.min(exponent) };
            self.highest = self.highest.max(exponent);
            self.places = self.places.max(places);
            self.others += 1;
        }
    }
}

impl Census {
    /// Counts a part of the samples, or all of them where many are of the steps that are coded as numbers.
    pub(super) fn of<F: Float>(values: &[F], plane: &[i32]) -> Census {
        if values.len() >= SMALL {
            let part = Census::with_stride(values, plane, STRIDE);
            if (part.zeros.count() + part.edges.count()) * 8 < (values.len() / STRIDE) as u64 {
                return part;
            }
        }
        Census::with_stride(values, plane, 1)
    }

    fn with_stride<F: Float>(values: &[F], plane: &[i32], stride: usize) -> Census {
        let mut census = Census {
            classes: [0; 32],
            mantissas: [0; 64],
            places: [0; 64],
            zeros: Group::default(),
            edges: Group::default(),
            beyond: 0,
        };
        // The exponent field at which the lowest mantissa bit is worth one step.
        let whole = (1 << (F::EXPONENT - 1)) - 1 + F::MANTISSA - 23;
        for (&value, &q) in values.iter().zip(plane).step_by(stride) {
            let (_, exponent, mantissa) = fields(value);
            let significand = mantissa | u64::from(exponent != 0) << F::MANTISSA;
            let unused = significand.trailing_zeros();
            let places = whole.saturating_sub(exponent.max(1) + unused);
            if q == 0 {
                census.zeros.take(value, places);
            } else if q == LAST || q == FIRST {
                census.edges.take(value, places);
                census.beyond += u64::from((value.steps() - f64::from(q)).abs() > 0.5);
            } else {
                census.classes[magnitude_class(q) as usize] += 1;
                census.mantissas[F::MANTISSA.saturating_sub(unused) as usize] += 1;
                census.places[places.min(63) as usize] += 1;
            }
        }
        census
    }

    /// The parameters that are expected to cost least.
    pub(super) fn choose<F: Float>(&self) -> Parameters {
        let exception = exceptions::cost(F::BYTES);
        let samples: u32 = self.classes.iter().sum();
        let all = quantile(&self.mantissas, 0);
        let most = quantile(&self.mantissas, samples / 64);
        let mut best = (u64::MAX, Parameters { mantissa: all, grid: 0, zeros: Zeros::Plus, edges: Edges::Window });
        for mantissa in [all, most] {
            let over = above(&self.mantissas, mantissa as usize);
            for grid in (0..=F::MANTISSA + 1).rev() {
                let (zero_cost, zeros) = self.choose_zeros::<F>(grid);
                let parameters = Parameters { mantissa, grid, zeros, edges: Edges::Window };
                let field = |(class, n): (u32, &u32)| u64::from(*n) * u64::from(parameters.width(class));
                let fields: u64 = (0..).zip(&self.classes).map(field).sum();
                let cost = fields + zero_cost + exception * (over + above(&self.places, grid as usize));
                // What the part of the samples does not show may be there: hardly cheaper is no reason for a coarser grid.
                if cost + cost / 256 < best.0 {
                    best = (cost, parameters);
                }
            }
        }
        let exponents = Exponents::of(self.edges.lowest, self.edges.highest, 0);
        let as_numbers = self.edges.others * u64::from(exponents.width + F::MANTISSA);
        if self.edges.others > 0 && as_numbers < self.beyond * exception {
            best.1.edges = Edges::Number(exponents);
        }
        best.1
    }

    /// How the samples of step 0 are coded best, and what that costs in bits.
    fn choose_zeros<F: Float>(&self, grid: u32) -> (u64, Zeros) {
        let group = &self.zeros;
        let exception = exceptions::cost(F::BYTES);
        let exponents = match group.others {
            0 => Exponents { lowest: 0, width: 0 },
            _ => Exponents::of(group.lowest, group.highest, 1),
        };
        let off_grid = group.minus_zeros + group.specials + if group.places > grid { group.others } else { 0 };
        let number = u64::from(1 + exponents.width) * group.count() + u64::from(F::MANTISSA) * group.others;
        let ways = [
            (exception * (group.count() - group.plus_zeros), Zeros::Plus),
            (exception * (group.count() - group.minus_zeros), Zeros::Minus),
            (u64::from(grid) * group.count() + exception * off_grid, Zeros::Grid),
            (number + exception * group.specials, Zeros::Number(exponents)),
        ];
        ways.into_iter().min_by_key(|(cost, _)| *cost).unwrap_or(ways[0])
    }
}

/// The lowest index behind which no more than `tolerated` are counted.
fn quantile(counts: &[u32; 64], tolerated: u32) -> u32 {
    let mut behind = 0;
    for (index, n) in (0..64u32).zip(counts).rev() {
        behind += n;
        if behind > tolerated {
            return index;
        }
    }
    0
}

/// How many are counted above an index.
fn above(counts: &[u32; 64], index: usize) -> u64 {
    counts.iter().skip(index + 1).map(|&n| u64::from(n)).sum()
}

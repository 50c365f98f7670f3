//! From residual back to samples: the recurrences of the predictors (RFC 9639, sections 9.2.5 and 9.2.6).
//!
//! Each function gets a slice whose first places hold the warm-up samples and whose others hold the residual, and turns
//! the residual into samples in place. All arithmetic wraps: for a frame that keeps the rules nothing does, and the
//! samples of one that does not are found out of range afterwards.

use super::predictor::Predictor;

/// Restores what one of the fixed predictors left: each order is a running sum over the one below.
pub(super) fn restore_fixed(order: usize, samples: &mut [i32]) {
    match order {
        1 => restore_sums::<1>(samples),
        2 => restore_sums::<2>(samples),
        3 => restore_sums::<3>(samples),
        4 => restore_sums::<4>(samples),
        _ => {}
    }
}

fn restore_sums<const ORDER: usize>(samples: &mut [i32]) {
    let Some((warm_up, rest)) = samples.split_first_chunk_mut::<ORDER>() else { return };
    // sums[n]: the newest difference of order n.
    let mut sums = *warm_up;
    for level in 1..ORDER {
        for i in 0..ORDER - level {
            sums[i] = sums[i + 1].wrapping_sub(sums[i]);
        }
    }
    sums.reverse();
    for place in rest {
        let mut sum = *place;
        for level in (0..ORDER).rev() {
            sum = sum.wrapping_add(sums[level]);
            sums[level] = sum;
        }
        *place = sum;
    }
}

/// Restores what a linear predictor left; `bits`: the width of the samples.
pub(super) fn restore_linear(predictor: &Predictor, bits: u32, samples: &mut [i32]) {
    let order = predictor.order();
    if predictor.fits_i32(bits) {
        for n in order..samples.len() {
            let history = samples[n - order..n].iter().rev();
            let products = predictor.taps().iter().zip(history).map(|(tap, &sample)| tap.wrapping_mul(sample));
            let sum = products.fold(0, i32::wrapping_add);
            samples[n] = samples[n].wrapping_add(sum >> predictor.shift);
        }
    } else {
        for n in order..samples.len() {
            samples[n] = samples[n].wrapping_add(predictor.predict(&samples[n - order..n]) as i32);
        }
    }
}

/// The same for samples of 33 bits (a fixed predictor is a linear one without a shift).
pub(super) fn restore_wide(predictor: &Predictor, residual: &[i32], samples: &mut [i64]) {
    let order = predictor.order();
    for (n, &residual) in (order..samples.len()).zip(residual) {
        let history = samples[n - order..n].iter().rev();
        let sum = predictor
            .taps()
            .iter()
            .zip(history)
            .fold(0i64, |sum, (&tap, &sample)| sum.wrapping_add(i64::from(tap).wrapping_mul(sample)));
        samples[n] = i64::from(residual).wrapping_add(sum >> predictor.shift);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_orders_equal_their_linear_predictors() {
        for order in 0..=4 {
            for len in order..40 {
                let residual: Vec<i32> = (0..len as i32).map(|i| (i * 7919) % 1013 - 500).collect();
                let mut fixed = residual.clone();
                restore_fixed(order, &mut fixed);
                let mut linear = residual.clone();
                restore_linear(&Predictor::fixed(order), 32, &mut linear);
                let mut wide: Vec<i64> = residual.iter().map(|&x| i64::from(x)).collect();
                restore_wide(&Predictor::fixed(order), &residual[order..], &mut wide);
                assert_eq!(fixed, linear, "order {order}, {len} samples");
                assert!(wide.iter().zip(&linear).all(|(&w, &l)| w as i32 == l), "order {order}, {len} samples");
            }
        }
    }
}

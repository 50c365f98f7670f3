//! The search for the predictor that leaves least of one channel of a block, by trying those that seem to suit.

use super::analysis::{Analysis, Terms};
use super::attempt::{Attempt, Channel, Prediction};
use super::correlate::{Correlator, Sums};
use super::lpc::MAX_LAGS;
use super::rice::RiceLimits;
use super::simd::{History, Isa};
use super::window::Window;

/// Shortest block of which parts are looked at by themselves.
const SHORTEST_DIVIDED: usize = 256;

/// Part of a part of a block over which its window rises and falls.
const PART_TAPER: f64 = 0.18;

/// Parts of a block: each half, each third, and all of it, number and of how many.
const PARTS: [(usize, usize); 6] = [(0, 2), (1, 2), (0, 3), (1, 3), (2, 3), (0, 1)];

/// Which parts to look at together, by their place in [`PARTS`].
const SETS: [&[usize]; 9] = [&[0], &[1], &[2], &[3], &[4], &[2, 3], &[3, 4], &[2, 4], &[5]];

/// A block that takes less than this part of the estimate is uneven: the estimate goes by the power, which its loudest part
/// makes, and so does the predictor. A fixed one may be better for all the rest.
const UNEVEN: f64 = 0.95;

/// What a search may do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Effort {
    /// Highest order of a linear predictor.
    pub(super) max_order: usize,
    /// For the coding of the residual.
    pub(super) rice: RiceLimits,
    /// The same while predictors are compared.
    pub(super) trial: RiceLimits,
    /// Blocks that take less than this part of the estimate are looked at part by part.
    pub(super) divided_below: f64,
    /// Whether all that may be better is tried for every block.
    pub(super) thorough: bool,
    /// How far above the noise of the coarse autocorrelation the signal must be for that to be good enough; see
    /// [`Analysis::is_hidden_by`].
    pub(super) distance: f64,
    /// How much more than the best kind of interchannel decorrelation another one may be estimated to take in order to be tried,
    /// in bits per sample of a channel.
    pub(super) close: f64,
}

/// Looks for predictors; keeps the space to work in.
#[derive(Debug, Clone)]
pub(super) struct Search {
    isa: Isa,
    effort: Effort,
    /// Windows over the parts of a block of this length.
    parts: Vec<Window>,
    parts_of: usize,
    shifted: Vec<i32>,
    history: History,
    spare: Attempt,
    tried: Vec<Prediction>,
}

impl Search {
    pub(super) fn new(isa: Isa, effort: Effort) -> Self {
        Search {
            isa,
            effort,
            parts: Vec::new(),
            parts_of: 0,
            shifted: Vec::new(),
            history: History::default(),
            spare: Attempt::default(),
            tried: Vec::new(),
        }
    }

    /// Codes a channel as well as the effort allows: as one lane of `analysis` speaks for, or otherwise where something better
    /// is found. `fine`: which autocorrelation was needed for that.
    pub(super) fn code(
        &mut self,
        channel: &Channel,
        (analysis, lane): (&Analysis, usize),
        fine: bool,
        correlator: &mut Correlator,
        best: &mut Attempt,
    ) {
        if channel.survey.is_constant() {
            best.set_constant(channel);
            return;
        }
        let mut shifted = std::mem::take(&mut self.shifted);
        let samples = without_wasted(channel.samples, channel.survey.wasted(), &mut shifted);
        self.history.clear();
        self.tried.clear();
        best.bits = u64::MAX;
        self.attempt(channel, samples, Prediction::of(&analysis.plan(lane)), best);
        let taken = best.bits as f64 / analysis.estimates[lane].bits;
        if self.effort.thorough || taken < UNEVEN {
            let prediction = Prediction::fixed(self.isa.best_fixed(samples));
            self.attempt(channel, samples, prediction, best);
        }
        if taken < self.effort.divided_below && samples.len() >= SHORTEST_DIVIDED {
            let winner = self.try_parts(channel, samples, fine, correlator, best);
            if self.effort.thorough {
                let (analysis, lane) = winner.as_ref().map_or((analysis, lane), |(analysis, lane)| (analysis, *lane));
                for plan in analysis.neighbours(lane) {
                    self.attempt(channel, samples, Prediction::of(&plan), best);
                }
            }
        }
        if self.effort.thorough {
            best.plan_well(self.isa, channel, self.effort.rice);
        }
        self.shifted = shifted;
    }

    /// Codes with one predictor, and keeps that if it takes less than what there is.
    fn attempt(&mut self, channel: &Channel, samples: &[i32], prediction: Prediction, best: &mut Attempt) -> bool {
        if self.tried.contains(&prediction) {
            return false;
        }
        self.tried.push(prediction);
        self.spare.code(self.isa, channel, samples, &prediction, self.effort.trial, &mut self.history);
        let better = self.spare.bits < best.bits;
        if better {
            std::mem::swap(&mut self.spare, best);
        }
        better
    }

    /// Tries what parts of the block speak for. Gives the analysis and its lane behind what is best now, if it comes from here.
    fn try_parts(
        &mut self,
        channel: &Channel,
        samples: &[i32],
        fine: bool,
        correlator: &mut Correlator,
        best: &mut Attempt,
    ) -> Option<(Analysis, usize)> {
        let len = samples.len();
        let range = |(number, of)| number * len / of..(number + 1) * len / of;
        if self.parts_of != len {
            self.parts = PARTS.iter().map(|&part| Window::tukey(range(part).len(), PART_TAPER)).collect();
            self.parts_of = len;
        }
        let wasted = channel.survey.wasted();
        let magnitude_bits = channel.survey.bits() - wasted - 1;
        let parts: [(Sums, f64); PARTS.len()] = std::array::from_fn(|i| {
            let window = &self.parts[i];
            (correlator.sums(&samples[range(PARTS[i])], magnitude_bits, window, fine), window.power)
        });
        let max_order = self.effort.max_order.min(len / 8);
        let terms = Terms { len, bits: [channel.bits - wasted; 4], max_order };
        let mut winner = None;
        for sets in SETS.chunks(4) {
            let mut sums = [[0.0; 4]; MAX_LAGS];
            for (lane, set) in sets.iter().enumerate() {
                let power: f64 = set.iter().map(|&part| parts[part].1).sum();
                for (lag, sums) in sums.iter_mut().enumerate() {
                    sums[lane] = set.iter().map(|&part| parts[part].0[lag]).sum::<f64>() / power;
                }
            }
            let analysis = self.isa.analyse(&sums, &terms);
            for lane in 0..sets.len() {
                if self.attempt(channel, samples, Prediction::of(&analysis.plan(lane)), best) {
                    winner = Some((analysis.clone(), lane));
                }
            }
        }
        winner
    }
}

/// Samples without their wasted bits, in `buffer` if there are any.
fn without_wasted<'a>(samples: &'a [i32], wasted: u32, buffer: &'a mut Vec<i32>) -> &'a [i32] {
    if wasted == 0 {
        return samples;
    }
    buffer.clear();
    buffer.extend(samples.iter().map(|sample| sample >> wasted));
    buffer
}

//! One channel of a block, coded with a predictor and ready to be written as a subframe (RFC 9639, section 9.2), or as
//! constant or verbatim samples.

use super::analysis::{Choice, Plan};
use super::bit_writer::BitWriter;
use super::lpc::{self, Quantised};
use super::predictor::Predictor;
use super::rice::{RiceLimits, RicePlan};
use super::simd::{History, Isa, Survey};
use super::subframe::SubframeType;

/// One channel of a block: its samples, and how many bits the format gives them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Channel<'a> {
    pub(super) samples: &'a [i32],
    pub(super) bits: u32,
    pub(super) survey: Survey,
}

impl Channel<'_> {
    /// Bits of the subframe that holds the samples as they are.
    fn verbatim_bits(&self) -> u64 {
        let wasted = self.survey.wasted();
        8 + u64::from(wasted) + self.samples.len() as u64 * u64::from(self.bits - wasted)
    }
}

/// How a subframe is to be predicted: a predictor whose coefficients are written with this many bits each, or one of the fixed
/// ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Prediction {
    predictor: Predictor,
    /// 0 for a fixed predictor.
    precision: u32,
}

impl Prediction {
    pub(super) fn fixed(order: usize) -> Self {
        Prediction { predictor: Predictor::fixed(order), precision: 0 }
    }

    /// What a plan comes to.
    pub(super) fn of(plan: &Plan) -> Self {
        match plan.choice {
            Choice::Fixed(order) => Prediction::fixed(order),
            Choice::Linear(order) => match lpc::quantise(&plan.taps[..order], plan.shift, &plan.sums, plan.bits) {
                Some(Quantised { predictor, precision }) => Prediction { predictor, precision },
                // Coefficients that cannot be written: this does not happen with signals that were recorded.
                None => Prediction::fixed(1),
            },
        }
    }

    fn subframe_type(&self) -> SubframeType {
        let order = self.predictor.order();
        if self.precision == 0 { SubframeType::Fixed(order) } else { SubframeType::Linear(order) }
    }
}

/// A channel in coded form.
#[derive(Debug, Clone)]
pub(super) struct Attempt {
    subframe_type: SubframeType,
    prediction: Prediction,
    folded: Vec<u32>,
    union: u32,
    rice: RicePlan,
    /// Bits of the whole subframe, more or less.
    pub(super) bits: u64,
}

impl Default for Attempt {
    fn default() -> Self {
        Attempt {
            subframe_type: SubframeType::Verbatim,
            prediction: Prediction::fixed(0),
            folded: Vec::new(),
            union: 0,
            rice: RicePlan::default(),
            bits: u64::MAX,
        }
    }
}

impl Attempt {
    /// For a channel whose samples are all the same.
    pub(super) fn set_constant(&mut self, channel: &Channel) {
        self.subframe_type = SubframeType::Constant;
        self.bits = 8 + u64::from(channel.bits);
    }

    /// Codes `samples`, which are the channel's without wasted bits; verbatim, where the predictor leaves what is not
    /// allowed. `history`: of these samples.
    pub(super) fn code(
        &mut self,
        isa: Isa,
        channel: &Channel,
        samples: &[i32],
        prediction: &Prediction,
        limits: RiceLimits,
        history: &mut History,
    ) {
        let wasted = channel.survey.wasted();
        self.prediction = *prediction;
        self.folded.resize(samples.len(), 0);
        let real_bits = channel.survey.bits() - wasted;
        match isa.fold_residual(&prediction.predictor, real_bits, samples, &mut self.folded, history) {
            Some(union) => {
                self.subframe_type = prediction.subframe_type();
                self.union = union;
                self.rice.make(isa, &self.folded, union, prediction.predictor.order(), limits);
                self.count_bits(channel);
            }
            None => {
                self.subframe_type = SubframeType::Verbatim;
                self.bits = channel.verbatim_bits();
            }
        }
    }

    /// Plans the coding of the residual once more, within other limits and to the bit.
    pub(super) fn plan_well(&mut self, isa: Isa, channel: &Channel, limits: RiceLimits) {
        if let SubframeType::Fixed(order) | SubframeType::Linear(order) = self.subframe_type {
            self.rice.make(isa, &self.folded, self.union, order, limits);
            self.rice.refine(isa, &self.folded, order);
            self.count_bits(channel);
        }
    }

    fn count_bits(&mut self, channel: &Channel) {
        if let SubframeType::Fixed(order) | SubframeType::Linear(order) = self.subframe_type {
            let wasted = channel.survey.wasted();
            let coefficients = match self.subframe_type {
                SubframeType::Linear(_) => 9 + order as u64 * u64::from(self.prediction.precision),
                _ => 0,
            };
            let warm_up = order as u64 * u64::from(channel.bits - wasted);
            self.bits = 8 + u64::from(wasted) + warm_up + coefficients + self.rice.bits;
        }
    }

    /// Writes the subframe, verbatim if it would take more bits than that.
    pub(super) fn write(&self, isa: Isa, channel: &Channel, out: &mut BitWriter) {
        let wasted = channel.survey.wasted();
        let bits = channel.bits - wasted;
        let plain = |samples: &[i32], out: &mut BitWriter| {
            samples.iter().for_each(|&sample| out.put_signed(i64::from(sample >> wasted), bits));
        };
        let (start, before) = (out.mark(), out.position());
        match self.subframe_type {
            SubframeType::Constant => {
                put_header(SubframeType::Constant, 0, out);
                out.put_signed(i64::from(channel.samples[0]), channel.bits);
                return;
            }
            SubframeType::Fixed(order) | SubframeType::Linear(order) => {
                put_header(self.subframe_type, wasted, out);
                plain(&channel.samples[..order], out);
                let Prediction { predictor, precision } = &self.prediction;
                if let SubframeType::Linear(_) = self.subframe_type {
                    out.put(u64::from(precision - 1), 4);
                    out.put(u64::from(predictor.shift), 5);
                    predictor.taps().iter().for_each(|&tap| out.put_signed(i64::from(tap), *precision));
                }
                self.rice.write(isa, &self.folded, order, out);
                if !out.is_full() && (out.position() - before) as u64 <= channel.verbatim_bits() {
                    return;
                }
                out.rewind(start);
            }
            SubframeType::Verbatim => {}
        }
        put_header(SubframeType::Verbatim, wasted, out);
        plain(channel.samples, out);
    }
}

fn put_header(subframe_type: SubframeType, wasted: u32, out: &mut BitWriter) {
    out.put(u64::from((subframe_type.code() << 1) | u32::from(wasted > 0)), 8);
    if wasted > 0 {
        out.put_unary(wasted - 1);
    }
}

//! What a user may choose about the picture.

use crate::error::{Error, ErrorKind, Result};

pub use super::colormap::ColorMap;
pub use super::range::DbRange;

/// Choices for the preview picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Colours of a spectrogram, dark for quiet.
    pub color_map: ColorMap,
    /// Greatest width and height of the picture in pixels, [`Settings::MIN_IMAGE_DIM`] to
    /// [`Settings::MAX_IMAGE_DIM`]. Below [`Settings::MIN_AXES_DIM`] there is no room for axes.
    pub max_image_dim: u32,
    /// Lowest frequency in Hz; 0 where not given.
    pub fmin: Option<f64>,
    /// Highest frequency in Hz; half the sample rate where not given or higher than that.
    pub fmax: Option<f64>,
    /// Fixed range of the colours; measured over the recording where not given.
    pub db_range: Option<DbRange>,
    /// Only the picture: no axes, no text, no level strip.
    pub bare: bool,
    /// One picture of all channels, or one of each.
    pub channels: ChannelView,
    /// What the picture shows.
    pub kind: Kind,
}

/// What becomes of several channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ChannelView {
    /// The mean of all channels.
    #[default]
    Mix,
    /// Each channel by itself, stacked, the first on top.
    Separate,
}

/// What the picture shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// Spectrogram: level over time and frequency.
    #[default]
    Spectrogram,
    /// Long-duration false-colour spectrogram of three acoustic indices per band and minute; per second in recordings of less
    /// than ten minutes, per ten seconds in those of less than two hours.
    FalseColor,
}

impl Settings {
    /// Smallest picture.
    pub const MIN_IMAGE_DIM: u32 = 32;
    /// Largest picture; wider ones would exceed what common viewers open.
    pub const MAX_IMAGE_DIM: u32 = 8192;
    /// Smallest picture with axes.
    pub const MIN_AXES_DIM: u32 = 480;

    /// Refuses choices that contradict one another or that no picture can follow.
    ///
    /// # Errors
    /// `Usage`, with what is wrong.
    pub fn check(&self) -> Result<()> {
        let usage = |text: String| Err(Error::new(ErrorKind::Usage, text));
        if !(Self::MIN_IMAGE_DIM..=Self::MAX_IMAGE_DIM).contains(&self.max_image_dim) {
            let (least, most) = (Self::MIN_IMAGE_DIM, Self::MAX_IMAGE_DIM);
            return usage(format!("a picture can be {least} to {most} pixels wide, not {}", self.max_image_dim));
        }
        for hz in [self.fmin, self.fmax].into_iter().flatten() {
            if !(hz.is_finite() && hz >= 0.0) {
                return usage(format!("{hz} Hz is no frequency"));
            }
        }
        if self.fmax.is_some_and(|fmax| fmax <= self.fmin.unwrap_or(0.0)) {
            return usage("the highest frequency of the picture must be above the lowest".into());
        }
        Ok(())
    }
}

impl Default for Settings {
    /// A spectrogram in the colours of magma, at most 1,280 pixels wide, with axes.
    fn default() -> Settings {
        Settings {
            color_map: ColorMap::Magma,
            max_image_dim: 1280,
            fmin: None,
            fmax: None,
            db_range: None,
            bare: false,
            channels: ChannelView::Mix,
            kind: Kind::Spectrogram,
        }
    }
}

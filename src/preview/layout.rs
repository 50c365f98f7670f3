//! How large the picture and its parts are.
//!
//! Fixed by the settings and the number of stacked channels alone, so that the analysis knows how many columns and
//! bands it must keep before the first sample comes.

use super::settings::{Kind, Settings};

/// Width of a full-size picture's spectrogram, to which the rest is in proportion.
const USUAL_WIDTH: usize = 1200;
/// Height of its spectrogram, all channels together.
const USUAL_HEIGHT: usize = 512;
/// Bands of a spectrogram of one stream.
const USUAL_BANDS: usize = 256;
/// Fewest bands per channel where many are stacked.
const LEAST_BANDS: usize = 8;
/// From this size on letters are drawn twice as large.
const LARGE_DIM: u32 = 2000;

/// Sizes in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Width of the spectrogram; a multiple of 8.
    pub plot_width: usize,
    /// Stacked spectrograms.
    pub streams: usize,
    /// Bands of each.
    pub bands: usize,
    /// Pixels per band.
    pub band_height: usize,
    /// Whether there are axes, text and a level strip around it.
    pub axes: bool,
    /// Pixels per dot of a letter.
    pub zoom: usize,
}

impl Layout {
    /// Width of the frequency labels, in units of `zoom`.
    pub const LEFT: usize = 56;
    /// Space right of the picture, in units of `zoom`.
    pub const RIGHT: usize = 24;

    /// Sizes for `streams` stacked spectrograms.
    pub fn new(settings: &Settings, streams: usize) -> Layout {
        let streams = streams.max(1);
        let dim = settings.max_image_dim.clamp(Settings::MIN_IMAGE_DIM, Settings::MAX_IMAGE_DIM);
        let axes = !settings.bare && dim >= Settings::MIN_AXES_DIM;
        let zoom = if dim >= LARGE_DIM { 2 } else { 1 };
        let margins = if axes { (Self::LEFT + Self::RIGHT) * zoom } else { 0 };
        let plot_width = (dim as usize - margins) / 8 * 8;
        let height = (plot_width * USUAL_HEIGHT / USUAL_WIDTH).max(16);
        let usual_bands = if settings.kind == Kind::FalseColor { USUAL_HEIGHT } else { USUAL_BANDS };
        let most = usual_bands.min(USUAL_HEIGHT / streams).max(LEAST_BANDS);
        let bands = (height / streams).clamp(LEAST_BANDS, most);
        let band_height = (height / (streams * bands)).max(1);
        Layout { plot_width, streams, bands, band_height, axes, zoom }
    }

    /// Height of one stream's spectrogram.
    pub fn stream_height(&self) -> usize {
        self.bands * self.band_height
    }

    /// Height of all spectrograms, with a line between neighbours.
    pub fn plot_height(&self) -> usize {
        self.streams * self.stream_height() + (self.streams - 1) * self.gap()
    }

    /// Height of the line between stacked spectrograms.
    pub fn gap(&self) -> usize {
        self.zoom
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spectrograms_fit_every_size_and_channel_number() {
        for dim in [32, 64, 256, 479, 480, 1000, 1280, 2048, 8192] {
            for streams in [1, 2, 3, 8, 32, 64] {
                let layout = Layout::new(&Settings { max_image_dim: dim, ..Settings::default() }, streams);
                let text = if layout.axes { 80 * layout.zoom } else { 0 };
                assert!(
                    layout.plot_width + text <= dim as usize && layout.plot_width.is_multiple_of(8),
                    "{dim} {streams}"
                );
                assert!(layout.bands * layout.streams <= 512, "{dim} {streams}: {layout:?}");
                if dim >= 1000 {
                    assert!(layout.plot_height() + 200 * layout.zoom <= dim as usize, "{dim} {streams}: {layout:?}");
                }
            }
        }
    }

    #[test]
    fn the_usual_picture_is_1200_by_512() {
        let layout = Layout::new(&Settings::default(), 1);
        assert_eq!((layout.plot_width, layout.bands, layout.band_height), (1200, 256, 2));
    }
}

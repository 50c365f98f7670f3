//! PNG files and Deflate strips of pictures, read back by other programs' decoders.

use std::io::Read;

use audio_tiff::preview::{Picture, encode_deflate, encode_png};
use proptest::prelude::*;

fn unpng(bytes: &[u8]) -> Picture {
    let image = image::load_from_memory_with_format(bytes, image::ImageFormat::Png).expect("a PNG");
    let image::DynamicImage::ImageRgb8(image) = image else { panic!("8-bit RGB") };
    Picture { width: image.width(), height: image.height(), rgb: image.into_raw() }
}

fn inflated(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    flate2::read::ZlibDecoder::new(bytes).read_to_end(&mut out).expect("a zlib stream");
    out
}

/// Pictures with everything that compresses in one way or another: noise, few colours, equal rows, wide and narrow.
fn pictures() -> impl Strategy<Value = Picture> {
    (1u32..300, 1u32..60, 1u8..=255, 1u32..4, any::<u32>()).prop_map(|(width, height, colors, repeat, seed)| {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) as u8
        };
        let mut rgb: Vec<u8> = Vec::new();
        for row in 0..height {
            if row % repeat > 0 {
                rgb.extend_from_within(rgb.len() - 3 * width as usize..);
            } else {
                let pixel = |shade: u8| [shade, shade.wrapping_mul(7), 255 - shade];
                (0..width).for_each(|_| rgb.extend(pixel(next() % colors)));
            }
        }
        Picture { width, height, rgb }
    })
}

proptest! {
    #[test]
    fn every_picture_comes_back(picture in pictures()) {
        prop_assert_eq!(&unpng(&encode_png(&picture)), &picture);
        prop_assert_eq!(&inflated(&encode_deflate(&picture)), &picture.rgb);
    }
}

#[test]
fn large_and_plain_pictures_come_back() {
    for (width, height) in [(1, 1), (8192, 3), (11_000, 2), (1280, 600)] {
        let mut picture = Picture { width, height, rgb: vec![7; (width * height * 3) as usize] };
        assert_eq!(unpng(&encode_png(&picture)), picture);
        let mut state = 1u32;
        for value in &mut picture.rgb {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *value = (state >> 24) as u8;
        }
        assert_eq!(inflated(&encode_deflate(&picture)), picture.rgb);
        assert_eq!(unpng(&encode_png(&picture)), picture);
    }
}

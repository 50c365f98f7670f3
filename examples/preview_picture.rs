//! Draws the preview of a WAV file: `preview_picture IN.wav OUT.png [option=value …]`.
//!
//! Options: `dim=1280 cmap=magma db=-90,-20 fmin=0 fmax=8000 kind=false-color channels=separate bare=1`, and `repeat=N`, which
//! strings the file N times.

use audio_tiff::preview::{
    Analyzer, ChannelView, ColorMap, DbRange, Kind, Labels, RangeEstimator, Settings, describe, encode_png, render,
    start_from_file_name,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [input, output, options @ ..] = args.as_slice() else {
        return Err("usage: preview_picture IN.wav OUT.png [option=value …]".into());
    };
    let (mut settings, mut repeat) = (Settings::default(), 1);
    for option in options {
        let (name, value) = option.split_once('=').ok_or("options are name=value")?;
        match name {
            "dim" => settings.max_image_dim = value.parse()?,
            "cmap" => settings.color_map = ColorMap::from_name(value).ok_or("no such colour map")?,
            "db" => {
                let (low, high) = value.split_once(',').ok_or("db=LOW,HIGH")?;
                settings.db_range = Some(DbRange::new(low.parse()?, high.parse()?)?);
            }
            "fmin" => settings.fmin = Some(value.parse()?),
            "fmax" => settings.fmax = Some(value.parse()?),
            "kind" if value == "false-color" => settings.kind = Kind::FalseColor,
            "channels" if value == "separate" => settings.channels = ChannelView::Separate,
            "bare" => settings.bare = value == "1",
            "repeat" => repeat = value.parse()?,
            _ => return Err(format!("unknown option {option}").into()),
        }
    }
    let mut reader = hound::WavReader::open(input)?;
    let spec = reader.spec();
    let channels = usize::from(spec.channels);
    let samples: Vec<i32> = match spec.sample_format {
        hound::SampleFormat::Int => reader.samples().collect::<Result<_, _>>()?,
        hound::SampleFormat::Float => {
            let floats: Vec<f32> = reader.samples().collect::<Result<_, _>>()?;
            floats.into_iter().map(|value| (value * 8_388_608.0).clamp(-8_388_608.0, 8_388_607.0) as i32).collect()
        }
    };
    let bits = if spec.sample_format == hound::SampleFormat::Float { 24 } else { spec.bits_per_sample as u8 };
    let planes: Vec<Vec<i32>> =
        (0..channels).map(|channel| samples.iter().skip(channel).step_by(channels).copied().collect()).collect();
    let planes: Vec<&[i32]> = planes.iter().map(Vec::as_slice).collect();
    let mut analyzer = Analyzer::new(spec.sample_rate, channels, bits, &settings)?;
    let started = std::time::Instant::now();
    for _ in 0..repeat {
        analyzer.push(&planes);
    }
    let spectrum = analyzer.finish();
    let analysed = started.elapsed();
    let mut range = RangeEstimator::new();
    range.add(&spectrum.histogram());
    let name = input.rsplit('/').next().unwrap_or(input);
    let labels = Labels {
        source_name: name.into(),
        chunk_count: Some(1),
        format: format!("WAV, {bits} bit"),
        recording_start: start_from_file_name(name),
        ..Labels::default()
    };
    let picture = render(&spectrum, &range.range(), &labels, &settings);
    let png = encode_png(&picture);
    println!("{}", describe(&spectrum, &range.range(), &labels, &settings));
    let hours = spectrum.seconds() / 3600.0;
    let mut parked = Vec::new();
    spectrum.write_to(&mut parked)?;
    println!(
        "{} × {}, {} bytes PNG, {} bytes parked, {:.3} s for {hours:.3} h: {:.3} s per hour; drawn in {:.3} s",
        picture.width,
        picture.height,
        png.len(),
        parked.len(),
        analysed.as_secs_f64(),
        analysed.as_secs_f64() / hours,
        (started.elapsed() - analysed).as_secs_f64(),
    );
    std::fs::write(output, png)?;
    Ok(())
}

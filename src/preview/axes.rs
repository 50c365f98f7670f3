//! Where the ticks of the axes go, and what is written at them.

use super::bands::Scale;
use super::clock::WallClock;

/// Distances in seconds that a person can count by.
const TIME_STEPS: [f64; 33] = [
    0.0001,
    0.0002,
    0.0005,
    0.001,
    0.002,
    0.005,
    0.01,
    0.02,
    0.05,
    0.1,
    0.2,
    0.5,
    1.0,
    2.0,
    5.0,
    10.0,
    15.0,
    30.0,
    60.0,
    120.0,
    300.0,
    600.0,
    900.0,
    1800.0,
    3600.0,
    7200.0,
    10_800.0,
    21_600.0,
    43_200.0,
    86_400.0,
    172_800.0,
    604_800.0,
    2_592_000.0,
];
const DAY: f64 = 86_400.0;

/// A tick: how far along the axis (0 to 1), and its label.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tick {
    pub at: f64,
    pub label: String,
}

/// The smallest round distance of which at most `most` fit into `seconds`.
fn time_step(seconds: f64, most: f64) -> f64 {
    if seconds <= 0.0 {
        return 1.0;
    }
    let fits = TIME_STEPS.into_iter().find(|step| seconds / step <= most);
    fits.unwrap_or_else(|| (seconds / most / DAY).ceil() * DAY)
}

/// Ticks of elapsed time for a chunk of `seconds` that begins `start` seconds into the recording, about `most` of them.
pub(crate) fn elapsed_ticks(start: f64, seconds: f64, most: f64) -> Vec<Tick> {
    let step = time_step(seconds, most);
    ticks_between(start, seconds, step, |time| elapsed_text(time, decimals(step)))
}

/// Ticks at round times of day, the date at midnight.
pub(crate) fn clock_ticks(start: WallClock, seconds: f64, most: f64) -> Vec<Tick> {
    let step = time_step(seconds, most);
    // Counted from the midnight before the start, so that ticks lie on round times of day.
    ticks_between(start.seconds_of_day(), seconds, step, |time| {
        let days = (time / DAY).floor();
        let within = time - days * DAY;
        let midnight = start.plus_seconds(days * DAY);
        match midnight.filter(|_| within < 1e-6) {
            Some(midnight) => midnight.date_text(),
            None if step >= 60.0 => {
                elapsed_text(within, 0).rsplit_once(':').map_or_else(String::new, |(text, _)| pad(text))
            }
            None => pad(&elapsed_text(within, decimals(step))),
        }
    })
}

/// Two digits for the hours.
fn pad(text: &str) -> String {
    if text.find(':') == Some(1) { format!("0{text}") } else { text.to_owned() }
}

fn ticks_between(start: f64, seconds: f64, step: f64, label: impl Fn(f64) -> String) -> Vec<Tick> {
    if seconds.partial_cmp(&0.0) != Some(std::cmp::Ordering::Greater) {
        return vec![Tick { at: 0.0, label: label(start) }];
    }
    // A tick that rounding has put just outside belongs to the picture.
    let slack = seconds * 1e-9;
    let first = ((start - slack) / step).ceil();
    let last = ((start + seconds + slack) / step).floor();
    let count = (last - first).clamp(-1.0, 1000.0) as i64 + 1;
    let times = (0..count).map(|i| (first + i as f64) * step);
    times.map(|time| Tick { at: ((time - start) / seconds).clamp(0.0, 1.0), label: label(time) }).collect()
}

fn decimals(step: f64) -> usize {
    [1.0, 0.1, 0.01, 0.001].iter().position(|unit| step >= unit * 0.999).unwrap_or(4)
}

/// Seconds (those below 0 as 0) as `h:mm:ss`, rounded to that many decimals, at most 9.
pub fn elapsed_text(seconds: f64, decimals: usize) -> String {
    let unit = 10u64.pow(decimals.min(9) as u32);
    let units = (seconds.max(0.0) * unit as f64).round() as u64;
    let whole = units / unit;
    let text = format!("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
    if decimals == 0 { text } else { format!("{text}.{:0decimals$}", units % unit) }
}

/// Ticks at round frequencies between `fmin` and `fmax` Hz, at least `apart` (share of the axis) from one another; `at`
/// counts from the bottom. Labels are kHz without the unit.
pub(crate) fn frequency_ticks(scale: Scale, fmin: f64, fmax: f64, apart: f64) -> Vec<Tick> {
    let (low, high) = (scale.position(fmin), scale.position(fmax));
    let place = |hz: f64| (scale.position(hz) - low) / (high - low);
    let mut taken: Vec<f64> = Vec::new();
    let add = |taken: &mut Vec<f64>, hz: f64, apart: f64| {
        let at = place(hz);
        if (-1e-9..=1.0 + 1e-9).contains(&at) && taken.iter().all(|other| (place(*other) - at).abs() >= apart) {
            taken.push(hz);
        }
    };
    match scale {
        Scale::Linear => {
            let span = fmax - fmin;
            let mut unit = 1e-3;
            let mut step = f64::INFINITY;
            while unit <= 1e9 && step.is_infinite() {
                step = [1.0, 2.0, 5.0]
                    .into_iter()
                    .map(|n| n * unit)
                    .find(|step| step / span >= apart * 1.5)
                    .unwrap_or(step);
                unit *= 10.0;
            }
            let (first, last) = ((fmin / step).ceil(), (fmax / step).floor());
            (0..=((last - first).clamp(0.0, 1000.0) as u32))
                .for_each(|i| add(&mut taken, (first + f64::from(i)) * step, apart));
        }
        Scale::Mel => {
            // The roundest first; finer ones only where there is plenty of room.
            let decades = [10.0, 100.0, 1000.0, 10_000.0];
            let rounds: [(&[f64], f64); 4] =
                [(&[10.0], 1.0), (&[2.0, 5.0], 1.0), (&[3.0, 4.0, 7.0], 1.4), (&[1.5, 2.5, 6.0, 8.0], 1.6)];
            add(&mut taken, 1000.0, apart);
            add(&mut taken, fmin, apart);
            for (numbers, room) in rounds {
                for decade in decades {
                    numbers.iter().for_each(|n| add(&mut taken, n * decade, apart * room));
                }
            }
            // A narrow range may hold none of these.
            let mut step = 1000.0;
            while taken.len() < 3 && step > 1e-3 {
                let first = (fmin / step).ceil();
                (0..20).for_each(|i| add(&mut taken, (first + f64::from(i)) * step, apart));
                step /= 10.0;
            }
        }
    }
    // The end of the axis, where its number is short enough to stand beside the unit.
    if kilohertz(fmax).len() <= 3 {
        add(&mut taken, fmax, apart);
    }
    taken.sort_by(f64::total_cmp);
    taken.into_iter().map(|hz| Tick { at: place(hz).clamp(0.0, 1.0), label: kilohertz(hz) }).collect()
}

/// Hz as kHz, with as many decimals as it takes, at most four.
pub(crate) fn kilohertz(hz: f64) -> String {
    let text = format!("{:.4}", hz / 1000.0);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(ticks: &[Tick]) -> Vec<&str> {
        ticks.iter().map(|tick| tick.label.as_str()).collect()
    }

    #[test]
    fn six_hours_have_a_tick_every_half_hour() {
        let ticks = elapsed_ticks(0.0, 21_600.0, 15.0);
        assert_eq!(ticks.len(), 13);
        assert_eq!(labels(&ticks)[..3], ["0:00:00", "0:30:00", "1:00:00"]);
        assert_eq!(ticks[12], Tick { at: 1.0, label: "6:00:00".into() });
    }

    #[test]
    fn later_chunks_count_on_from_the_recordings_start() {
        assert_eq!(labels(&elapsed_ticks(21_600.0, 21_600.0, 15.0))[..2], ["6:00:00", "6:30:00"]);
        assert_eq!(labels(&elapsed_ticks(100.1, 1.0, 15.0))[..2], ["0:01:40.1", "0:01:40.2"]);
    }

    #[test]
    fn clocks_have_round_times_of_day_and_the_date_at_midnight() {
        let start = WallClock::new(2019, 5, 31, 22, 47, 10).expect("valid");
        let ticks = clock_ticks(start, 7200.0, 15.0);
        assert_eq!(labels(&ticks)[..2], ["22:50", "23:00"]);
        assert!(labels(&ticks).contains(&"2019-06-01") && labels(&ticks).contains(&"00:10"));
        let morning = WallClock::new(2019, 5, 31, 4, 0, 0).expect("valid");
        assert_eq!(labels(&clock_ticks(morning, 10.0, 15.0))[..2], ["04:00:00", "04:00:01"]);
    }

    #[test]
    fn frequencies_are_round_and_do_not_touch() {
        for (scale, fmin, fmax) in [
            (Scale::Mel, 0.0, 22_050.0),
            (Scale::Mel, 0.0, 500.0),
            (Scale::Mel, 2000.0, 2100.0),
            (Scale::Linear, 0.0, 192_000.0),
            (Scale::Linear, 0.0, 500_000.0),
            (Scale::Linear, 20_000.0, 21_000.0),
        ] {
            let ticks = frequency_ticks(scale, fmin, fmax, 0.03);
            assert!(ticks.len() >= 3 && ticks.len() <= 34, "{fmin}–{fmax}: {ticks:?}");
            assert!(ticks.windows(2).all(|pair| pair[1].at - pair[0].at >= 0.0299), "{fmin}–{fmax}: {ticks:?}");
        }
        let ticks = frequency_ticks(Scale::Mel, 0.0, 22_050.0, 0.03);
        assert_eq!(labels(&frequency_ticks(Scale::Mel, 2000.0, 9000.0, 0.03)).last(), Some(&"9"));
        assert_eq!(labels(&frequency_ticks(Scale::Mel, 0.0, 24_000.0, 0.03)).last(), Some(&"24"));
        for label in ["0", "1", "2", "5", "10", "20"] {
            assert!(labels(&ticks).contains(&label), "{label} in {ticks:?}");
        }
        assert!(labels(&frequency_ticks(Scale::Linear, 0.0, 192_000.0, 0.03)).contains(&"100"));
    }

    #[test]
    fn low_sample_rates_have_ticks_all_the_way_down() {
        let ticks = frequency_ticks(Scale::Mel, 0.0, 500.0, 0.03);
        for label in ["0", "0.02", "0.05", "0.1", "0.2", "0.5"] {
            assert!(labels(&ticks).contains(&label), "{label} in {ticks:?}");
        }
    }

    #[test]
    fn nothing_to_show_still_has_a_tick() {
        assert_eq!(labels(&elapsed_ticks(0.0, 0.0, 10.0)), ["0:00:00"]);
        assert!(!elapsed_ticks(0.0, 1e-6, 10.0).is_empty());
        assert!(elapsed_ticks(0.0, 1e9, 10.0).len() <= 12);
    }
}

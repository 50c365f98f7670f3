//! GUANO, the metadata of bat recorders (specification 1.0): lines of "Key: Value" in UTF-8, keys with a "Namespace|" before
//! them where a maker adds its own.

use super::Origin;
use super::collect::Collector;
use super::time::Stamp;

const ORIGIN: Origin = Origin::Guano;

/// Takes over the contents of a `guan` chunk.
pub(super) fn read(text: &str, collector: &mut Collector) {
    for line in text.lines() {
        let Some((key, value)) = line.split_once(':') else { continue };
        let (key, value) = (key.trim(), value.trim());
        if key.is_empty() || value.is_empty() {
            continue;
        }
        // A line feed inside a value is written as the two characters "\n".
        let value = value.replace("\\n", "\n");
        match common(key) {
            Some(common) => collector.add_common(ORIGIN, key, &value, common),
            None => collector.add(ORIGIN, key, &value),
        };
        match key {
            "Timestamp" => {
                if let Some(stamp) = Stamp::parse(&value) {
                    collector.offer(ORIGIN, "date", &stamp.iso());
                    collector.offer_time(ORIGIN, &stamp);
                }
            }
            "Loc Position" => {
                if let Some((latitude, longitude)) = position(&value) {
                    collector.offer(ORIGIN, "latitude", latitude);
                    collector.offer(ORIGIN, "longitude", longitude);
                }
            }
            "Temperature Ext" | "Temperature Int" => collector.offer(ORIGIN, "temperature", &format!("{value} °C")),
            "Humidity" => collector.offer(ORIGIN, "humidity", &format!("{value} %")),
            "OAD|Battery Voltage" => collector.offer(ORIGIN, "battery", &format!("{value} V")),
            _ => {}
        }
    }
    device(text, collector);
}

/// The common key under which a value goes as it is.
fn common(key: &str) -> Option<&'static str> {
    Some(match key {
        "Note" => "note",
        "Serial" => "serial",
        "Firmware Version" => "firmware",
        "Loc Elevation" => "elevation",
        "Species Manual ID" => "species",
        "Tags" => "keywords",
        _ => return None,
    })
}

/// Make and model together name the device.
fn device(text: &str, collector: &mut Collector) {
    let value = |wanted: &str| {
        text.lines()
            .find_map(|line| line.split_once(':').filter(|(key, _)| key.trim() == wanted))
            .map(|(_, v)| v.trim())
    };
    let device: Vec<&str> = ["Make", "Model"].into_iter().filter_map(value).filter(|v| !v.is_empty()).collect();
    collector.offer(ORIGIN, "device", &device.join(" "));
}

/// "latitude longitude" in degrees, WGS 84.
pub(super) fn position(text: &str) -> Option<(&str, &str)> {
    let mut numbers = text.split([' ', ',']).filter(|n| !n.is_empty());
    let (latitude, longitude) = (numbers.next()?, numbers.next()?);
    let within = |text: &str, most: f64| text.parse::<f64>().is_ok_and(|n| n.abs() <= most);
    (numbers.next().is_none() && within(latitude, 90.0) && within(longitude, 180.0)).then_some((latitude, longitude))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_a_bat_recorder() {
        let text = "GUANO|Version: 1.0\r\nMake: Wildlife Acoustics, Inc.\r\nModel: SM4BAT-FS\nSerial: S4U01234\n\
                    Timestamp: 2020-06-01T21:15:07.5-04:00\nLoc Position: 47.1234 -122.5\nLoc Elevation: 123\n\
                    Note: first\\nsecond\nWA|Song Meter|Prefix: X:1\nTemperature Int: 18.5\nbroken line\nEmpty:\n";
        let mut collector = Collector::default();
        read(text, &mut collector);
        let tags = collector.finish();
        assert_eq!(tags.common["device"], "Wildlife Acoustics, Inc. SM4BAT-FS");
        assert_eq!((tags.common["latitude"].as_str(), tags.common["longitude"].as_str()), ("47.1234", "-122.5"));
        assert_eq!(tags.common["note"], "first\nsecond");
        assert_eq!(tags.common["temperature"], "18.5 °C");
        assert_eq!(tags.recorded.unwrap().iso8601, "2020-06-01T21:15:07.5-04:00");
        assert!(tags.fields.iter().any(|f| f.key == "WA|Song Meter|Prefix" && f.value == "X:1"));
        assert_eq!(tags.fields.len(), 10);
    }

    #[test]
    fn a_position_must_be_one() {
        assert_eq!(position("47.1, -122.5"), Some(("47.1", "-122.5")));
        for wrong in ["91 0", "0 181", "1", "1 2 3", "north west"] {
            assert_eq!(position(wrong), None, "{wrong}");
        }
    }
}

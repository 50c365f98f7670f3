//! The small value types of the manifest: checksums, numbers, raw JSON, unknown keys.

use std::fmt::{self, Write};
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// A SHA-256; as text, 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sha256Sum(pub [u8; 32]);

impl Sha256Sum {
    /// The checksum of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Sha256Sum(Sha256::digest(bytes).into())
    }

    /// The checksum with these bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Sha256Sum(bytes)
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The checksum that a hasher has come to.
    pub fn finish(hasher: Sha256) -> Self {
        Sha256Sum(hasher.finalize().into())
    }
}

impl fmt::Display for Sha256Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble & 15)]);
        self.0.iter().try_for_each(|&byte| {
            f.write_char(digit(byte >> 4))?;
            f.write_char(digit(byte))
        })
    }
}

impl fmt::Debug for Sha256Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Sha256Sum {
    type Err = Error;

    /// Takes upper-case digits too.
    fn from_str(text: &str) -> Result<Self> {
        let bad = || Error::malformed("a SHA-256 is 64 hexadecimal digits");
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return Err(bad());
        }
        let digit = |d: u8| char::from(d).to_digit(16).map(|d| d as u8).ok_or_else(bad);
        let mut sum = [0; 32];
        for (byte, pair) in sum.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Ok(Sha256Sum(sum))
    }
}

impl Serialize for Sha256Sum {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sha256Sum {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Sha256Sum;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a SHA-256 as 64 hexadecimal digits")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Sha256Sum, E> {
                text.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// A number that is written as an integer where it is one, else as the shortest decimal that reads back the same.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub struct Real(f64);

/// Integers below this are exact as f64.
const EXACT: f64 = 9_007_199_254_740_992.0;

impl Real {
    /// `None` for NaN and infinities, which JSON does not have.
    pub fn new(value: f64) -> Option<Real> {
        value.is_finite().then_some(Real(value))
    }

    /// `start_sample / sample_rate`: exact where the quotient is whole, else the nearest f64. `rate` in Hz, above 0.
    pub fn seconds(start_sample: u64, rate: Real) -> Option<Real> {
        let whole = rate.0 as u64;
        if whole > 0 && whole as f64 == rate.0 && start_sample.is_multiple_of(whole) {
            return Real::new((start_sample / whole) as f64);
        }
        Real::new(start_sample as f64 / rate.0)
    }

    /// The number.
    pub fn get(self) -> f64 {
        self.0
    }

    /// The number where it is a whole one from 0 to 2^53.
    pub fn as_integer(self) -> Option<u64> {
        (self.0.fract() == 0.0 && (0.0..EXACT).contains(&self.0)).then_some(self.0 as u64)
    }
}

impl From<u32> for Real {
    fn from(value: u32) -> Self {
        Real(value.into())
    }
}

impl fmt::Display for Real {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Serialize for Real {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.fract() == 0.0 && self.0.abs() < EXACT {
            serializer.serialize_i64(self.0 as i64)
        } else {
            serializer.serialize_f64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Real {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = f64::deserialize(deserializer)?;
        Real::new(value).ok_or_else(|| de::Error::custom("a number beyond the range of numbers"))
    }
}

/// Any JSON value, held as the text it was read from: exact, and no larger in memory than in the file.
#[derive(Debug, Clone)]
pub struct JsonText(Box<RawValue>);

impl JsonText {
    /// From a value; compact, keys in their order.
    pub fn new(value: &Value) -> Self {
        // A `Value` always has a JSON form; null stands in for the error that cannot be.
        JsonText(serde_json::value::to_raw_value(value).unwrap_or_else(|_| RawValue::NULL.to_owned()))
    }

    /// The JSON text.
    pub fn text(&self) -> &str {
        self.0.get()
    }

    /// As a value; `None` where it is nested deeper than 127 levels.
    pub fn value(&self) -> Option<Value> {
        serde_json::from_str(self.text()).ok()
    }

    /// As an object; empty where it is none.
    pub fn object(&self) -> Map<String, Value> {
        serde_json::from_str(self.text()).unwrap_or_default()
    }
}

impl PartialEq for JsonText {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl From<Map<String, Value>> for JsonText {
    fn from(map: Map<String, Value>) -> Self {
        JsonText::new(&Value::Object(map))
    }
}

impl Serialize for JsonText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for JsonText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(JsonText)
    }
}

/// The keys of an object that this version does not know, in their order, values untouched.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Extra(Vec<(Box<str>, JsonText)>);

impl Extra {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&JsonText> {
        self.0.iter().find(|(k, _)| &**k == key).map(|(_, value)| value)
    }

    /// Puts a value under a key, in the place of an earlier one or at the end.
    pub fn put(&mut self, key: &str, value: JsonText) {
        match self.0.iter_mut().find(|(k, _)| &**k == key) {
            Some((_, old)) => *old = value,
            None => self.0.push((key.into(), value)),
        }
    }

    /// Adds a key read from a file, where a key may stand twice and both are kept.
    pub(super) fn push(&mut self, key: String, value: JsonText) {
        self.0.push((key.into_boxed_str(), value));
    }

    /// Keys and values in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &JsonText)> {
        self.0.iter().map(|(key, value)| (&**key, value))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_lower_case_and_read_in_either_case() {
        let sum = Sha256Sum::of(b"abc");
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sum.to_string(), text);
        assert_eq!(text.to_uppercase().parse::<Sha256Sum>().unwrap(), sum);
        for bad in ["", "ab", &text[1..], &format!("{text}0"), &text.replace('b', "g"), &"é".repeat(32)] {
            assert!(bad.parse::<Sha256Sum>().is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_are_integers_where_they_can_be() {
        let text = |n: Real| serde_json::to_string(&n).unwrap();
        assert_eq!(text(Real::from(21600)), "21600");
        assert_eq!(text(Real::new(0.5).unwrap()), "0.5");
        assert_eq!(text(Real::new(-12.25).unwrap()), "-12.25");
        assert_eq!(text(Real::seconds(u64::from(u32::MAX) * 48_000, Real::from(48_000)).unwrap()), "4294967295");
        assert_eq!(text(Real::seconds(1, Real::from(3)).unwrap()), "0.3333333333333333");
        assert_eq!(
            text(Real::seconds(44_100, Real::new(22_050.5).unwrap()).unwrap()),
            format!("{}", 44_100.0 / 22_050.5)
        );
        assert!(Real::seconds(1, Real::from(0)).is_none());
        assert!(Real::new(f64::NAN).is_none());
        assert_eq!(serde_json::from_str::<Real>("21600.0").unwrap().as_integer(), Some(21600));
    }
}

//! Metadata that a user gives: `key=value` on the command line, and a file with values for many sources, as JSON or CSV.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::Path;

use crate::error::{Error, ErrorKind, Result};

use super::text::clean;
use super::time::Stamp;
use super::unique::Unique;
use super::{MAX_FIELDS, MAX_VALUE};

/// The most bytes of a metadata file.
const MAX_FILE: u64 = 64 << 20;

/// The most characters of a key.
const MAX_KEY: usize = 64;

/// What the column or key that names the source may be called.
const SOURCE_NAMES: [&str; 4] = ["file", "source", "path", "filename"];

/// Takes a `key=value` argument apart.
///
/// Keys are 1 to 64 letters, digits and "_-.: "; what stands behind the first "=" is the value, with control characters taken
/// out. The value of "recorded" is a date, maybe with a time and an offset, and comes out as ISO 8601; "latitude" and "longitude"
/// are decimal degrees.
///
/// # Errors
/// `Usage`, with what is wrong.
pub fn parse_meta_arg(argument: &str) -> Result<(String, String)> {
    let usage = |why: String| Error::new(ErrorKind::Usage, why);
    let Some((key, value)) = argument.split_once('=') else {
        return Err(usage(format!("{argument:?} has no \"=\": write key=value, for example speaker=\"Ada Lovelace\"")));
    };
    let key = check_key(key).map_err(|why| usage(format!("{argument:?}: {why}")))?;
    let value = check_value(&key, value).map_err(|why| usage(format!("{key}: {why}")))?;
    Ok((key, value))
}

fn check_key(key: &str) -> Result<String, String> {
    let key = key.trim();
    if key.is_empty() {
        return Err("the key is empty".to_owned());
    }
    if key.chars().count() > MAX_KEY {
        return Err(format!("the key is longer than {MAX_KEY} characters"));
    }
    match key.chars().find(|c| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | ' '))) {
        Some(c) => Err(format!("the key {key:?} has the character {c:?}; letters, digits and \"_-.: \" are allowed")),
        None => Ok(key.to_owned()),
    }
}

fn check_value(key: &str, value: &str) -> Result<String, String> {
    let value = clean(value);
    if key.eq_ignore_ascii_case("recorded") {
        return Stamp::parse(&value).map(|stamp| stamp.iso()).ok_or_else(|| {
            format!(
                "{value:?} is no date and time: write 2026-05-01T04:30:00, with +02:00 or Z behind it where that is known, \
                 or less of it; words belong under another key, such as date"
            )
        });
    }
    let most = match key.to_ascii_lowercase().as_str() {
        "latitude" => 90.0,
        "longitude" => 180.0,
        _ => f64::INFINITY,
    };
    if most.is_finite() && !value.parse::<f64>().is_ok_and(|degrees| degrees.abs() <= most) {
        return Err(format!("{value:?} is no number from -{most} to {most}: write decimal degrees, such as 50.94"));
    }
    if value.len() > MAX_VALUE {
        return Err(format!("the value has {} bytes; at most {MAX_VALUE} are allowed", value.len()));
    }
    Ok(value)
}

/// Values for many sources, read from one file.
///
/// Sources are named by their path relative to the input (with "/" or "\"), by their file name alone, or by a pattern in which
/// "*" stands for any characters and "?" for one. What is named more exactly wins: the path over the file name, that over a
/// pattern, a later pattern over an earlier one. Two different values for one key of one name are an error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MetadataFile {
    paths: BTreeMap<String, BTreeMap<String, String>>,
    names: BTreeMap<String, BTreeMap<String, String>>,
    patterns: Vec<(String, BTreeMap<String, String>)>,
}

impl MetadataFile {
    /// Reads a metadata file: JSON where it begins with "{" or "[", else CSV.
    ///
    /// JSON is an object `{"relative/path.wav": {"key": "value"}, "*": {…}}`, or a list of objects each with one of the keys
    /// `file`, `source`, `path` or `filename`. CSV has a header row whose first column is called one of these; the
    /// separator is a comma, semicolon or tab, whichever the header row uses; empty cells are left out.
    ///
    /// # Errors
    /// `Io`, `Limit` (over 64 MiB), and `Malformed` or `Usage` with line and reason.
    pub fn read(path: &Path) -> Result<Self> {
        let size = fs::metadata(path).map_err(Error::while_("reading", path))?.len();
        if size > MAX_FILE {
            return Err(Error::limit(format!("{size} bytes; a metadata file may have {MAX_FILE}")).at_path(path));
        }
        let bytes = fs::read(path).map_err(Error::while_("reading", path))?;
        Self::parse(&bytes).map_err(|e| e.at_path(path))
    }

    /// The same from bytes in memory.
    ///
    /// # Errors
    /// As [`read`](Self::read), without those of reading.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let text = std::str::from_utf8(bytes).map_err(|e| {
            let line = 1 + bytes[..e.valid_up_to()].iter().filter(|&&b| b == b'\n').count();
            Error::malformed(format!("line {line}: this is not UTF-8 text; save the file as UTF-8"))
        })?;
        let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
        if text.trim_start().starts_with(['{', '[']) { Self::parse_json(text) } else { Self::parse_csv(text) }
    }

    fn parse_json(text: &str) -> Result<Self> {
        // The reader's own message ends with line and column.
        let Unique(value) =
            serde_json::from_str(text).map_err(|e| Error::malformed(format!("line {}: {e}", e.line())))?;
        let mut file = MetadataFile::default();
        match value {
            serde_json::Value::Object(sources) => {
                for (source, values) in sources {
                    let serde_json::Value::Object(values) = values else {
                        return Err(Error::malformed(format!(
                            "{source:?}: an object of keys and values is wanted here"
                        )));
                    };
                    let values =
                        json_values(values, None).map_err(|why| Error::malformed(format!("{source:?}: {why}")))?;
                    file.add(&source, values).map_err(|why| Error::malformed(format!("{source:?}: {why}")))?;
                }
            }
            serde_json::Value::Array(entries) => {
                for (i, entry) in entries.into_iter().enumerate() {
                    let wrong = |why: &str| Error::malformed(format!("entry {}: {why}", i + 1));
                    let serde_json::Value::Object(entry) = entry else { return Err(wrong("an object is wanted here")) };
                    let name = entry.iter().find(|(key, _)| is_source_name(key));
                    let Some((key, serde_json::Value::String(source))) = name else {
                        return Err(wrong("it names no source; give it a \"file\""));
                    };
                    let (key, source) = (key.clone(), source.clone());
                    let values = json_values(entry, Some(&key)).map_err(|why| wrong(&why))?;
                    file.add(&source, values).map_err(|why| wrong(&format!("{source:?}: {why}")))?;
                }
            }
            _ => return Err(Error::malformed("an object or a list is wanted")),
        }
        Ok(file)
    }

    fn parse_csv(text: &str) -> Result<Self> {
        let header = text.lines().next().unwrap_or("");
        let count = |c: char| header.matches(c).count();
        let separator = [',', ';', '\t'].into_iter().rev().max_by_key(|&c| count(c)).unwrap_or(',');
        let mut reader =
            csv::ReaderBuilder::new().delimiter(separator as u8).trim(csv::Trim::All).from_reader(text.as_bytes());
        if let Some(line) = open_quote(text, separator) {
            return Err(Error::malformed(format!("line {line}: the quote that begins a value here is never closed")));
        }
        let names = reader.headers().map_err(csv_error)?.clone();
        if !names.get(0).is_some_and(is_source_name) {
            let first = names.get(0).unwrap_or("");
            return Err(Error::malformed(format!(
                "line 1: the first column is called {first:?}; it must be called \"file\" and name the sources"
            )));
        }
        let mut keys = Vec::new();
        for name in names.iter().skip(1) {
            let key = check_key(name).map_err(|why| Error::malformed(format!("line 1: {why}")))?;
            if keys.contains(&key) {
                return Err(Error::malformed(format!("line 1: two columns are called {key:?}")));
            }
            keys.push(key);
        }
        let mut file = MetadataFile::default();
        for record in reader.records() {
            let record = record.map_err(csv_error)?;
            let line = record.position().map_or(0, csv::Position::line);
            let source = record.get(0).unwrap_or("");
            if source.is_empty() {
                return Err(Error::malformed(format!(
                    "line {line}: the first column, which names the source, is empty"
                )));
            }
            let mut values = BTreeMap::new();
            for (key, value) in keys.iter().zip(record.iter().skip(1)).filter(|(_, value)| !value.is_empty()) {
                let wrong = |why| Error::malformed(format!("line {line}: {key}: {why}"));
                let value = check_value(key, value).map_err(wrong)?;
                values.insert(key.clone(), value);
            }
            let twice = |why| Error::malformed(format!("line {line}: {source:?}: {why}"));
            file.add(source, values).map_err(twice)?;
        }
        Ok(file)
    }

    /// Takes values in. Which of two different ones is meant for the same source cannot be told.
    fn add(&mut self, source: &str, values: BTreeMap<String, String>) -> Result<(), String> {
        let source = normal(source);
        let place = if source.contains(['*', '?']) {
            self.patterns.push((source, BTreeMap::new()));
            match self.patterns.last_mut() {
                Some((_, place)) => place,
                None => return Ok(()),
            }
        } else if source.contains('/') {
            self.paths.entry(source).or_default()
        } else {
            self.names.entry(source).or_default()
        };
        for (key, value) in values {
            if let Some(before) = place.insert(key.clone(), value.clone()).filter(|before| *before != value) {
                return Err(format!("{key} is {value:?} here and {before:?} further up, for the same source"));
            }
        }
        Ok(())
    }

    /// The values for the source at `relative`, its path relative to the input.
    pub fn lookup(&self, relative: &Path) -> BTreeMap<String, String> {
        let path = normal(&relative.to_string_lossy());
        let name = path.rsplit('/').next().unwrap_or(&path);
        let mut values = BTreeMap::new();
        for (pattern, more) in &self.patterns {
            let against = if pattern.contains('/') { path.as_str() } else { name };
            if glob_matches(pattern, against) {
                values.extend(more.clone());
            }
        }
        for more in [self.names.get(name), self.paths.get(&path)].into_iter().flatten() {
            values.extend(more.clone());
        }
        values
    }

    /// The sources that are named exactly (not by a pattern) and are none of `known`, so that a misspelt name is noticed.
    pub fn unmatched<'a>(&'a self, known: impl Iterator<Item = &'a Path>) -> Vec<&'a str> {
        let known: HashSet<String> = known.map(|path| normal(&path.to_string_lossy())).collect();
        let known_names: HashSet<&str> = known.iter().filter_map(|path| path.rsplit('/').next()).collect();
        let paths = self.paths.keys().filter(|path| !known.contains(*path));
        let names = self.names.keys().filter(|name| !known_names.contains(name.as_str()));
        paths.chain(names).map(String::as_str).collect()
    }
}

/// The line of a quote that begins a value and is not closed up to the end, so that all behind it would be one value.
fn open_quote(text: &str, separator: char) -> Option<usize> {
    let (mut line, mut opened, mut at_start) = (1, None, true);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, opened) {
            // Two of them are one that belongs to the value.
            ('"', Some(_)) if chars.next_if_eq(&'"').is_none() => opened = None,
            ('"', None) if at_start => opened = Some(line),
            _ => {}
        }
        line += usize::from(c == '\n');
        at_start = opened.is_none() && (c == separator || c == '\n' || c == '\r');
    }
    opened
}

fn is_source_name(name: &str) -> bool {
    SOURCE_NAMES.contains(&name.trim().to_ascii_lowercase().as_str())
}

fn csv_error(error: csv::Error) -> Error {
    let line = error.position().map_or(0, csv::Position::line);
    match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => Error::malformed(format!(
            "line {line}: {len} columns where the header row has {expected_len}; put values with separators into quotes"
        )),
        _ => Error::malformed(format!("line {line}: {error}")),
    }
}

/// Values of an object as texts, without the one under `except`.
fn json_values(
    object: serde_json::Map<String, serde_json::Value>,
    except: Option<&str>,
) -> Result<BTreeMap<String, String>, String> {
    let mut values = BTreeMap::new();
    for (key, value) in object {
        if except == Some(key.as_str()) || value.is_null() {
            continue;
        }
        let key = check_key(&key)?;
        let text = match value {
            serde_json::Value::Array(list) => {
                let texts: Result<Vec<String>, String> = list.into_iter().map(|v| scalar(&key, v)).collect();
                texts?.join("; ")
            }
            other => scalar(&key, other)?,
        };
        values.insert(key.clone(), check_value(&key, &text).map_err(|why| format!("{key}: {why}"))?);
        if values.len() > MAX_FIELDS {
            return Err(format!("more than {MAX_FIELDS} keys"));
        }
    }
    Ok(values)
}

fn scalar(key: &str, value: serde_json::Value) -> Result<String, String> {
    match value {
        serde_json::Value::String(text) => Ok(text),
        serde_json::Value::Number(number) => Ok(number.to_string()),
        serde_json::Value::Bool(yes) => Ok(yes.to_string()),
        _ => Err(format!("{key}: a text, a number, true or false, or a list of these is wanted")),
    }
}

/// A path with "/" between its parts, and nothing before the first.
fn normal(path: &str) -> String {
    let path = path.trim().replace('\\', "/");
    let mut rest = path.as_str();
    while let Some(shorter) = rest.strip_prefix("./").or_else(|| rest.strip_prefix('/')) {
        rest = shorter;
    }
    rest.to_owned()
}

/// Whether `text` fits a pattern of "*" and "?", in time proportional to the product of their lengths at worst.
pub fn glob_matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&c) if c == '?' || c == text[t] => (p, t) = (p + 1, t + 1),
            _ => match star {
                // The last star takes one character more.
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    (p, t) = (at + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(file: &MetadataFile, path: &str) -> Vec<String> {
        file.lookup(Path::new(path)).into_iter().map(|(k, v)| format!("{k}={v}")).collect()
    }

    #[test]
    fn an_argument_is_split_at_its_first_equals_sign() {
        assert_eq!(parse_meta_arg("rights=CC = BY\r\n4.0").unwrap(), ("rights".to_owned(), "CC = BY\n4.0".to_owned()));
        assert_eq!(parse_meta_arg("ort=").unwrap().1, "");
        for wrong in ["speaker", "=x", " =x", "a/b=x", &format!("{}=x", "k".repeat(65))] {
            assert_eq!(parse_meta_arg(wrong).unwrap_err().kind(), ErrorKind::Usage, "{wrong}");
        }
    }

    #[test]
    fn the_more_exact_name_wins() {
        let json = r#"{"*": {"rights": "all", "place": "here"}, "a.wav": {"place": "name", "n": 3},
                       "day1/a.wav": {"place": "path", "tags": ["x", "y"]}, "day?/*.wav": {"p": true}}"#;
        let file = MetadataFile::parse(json.as_bytes()).unwrap();
        assert_eq!(values(&file, "day1/a.wav"), ["n=3", "p=true", "place=path", "rights=all", "tags=x; y"]);
        assert_eq!(values(&file, "other/a.wav"), ["n=3", "place=name", "rights=all"]);
        assert_eq!(values(&file, r"day1\b.wav"), ["p=true", "place=here", "rights=all"]);
        assert_eq!(file.unmatched([Path::new("x/a.wav")].into_iter()), ["day1/a.wav"]);
    }

    #[test]
    fn a_list_and_a_table_say_the_same() {
        let json = r#"[{"file": "a.wav", "speaker": "Ada", "place": null}, {"path": "d/b.wav", "speaker": "Bo, jr."}]"#;
        let csv = "\u{FEFF}File,speaker,place\r\na.wav,Ada,\r\nd/b.wav,\"Bo, jr.\",\r\n";
        let tabs = "source\tspeaker\nd\\b.wav\tBo, jr.\na.wav\tAda\n";
        let semicolons = "path;speaker\n./a.wav;Ada\n d/b.wav ; Bo, jr. \n";
        let expected = MetadataFile::parse(json.as_bytes()).unwrap();
        for text in [csv, tabs, semicolons] {
            assert_eq!(MetadataFile::parse(text.as_bytes()).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn errors_name_the_line() {
        let cases = [
            ("file,a\nx.wav,1\ny.wav,1,2\n", "line 3"),
            ("name,a\n", "line 1"),
            ("file,a,a\n", "line 1"),
            ("file,a/b\n", "line 1"),
            ("file,a\nx.wav,1\n,2\n", "line 3"),
            ("{\n\"a\": {\n\"b\": }\n", "line 3"),
            ("{\"a\": 1}", "\"a\""),
            ("{\"a\": {\"b\": 1},\n\"a\": {\"c\": 1}}", "line 2: \"a\" stands here a second time"),
            ("{\"a\": {\"b\": 1,\n\"b\": 2}}", "line 2: \"b\" stands here a second time"),
            ("[{\"x\": 1}]", "entry 1"),
            ("{\"a\": {\"b\": {}}}", "b: "),
        ];
        for (text, expected) in cases {
            let message = MetadataFile::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(message.contains(expected), "{text:?}: {message}");
        }
        assert!(MetadataFile::parse(b"file,a\nx,\xFF\n").unwrap_err().to_string().contains("line 2"));
        assert!(MetadataFile::parse("[".repeat(100_000).as_bytes()).is_err());
    }

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (pattern, text, fits) in [
            ("*", "", true),
            ("*.wav", "a.wav", true),
            ("*.wav", "a.wave", false),
            ("a?c*", "abcd", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false),
            ("?", "", false),
            ("ü*", "ürg", true),
        ] {
            assert_eq!(glob_matches(pattern, text), fits, "{pattern} {text}");
        }
        assert!(!glob_matches(&"*a".repeat(200), &"a".repeat(150)));
    }

    #[test]
    fn what_would_be_lost_in_silence_is_an_error() {
        let told = |text: &str| MetadataFile::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(told("file,title\na.wav,x\na.wav,y\n").contains("line 3: \"a.wav\": title is \"y\" here and \"x\""));
        assert!(told(r#"[{"file":"a.wav","title":"x"},{"file":"a.wav","title":"y"}]"#).contains("entry 2"));
        assert!(told("file,title\na.wav,\"x\"\nb.wav,\"y\nc.wav,z\n").contains("line 3: the quote"));
        assert!(told("file,latitude\na.wav,50°56'N\n").contains("line 2: latitude: "));
        assert!(told("file,longitude\na.wav,181\n").contains("line 2: longitude: "));
        assert!(parse_meta_arg("latitude=north").is_err() && parse_meta_arg("latitude=-12.5").is_ok());
        let well = "file,title,reel\na.wav,\"say \"\"x\"\", twice\",5\" reel\na.wav,,7\na.wav,\"two\nlines\",\n";
        assert!(told(well).contains("reel is"), "a quote inside a value opens nothing");
        let same = "file,title,tags\na.wav,x,\na.wav,x,y\n";
        let file = MetadataFile::parse(same.as_bytes()).unwrap();
        assert_eq!(values(&file, "a.wav"), ["tags=y", "title=x"]);
    }
}

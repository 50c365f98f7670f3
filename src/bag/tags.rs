//! The tag files of a bag (RFC 8493): `bagit.txt`, `bag-info.txt`, `manifest-sha256.txt`, `tagmanifest-sha256.txt`.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use crate::error::{Error, ErrorKind, Result};
use crate::manifest::Sha256Sum;
use crate::positioned;

/// The declaration; what makes a folder a bag.
pub(crate) const DECLARATION: &str = "bagit.txt";
pub(crate) const INFO: &str = "bag-info.txt";
pub(crate) const PAYLOAD: &str = "manifest-sha256.txt";
pub(crate) const TAGS: &str = "tagmanifest-sha256.txt";

/// Whether a name is that of a tag file, whole or half written.
pub(crate) fn is_tag_file(name: &str) -> bool {
    [DECLARATION, INFO, PAYLOAD, TAGS].contains(&name.strip_suffix(".part").unwrap_or(name))
}

/// Section 2.1.1; the bytes are fixed.
pub(crate) const DECLARATION_TEXT: &str = "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n";

/// The longest line that is read.
const LONGEST_LINE: u64 = 1 << 20;

/// A path as it stands in a manifest: LF, CR and % percent-encoded, and only those (section 2.1.3).
pub(crate) fn encode_path(path: &str) -> String {
    path.replace('%', "%25").replace('\n', "%0A").replace('\r', "%0D")
}

/// The path that an entry means.
pub(crate) fn decode_path(entry: &str) -> String {
    let mut path = String::with_capacity(entry.len());
    let mut rest = entry;
    while let Some(at) = rest.find('%') {
        path.push_str(&rest[..at]);
        let code = rest.get(at..at + 3).map(str::to_ascii_uppercase);
        let (c, len) = match code.as_deref() {
            Some("%25") => ('%', 3),
            Some("%0A") => ('\n', 3),
            Some("%0D") => ('\r', 3),
            _ => ('%', 1),
        };
        path.push(c);
        rest = &rest[at + len..];
    }
    path + rest
}

/// Lines of a payload or tag manifest, sorted by path.
pub(crate) fn manifest_text(sums: &BTreeMap<String, Sha256Sum>) -> String {
    sums.iter().map(|(path, sum)| format!("{sum}  {}\n", encode_path(path))).collect()
}

/// Reads a manifest; `None` where there is none. Lines that are none are left out.
pub(crate) fn read_manifest(path: &Path) -> Result<Option<BTreeMap<String, Sha256Sum>>> {
    let file = match positioned::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::while_("opening", path)(e)),
    };
    let mut reader = BufReader::with_capacity(256 << 10, file);
    let mut sums = BTreeMap::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        let n =
            reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line).map_err(Error::while_("reading", path))?;
        if n == 0 {
            return Ok(Some(sums));
        }
        let text = String::from_utf8_lossy(&line);
        let entry = text.trim_end_matches(['\n', '\r']).split_once(' ');
        if let Some((sum, entry)) = entry.and_then(|(sum, entry)| Some((sum.parse().ok()?, entry))) {
            sums.insert(decode_path(entry.trim_start_matches([' ', '*'])), sum);
        }
    }
}

/// Labels and values of `bag-info.txt`, in order; a label may stand there several times.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Info(Vec<(String, String)>);

impl Info {
    /// Reads the text; what is no `label: value` is left out.
    pub(crate) fn parse(text: &str) -> Info {
        let mut info = Info::default();
        for line in text.lines() {
            match (line.starts_with([' ', '\t']), info.0.last_mut(), line.split_once(':')) {
                (true, Some((_, value)), _) => {
                    value.push('\n');
                    value.push_str(line.trim());
                }
                (false, _, Some((label, value))) => info.0.push((label.trim().to_owned(), value.trim().to_owned())),
                _ => {}
            }
        }
        info
    }

    /// Puts `value` in the place of all values of a label.
    pub(crate) fn set(&mut self, label: &str, value: impl Into<String>) {
        self.0.retain(|(other, _)| !other.eq_ignore_ascii_case(label));
        self.0.push((label.to_owned(), value.into()));
    }

    /// Adds a value that is not there yet.
    pub(crate) fn add(&mut self, label: &str, value: &str) {
        if !self.0.iter().any(|(l, v)| l.eq_ignore_ascii_case(label) && v == value) {
            self.0.push((label.to_owned(), value.to_owned()));
        }
    }

    /// The text of the file; values of several lines are continued with a blank (section 2.2.2).
    pub(crate) fn text(&self) -> String {
        let line = |(label, value): &(String, String)| {
            let value: Vec<&str> = value.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
            format!("{label}: {}\n", value.join("\n  "))
        };
        self.0.iter().map(line).collect()
    }
}

/// `Source-Organization=City archive` as a label and a value.
///
/// # Errors
/// `Usage` where there is no label, or one that this program sets itself.
pub fn parse_info(text: &str) -> Result<(String, String)> {
    let usage = |text: String| Error::new(ErrorKind::Usage, text);
    let (label, value) = text.split_once('=').ok_or_else(|| usage(format!("{text:?} is not LABEL=VALUE")))?;
    let (label, value) = (label.trim(), value.trim());
    if label.is_empty() || label.contains([':', '\n', '\r']) || value.is_empty() {
        return Err(usage(format!("{text:?} is not LABEL=VALUE")));
    }
    let own = ["Payload-Oxum", "Bagging-Date", "Bag-Software-Agent"];
    if own.iter().any(|own| own.eq_ignore_ascii_case(label)) {
        return Err(usage(format!("{label} is set by the program itself")));
    }
    Ok((label.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_come_back_from_their_encoding() {
        for path in ["data/a b.tiff", "data/100%.tiff", "data/a\nb\r\n%0A.tiff", "%", "%2", "ü%25%"] {
            let entry = encode_path(path);
            assert!(!entry.contains(['\n', '\r']));
            assert_eq!(decode_path(&entry), path, "{entry}");
        }
        assert_eq!(encode_path("100%\n"), "100%25%0A");
        assert_eq!(decode_path("50%/x%0a%zz%"), "50%/x\n%zz%");
    }

    #[test]
    fn info_keeps_what_it_does_not_know() {
        let text = "Contact-Name: A\nDescription: first\n  second\nContact-Name: B\nPayload-Oxum: 1.1\n";
        let mut info = Info::parse(text);
        assert_eq!(info.text(), text);
        info.set("payload-oxum", "2.1");
        info.add("Contact-Name", "A");
        info.add("Contact-Name", "C");
        let expected =
            "Contact-Name: A\nDescription: first\n  second\nContact-Name: B\npayload-oxum: 2.1\nContact-Name: C\n";
        assert_eq!(info.text(), expected);
    }

    #[test]
    fn labels_are_checked() {
        assert_eq!(parse_info("Source-Organization = City = archive").unwrap().1, "City = archive");
        for bad in ["x", "=x", "a:b=c", "payload-oxum=1.1", "a="] {
            assert!(parse_info(bad).is_err(), "{bad}");
        }
    }
}

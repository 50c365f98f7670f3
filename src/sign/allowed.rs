//! Who may sign: the file of allowed signers in the form of ssh-keygen(1), section "ALLOWED SIGNERS".
//!
//! A line is `principals [options] keytype base64-key [comment]`; principals and options may be quoted. The options
//! `namespaces`, `valid-after` and `valid-before` are followed. Lines with `cert-authority` or a kind of key that is not
//! known here allow nobody, and are named where no other line fits.

use std::fs;
use std::path::Path;

use chrono::{DateTime, Local, NaiveDate, NaiveDateTime, TimeZone, Utc};
use ssh_key::PublicKey;
use ssh_key::public::KeyData;

use crate::error::{Error, Result};
use crate::source::tags::glob_matches;

/// Bytes that such a file has at most.
const MOST_BYTES: u64 = 16 << 20;

/// One line.
#[derive(Debug)]
struct Entry {
    line: usize,
    principals: String,
    namespaces: Option<String>,
    after: Option<DateTime<Utc>>,
    before: Option<DateTime<Utc>>,
    key: KeyData,
}

/// A file of allowed signers.
#[derive(Debug, Default)]
pub struct AllowedSigners {
    entries: Vec<Entry>,
    /// Lines that allow nobody, each with its reason.
    unused: Vec<String>,
}

/// The line that allows a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// The principals of the line: who signed.
    pub principals: String,
    /// The line's number.
    pub line: usize,
}

impl AllowedSigners {
    /// Reads a file.
    ///
    /// # Errors
    /// `Io`; `Malformed` with the number of the line.
    pub fn read(path: &Path) -> Result<AllowedSigners> {
        let len = fs::metadata(path).map_err(Error::while_("looking at", path))?.len();
        if len > MOST_BYTES {
            return Err(Error::limit(format!("{len} bytes are too many for a file of allowed signers")).at_path(path));
        }
        let text = fs::read(path).map_err(Error::while_("reading", path))?;
        AllowedSigners::parse(&String::from_utf8_lossy(&text)).map_err(|e| e.at_path(path))
    }

    /// Reads the text of such a file.
    ///
    /// # Errors
    /// `Malformed` with the number of the line.
    pub fn parse(text: &str) -> Result<AllowedSigners> {
        let mut signers = AllowedSigners::default();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match entry(number, line) {
                Ok(Ok(entry)) => signers.entries.push(entry),
                Ok(Err(why)) => signers.unused.push(format!("line {number}: {why}")),
                Err(why) => return Err(Error::malformed(format!("line {number} of the allowed signers: {why}"))),
            }
        }
        Ok(signers)
    }

    /// Who may sign in `namespace` with `key` at `now`.
    ///
    /// # Errors
    /// A sentence that says why nobody.
    pub(crate) fn who(&self, key: &KeyData, namespace: &str, now: DateTime<Utc>) -> Result<Signer, String> {
        let mut why = Vec::new();
        for entry in self.entries.iter().filter(|entry| entry.key == *key) {
            let line = entry.line;
            if !entry.namespaces.as_ref().is_none_or(|patterns| in_list(patterns, namespace)) {
                why.push(format!("line {line}: the key is not allowed for {namespace}"));
            } else if let Some(after) = entry.after.filter(|after| now < *after) {
                why.push(format!("line {line}: the key is valid only after {after}"));
            } else if let Some(before) = entry.before.filter(|before| now > *before) {
                why.push(format!("line {line}: the key was valid only before {before}"));
            } else {
                return Ok(Signer { principals: entry.principals.clone(), line });
            }
        }
        if why.is_empty() {
            why.push("the key is none of the allowed signers'".to_owned());
            why.extend(self.unused.iter().cloned());
        }
        Err(why.join("; "))
    }
}

/// Reads a line: an entry, or why it allows nobody.
fn entry(line: usize, text: &str) -> Result<Result<Entry, String>, String> {
    let (principals, rest) = word(text)?;
    if rest.is_empty() {
        return Err("there is no key".to_owned());
    }
    let (next, after_options) = word(rest)?;
    // A key's type has no quotes and no equals sign, and is one of few words.
    let has_options = !is_key_type(&next);
    let (options, key) = if has_options { (options_of(rest)?, after_options) } else { (Vec::new(), rest) };
    let mut entry = (None, None, None);
    for (name, value) in options {
        match (name.to_ascii_lowercase().as_str(), value) {
            ("cert-authority", None) => return Ok(Err("certificate authorities are not supported here".to_owned())),
            ("namespaces", Some(value)) => entry.0 = Some(value),
            ("valid-after", Some(value)) => entry.1 = Some(time(&value)?),
            ("valid-before", Some(value)) => entry.2 = Some(time(&value)?),
            (other, _) => return Err(format!("the option {other:?} is not known")),
        }
    }
    let mut parts = key.split_whitespace();
    let (kind, base64) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if base64.is_empty() {
        return Err("there is no key".to_owned());
    }
    match PublicKey::from_openssh(&format!("{kind} {base64}")) {
        Ok(key) => {
            let key = key.key_data().clone();
            Ok(Ok(Entry { line, principals, namespaces: entry.0, after: entry.1, before: entry.2, key }))
        }
        Err(e) => Ok(Err(format!("a key that cannot be used here ({kind}: {e})"))),
    }
}

fn is_key_type(word: &str) -> bool {
    ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-", "rsa-sha2-"].iter().any(|start| word.starts_with(start))
}

/// The first word, without its quotes, and what is behind it.
fn word(text: &str) -> Result<(String, &str), String> {
    let mut quoted = false;
    let mut out = String::new();
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            c if c.is_whitespace() && !quoted => return Ok((out, text[at..].trim_start())),
            c => out.push(c),
        }
    }
    if quoted { Err("a quote is not closed".to_owned()) } else { Ok((out, "")) }
}

/// The options at the start of `text`, up to the first blank outside of quotes.
fn options_of(text: &str) -> Result<Vec<(String, Option<String>)>, String> {
    let mut quoted = false;
    let mut options = Vec::new();
    let mut option = String::new();
    for c in text.chars().chain([' ']) {
        match c {
            '"' => quoted = !quoted,
            c if !quoted && (c == ',' || c.is_whitespace()) => {
                let (name, value) = match option.split_once('=') {
                    Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                    None => (option.clone(), None),
                };
                options.push((name, value));
                option.clear();
                if c != ',' {
                    return Ok(options);
                }
            }
            c => option.push(c),
        }
    }
    Err("a quote is not closed".to_owned())
}

/// Whether a text fits a list of patterns with commas between them; a pattern with `!` in front forbids.
fn in_list(patterns: &str, text: &str) -> bool {
    let mut found = false;
    for pattern in patterns.split(',').map(str::trim) {
        match pattern.strip_prefix('!') {
            Some(pattern) if glob_matches(pattern, text) => return false,
            None if glob_matches(pattern, text) => found = true,
            _ => {}
        }
    }
    found
}

/// `YYYYMMDD`, `YYYYMMDDHHMM` or `YYYYMMDDHHMMSS`, in the system's time zone, or with `Z` in UTC.
fn time(text: &str) -> Result<DateTime<Utc>, String> {
    let bad = || format!("{text:?} is no time (YYYYMMDD[HHMM[SS]][Z])");
    let (digits, utc) = match text.strip_suffix(['Z', 'z']) {
        Some(digits) => (digits, true),
        None => (text, false),
    };
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(bad());
    }
    let naive = match digits.len() {
        8 => NaiveDate::parse_from_str(digits, "%Y%m%d").ok().and_then(|date| date.and_hms_opt(0, 0, 0)),
        12 => NaiveDateTime::parse_from_str(&format!("{digits}00"), "%Y%m%d%H%M%S").ok(),
        14 => NaiveDateTime::parse_from_str(digits, "%Y%m%d%H%M%S").ok(),
        _ => None,
    };
    let naive = naive.ok_or_else(bad)?;
    match utc {
        true => Ok(naive.and_utc()),
        false => Local.from_local_datetime(&naive).earliest().map(|time| time.to_utc()).ok_or_else(bad),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

    fn who(text: &str, at: &str) -> Result<String, String> {
        let key = PublicKey::from_openssh(KEY).unwrap().key_data().clone();
        let signers = AllowedSigners::parse(text).map_err(|e| e.message())?;
        signers.who(&key, "audio-tiff-manifest@v1", time(at)?).map(|signer| signer.principals)
    }

    #[test]
    fn lines_are_read_as_ssh_keygen_reads_them() {
        let now = "20260501Z";
        for (line, principals) in [
            (format!("# comment\n\nkeeper@example.org {KEY} comment here"), "keeper@example.org"),
            (format!("\"a b\",c {KEY}"), "a b,c"),
            (format!("a namespaces=\"file,audio-tiff-*\" {KEY}"), "a"),
            (format!("a namespaces=\"audio-tiff-manifest@v1\",valid-before=\"20270101Z\" {KEY}"), "a"),
            (format!("a Valid-After=20260101120000Z,VALID-BEFORE=202701011200Z {KEY}"), "a"),
            (format!("old valid-before=20200101Z {KEY}\nnew {KEY}"), "new"),
        ] {
            assert_eq!(who(&line, now).as_deref(), Ok(principals), "{line}");
        }
        for (line, why) in [
            (format!("a namespaces=\"file\" {KEY}"), "not allowed for"),
            (format!("a namespaces=\"*,!audio-*\" {KEY}"), "not allowed for"),
            (format!("a valid-before=20260430Z {KEY}"), "valid only before"),
            (format!("a valid-after=20260502Z {KEY}"), "valid only after"),
            (format!("a cert-authority {KEY}"), "not supported"),
            ("a ssh-ed25519 AAAA".to_owned(), "cannot be used"),
            (format!("a no-such-option {KEY}"), "not known"),
            (format!("a valid-after=2026 {KEY}"), "no time"),
            (format!("a valid-after=20261301 {KEY}"), "no time"),
            (format!("a namespaces=\"file {KEY}"), "quote"),
            ("a".to_owned(), "no key"),
            (String::new(), "none of the allowed"),
        ] {
            let error = who(&line, now).unwrap_err();
            assert!(error.contains(why), "{line}: {error}");
        }
    }
}

//! The top level of a manifest, read as a stream (RFC 8259): one value at a time is in memory, and where it stands is known.
//!
//! Only where values begin and end is found here. What is inside of one is for serde_json to read and to judge; its
//! errors are given the line and column that they have in the whole document.

use std::io::{self, BufRead};

use serde::de::DeserializeOwned;

use crate::error::{Error, ErrorKind, Result};

/// A position in the text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Position {
    /// Bytes from the start.
    pub offset: u64,
    line: u64,
    /// Offset of the line's first byte.
    line_start: u64,
}

impl Position {
    fn words(&self) -> String {
        format!("line {} column {}", self.line, self.offset - self.line_start + 1)
    }
}

/// A document being read.
pub(super) struct Document<R> {
    reader: R,
    at: Position,
}

impl<R: BufRead> Document<R> {
    /// From the start of `reader`. Editors on Windows put a byte order mark in front; it is skipped.
    pub(super) fn new(mut reader: R) -> Result<Self> {
        let start = reader.fill_buf().map_err(read_error)?;
        let mark = if start.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        reader.consume(mark);
        let mark = mark as u64;
        Ok(Document { reader, at: Position { offset: mark, line: 1, line_start: mark } })
    }

    /// The next byte that is no white space, not yet consumed.
    pub(super) fn peek(&mut self) -> Result<Option<u8>> {
        loop {
            let bytes = self.reader.fill_buf().map_err(read_error)?;
            if bytes.is_empty() {
                return Ok(None);
            }
            let blank = bytes.iter().take_while(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n')).count();
            let next = bytes.get(blank).copied();
            self.at.pass(&bytes[..blank]);
            self.reader.consume(blank);
            if next.is_some() {
                return Ok(next);
            }
        }
    }

    /// Consumes the sign that [`Document::peek`] has shown.
    pub(super) fn step(&mut self) {
        self.reader.consume(1);
        self.at.offset += 1;
    }

    /// Consumes `sign` or fails.
    pub(super) fn expect(&mut self, sign: u8) -> Result<()> {
        match self.peek()? {
            Some(found) if found == sign => {
                self.step();
                Ok(())
            }
            other => Err(self.unexpected(other, &format!("`{}`", char::from(sign)))),
        }
    }

    /// What stands between two members of a list or object that ends with `end`; false at the end.
    pub(super) fn goes_on(&mut self, end: u8) -> Result<bool> {
        match self.peek()? {
            Some(b',') => {
                self.step();
                match self.peek()? {
                    Some(sign) if sign == end => Err(self.unexpected(Some(sign), "a value behind the comma")),
                    _ => Ok(true),
                }
            }
            Some(sign) if sign == end => {
                self.step();
                Ok(false)
            }
            other => Err(self.unexpected(other, &format!("`,` or `{}`", char::from(end)))),
        }
    }

    /// That only white space is left.
    pub(super) fn end(&mut self) -> Result<()> {
        match self.peek()? {
            None => Ok(()),
            other => Err(self.unexpected(other, "the end of the file")),
        }
    }

    /// The text of the next value, in place of what was in `text`, and where it begins.
    pub(super) fn value(&mut self, text: &mut Vec<u8>) -> Result<Position> {
        text.clear();
        let first = self.peek()?;
        let begin = self.at;
        let mut extent = match first {
            None | Some(b',' | b':' | b']' | b'}') => return Err(self.unexpected(first, "a value")),
            Some(first) => Extent::of(first),
        };
        loop {
            let bytes = self.reader.fill_buf().map_err(read_error)?;
            // What is not complete is for serde_json to say.
            if bytes.is_empty() {
                return Ok(begin);
            }
            let (len, done) = extent.take(bytes);
            text.extend_from_slice(&bytes[..len]);
            self.at.pass(&bytes[..len]);
            self.reader.consume(len);
            if done {
                return Ok(begin);
            }
        }
    }

    /// An error for a sign that is not what should be there.
    pub(super) fn unexpected(&self, found: Option<u8>, expected: &str) -> Error {
        let found = match found {
            None => "the file ends".to_owned(),
            Some(byte) if byte.is_ascii_graphic() => format!("`{}` found", char::from(byte)),
            Some(byte) => format!("byte {byte:#04x} found"),
        };
        unreadable(&format!("{found}, {expected} expected"), &self.at.words())
    }
}

impl Position {
    /// Goes over `bytes`.
    fn pass(&mut self, bytes: &[u8]) {
        for (n, _) in bytes.iter().enumerate().filter(|(_, b)| **b == b'\n') {
            self.line += 1;
            self.line_start = self.offset + n as u64 + 1;
        }
        self.offset += bytes.len() as u64;
    }

    /// Reads a value whose text begins here.
    pub(super) fn parse<T: DeserializeOwned>(&self, text: &[u8]) -> Result<T> {
        serde_json::from_slice(text).map_err(|e| self.fault(&e))
    }

    /// The error of a value whose text begins here, at its place in the document.
    pub(super) fn fault(&self, error: &serde_json::Error) -> Error {
        let words = error.to_string();
        let inside = format!(" at line {} column {}", error.line(), error.column());
        let what = words.strip_suffix(&inside).unwrap_or(&words);
        let place = match error.line() {
            0 | 1 => format!("line {} column {}", self.line, self.offset - self.line_start + error.column() as u64),
            line => format!("line {} column {}", self.line + line as u64 - 1, error.column()),
        };
        unreadable(what, &place)
    }

    /// An error of the value that begins here.
    pub(super) fn error(&self, what: &str) -> Error {
        unreadable(what, &self.words())
    }
}

fn unreadable(what: &str, place: &str) -> Error {
    Error::malformed(format!("not a readable manifest: {what} at {place}"))
}

/// Failures of the reader; limits come through it as `FileTooLarge`.
fn read_error(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::FileTooLarge => Error::new(ErrorKind::Limit, error.to_string()),
        _ => Error::io("reading the manifest", error),
    }
}

/// How far a value reaches.
enum Extent {
    /// An object or a list, this deep inside of it, and what of a text it is in.
    Nested { depth: u64, text: Text },
    /// A text.
    Text(Text),
    /// A number or a word: up to a sign that cannot be part of it.
    Word,
}

#[derive(Clone, Copy, PartialEq)]
enum Text {
    /// Before or behind one.
    Outside,
    Inside,
    /// Behind a backslash.
    Escaped,
}

impl Text {
    fn next(self, byte: u8) -> Text {
        match (self, byte) {
            (Text::Inside, b'"') => Text::Outside,
            (Text::Inside, b'\\') => Text::Escaped,
            (Text::Inside | Text::Escaped, _) => Text::Inside,
            (Text::Outside, b'"') => Text::Inside,
            (Text::Outside, _) => Text::Outside,
        }
    }
}

impl Extent {
    fn of(first: u8) -> Extent {
        match first {
            b'{' | b'[' => Extent::Nested { depth: 0, text: Text::Outside },
            b'"' => Extent::Text(Text::Outside),
            _ => Extent::Word,
        }
    }

    /// How many of these next bytes belong to the value, and whether it ends with them.
    fn take(&mut self, bytes: &[u8]) -> (usize, bool) {
        for (n, &byte) in bytes.iter().enumerate() {
            match self {
                Extent::Nested { depth, text } => {
                    if *text == Text::Outside {
                        match byte {
                            b'{' | b'[' => *depth += 1,
                            b'}' | b']' => *depth -= 1,
                            _ => {}
                        }
                    }
                    *text = text.next(byte);
                    if *depth == 0 {
                        return (n + 1, true);
                    }
                }
                Extent::Text(text) => {
                    *text = text.next(byte);
                    if *text == Text::Outside {
                        return (n + 1, true);
                    }
                }
                Extent::Word if matches!(byte, b',' | b':' | b']' | b'}' | b' ' | b'\t' | b'\r' | b'\n') => {
                    return (n, true);
                }
                Extent::Word => {}
            }
        }
        (bytes.len(), false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_taken_whole_however_the_reader_cuts_them() {
        let json = "\u{feff} { \"a\\\"b\" : {\"x}\": [1, \"]\\\\\"]} ,\n \"c\":[ ], \"d\": -1.5e3, \"e\":null}\n ";
        for piece in 1..12 {
            // A byte order mark comes in one piece.
            let reader = io::BufReader::with_capacity(piece.max(3), json.as_bytes());
            let mut document = Document::new(reader).unwrap();
            let mut text = Vec::new();
            let mut values = Vec::new();
            document.expect(b'{').unwrap();
            loop {
                document.value(&mut text).unwrap();
                let key: String = serde_json::from_slice(&text).unwrap();
                document.expect(b':').unwrap();
                let at = document.value(&mut text).unwrap();
                let value = String::from_utf8(text.clone()).unwrap();
                let begin = at.offset as usize;
                assert_eq!(&json[begin..begin + value.len()], value);
                values.push((key, value));
                if !document.goes_on(b'}').unwrap() {
                    break;
                }
            }
            document.end().unwrap();
            let expected = [("a\"b", "{\"x}\": [1, \"]\\\\\"]}"), ("c", "[ ]"), ("d", "-1.5e3"), ("e", "null")];
            assert_eq!(values, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
        }
    }

    #[test]
    fn errors_have_their_line_and_column_in_the_whole() {
        let text = b"{\n  \"a\": [1,\n 2 3]}";
        let mut document = Document::new(&text[..]).unwrap();
        let mut value = Vec::new();
        document.expect(b'{').unwrap();
        document.value(&mut value).unwrap();
        document.expect(b':').unwrap();
        let at = document.value(&mut value).unwrap();
        let error = at.parse::<Vec<u32>>(&value).unwrap_err().to_string();
        let whole = serde_json::from_slice::<std::collections::HashMap<String, Vec<u32>>>(text).unwrap_err();
        assert!(error.contains(&whole.to_string()), "{error} / {whole}");
        let error = document.expect(b',').unwrap_err().to_string();
        assert!(error.contains("`}` found, `,` expected at line 3 column 6"), "{error}");
    }
}

//! The VORBIS_COMMENT block (RFC 9639, section 8.6): a vendor string and `NAME=value` fields. The only block whose
//! numbers are little-endian.

use super::MAX_BLOCK_BYTES;
use crate::error::{Error, ErrorKind, Result};

/// Tags of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VorbisComment {
    /// Who wrote the stream.
    pub vendor: String,
    /// Fields in order: name (printable ASCII without `=`, case does not count) and value (UTF-8).
    pub fields: Vec<(String, String)>,
}

impl VorbisComment {
    /// Reads the block's content. A field without `=` gets an empty value; bytes behind the last field are ignored, as
    /// other readers do.
    ///
    /// # Errors
    /// Malformed, when a length points beyond the block or text is not UTF-8.
    pub fn parse(content: &[u8]) -> Result<Self> {
        let mut rest = content;
        let vendor = take_text(&mut rest)?;
        let count = take_length(&mut rest)?;
        let mut fields = Vec::new();
        for _ in 0..count {
            let field = take_text(&mut rest)?;
            let (name, value) = field.split_once('=').unwrap_or((&field, ""));
            fields.push((name.to_owned(), value.to_owned()));
        }
        Ok(VorbisComment { vendor, fields })
    }

    /// The block's content.
    ///
    /// # Errors
    /// Usage, when a field name is empty or not printable ASCII without `=`; Limit, when it all does not fit a block.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut content = Vec::new();
        content.extend_from_slice(&(self.vendor.len() as u32).to_le_bytes());
        content.extend_from_slice(self.vendor.as_bytes());
        content.extend_from_slice(&(self.fields.len() as u32).to_le_bytes());
        for (name, value) in &self.fields {
            if name.is_empty() || !name.bytes().all(|byte| matches!(byte, 0x20..=0x7E) && byte != b'=') {
                return Err(Error::new(
                    ErrorKind::Usage,
                    format!("{name:?} cannot be the name of a tag: use printable ASCII without '='"),
                ));
            }
            let len = name.len() + 1 + value.len();
            content.extend_from_slice(&(len as u32).to_le_bytes());
            for part in [name.as_str(), "=", value.as_str()] {
                content.extend_from_slice(part.as_bytes());
            }
        }
        if content.len() > MAX_BLOCK_BYTES as usize {
            return Err(Error::limit("the tags do not fit a VORBIS_COMMENT block of 16 MiB"));
        }
        Ok(content)
    }
}

fn take_length(rest: &mut &[u8]) -> Result<u32> {
    let (length, tail) = rest.split_first_chunk::<4>().ok_or_else(|| Error::malformed("VORBIS_COMMENT is cut off"))?;
    *rest = tail;
    Ok(u32::from_le_bytes(*length))
}

fn take_text(rest: &mut &[u8]) -> Result<String> {
    let length = take_length(rest)? as usize;
    let (text, tail) = rest
        .split_at_checked(length)
        .ok_or_else(|| Error::malformed("a length in VORBIS_COMMENT points beyond the block"))?;
    *rest = tail;
    String::from_utf8(text.to_vec()).map_err(|_| Error::malformed("text in VORBIS_COMMENT is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_come_back() {
        let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let tags = VorbisComment {
            vendor: "a vendor".into(),
            fields: vec![field("TITLE", "Straße = road"), field("ARTIST", ""), field("title", "x")],
        };
        assert_eq!(VorbisComment::parse(&tags.to_bytes().unwrap()).unwrap(), tags);
        let none = VorbisComment::default();
        assert_eq!(VorbisComment::parse(&none.to_bytes().unwrap()).unwrap(), none);
    }

    #[test]
    fn lengths_and_counts_are_not_trusted() {
        assert!(VorbisComment::parse(&[]).is_err());
        assert!(VorbisComment::parse(&[0xFF; 8]).is_err());
        assert!(VorbisComment::parse(&[0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF]).is_err());
        assert!(VorbisComment::parse(&[1, 0, 0, 0, 0xFF, 0, 0, 0, 0]).is_err());
    }

    #[test]
    fn names_that_would_not_come_back_are_refused() {
        for name in ["", "a=b", "ä", "a\nb"] {
            let tags = VorbisComment { vendor: String::new(), fields: vec![(name.into(), "x".into())] };
            assert!(tags.to_bytes().is_err(), "{name:?}");
        }
    }
}

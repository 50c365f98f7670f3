//! Names from a manifest as paths, and back, never out of the folder that they belong to.
//!
//! In the manifest a path is text, relative, with `/` between its parts. A file name that is no Unicode text (old
//! Unix file systems have such) is written with `U+FFFD` and two upper-case hexadecimal digits for each byte that is
//! none; a real `U+FFFD` in a name is written that way too, so text and name convert back and forth without loss.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};

const REPLACEMENT: char = '\u{FFFD}';

/// A relative path as the manifest writes it; `None` where the path is not a plain relative one (it is absolute or has
/// `..` in it).
pub fn path_to_text(path: &Path) -> Option<String> {
    let mut parts = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => parts.push(bytes_to_text(name.as_encoded_bytes())),
            Component::CurDir => {}
            _ => return None,
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

/// The text for the bytes of a name or of a whole path with `/`.
pub(super) fn bytes_to_text(bytes: &[u8]) -> String {
    let mut text = String::new();
    let escape = |text: &mut String, bytes: &[u8]| {
        for byte in bytes {
            text.push_str(&format!("{REPLACEMENT}{byte:02X}"));
        }
    };
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                REPLACEMENT => escape(&mut text, REPLACEMENT.encode_utf8(&mut [0; 4]).as_bytes()),
                c => text.push(c),
            }
        }
        escape(&mut text, chunk.invalid());
    }
    text
}

/// The bytes of a name or of a whole path with `/`; only bytes from 0x80 on come out of an escape, so no separator and no dot can.
pub(super) fn text_to_bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(REPLACEMENT) {
        let after = &rest[at + REPLACEMENT.len_utf8()..];
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        let upper = |d: &u8| d.is_ascii_digit() || (b'A'..=b'F').contains(d);
        let digits = after.as_bytes().get(..2).filter(|d| d.iter().all(upper));
        let byte = digits.and_then(|d| u8::from_str_radix(std::str::from_utf8(d).ok()?, 16).ok());
        match byte.filter(|&b| b >= 0x80) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.extend_from_slice(REPLACEMENT.encode_utf8(&mut [0; 4]).as_bytes());
                rest = after;
            }
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

#[cfg(unix)]
fn text_to_name(text: &str) -> std::ffi::OsString {
    std::os::unix::ffi::OsStringExt::from_vec(text_to_bytes(text))
}

#[cfg(not(unix))]
fn text_to_name(text: &str) -> std::ffi::OsString {
    String::from_utf8_lossy(&text_to_bytes(text)).into_owned().into()
}

/// Whose rules for names count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rules {
    /// Anything but `/` and NUL.
    Unix,
    /// No `\`, `:` and other signs with a meaning, no device names, no dot or blank at the end.
    Windows,
}

impl Rules {
    const fn native() -> Self {
        if cfg!(windows) { Rules::Windows } else { Rules::Unix }
    }
}

/// A path from one of our manifests (`relative_path`, `tiff_path`), checked: relative, and nowhere upwards.
///
/// On Windows also without backslashes, colons, device names and what else cannot be a file name there.
///
/// # Errors
/// `Unsupported`, naming the path and what is wrong with it.
pub fn safe_relative_path(text: &str) -> Result<PathBuf> {
    checked(text, Rules::native())
}

/// A path from an archive of the original scripts or of another system, where `\` separates too and a drive letter
/// means an absolute path; checked as [`safe_relative_path`] does.
///
/// # Errors
/// As [`safe_relative_path`].
pub fn safe_foreign_path(text: &str) -> Result<PathBuf> {
    if is_absolute(text) {
        return Err(unsafe_path(text, "it is absolute"));
    }
    checked(&text.replace('\\', "/"), Rules::native())
}

fn checked(text: &str, rules: Rules) -> Result<PathBuf> {
    if text.is_empty() {
        return Err(unsafe_path(text, "it is empty"));
    }
    let mut path = PathBuf::new();
    for (number, part) in text.split('/').enumerate() {
        if part.is_empty() {
            let why = if number == 0 { "it is absolute" } else { "a part of it is empty" };
            return Err(unsafe_path(text, why));
        }
        if part == "." || part == ".." {
            return Err(unsafe_path(text, "it has `.` or `..` in it"));
        }
        if part.contains('\0') {
            return Err(unsafe_path(text, "it has a NUL character in it"));
        }
        if rules == Rules::Windows && !windows_name(part) {
            return Err(unsafe_path(text, "Windows has no such file names"));
        }
        path.push(text_to_name(part));
    }
    Ok(path)
}

fn unsafe_path(text: &str, why: &str) -> Error {
    let text = text.escape_debug();
    Error::new(ErrorKind::Unsupported, format!("the path \"{text}\" in the manifest is not used, since {why}"))
}

fn windows_name(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name).trim_end().to_ascii_uppercase();
    let device = matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$")
        || ["COM", "LPT"].iter().any(|d| {
            let number = stem.strip_prefix(d).unwrap_or_default();
            let mut digits = number.chars();
            matches!((digits.next(), digits.next()), (Some('0'..='9' | '¹' | '²' | '³'), None))
        });
    let sign = |c: char| c < ' ' || matches!(c, '\\' | ':' | '<' | '>' | '"' | '|' | '?' | '*');
    !device && !name.contains(sign) && !name.ends_with(['.', ' '])
}

/// Whether a path of any system is absolute: `/x`, `\x`, `\\server\x`, `C:\x`, `C:x`.
pub(super) fn is_absolute(text: &str) -> bool {
    let drive = matches!(text.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic());
    drive || text.starts_with(['/', '\\'])
}

/// The path of `relative` in `root`, where it does not lead out of `root` through symbolic links.
///
/// Nothing needs to be there yet; what is there already is followed.
///
/// # Errors
/// `Unsupported` where a link leads out of the folder; `Missing` where it leads nowhere; `Io`.
pub fn confine(root: &Path, relative: &Path) -> Result<PathBuf> {
    let path = root.join(relative);
    let real_root = fs::canonicalize(root).map_err(Error::while_("finding the folder", root))?;
    let mut existing = path.as_path();
    let real = loop {
        match fs::canonicalize(existing) {
            Ok(real) => break real,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                // A link that leads nowhere could be made to lead anywhere.
                if fs::symlink_metadata(existing).is_ok_and(|m| m.is_symlink()) {
                    let text = "a symbolic link that leads nowhere";
                    return Err(Error::new(ErrorKind::Missing, text).at_path(&path));
                }
                match existing.parent() {
                    Some(parent) if parent.starts_with(root) => existing = parent,
                    _ => return Ok(path),
                }
            }
            Err(e) => return Err(Error::while_("finding", &path)(e)),
        }
    };
    if !real.starts_with(&real_root) {
        let text = "not used, since a symbolic link leads out of the archive's folder";
        return Err(Error::unsupported(text).at_path(&path));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_would_leave_the_folder_are_refused() {
        for bad in
            ["", "/", "/etc/passwd", "..", "../x", "a/../b", "a/..", ".", "./a", "a/./b", "a//b", "a/", "a\0b", "//x"]
        {
            assert!(checked(bad, Rules::Unix).is_err(), "{bad:?}");
            assert!(checked(bad, Rules::Windows).is_err(), "{bad:?}");
        }
        for bad in
            ["C:\\x", "c:x", "C:/x", "\\x", "\\\\server\\x", "..\\x", "a\\..\\b", "a\\..", "a\\\\b", "/x", "a/..\\b"]
        {
            assert!(safe_foreign_path(bad).is_err(), "{bad:?}");
            assert!(checked(bad, Rules::Windows).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_that_are_only_odd_are_kept() {
        for good in
            ["a", "day1/long.wav", "...", "..a", "a b", "A: side.wav", "a\\b.wav", "Ünï – 𝄞.wav", "-x", "~", "a\nb"]
        {
            assert_eq!(checked(good, Rules::Unix).unwrap(), Path::new(good), "{good:?}");
        }
        assert_eq!(safe_foreign_path("a\\b/c.wav").unwrap(), Path::new("a/b/c.wav"));
    }

    #[test]
    fn windows_names_follow_windows() {
        for bad in
            ["a:b", "CON", "con.wav", "x/NUL.txt", "COM1", "lpt9.wav", "COM²", "a.", "a ", "a?b", "a\\b", "a\u{1}"]
        {
            assert!(checked(bad, Rules::Windows).is_err(), "{bad:?}");
        }
        for good in ["a b.wav", "CONSOLE.wav", "COM10", "com.wav", ".hidden", "Ünï"] {
            assert!(checked(good, Rules::Windows).is_ok(), "{good:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn names_that_are_no_text_come_back() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;
        let names: [&[u8]; 6] =
            [b"caf\xe9.wav", b"\xff\xfe", "\u{FFFD}".as_bytes(), "\u{FFFD}E9".as_bytes(), b"a\xc3", b"\xed\xa0\x80"];
        for name in names {
            let path = Path::new("day1").join(OsStr::from_bytes(name));
            let text = path_to_text(&path).unwrap();
            assert_eq!(safe_relative_path(&text).unwrap(), path, "{text:?}");
        }
        assert_eq!(path_to_text(Path::new(OsStr::from_bytes(b"caf\xe9"))).unwrap(), "caf\u{FFFD}E9");
    }

    #[test]
    fn an_escape_can_never_make_a_separator_or_a_dot() {
        for text in ["\u{FFFD}2F", "\u{FFFD}2E\u{FFFD}2E/x", "\u{FFFD}00", "\u{FFFD}e9", "\u{FFFD}", "\u{FFFD}E"] {
            let bytes = text_to_bytes(text);
            assert_eq!(bytes, text.as_bytes(), "{text:?}");
        }
    }

    #[test]
    fn only_plain_relative_paths_become_text() {
        assert_eq!(path_to_text(Path::new("./a/b")).unwrap(), "a/b");
        assert!(path_to_text(Path::new("/a")).is_none());
        assert!(path_to_text(Path::new("a/../b")).is_none());
        assert!(path_to_text(Path::new("")).is_none());
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_inside_the_folder_and_nowhere_else() {
        use std::os::unix::fs::symlink;
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("archive");
        fs::create_dir_all(root.join("real/sub")).unwrap();
        fs::write(dir.path().join("secret"), "x").unwrap();
        fs::write(root.join("real/a"), "x").unwrap();
        symlink("real", root.join("inside")).unwrap();
        symlink("..", root.join("outside")).unwrap();
        symlink("../secret", root.join("leak")).unwrap();
        symlink("../nothing", root.join("dangling")).unwrap();
        for good in ["real/a", "inside/a", "real/new", "new/er/est", "inside/new"] {
            assert_eq!(confine(&root, Path::new(good)).unwrap(), root.join(good), "{good}");
        }
        for bad in ["outside/secret", "leak", "dangling", "outside/new", "outside"] {
            assert!(confine(&root, Path::new(bad)).is_err(), "{bad}");
        }
        let linked_root = dir.path().join("link");
        symlink("archive", &linked_root).unwrap();
        assert!(confine(&linked_root, Path::new("real/a")).is_ok(), "the archive's own folder may be a link");
    }
}

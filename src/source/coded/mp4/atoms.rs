//! Atoms (boxes): size, kind, contents.

use crate::error::Result;

use super::super::be32;
use super::super::be64;
use super::super::input::Input;

/// One atom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Atom {
    pub(super) kind: [u8; 4],
    /// First byte of the atom, from the start of the file.
    pub(super) start: u64,
    /// First byte of its contents.
    pub(super) body: u64,
    /// One past its last byte.
    pub(super) end: u64,
}

/// The atom at `at`, cut to `limit`; `None` where there is none.
pub(super) fn atom_at(input: &mut Input, at: u64, limit: u64) -> Result<Option<Atom>> {
    let head = input.view(at, 16)?;
    if head.len() < 8 || at.saturating_add(8) > limit {
        return Ok(None);
    }
    let kind = [head[4], head[5], head[6], head[7]];
    let (size, front) = match be32(head, 0) {
        0 => (limit - at, 8),
        1 if head.len() == 16 => (be64(head, 8), 16),
        size => (u64::from(size), 8),
    };
    if size < front {
        return Ok(None);
    }
    Ok(Some(Atom { kind, start: at, body: at + front, end: at.saturating_add(size).min(limit) }))
}

/// Goes over the atoms between two places; `visit` says whether to go on.
pub(super) fn each(
    input: &mut Input,
    from: u64,
    to: u64,
    mut visit: impl FnMut(&mut Input, Atom) -> Result<bool>,
) -> Result<()> {
    let mut at = from;
    while let Some(atom) = atom_at(input, at, to)? {
        if atom.body > atom.end || !visit(input, atom)? {
            break;
        }
        at = atom.end;
    }
    Ok(())
}

/// The first atom of `kind` between two places.
pub(super) fn find(input: &mut Input, from: u64, to: u64, kind: &[u8; 4]) -> Result<Option<Atom>> {
    let mut found = None;
    each(input, from, to, |_, atom| {
        if &atom.kind == kind {
            found = Some(atom);
        }
        Ok(found.is_none())
    })?;
    Ok(found)
}

/// Goes down a path of kinds from the contents of `atom`.
pub(super) fn descend(input: &mut Input, atom: Atom, path: &[&[u8; 4]]) -> Result<Option<Atom>> {
    let mut at = atom;
    for kind in path {
        match find(input, at.body, at.end, kind)? {
            Some(next) => at = next,
            None => return Ok(None),
        }
    }
    Ok(Some(at))
}

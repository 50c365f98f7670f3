//! Sets and maps by name in little memory: of each name the first 16 bytes of its SHA-256 are kept, whatever its length.
//!
//! Archives have a hundred thousand names and more, and several lists of them are looked up side by side. That two
//! names of one archive share 128 bits of SHA-256 is not to be expected in the life of the universe, and cannot be
//! brought about on purpose either.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::values::Sha256Sum;

/// What is kept of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Digest([u8; 16]);

impl Digest {
    fn of(name: &str) -> Digest {
        let sum = Sha256Sum::of(name.as_bytes());
        let mut digest = [0; 16];
        digest.copy_from_slice(&sum.as_bytes()[..16]);
        Digest(digest)
    }
}

impl std::hash::Hash for Digest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.0);
    }
}

/// A digest is as good as random already: its first bytes are its hash.
#[derive(Debug, Clone, Default)]
pub struct FirstBytes(u64);

impl Hasher for FirstBytes {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.first_chunk().map_or(0, |first| u64::from_le_bytes(*first));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A map by name that does not give its names back.
#[derive(Debug, Clone)]
pub(crate) struct NameMap<V> {
    values: HashMap<Digest, V, BuildHasherDefault<FirstBytes>>,
}

impl<V> Default for NameMap<V> {
    fn default() -> Self {
        NameMap { values: HashMap::default() }
    }
}

impl<V> NameMap<V> {
    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&V> {
        self.values.get(&Digest::of(name))
    }

    /// The value of a name, to be changed; `value` where it has none yet.
    pub fn get_or_insert(&mut self, name: &str, value: V) -> &mut V {
        self.values.entry(Digest::of(name)).or_insert(value)
    }

    /// Gives a name a value, and back the one that it had.
    pub fn insert(&mut self, name: &str, value: V) -> Option<V> {
        self.values.insert(Digest::of(name), value)
    }

    /// Takes a name out.
    pub fn remove(&mut self, name: &str) -> Option<V> {
        self.values.remove(&Digest::of(name))
    }

    /// The values in no order.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.values.values()
    }

    /// Number of names.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

/// A set of names that does not give them back.
#[derive(Debug, Clone, Default)]
pub(crate) struct NameSet(NameMap<()>);

impl NameSet {
    /// Adds a name; false where it is there already.
    pub fn insert(&mut self, name: &str) -> bool {
        self.0.insert(name, ()).is_none()
    }

    /// Whether a name is there.
    pub fn contains(&self, name: &str) -> bool {
        self.0.get(name).is_some()
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
    fn names_are_told_apart_and_found_again() {
        let mut set = NameSet::default();
        for n in 0..5000 {
            assert!(set.insert(&format!("day{n}/a.wav")));
        }
        assert!(!set.insert("day7/a.wav") && set.contains("day4999/a.wav") && !set.contains("day5000/a.wav"));
        assert!(!set.contains("") && set.insert("") && set.contains(""));
        assert_eq!(set.0.len(), 5001);
        let mut map = NameMap::default();
        assert_eq!((map.insert("a", 1), map.insert("a", 2), map.get("a")), (None, Some(1), Some(&2)));
        *map.get_or_insert("b", 5) += 1;
        assert_eq!((map.remove("b"), map.remove("b"), map.len()), (Some(6), None, 1));
    }
}

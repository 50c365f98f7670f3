//! Small pictures in memory: at most so many bytes, the longest unused ones go first, and none is made twice at a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Bytes;
use tokio::sync::Mutex as Gate;

/// What a picture shows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// A chunk on the wall.
    Thumb(i64),
    /// A source, level and number, with the checksum of the source's list entry, by which other audio is told apart.
    Tile(i64, u8, u64, u64),
}

/// One picture, or its place while it is made.
type Slot = Arc<Gate<Option<Bytes>>>;

pub(super) struct Cache {
    most: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    slots: HashMap<Key, (Slot, u64, usize)>,
    clock: u64,
    bytes: usize,
}

/// What a place takes by itself, about.
const PLACE: usize = 256;

impl Cache {
    pub fn new(most: usize) -> Cache {
        Cache { most, state: Mutex::default() }
    }

    /// The place of a picture; who locks it and finds it empty makes the picture and [keeps](Cache::keep) it.
    pub fn slot(&self, key: &Key) -> Slot {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.clock += 1;
        let now = state.clock;
        if let Some((slot, used, _)) = state.slots.get_mut(key) {
            *used = now;
            return slot.clone();
        }
        let slot = Slot::default();
        state.slots.insert(key.clone(), (slot.clone(), now, PLACE));
        state.bytes += PLACE;
        self.shrink(&mut state);
        slot
    }

    /// Counts a picture that has been put in its place.
    pub fn keep(&self, key: &Key, bytes: usize) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, _, size)) = state.slots.get_mut(key) {
            let before = std::mem::replace(size, PLACE + bytes);
            state.bytes = state.bytes + PLACE + bytes - before;
        }
        self.shrink(&mut state);
    }

    /// Takes out old ones, a tenth at a time, so that looking for them is rare.
    fn shrink(&self, state: &mut State) {
        if state.bytes <= self.most {
            return;
        }
        let mut ages: Vec<(u64, Key)> = state.slots.iter().map(|(key, (_, used, _))| (*used, key.clone())).collect();
        ages.sort_unstable_by_key(|(used, _)| *used);
        for (_, key) in ages {
            if state.bytes <= self.most / 10 * 9 {
                break;
            }
            if let Some((_, _, size)) = state.slots.remove(&key) {
                state.bytes -= size;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_unused_go_first() {
        let cache = Cache::new(10_000);
        for n in 0..8 {
            cache.slot(&Key::Thumb(n)).try_lock().unwrap().replace(Bytes::from(vec![0; 1000]));
            cache.keep(&Key::Thumb(n), 1000);
            cache.slot(&Key::Thumb(0));
        }
        assert!(cache.state.lock().unwrap().bytes <= 10_000);
        assert!(cache.slot(&Key::Thumb(0)).try_lock().unwrap().is_some(), "used again and again");
        assert!(cache.slot(&Key::Thumb(7)).try_lock().unwrap().is_some(), "the newest");
        assert!(cache.slot(&Key::Thumb(1)).try_lock().unwrap().is_none());
    }
}

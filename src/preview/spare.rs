//! Large buffers that one picture after another needs.
//!
//! Memory that is new to a process costs a page fault every 4 KiB, which for archives of many short recordings was a tenth of
//! all that a picture takes. Each thread keeps the last few buffers, as long as they are of the usual size.

use std::cell::RefCell;

/// What a thread keeps: buffers of at most so many bytes, and of each kind so many.
const LARGEST: usize = 4 << 20;
const KEPT: usize = 3;

thread_local! {
    static BYTES: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    static WORDS: RefCell<Vec<Vec<u16>>> = const { RefCell::new(Vec::new()) };
}

/// Values of which spare buffers are kept.
pub(crate) trait Spare: Sized {
    /// An empty buffer, with room in it where there was a spare one.
    fn spare() -> Vec<Self>;
    /// Keeps a buffer for later; what is in it is dropped.
    fn give_back(buffer: Vec<Self>);
}

impl Spare for u8 {
    fn spare() -> Vec<u8> {
        BYTES.try_with(take).unwrap_or_default()
    }

    fn give_back(buffer: Vec<u8>) {
        // A thread that is ending keeps nothing.
        let _ = BYTES.try_with(|spare| keep(spare, buffer));
    }
}

impl Spare for u16 {
    fn spare() -> Vec<u16> {
        WORDS.try_with(take).unwrap_or_default()
    }

    fn give_back(buffer: Vec<u16>) {
        let _ = WORDS.try_with(|spare| keep(spare, buffer));
    }
}

fn take<T>(spare: &RefCell<Vec<Vec<T>>>) -> Vec<T> {
    spare.borrow_mut().pop().unwrap_or_default()
}

fn keep<T>(spare: &RefCell<Vec<Vec<T>>>, mut buffer: Vec<T>) {
    let mut spare = spare.borrow_mut();
    if (1..=LARGEST).contains(&(buffer.capacity() * size_of::<T>())) && spare.len() < KEPT {
        buffer.clear();
        spare.push(buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_of_the_usual_size_come_back_empty() {
        u8::give_back(vec![1; 1000]);
        u8::give_back(Vec::with_capacity(LARGEST + 1));
        let buffer = u8::spare();
        assert!(buffer.is_empty() && buffer.capacity() >= 1000);
        assert_eq!(u8::spare().capacity(), 0);
        (0..2 * KEPT).for_each(|_| u16::give_back(vec![1]));
        assert_eq!((0..2 * KEPT).filter(|_| u16::spare().capacity() > 0).count(), KEPT);
    }
}

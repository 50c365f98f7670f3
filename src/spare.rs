//! Large buffers that one recording after another needs.
//!
//! Memory that is new to a process costs a page fault every 4 KiB, which for archives of many short recordings was a tenth of
//! all that they take. So the last buffers are kept, as far as they are no larger than short recordings need.

use std::ops::{Deref, DerefMut};
use std::sync::Mutex;

use crate::threads::threads;

/// The largest buffers that are kept, in bytes: what is read in one go, and the columns of a recording of a few minutes.
const LARGEST_BYTES: usize = 256 << 10;
const LARGEST_WORDS: usize = 5 << 18;
/// How many of each kind are kept for each thread that shares the work.
const KEPT: usize = 3;

static BYTES: Pool<u8> = Pool::new(LARGEST_BYTES);
static WORDS: Pool<u16> = Pool::new(LARGEST_WORDS);

/// Values of which spare buffers are kept.
pub(crate) trait Spare: Sized {
    /// An empty buffer, with room in it where there was a spare one.
    fn spare() -> Vec<Self>;
    /// Keeps a buffer for later; what is in it is dropped.
    fn give_back(buffer: Vec<Self>);
}

impl Spare for u8 {
    fn spare() -> Vec<u8> {
        BYTES.take()
    }

    fn give_back(buffer: Vec<u8>) {
        BYTES.keep(buffer);
    }
}

impl Spare for u16 {
    fn spare() -> Vec<u16> {
        WORDS.take()
    }

    fn give_back(buffer: Vec<u16>) {
        WORDS.keep(buffer);
    }
}

/// A buffer that was spare, and will be.
#[derive(Debug)]
pub(crate) struct Reused<T: Spare>(Vec<T>);

impl<T: Spare> Default for Reused<T> {
    fn default() -> Reused<T> {
        Reused(T::spare())
    }
}

impl<T: Spare> Drop for Reused<T> {
    fn drop(&mut self) {
        T::give_back(std::mem::take(&mut self.0));
    }
}

impl<T: Spare> Deref for Reused<T> {
    type Target = Vec<T>;

    fn deref(&self) -> &Vec<T> {
        &self.0
    }
}

impl<T: Spare> DerefMut for Reused<T> {
    fn deref_mut(&mut self) -> &mut Vec<T> {
        &mut self.0
    }
}

struct Pool<T> {
    buffers: Mutex<Vec<Vec<T>>>,
    largest: usize,
}

impl<T> Pool<T> {
    const fn new(largest: usize) -> Pool<T> {
        Pool { buffers: Mutex::new(Vec::new()), largest }
    }

    fn take(&self) -> Vec<T> {
        self.buffers.lock().unwrap_or_else(|e| e.into_inner()).pop().unwrap_or_default()
    }

    fn keep(&self, mut buffer: Vec<T>) {
        let mut buffers = self.buffers.lock().unwrap_or_else(|e| e.into_inner());
        if (1..=self.largest).contains(&(buffer.capacity() * size_of::<T>())) && buffers.len() < KEPT * threads() {
            buffer.clear();
            buffers.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_of_the_usual_size_come_back_empty() {
        let pool: Pool<u16> = Pool::new(2000);
        pool.keep(vec![1; 1000]);
        pool.keep(Vec::with_capacity(1001));
        pool.keep(Vec::new());
        let buffer = pool.take();
        assert!(buffer.is_empty() && buffer.capacity() >= 1000);
        assert_eq!(pool.take().capacity(), 0);
        (0..10_000).for_each(|_| pool.keep(vec![1]));
        let kept = (0..10_000).filter(|_| pool.take().capacity() > 0).count();
        assert!((KEPT..10_000).contains(&kept), "{kept}");
    }
}

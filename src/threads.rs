//! How many threads there are for what is done in parallel.

use std::num::NonZero;
use std::thread;

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::error::{Error, Result};

/// Threads of the pool that this is called in; outside of any, this one alone.
pub(crate) fn threads() -> usize {
    rayon::current_thread_index().map_or(1, |_| rayon::current_num_threads())
}

/// `wanted` threads, or for zero as many as the machine can run at once.
pub(crate) fn or_all(wanted: usize) -> usize {
    match wanted {
        0 => thread::available_parallelism().map_or(1, NonZero::get),
        _ => wanted,
    }
}

/// A pool of `workers` threads of its own for a run, or for zero of as many as the machine can run at once.
///
/// # Errors
/// The system gives no more threads.
pub(crate) fn pool(workers: usize) -> Result<ThreadPool> {
    ThreadPoolBuilder::new()
        .num_threads(or_all(workers))
        .thread_name(|i| format!("worker-{i}"))
        .build()
        .map_err(|e| Error::limit(format!("the threads could not be started: {e}")))
}

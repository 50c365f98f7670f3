//! Who does what next, while a chunk is encoded: batches of samples go through several stages, and no thread waits for a
//! batch to be through before it takes up the next.
//!
//! ```text
//!           ┌─► encode (its tasks in any order) ─► write ─┐
//! read ─────┼─► analyse ──────────────────────────────────┼─► room for another batch
//!           └─► sum (or only once it is encoded) ─────────┘
//! ```
//!
//! Reading, analysing, summing and writing each take one batch after the other, in their order; of different stages, and of
//! the tasks of encoding, any number run at once. A batch's place is free again when all stages are through with it.

use std::sync::Mutex;

use crate::error::{Error, Result};

/// What is done with the batches; `slot` is the place of a batch. The first error ends it all.
pub(crate) trait Stages: Sync {
    /// Reads the next batch into a slot. Says into how many tasks its encoding is divided; 0 at the end.
    fn read(&self, slot: usize) -> Result<usize>;
    /// Encodes one task's part of a batch.
    fn encode(&self, slot: usize, task: usize) -> Result<()>;
    /// Takes a batch into the preview.
    fn analyze(&self, slot: usize) -> Result<()>;
    /// Takes the checksums further.
    fn sum(&self, slot: usize) -> Result<()>;
    /// Whether [`Stages::sum`] needs what encoding makes.
    fn sums_wait_for_encoding(&self) -> bool;
    /// Writes what was encoded of a batch.
    fn write(&self, slot: usize) -> Result<()>;
}

/// Takes all batches through all stages, with at most `slots` of them on the way, on the threads of the pool that this is
/// called in.
///
/// # Errors
/// The first that a stage gave. Stages that were running come to their ends, others are left out.
pub(crate) fn run(stages: &dyn Stages, slots: usize) -> Result<()> {
    if rayon::current_num_threads() == 1 {
        return run_alone(stages);
    }
    let slots = slots.max(1);
    let pipeline = Pipeline { stages, slots, state: Mutex::new(State::new(slots, stages.sums_wait_for_encoding())) };
    rayon::scope(|scope| pipeline.work(scope, Job::Read(0)));
    let state = pipeline.state.into_inner().unwrap_or_else(|e| e.into_inner());
    state.failed.map_or(Ok(()), Err)
}

/// With nobody to share the work with: batch by batch, while it is in the processor's cache.
fn run_alone(stages: &dyn Stages) -> Result<()> {
    loop {
        let tasks = stages.read(0)?;
        if tasks == 0 {
            return Ok(());
        }
        let sums_wait = stages.sums_wait_for_encoding();
        if !sums_wait {
            stages.sum(0)?;
        }
        stages.analyze(0)?;
        (0..tasks).try_for_each(|task| stages.encode(0, task))?;
        if sums_wait {
            stages.sum(0)?;
        }
        stages.write(0)?;
    }
}

/// Something that a thread can do, with the number of the batch.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Job {
    Read(u64),
    Encode(u64, usize),
    Analyze(u64),
    Sum(u64),
    Write(u64),
}

struct Pipeline<'a> {
    stages: &'a dyn Stages,
    slots: usize,
    state: Mutex<State>,
}

impl Pipeline<'_> {
    /// Does a job, and then, of those that have become possible, the last; others are free to be taken.
    fn work<'s>(&'s self, scope: &rayon::Scope<'s>, job: Job) {
        let mut job = Some(job);
        while let Some(now) = job.take() {
            let outcome = self.perform(now);
            let mut possible = self.state.lock().unwrap_or_else(|e| e.into_inner()).after(now, outcome);
            job = possible.pop();
            for other in possible {
                scope.spawn(move |scope| self.work(scope, other));
            }
        }
    }

    fn perform(&self, job: Job) -> Result<usize> {
        let slot = |batch: u64| (batch % self.slots as u64) as usize;
        match job {
            Job::Read(batch) => self.stages.read(slot(batch)),
            Job::Encode(batch, task) => self.stages.encode(slot(batch), task).map(|()| 0),
            Job::Analyze(batch) => self.stages.analyze(slot(batch)).map(|()| 0),
            Job::Sum(batch) => self.stages.sum(slot(batch)).map(|()| 0),
            Job::Write(batch) => self.stages.write(slot(batch)).map(|()| 0),
        }
    }
}

/// One of the stages that take batches in their order.
#[derive(Default)]
struct Chain {
    /// Batches that are through.
    done: u64,
    busy: bool,
}

impl Chain {
    /// The next batch, if it is there and nobody is at it already; who asks is at it from now on.
    fn next(&mut self, is_there: impl Fn(u64) -> bool) -> Option<u64> {
        let free = !self.busy && is_there(self.done);
        self.busy |= free;
        free.then_some(self.done)
    }

    fn end(&mut self) {
        self.done += 1;
        self.busy = false;
    }
}

/// How far all is.
struct State {
    sums_wait: bool,
    /// Tasks of encoding that are left, by slot.
    tasks: Vec<usize>,
    reading: Chain,
    analyzing: Chain,
    summing: Chain,
    writing: Chain,
    ended: bool,
    failed: Option<Error>,
}

impl State {
    fn new(slots: usize, sums_wait: bool) -> State {
        State {
            sums_wait,
            tasks: vec![0; slots],
            reading: Chain { done: 0, busy: true },
            analyzing: Chain::default(),
            summing: Chain::default(),
            writing: Chain::default(),
            ended: false,
            failed: None,
        }
    }

    /// Takes note of what came of a job, and hands out what has become possible by it, in the order in which others shall
    /// take it; the last one is the most urgent.
    fn after(&mut self, job: Job, outcome: Result<usize>) -> Vec<Job> {
        let tasks = match outcome {
            Ok(tasks) => tasks,
            Err(e) => {
                self.failed.get_or_insert(e);
                0
            }
        };
        if self.failed.is_some() {
            return Vec::new();
        }
        let slots = self.tasks.len() as u64;
        let slot = |batch: u64| (batch % slots) as usize;
        let mut possible = Vec::new();
        match job {
            Job::Read(_) if tasks == 0 => self.ended = true,
            Job::Read(batch) => {
                self.tasks[slot(batch)] = tasks;
                possible.extend((0..tasks).map(|task| Job::Encode(batch, task)));
                self.reading.end();
            }
            Job::Encode(batch, _) => self.tasks[slot(batch)] -= 1,
            Job::Analyze(_) => self.analyzing.end(),
            Job::Sum(_) => self.summing.end(),
            Job::Write(_) => self.writing.end(),
        }
        let read = self.reading.done;
        let is_read = |batch: u64| batch < read;
        let is_encoded = |batch: u64| batch < read && self.tasks[slot(batch)] == 0;
        possible.extend(self.writing.next(is_encoded).map(Job::Write));
        possible.extend(self.analyzing.next(is_read).map(Job::Analyze));
        let sums_wait = self.sums_wait;
        possible.extend(self.summing.next(|b| if sums_wait { is_encoded(b) } else { is_read(b) }).map(Job::Sum));
        let through = self.writing.done.min(self.analyzing.done).min(self.summing.done);
        if !self.ended {
            possible.extend(self.reading.next(|batch| batch < through + slots).map(Job::Read));
        }
        possible
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

    use super::*;
    use crate::error::ErrorKind;

    /// Stages that look whether everything comes in its turn.
    struct Checked {
        batches: u64,
        sums_wait: bool,
        /// The job at which something goes wrong.
        fails_at: Option<Job>,
        read: AtomicU64,
        analyzed: AtomicU64,
        summed: AtomicU64,
        written: AtomicU64,
        /// By slot: which batch is in it, and its tasks that are done.
        slots: Vec<(AtomicU64, AtomicUsize)>,
        most_at_once: AtomicU64,
    }

    fn tasks_of(batch: u64) -> usize {
        1 + (batch * 7 % 5) as usize
    }

    impl Checked {
        fn new(batches: u64, slots: usize, sums_wait: bool) -> Checked {
            Checked {
                batches,
                sums_wait,
                fails_at: None,
                read: AtomicU64::new(0),
                analyzed: AtomicU64::new(0),
                summed: AtomicU64::new(0),
                written: AtomicU64::new(0),
                slots: (0..slots).map(|_| (AtomicU64::new(u64::MAX), AtomicUsize::new(0))).collect(),
                most_at_once: AtomicU64::new(0),
            }
        }

        fn outcome(&self, job: Job) -> Result<()> {
            if self.fails_at == Some(job) { Err(Error::mismatch("as the test wants it")) } else { Ok(()) }
        }

        /// The next of a stage that takes batches in their order; it must be in its slot.
        fn in_turn(&self, counter: &AtomicU64, slot: usize) -> u64 {
            let batch = counter.load(Ordering::SeqCst);
            assert_eq!(self.slots[slot].0.load(Ordering::SeqCst), batch);
            std::thread::yield_now();
            assert_eq!(counter.fetch_add(1, Ordering::SeqCst), batch, "two at once");
            batch
        }

        fn is_encoded(&self, slot: usize, batch: u64) -> bool {
            self.slots[slot].1.load(Ordering::SeqCst) == tasks_of(batch)
        }
    }

    impl Stages for Checked {
        fn read(&self, slot: usize) -> Result<usize> {
            let batch = self.read.load(Ordering::SeqCst);
            if batch == self.batches {
                return Ok(0);
            }
            self.outcome(Job::Read(batch))?;
            for counter in [&self.analyzed, &self.summed, &self.written] {
                let through = counter.load(Ordering::SeqCst);
                assert!(through + self.slots.len() as u64 > batch, "the slot is still in use");
                self.most_at_once.fetch_max(batch + 1 - through, Ordering::SeqCst);
            }
            self.slots[slot].1.store(0, Ordering::SeqCst);
            self.slots[slot].0.store(batch, Ordering::SeqCst);
            self.read.store(batch + 1, Ordering::SeqCst);
            Ok(tasks_of(batch))
        }

        fn encode(&self, slot: usize, task: usize) -> Result<()> {
            let batch = self.slots[slot].0.load(Ordering::SeqCst);
            assert!(task < tasks_of(batch));
            std::thread::yield_now();
            self.slots[slot].1.fetch_add(1, Ordering::SeqCst);
            self.outcome(Job::Encode(batch, task))
        }

        fn analyze(&self, slot: usize) -> Result<()> {
            let batch = self.in_turn(&self.analyzed, slot);
            self.outcome(Job::Analyze(batch))
        }

        fn sum(&self, slot: usize) -> Result<()> {
            let batch = self.in_turn(&self.summed, slot);
            assert!(!self.sums_wait || self.is_encoded(slot, batch));
            self.outcome(Job::Sum(batch))
        }

        fn sums_wait_for_encoding(&self) -> bool {
            self.sums_wait
        }

        fn write(&self, slot: usize) -> Result<()> {
            let batch = self.in_turn(&self.written, slot);
            assert!(self.is_encoded(slot, batch));
            self.outcome(Job::Write(batch))
        }
    }

    fn on_threads(threads: usize, stages: &Checked) -> Result<()> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        let slots = if threads == 1 { 1 } else { stages.slots.len() };
        pool.install(|| run(stages, slots))
    }

    #[test]
    fn every_batch_goes_through_all_stages_in_its_turn() {
        for threads in 1..=4 {
            for slots in 1..=4 {
                for (batches, sums_wait) in [(0, false), (1, true), (2, false), (50, true), (300, false)] {
                    let stages = Checked::new(batches, slots, sums_wait);
                    on_threads(threads, &stages).expect("nothing fails");
                    for counter in [&stages.read, &stages.analyzed, &stages.summed, &stages.written] {
                        assert_eq!(counter.load(Ordering::SeqCst), batches, "{threads} threads, {slots} slots");
                    }
                    assert!(stages.most_at_once.load(Ordering::SeqCst) <= slots as u64);
                }
            }
        }
    }

    #[test]
    fn an_error_in_any_stage_ends_it_all() {
        for threads in [1, 3] {
            for job in [Job::Read(4), Job::Encode(4, 1), Job::Analyze(4), Job::Sum(4), Job::Write(4)] {
                let stages = Checked { fails_at: Some(job), ..Checked::new(1000, 3, false) };
                let error = on_threads(threads, &stages).expect_err("the stage failed");
                assert_eq!(error.kind(), ErrorKind::Mismatch);
                assert!(stages.read.load(Ordering::SeqCst) < 20, "{job:?}");
            }
        }
    }
}

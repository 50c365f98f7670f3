//! Who does what next, while batches of bytes go through several stages: no thread waits for a batch to be through before it
//! takes up the next.
//!
//! ```text
//! read ─┬─► tasks, in any order ─┬─► stages that need what the tasks make ─┬─► room for another batch
//!       └─► stages that do not ──┴─────────────────────────────────────────┘
//! ```
//!
//! Reading, and each of the stages, takes one batch after the other, in their order; of different stages, and of the tasks,
//! any number run at once. A batch's place is free again when all stages are through with it.

use std::sync::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::error::{Error, Result};
use crate::threads::threads;

/// What a stage waits for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Needs {
    /// The batch has been read.
    Reading,
    /// Its tasks are done.
    Tasks,
}

/// What is done with the batches; `slot` is the place of a batch. The first error ends it all.
pub(crate) trait Work: Sync {
    /// Reads the next batch into a slot. Says how many tasks it makes; `None` at the end.
    fn read(&self, slot: usize) -> Result<Option<usize>>;
    /// Does one of the tasks.
    fn task(&self, slot: usize, task: usize) -> Result<()>;
    /// What each of the stages needs; the first are the most urgent.
    fn stages(&self) -> &[Needs];
    /// Takes a batch through the stage of this number.
    fn stage(&self, stage: usize, slot: usize) -> Result<()>;
}

/// Takes all batches through all stages, with at most `slots` of them on the way, on the threads of the pool that this is
/// called in.
///
/// # Errors
/// The first that came up. What was running comes to its end, the rest is left out.
pub(crate) fn run(work: &dyn Work, slots: usize) -> Result<()> {
    if threads() == 1 {
        return run_alone(work);
    }
    let slots = slots.max(1);
    let pipeline = Pipeline { work, slots, state: Mutex::new(State::new(slots, work.stages())) };
    rayon::scope(|scope| pipeline.go(scope, Job::Read(0)));
    into_inner(pipeline.state).failed.map_or(Ok(()), Err)
}

/// Locks for what the stages work on. A stage is never at two batches, so that nobody waits long; and a panic ends the whole
/// run, so that nobody sees what it left.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

pub(super) fn shared<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(|e| e.into_inner())
}

pub(super) fn alone<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(|e| e.into_inner())
}

pub(super) fn into_inner<T>(mutex: Mutex<T>) -> T {
    mutex.into_inner().unwrap_or_else(|e| e.into_inner())
}

/// With nobody to share the work with: batch by batch, while it is in the processor's cache.
fn run_alone(work: &dyn Work) -> Result<()> {
    let all = |needs: Needs| {
        let stages = work.stages().iter().enumerate().filter(move |(_, own)| **own == needs);
        stages.map(|(stage, _)| stage).try_for_each(|stage| work.stage(stage, 0))
    };
    while let Some(tasks) = work.read(0)? {
        all(Needs::Reading)?;
        (0..tasks).try_for_each(|task| work.task(0, task))?;
        all(Needs::Tasks)?;
    }
    Ok(())
}

/// Something that a thread can do, with the number of the batch.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Job {
    Read(u64),
    Task(u64, usize),
    Stage(usize, u64),
}

struct Pipeline<'a> {
    work: &'a dyn Work,
    slots: usize,
    state: Mutex<State>,
}

impl Pipeline<'_> {
    /// Does a job, and then, of those that have become possible, the last; others are free to be taken, the first of them
    /// first. A thread that has read a batch goes on with it, as the bytes are in its part of the cache; others begin by reading
    /// the next one.
    fn go<'s>(&'s self, scope: &rayon::Scope<'s>, job: Job) {
        let mut job = Some(job);
        while let Some(now) = job.take() {
            let outcome = self.perform(now);
            let mut possible = lock(&self.state).after(now, outcome);
            job = possible.pop();
            for other in possible {
                scope.spawn(move |scope| self.go(scope, other));
            }
        }
    }

    fn perform(&self, job: Job) -> Result<Option<usize>> {
        let slot = |batch: u64| (batch % self.slots as u64) as usize;
        match job {
            Job::Read(batch) => self.work.read(slot(batch)),
            Job::Task(batch, task) => self.work.task(slot(batch), task).map(|()| None),
            Job::Stage(stage, batch) => self.work.stage(stage, slot(batch)).map(|()| None),
        }
    }
}

/// Reading, or one of the stages: what takes batches in their order.
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
    /// Tasks that are left, by slot.
    tasks: Vec<usize>,
    reading: Chain,
    stages: Vec<(Needs, Chain)>,
    ended: bool,
    failed: Option<Error>,
}

impl State {
    fn new(slots: usize, stages: &[Needs]) -> State {
        State {
            tasks: vec![0; slots],
            reading: Chain { done: 0, busy: true },
            stages: stages.iter().map(|needs| (*needs, Chain::default())).collect(),
            ended: false,
            failed: None,
        }
    }

    /// Takes note of what came of a job, and hands out what has become possible by it, in the order in which others shall
    /// take it.
    fn after(&mut self, job: Job, outcome: Result<Option<usize>>) -> Vec<Job> {
        let outcome = outcome.unwrap_or_else(|e| {
            self.failed.get_or_insert(e);
            None
        });
        if self.failed.is_some() {
            return Vec::new();
        }
        let slots = self.tasks.len() as u64;
        let slot = |batch: u64| (batch % slots) as usize;
        let mut new_tasks = 0;
        match (job, outcome) {
            (Job::Read(_), None) => self.ended = true,
            (Job::Read(batch), Some(tasks)) => {
                new_tasks = tasks;
                self.tasks[slot(batch)] = tasks;
                self.reading.end();
            }
            (Job::Task(batch, _), _) => self.tasks[slot(batch)] -= 1,
            (Job::Stage(stage, _), _) => self.stages[stage].1.end(),
        }
        let mut possible = Vec::new();
        let through = self.stages.iter().map(|(_, chain)| chain.done).min().unwrap_or(self.reading.done);
        if !self.ended {
            possible.extend(self.reading.next(|batch| batch < through + slots).map(Job::Read));
        }
        let (read, tasks) = (self.reading.done, &self.tasks);
        for (stage, (needs, chain)) in self.stages.iter_mut().enumerate() {
            let is_there = |batch: u64| batch < read && (*needs == Needs::Reading || tasks[slot(batch)] == 0);
            possible.extend(chain.next(is_there).map(|batch| Job::Stage(stage, batch)));
        }
        if let Job::Read(batch) = job {
            possible.extend((0..new_tasks).rev().map(|task| Job::Task(batch, task)));
        }
        // The first stage is the longest chain, and what is left of it at the end nobody can help with: it does not wait.
        possible.sort_by_key(|job| matches!(job, Job::Stage(0, _)));
        possible
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

    use super::*;
    use crate::error::ErrorKind;

    const STAGES: [Needs; 3] = [Needs::Reading, Needs::Tasks, Needs::Reading];

    /// Looks whether everything comes in its turn.
    struct Checked {
        batches: u64,
        /// The job at which something goes wrong.
        fails_at: Option<Job>,
        read: AtomicU64,
        through: [AtomicU64; 3],
        /// By slot: which batch is in it, and its tasks that are done.
        slots: Vec<(AtomicU64, AtomicUsize)>,
    }

    fn tasks_of(batch: u64) -> usize {
        (batch * 7 % 5) as usize
    }

    impl Checked {
        fn new(batches: u64, slots: usize) -> Checked {
            Checked {
                batches,
                fails_at: None,
                read: AtomicU64::new(0),
                through: Default::default(),
                slots: (0..slots).map(|_| (AtomicU64::new(u64::MAX), AtomicUsize::new(0))).collect(),
            }
        }

        fn outcome(&self, job: Job) -> Result<()> {
            if self.fails_at == Some(job) { Err(Error::mismatch("as the test wants it")) } else { Ok(()) }
        }
    }

    impl Work for Checked {
        fn read(&self, slot: usize) -> Result<Option<usize>> {
            let batch = self.read.load(Ordering::SeqCst);
            if batch == self.batches {
                return Ok(None);
            }
            self.outcome(Job::Read(batch))?;
            for counter in &self.through {
                assert!(counter.load(Ordering::SeqCst) + self.slots.len() as u64 > batch, "the slot is still in use");
            }
            self.slots[slot].1.store(0, Ordering::SeqCst);
            self.slots[slot].0.store(batch, Ordering::SeqCst);
            self.read.store(batch + 1, Ordering::SeqCst);
            Ok(Some(tasks_of(batch)))
        }

        fn task(&self, slot: usize, task: usize) -> Result<()> {
            let batch = self.slots[slot].0.load(Ordering::SeqCst);
            assert!(task < tasks_of(batch));
            std::thread::yield_now();
            self.slots[slot].1.fetch_add(1, Ordering::SeqCst);
            self.outcome(Job::Task(batch, task))
        }

        fn stages(&self) -> &[Needs] {
            &STAGES
        }

        fn stage(&self, stage: usize, slot: usize) -> Result<()> {
            let batch = self.through[stage].load(Ordering::SeqCst);
            assert_eq!(self.slots[slot].0.load(Ordering::SeqCst), batch);
            let done = self.slots[slot].1.load(Ordering::SeqCst);
            assert!(STAGES[stage] == Needs::Reading || done == tasks_of(batch));
            std::thread::yield_now();
            assert_eq!(self.through[stage].fetch_add(1, Ordering::SeqCst), batch, "two at once");
            self.outcome(Job::Stage(stage, batch))
        }
    }

    fn on_threads(threads: usize, work: &Checked) -> Result<()> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| run(work, work.slots.len()))
    }

    #[test]
    fn every_batch_goes_through_all_stages_in_its_turn() {
        for threads in 1..=4 {
            for slots in if threads == 1 { 1..=1 } else { 1..=4 } {
                for batches in [0, 1, 2, 50, 300] {
                    let work = Checked::new(batches, slots);
                    on_threads(threads, &work).expect("nothing fails");
                    for counter in work.through.iter().chain([&work.read]) {
                        assert_eq!(counter.load(Ordering::SeqCst), batches, "{threads} threads, {slots} slots");
                    }
                }
            }
        }
    }

    #[test]
    fn an_error_anywhere_ends_it_all() {
        for (threads, slots) in [(1, 1), (3, 3)] {
            for job in [Job::Read(4), Job::Task(4, 1), Job::Stage(0, 4), Job::Stage(1, 4), Job::Stage(2, 4)] {
                let work = Checked { fails_at: Some(job), ..Checked::new(1000, slots) };
                let error = on_threads(threads, &work).expect_err("something failed");
                assert_eq!(error.kind(), ErrorKind::Mismatch);
                assert!(work.read.load(Ordering::SeqCst) < 20, "{job:?}");
            }
        }
    }
}

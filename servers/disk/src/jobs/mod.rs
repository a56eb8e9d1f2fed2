//! Reads and writes of any byte range, made of requests for whole sectors.
//!
//! A job occupies one slot of the device until it is done, one request after the other. Bytes are copied once, between the
//! slot's buffer and the caller's memory, which the caller lends until it is answered; or not at all, if the memory is
//! shared with the device. A write that begins or ends inside a sector first reads what it must not change; writes that
//! overlap therefore wait for each other. Read in this order: [`step`] (one job), then this (all of them).

pub mod step;

#[cfg(test)]
mod tests;

use crate::device::{Device, Pieces, SLOTS};
use alloc::collections::VecDeque;
use step::{Caller, Finished, Job, Kind, Task};

/// All jobs, running and waiting.
pub struct Jobs<C> {
    running: [Option<Job<C>>; SLOTS],
    waiting: VecDeque<(Job<C>, Option<Pieces>)>,
}

impl<C: Caller> Jobs<C> {
    /// None.
    pub const fn new() -> Self {
        Self {
            running: [const { None }; SLOTS],
            waiting: VecDeque::new(),
        }
    }

    /// Adds a job and starts it, if it can run. `pieces` is the caller's memory, of the task's length, if it is shared with
    /// the device: then the task's offset and length are whole sectors.
    #[inline(always)]
    pub fn add(&mut self, device: &mut impl Device, caller: C, task: Task, pieces: Option<Pieces>) {
        let may_run = self.waiting.is_empty() && self.may_run(&task);
        let job = Job::new(caller, task);
        match self.free_slot() {
            Some(slot) if may_run => self.run(device, slot, job, pieces),
            _ => self.waiting.push_back((job, pieces)),
        }
    }

    /// Goes on with every job whose request the device has finished; to be called after each interrupt. The last caller that
    /// is done is returned instead of answered if nobody waits for its slot.
    #[inline(always)]
    pub fn advance(&mut self, device: &mut impl Device) -> Option<Finished<C>> {
        let mut last = self.next_finished(device)?;
        while let Some(next) = self.next_finished(device) {
            core::mem::replace(&mut last, next).answer(device);
        }
        if self.waiting.is_empty() {
            return Some(last);
        }
        last.answer(device);
        self.start(device);
        None
    }

    /// Goes on until a job is done, which leaves its slot; `None` if the device has finished no more.
    #[inline(always)]
    fn next_finished(&mut self, device: &mut impl Device) -> Option<Finished<C>> {
        loop {
            let (slot, result) = device.completed()?;
            // A slot's request is always its job's.
            let running = &mut self.running[slot];
            let Some(job) = running else { continue };
            if let Some(result) = job.complete(device, slot, result)
                && let Some(job) = running.take()
            {
                let caller = job.into_caller();
                return Some(Finished { caller, result });
            }
        }
    }

    /// Whether no job runs or waits.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.running.iter().all(Option::is_none)
    }

    fn free_slot(&self) -> Option<usize> {
        self.running.iter().position(Option::is_none)
    }

    fn may_run(&self, task: &Task) -> bool {
        if task.kind != Kind::Write {
            return true;
        }
        let mut running = self.running.iter().flatten();
        !running.any(|running| running.task().overlaps(task))
    }

    #[inline(always)]
    fn run(&mut self, device: &mut impl Device, slot: usize, job: Job<C>, pieces: Option<Pieces>) {
        let running = self.running[slot].insert(job);
        let submitted = running.submit_next(device, slot, pieces);
        if let Err(error) = submitted
            && let Some(job) = self.running[slot].take()
        {
            job.into_caller().finish(Err(error));
        }
    }

    fn start(&mut self, device: &mut impl Device) {
        while let Some(slot) = self.free_slot() {
            let mut waiting = self.waiting.iter();
            let next = waiting.position(|(job, _)| self.may_run(job.task()));
            let Some((job, pieces)) = next.and_then(|next| self.waiting.remove(next)) else {
                return;
            };
            self.run(device, slot, job, pieces);
        }
    }
}

impl<C: Caller> Default for Jobs<C> {
    fn default() -> Self {
        Self::new()
    }
}

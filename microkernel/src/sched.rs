//! Who could run: 256 first-in-first-out queues, one a priority.

use crate::{
    queue::Queue,
    thread::{Thread, ThreadRef},
};

/// "Nobody is ready": less than every thread's priority, the idle thread's (-1) included.
const EMPTY: i32 = -2;

/// The ready queues: exactly the threads that are Ready and not running.
pub struct Ready {
    queues: [Queue<Thread>; 256],
    /// Bit p of word p / 64: queue p is not empty.
    occupied: [u64; 4],
    /// Highest priority in the queues, [`EMPTY`] if there is none.
    pub(crate) top: i32,
}

impl Ready {
    /// Nobody.
    pub(crate) const fn new() -> Self {
        Self { queues: [const { Queue::new() }; 256], occupied: [0; 4], top: EMPTY }
    }

    /// Highest priority that is ready, [`EMPTY`] if none is.
    #[inline]
    pub fn top(&self) -> i32 {
        self.top
    }

    /// The threads ready at a priority, in the order in which they will run.
    pub fn members(&self, priority: u8) -> impl Iterator<Item = ThreadRef> + '_ {
        self.queues[priority as usize].members()
    }

    /// Adds a thread behind its equals.
    pub fn push_back(&mut self, thread: ThreadRef) {
        let priority = thread.priority.get() as u8;
        let queue = &self.queues[priority as usize];
        let occupied = !queue.is_empty();
        queue.push_back(thread);
        if !occupied {
            self.occupy(priority);
        }
    }

    /// Adds a thread before its equals: it was interrupted.
    pub fn push_front(&mut self, thread: ThreadRef) {
        let priority = thread.priority.get() as u8;
        self.queues[priority as usize].push_front(thread);
        self.occupy(priority);
    }

    fn occupy(&mut self, priority: u8) {
        self.occupied[priority as usize / 64] |= 1 << (priority % 64);
        self.top = self.top.max(priority as i32);
    }

    /// Takes the next thread of the highest priority.
    #[inline(always)]
    pub fn pop(&mut self) -> Option<ThreadRef> {
        let top = u8::try_from(self.top).ok()?;
        let thread = self.queues[top as usize].pop_front();
        self.vacate(top);
        thread
    }

    /// Takes a thread out.
    pub fn remove(&mut self, thread: ThreadRef) {
        let priority = thread.priority.get() as u8;
        self.queues[priority as usize].remove(thread);
        self.vacate(priority);
    }

    /// Queue `priority` lost a member.
    fn vacate(&mut self, priority: u8) {
        if !self.queues[priority as usize].is_empty() {
            return;
        }
        self.occupied[priority as usize / 64] &= !(1 << (priority % 64));
        if self.top == priority as i32 {
            self.top = (0..4).rev().find(|&word| self.occupied[word] != 0).map_or(EMPTY, |word| {
                word as i32 * 64 + 63 - self.occupied[word].leading_zeros() as i32
            });
        }
    }
}

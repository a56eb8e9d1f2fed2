//! Deadlines and the turn: one hardware timer, set to whatever comes first.

use abi::Error;
use intrusive_collections::{KeyAdapter, RBTree, UnsafeRef, intrusive_adapter};

use crate::{
    Kernel, arch, ipc,
    raw::Ref,
    thread::{Thread, ThreadRef},
};

intrusive_adapter!(ByDeadline = UnsafeRef<Thread>: Thread { timer => intrusive_collections::RBTreeLink });

impl<'a> KeyAdapter<'a> for ByDeadline {
    type Key = u64;
    fn get_key(&self, thread: &'a Thread) -> u64 {
        thread.deadline.get()
    }
}

/// Threads of equal priority take turns this often.
const TURNS_PER_SECOND: u64 = 100;

/// Most deadlines served in one entry.
const EXPIRIES: usize = 16;

/// "Never".
const NEVER: u64 = u64::MAX;

/// Deadlines, and when the hardware timer is set to fire.
pub struct Timer {
    deadlines: RBTree<ByDeadline>,
    first: u64,
    /// When the running turn ends; never, if nobody waits for it.
    turn_end: u64,
    /// TSC ticks of a turn.
    turn: u64,
    armed: u64,
}

impl Timer {
    /// Nothing due.
    pub const fn new() -> Self {
        Self {
            deadlines: RBTree::new(ByDeadline::NEW),
            first: NEVER,
            turn_end: NEVER,
            turn: NEVER,
            armed: NEVER,
        }
    }

    /// From now on `thread` gives up at `deadline` (absolute TSC).
    pub fn add(&mut self, thread: ThreadRef, deadline: u64) {
        thread.deadline.set(deadline);
        // SAFETY: the thread is alive; `remove` takes it out before it goes (ipc::stop_waiting, on every way out).
        self.deadlines
            .insert(unsafe { UnsafeRef::from_raw(thread.address() as *const Thread) });
        self.first = self.first.min(deadline);
        self.arm(deadline);
    }

    /// The machine's clock is known.
    pub fn set_turn(&mut self, tsc_hz: u64) {
        self.turn = tsc_hz / TURNS_PER_SECOND;
    }

    /// A turn begins; it ends by itself only if somebody waits for that.
    #[inline]
    pub fn begin_turn(&mut self, now: u64, contended: bool) {
        self.turn_end = NEVER;
        if contended {
            self.turn_end = now + self.turn;
            self.arm(self.turn_end);
        }
    }

    /// Somebody waits for the end of the running turn.
    #[inline]
    pub fn limit_turn(&mut self) {
        if self.turn_end == NEVER {
            self.begin_turn(arch::cpu::now(), true);
        }
    }

    /// The hardware fires at `when`, or earlier.
    fn arm(&mut self, when: u64) {
        if when < self.armed {
            self.armed = when;
            arch::apic::set_timer(when);
        }
    }

    /// It need not give up any more.
    #[inline]
    pub fn remove(&mut self, thread: ThreadRef) {
        if thread.timer.is_linked() {
            // SAFETY: it is linked, and there is only this tree.
            unsafe {
                self.deadlines
                    .cursor_mut_from_ptr(thread.address() as *const Thread)
            }
            .remove();
            self.first = self
                .deadlines
                .front()
                .get()
                .map_or(NEVER, |thread| thread.deadline.get());
        }
    }

    fn first_thread(&self) -> Option<ThreadRef> {
        // SAFETY: members are live threads.
        self.deadlines
            .front()
            .get()
            .map(|thread| unsafe { Ref::from_address(thread as *const Thread as u64) })
    }
}

impl Default for Timer {
    fn default() -> Self {
        Self::new()
    }
}

/// The hardware timer fired.
pub fn fired(kernel: &mut Kernel) {
    let now = arch::cpu::now();
    kernel.timer.armed = NEVER;
    for _ in 0..EXPIRIES {
        if kernel.timer.first > now {
            break;
        }
        let Some(thread) = kernel.timer.first_thread() else {
            break;
        };
        ipc::cancel(kernel, thread, Error::TimedOut);
    }
    if kernel.timer.turn_end <= now {
        kernel.timer.turn_end = NEVER;
        kernel.end_turn();
    }
    let wanted = kernel.timer.first.min(kernel.timer.turn_end);
    kernel.timer.arm(wanted);
}

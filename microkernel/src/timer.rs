//! Deadlines and the turn: one hardware timer, set to whatever comes first.

use abi::Error;

use crate::{Kernel, arch, deadlines::Deadlines, ipc, thread::ThreadRef};

/// Threads of equal priority take turns this often.
const TURNS_PER_SECOND: u64 = 100;

/// Most deadlines served in one entry.
const EXPIRIES: usize = 16;

/// "Never".
const NEVER: u64 = u64::MAX;

/// Deadlines, and when the hardware timer is set to fire.
pub struct Timer {
    deadlines: Deadlines,
    /// When the running turn ends; never, if nobody waits for it.
    pub(crate) turn_end: u64,
    /// TSC ticks of a turn.
    turn: u64,
    armed: u64,
}

impl Timer {
    /// Nothing due.
    pub(crate) const fn new() -> Self {
        Self { deadlines: Deadlines::new(), turn_end: NEVER, turn: NEVER, armed: NEVER }
    }

    /// From now on `thread` gives up at `deadline` (absolute TSC).
    pub fn add(&mut self, thread: ThreadRef, deadline: u64) {
        self.deadlines.add(thread, deadline);
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
    #[inline(always)]
    pub fn remove(&mut self, thread: ThreadRef) {
        if thread.timer.is_linked() {
            self.deadlines.remove(thread);
        }
    }
}

/// The hardware timer fired.
pub fn fired(kernel: &mut Kernel) {
    let now = arch::cpu::now();
    kernel.timer.armed = NEVER;
    let mut first = kernel.timer.deadlines.first();
    for _ in 0..EXPIRIES {
        let Some((thread, _)) = first.filter(|(_, deadline)| *deadline <= now) else {
            break;
        };
        ipc::cancel(kernel, thread, Error::TimedOut);
        first = kernel.timer.deadlines.first();
    }
    if kernel.timer.turn_end <= now {
        kernel.timer.turn_end = NEVER;
        kernel.end_turn();
    }
    let first = first.map_or(NEVER, |(_, deadline)| deadline);
    kernel.timer.arm(first.min(kernel.timer.turn_end));
}

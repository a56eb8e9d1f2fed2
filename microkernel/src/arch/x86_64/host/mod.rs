//! What stands in for the machine where a host runs the core under test: a clock that the test sets, the register of
//! page-fault addresses, the running thread, the lines of an IO-APIC, and ports that remember. One machine a test thread.

pub mod tlb;

use std::cell::{Cell, RefCell};

use self::tlb::Tlb;
use super::features::Features;
use crate::thread::ThreadRef;

/// Number of interrupt lines.
pub const LINES: u32 = 24;

/// The machine's registers.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    /// What its processor can do.
    pub features: Features,
    /// The time stamp counter.
    pub now: u64,
    /// CR2.
    pub fault_address: u64,
    /// TSS.RSP0: the thread that runs.
    pub current: Option<ThreadRef>,
    /// When the timer fires; `u64::MAX`: never.
    pub timer: u64,
    /// Bit n: line n is masked.
    pub masked: u32,
    /// The last write to a port: port, width, value.
    pub written: Option<(u16, u64, u64)>,
}

impl Machine {
    /// As it is switched on.
    pub const fn new() -> Self {
        Self {
            features: Features::empty(),
            now: 0,
            fault_address: 0,
            current: None,
            timer: u64::MAX,
            masked: (1 << LINES) - 1,
            written: None,
        }
    }

    /// Masks or unmasks a line.
    pub fn set_masked(&mut self, line: u32, masked: bool) {
        self.masked = self.masked & !(1 << line) | (masked as u32) << line;
    }
}

impl Default for Machine {
    fn default() -> Self {
        Self::new()
    }
}

std::thread_local! {
    static MACHINE: Cell<Machine> = const { Cell::new(Machine::new()) };
    static TLB: RefCell<Tlb> = const { RefCell::new(Tlb::new()) };
}

/// This test thread's machine.
#[inline]
pub fn machine() -> Machine {
    MACHINE.get()
}

/// Changes this test thread's machine.
#[inline]
pub fn set_machine(change: impl FnOnce(&mut Machine)) {
    let mut machine = MACHINE.get();
    change(&mut machine);
    MACHINE.set(machine);
}

/// This test thread's TLB.
pub fn with_tlb<R>(act: impl FnOnce(&mut Tlb) -> R) -> R {
    TLB.with_borrow_mut(act)
}

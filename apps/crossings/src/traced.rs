//! What the host tool single-steps: round trips, an interrupt and an exception, between marks, for good.

use crate::ipc::{empty, enter, grant};
use crate::partner::Mode;
use crate::report::Report;
use crate::traps::{self, ENABLE, ROOM};
use crate::{Bench, Failure, kernel};
use abi::Op;
use abi::tag::{Flags, Tag};
use core::sync::atomic::{AtomicU32, Ordering};
use libsys::object::IoPorts;
use libsys::rt::ENDPOINT;
use libsys::syscall::{self, Input, Slot};

/// Labels of the marks, which are system calls that do nothing. `boot/src/bench/trace.rs` has the same.
const ROUND_TRIPS: u32 = 0x7ace_0001;
const INTERRUPT: u32 = 0x7ace_0002;
const END: u32 = 0x7ace_0003;
const FAULT: u32 = 0x7ace_0004;

/// Below the partner's, so that an interrupt switches to it at once.
const PRIORITY: u8 = crate::PRIORITY - 1;

static PARTNER: AtomicU32 = AtomicU32::new(0);
static PORTS: AtomicU32 = AtomicU32::new(0);

/// Says that it is ready, and begins.
pub fn run(bench: &Bench, report: &Report) -> Result<(), Failure> {
    let (server, _) = grant(bench)?;
    traps::serial_irq()?.bind(server, 0).map_err(kernel)?;
    PARTNER.store(bench.partner.0, Ordering::Relaxed);
    PORTS.store(bench.ports.0.0.0, Ordering::Relaxed);
    report.ready();
    bench
        .worker
        .start(cycle, bench.ports.1 as u64, PRIORITY, bench.partner)
        .map_err(kernel)?;
    // Nobody calls: the worker runs from now on.
    syscall::recv(ENDPOINT);
    Err("the traced thread ended".into())
}

extern "C" fn cycle(base: u64) -> ! {
    let partner = Slot(PARTNER.load(Ordering::Relaxed));
    let ports = IoPorts(Slot(PORTS.load(Ordering::Relaxed)));
    let enable = base as u16 + ENABLE;
    loop {
        // What fails is seen in the trace: the marks have not between them what is looked for.
        let _ = enter(partner, Mode::Zeros);
        mark(ROUND_TRIPS);
        let _ = empty(1, partner);
        mark(END);
        let _ = enter(partner, Mode::Interrupts);
        let _ = ports.write(enable, 1, 0);
        mark(INTERRUPT);
        let _ = ports.write(enable, 1, ROOM);
        mark(END);
        let _ = enter(partner, Mode::Faults);
        mark(FAULT);
        syscall::fault();
        mark(END);
    }
}

fn mark(label: u32) {
    let tag = Tag::new(Op::Nop, label, 0, Flags::empty());
    syscall::enter(Input::new(tag, Slot(0), [0; 4]));
}

//! What the threads of [`crate::stress`] do. None gets as far as to return.

use crate::partner::ROUND;
use abi::tag::{Flags, Tag, Transfer};
use abi::{COPY_LIMIT, Op, buffer};
use alloc::vec;
use core::sync::atomic::{AtomicU64, Ordering};
use libsys::lease::Lease;
use libsys::rt::ENDPOINT;
use libsys::syscall::{self, Input, Slot};

/// As many words as a message can have beyond the first four.
pub const EXTRA: usize = 116;
/// When those give up that do.
pub static DEADLINE: AtomicU64 = AtomicU64::new(0);

/// Calls an endpoint until the deadline, then waits.
pub extern "C" fn call(endpoint: u64) -> ! {
    let deadline = DEADLINE.load(Ordering::Relaxed);
    let endpoint = Slot(endpoint as u32);
    syscall::call_until(endpoint, ROUND, [0; 4], Lease::NONE, deadline);
    wait()
}

/// Receives until the deadline.
pub extern "C" fn receive(endpoint: u64) -> ! {
    syscall::recv_until(Slot(endpoint as u32), DEADLINE.load(Ordering::Relaxed));
    wait()
}

/// Takes a call from one endpoint, does not answer it, and calls another.
pub extern "C" fn serve(endpoints: u64) -> ! {
    syscall::recv(Slot(endpoints as u32));
    call(endpoints >> 32)
}

/// Waits to be destroyed.
fn wait() -> ! {
    loop {
        syscall::call(ENDPOINT, ROUND, [0; 4]);
    }
}

/// Calls for good, with all that a call can carry.
pub extern "C" fn large_call(slots: u64) -> ! {
    let (endpoint, gift) = (Slot(slots as u32), (slots >> 32) as u32);
    let mut first = vec![0; COPY_LIMIT as usize + 1];
    let mut last = first.clone();
    let (first, last) = (
        Lease::read_write(&mut first[1..]),
        Lease::read_write(&mut last[1..]),
    );
    loop {
        syscall::set_word(buffer::lease(3) / 8, last.base());
        syscall::set_word(buffer::lease(3) / 8 + 1, last.bits().bits());
        let flags = Flags::CAP | Flags::LEASES;
        syscall::enter(Input {
            base: first.base(),
            length: first.bits().bits(),
            transfer: Transfer {
                pass: gift,
                move_it: false,
                receive: gift + 2,
            },
            ..Input::new(Tag::new(Op::Call, ROUND, EXTRA, flags), endpoint, [1; 4])
        });
    }
}

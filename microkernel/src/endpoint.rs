//! Where servers receive, and where they park callers.

use core::cell::Cell;

use crate::{irq::Irq, queue::Queue, thread::Thread, thread::ThreadRef};

/// An endpoint: callers wait here for a server, servers for callers; never both.
#[repr(C, align(64))]
pub struct Endpoint {
    /// Threads in state Sending, first come first served.
    pub senders: Queue<Thread>,
    /// Threads in state Receiving.
    pub receivers: Queue<Thread>,
    /// Interrupts that fired and wait for a receiver.
    pub pending: Queue<Irq>,
}

/// Bytes of an Endpoint.
pub const SIZE: u64 = 64;
const _: () = assert!(size_of::<Endpoint>() == SIZE as usize);

impl Endpoint {
    /// Nobody here.
    pub const fn new() -> Self {
        Self {
            senders: Queue::new(),
            receivers: Queue::new(),
            pending: Queue::new(),
        }
    }
}

impl Default for Endpoint {
    fn default() -> Self {
        Self::new()
    }
}

/// A Reply object: holds one caller until somebody answers VIA it.
#[repr(C, align(64))]
pub struct Reply {
    /// The parked caller, in state AwaitingReply from this object.
    pub caller: Cell<Option<ThreadRef>>,
}

impl Reply {
    /// Nobody parked.
    pub const fn new() -> Self {
        Self {
            caller: Cell::new(None),
        }
    }
}

impl Default for Reply {
    fn default() -> Self {
        Self::new()
    }
}

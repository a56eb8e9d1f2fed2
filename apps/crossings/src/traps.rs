//! Ids of traps and interrupts.

use crate::clock::{self, Samples};
use crate::ipc::enter;
use crate::partner::Mode;
use crate::team;
use crate::{Bench, Failure, PRIORITY, kernel};
use abi::Error;
use abi::object::endpoint;
use abi::tag::Message;
use libsys::object::{Irq, OWN_TABLE};
use libsys::proto::program::Device;
use libsys::rt::{self, ENDPOINT};
use libsys::slots;
use libsys::syscall::{self, Slot};

/// `trap.null`: the system call that does nothing.
pub fn null(bench: &Bench) -> Result<Samples, Failure> {
    clock::loops(bench.samples, 16, || {
        syscall::nop();
        Ok(())
    })
}

/// `fault.roundtrip`: UD2 in a thread of this program; the partner resumes it behind.
pub fn fault(bench: &Bench) -> Result<Samples, Failure> {
    extern "C" fn victim(samples: u64) -> ! {
        team::finish(clock::loops(samples as usize, 16, || {
            syscall::fault();
            Ok(())
        }))
    }
    enter(bench.partner, Mode::Faults)?;
    let samples = bench.samples as u64;
    bench
        .worker
        .start(victim, samples, PRIORITY, bench.partner)
        .map_err(kernel)?;
    let samples = team::result();
    bench.worker.stop().map_err(kernel)?;
    samples
}

/// Interrupt enable register of the 16550.
pub const ENABLE: u16 = 1;
/// Its bit "room for output", which fires at once while there is room.
pub const ROOM: u32 = 2;

/// The serial port's interrupt.
pub fn serial_irq() -> Result<Irq, Failure> {
    rt::info()
        .devices
        .iter()
        .find_map(|device| match device {
            Device::Irq { slot } => Some(Irq(Slot(*slot))),
            _ => None,
        })
        .ok_or_else(|| "it needs the serial port's interrupt".into())
}

/// `irq.acknowledge`: ACK of an interrupt of the serial port, delivered to this program.
pub fn acknowledge(bench: &Bench) -> Result<Samples, Failure> {
    let irq = serial_irq()?;
    let (ports, base) = bench.ports;
    let endpoint = slots::allocate().ok_or_else(|| kernel(Error::NoCapability))?;
    OWN_TABLE
        .derive(endpoint, ENDPOINT, endpoint::RECV, 0)
        .and_then(|()| irq.bind(endpoint, 0))
        .map_err(kernel)?;
    let samples = clock::singles(
        bench.samples,
        || {
            ports
                .write(base + ENABLE, 1, 0)
                .and_then(|()| ports.write(base + ENABLE, 1, ROOM))
                .map_err(kernel)?;
            let message = syscall::recv(ENDPOINT).check().map_err(kernel)?;
            if message.tag.message() == Message::Interrupt {
                Ok(())
            } else {
                Err("something else than an interrupt arrived".into())
            }
        },
        || irq.acknowledge().map_err(kernel),
    );
    ports.write(base + ENABLE, 1, 0).map_err(kernel)?;
    // It is unbound with this slot.
    slots::release(endpoint);
    samples
}

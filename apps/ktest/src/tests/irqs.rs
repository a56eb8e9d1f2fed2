//! Interrupts as messages: raised by programs, and of real lines (the interval timer, GSI 2; power management, GSI 9).

use crate::lab::{HIGH, Lab, NORMAL};
use crate::outcome::Outcome;
use crate::{check, refused, same};
use abi::object::{endpoint, ioports, irq};
use abi::tag::Message;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use libsys::object::{IoPorts, Irq, OWN_TABLE};
use libsys::proto::program::Device;
use libsys::rt;
use libsys::syscall::{self, Answer, Output, Slot, invoke};

fn poll(endpoint: Slot) -> Result<Output, abi::Error> {
    syscall::recv_until(endpoint, 0).check()
}

/// What fires while nobody listens or acknowledges is counted, not queued.
pub fn coalescing(lab: &mut Lab) -> Outcome {
    let (endpoint, irq) = (lab.endpoint()?, lab.irq()?);
    irq.bind(endpoint, 0xb00)?;
    for count in [1, 2, 1000] {
        for _ in 0..count {
            irq.raise()?;
        }
        let m = poll(endpoint)?;
        same!(
            (m.tag.message(), m.badge, m.words),
            (Message::Interrupt, 0xb00, [count, 0, 0, 0])
        );
        // Unacknowledged: no second message.
        irq.raise()?;
        irq.raise()?;
        irq.acknowledge()?;
        let m = poll(endpoint)?;
        same!(m.words[0], 2);
        syscall::reply(Answer::new(0, [0; 4])).check()?;
        refused!(poll(endpoint), TimedOut);
    }
    same!(irq.info()?, (0, 0));
    refused!(invoke(irq.0, 9, [0; 4]), InvalidOperation);
    Ok(())
}

/// Pending interrupts come before callers, in the order they fired; all are served.
pub fn order(lab: &mut Lab) -> Outcome {
    let endpoint = lab.endpoint()?;
    let irqs = [lab.irq()?, lab.irq()?, lab.irq()?];
    for (i, irq) in irqs.iter().enumerate() {
        irq.bind(endpoint, i as u64 + 1)?;
    }
    lab.spawn(HIGH, move || {
        syscall::call(endpoint, 77, [0; 4]);
    })?;
    for i in [2, 0, 1, 0] {
        irqs[i].raise()?;
    }
    let mut m = poll(endpoint)?;
    for (badge, count) in [(3, 1), (1, 2), (2, 1)] {
        same!((m.badge, m.words[0]), (badge, count));
        m = syscall::reply_recv(endpoint, 0, [0; 4]).check()?;
    }
    same!((m.tag.message(), m.tag.label()), (Message::Call, 77));
    Ok(())
}

/// A waiting receiver is woken, at its own priority; the next receive acknowledges.
pub fn waking(lab: &mut Lab) -> Outcome {
    let (endpoint, irq) = (lab.endpoint()?, lab.irq()?);
    irq.bind(endpoint, 1)?;
    let seen = Arc::new(AtomicU64::new(0));
    let log = seen.clone();
    lab.spawn(HIGH, move || {
        loop {
            let m = syscall::recv(endpoint);
            log.fetch_add(m.words[0], Relaxed);
        }
    })?;
    for i in 1..=50 {
        irq.raise()?;
        same!(seen.load(Relaxed), i);
    }
    Ok(())
}

/// Binding: one endpoint at a time; when that goes the Irq can be bound anew, and what was pending is still delivered once.
pub fn rebinding(lab: &mut Lab) -> Outcome {
    let (first, second, irq) = (lab.endpoint()?, lab.endpoint()?, lab.irq()?);
    let through = lab.copy(first, endpoint::RECV, 0)?;
    irq.bind(through, 1)?;
    refused!(irq.bind(second, 2), BadState);
    irq.raise()?;
    // The binding is a child of the slot it was made from.
    OWN_TABLE.delete(through)?;
    refused!(poll(first), TimedOut);
    irq.raise()?;
    irq.bind(second, 2)?;
    irq.raise()?;
    let m = poll(second)?;
    same!(m.badge, 2);
    check!(m.words[0] >= 1);
    // An owner of the acknowledgement, when the Irq goes.
    OWN_TABLE.delete(irq.0)?;
    refused!(poll(second), TimedOut);
    syscall::reply(Answer::new(0, [0; 4])).check()?;
    // Without an endpoint it does nothing.
    let unbound = lab.irq()?;
    unbound.raise()?;
    unbound.acknowledge()?;
    Ok(())
}

/// A thread that raises without end cannot keep a thread of higher priority from running, nor one of its own.
pub fn raised_without_end(lab: &mut Lab) -> Outcome {
    let (endpoint, irq) = (lab.endpoint()?, lab.irq()?);
    irq.bind(endpoint, 1)?;
    lab.spawn(NORMAL, move || {
        loop {
            let _ = irq.raise();
        }
    })?;
    let served = Arc::new(AtomicU64::new(0));
    let count = served.clone();
    lab.spawn(NORMAL - 1, move || {
        loop {
            syscall::recv(endpoint);
            count.fetch_add(1, Relaxed);
        }
    })?;
    let (rounds, start) = (20, libsys::time::Instant::now().0);
    for _ in 0..rounds {
        lab.rest(1_000_000);
    }
    let took = libsys::time::Instant::now().0 - start;
    // Asleep for 20 ms in all, plus at most a time slice of the equal one each time it wakes.
    check!(took < rounds * 12_000_000);
    // Its own receiver, of lower priority, never ran: strict priority.
    same!(served.load(Relaxed), 0);
    Ok(())
}

/// Ports and interrupt of a device.
type Hardware = (IoPorts, Irq);

/// The interval timer, and ACPI's power management.
fn devices() -> Result<[Hardware; 2], crate::outcome::Failure> {
    use Device::{Irq as Line, Ports};
    let [
        Ports { slot: timer, .. },
        Line { slot: tick },
        Ports { slot: power, .. },
        Line { slot: control },
    ] = rt::info().devices[..]
    else {
        return Err(crate::outcome::Failure("no timer".into()));
    };
    let device = |ports, irq| (IoPorts(Slot(ports)), Irq(Slot(irq)));
    Ok([device(timer, tick), device(power, control)])
}

/// Port numbers and widths outside a capability's range, block lengths, and rights.
pub fn ports(lab: &mut Lab) -> Outcome {
    let [(ports, _), _] = devices()?;
    for label in [
        ioports::IN,
        ioports::OUT,
        ioports::IN_BLOCK,
        ioports::OUT_BLOCK,
    ] {
        for (port, width) in [
            (0x3f, 1),
            (0x44, 1),
            (0x43, 2),
            (0x41, 4),
            (0x40, 0),
            (0x40, 3),
            (0x40, 8),
            (0x40, u64::MAX),
            (u64::MAX, 1),
            (u64::MAX - 1, 2),
            (u64::MAX - 3, 4),
            (0x1_0040, 1),
        ] {
            refused!(invoke(ports.0, label, [port, width, 0, 0]), InvalidArgument);
        }
    }
    for (width, count) in [(1, 513), (2, 257), (4, 129), (1, u64::MAX), (4, 1 << 62)] {
        for label in [ioports::IN_BLOCK, ioports::OUT_BLOCK] {
            refused!(
                invoke(ports.0, label, [0x40, width, count, 0]),
                InvalidArgument
            );
        }
    }
    let read_only = IoPorts(lab.copy(ports.0, ioports::IN_RIGHT, 0x42 | 1 << 16)?);
    read_only.read(0x42, 1)?;
    refused!(read_only.read(0x40, 1), InvalidArgument);
    refused!(read_only.write(0x42, 1, 0), MissingRight);
    let slot = lab.slot();
    for range in [0x42 | 2 << 16, 0x43 | 1 << 16, 0x42, 0x42 | 0xffff << 16] {
        let derived = OWN_TABLE.derive(slot, read_only.0, ioports::IN_RIGHT, range);
        refused!(derived, InvalidArgument);
    }
    refused!(invoke(ports.0, 9, [0x40, 1, 0, 0]), InvalidOperation);
    // It was derived from a capability that is not the lab's.
    OWN_TABLE.delete(read_only.0)?;
    Ok(())
}

/// The interval timer at 1,000 Hz, each tick a message.
pub fn edge_line(lab: &mut Lab) -> Outcome {
    let [(ports, irq), _] = devices()?;
    let endpoint = lab.endpoint()?;
    irq.bind(endpoint, 0x40)?;
    set_timer(ports, 1193)?;
    let start = libsys::time::Instant::now().0;
    syscall::recv(endpoint).check()?;
    for _ in 0..50 {
        let m = syscall::reply_recv(endpoint, 0, [0; 4]).check()?;
        same!((m.tag.message(), m.badge), (Message::Interrupt, 0x40));
    }
    let took = libsys::time::Instant::now().0 - start;
    check!((45_000_000..60_000_000).contains(&took));
    // A storm nobody acknowledges: 64 are counted, then the line is masked, and the system goes on.
    set_timer(ports, 12)?;
    for _ in 0..20 {
        lab.rest(1_000_000);
    }
    irq.acknowledge()?;
    let m = syscall::recv(endpoint).check()?;
    check!((64..=70).contains(&m.words[0]));
    syscall::reply(Answer::new(0, [0; 4])).check()?;
    storms(lab, endpoint)?;
    set_timer(ports, 0)?;
    ports.write(0x43, 1, 0x30)?;
    Ok(())
}

/// A storm that a thread below acknowledges at once: whoever is above it still gets his time.
fn storms(lab: &mut Lab, endpoint: Slot) -> Outcome {
    let count = Arc::new(AtomicU64::new(0));
    let messages = count.clone();
    lab.spawn(NORMAL - 1, move || {
        loop {
            let m = syscall::recv(endpoint);
            messages.fetch_add(m.words[0], Relaxed);
        }
    })?;
    for _ in 0..10 {
        let start = libsys::time::Instant::now().0;
        lab.rest(1_000_000);
        check!(libsys::time::Instant::now().0 - start < 2_000_000);
    }
    check!(count.load(Relaxed) > 100);
    Ok(())
}

/// First port of ACPI's power management on QEMU's machines: status, and behind it which of its bits interrupt (ACPI 6.5, 4.8.3.1).
const POWER: u16 = 0x600;
/// The power management timer, 3.58 MHz and 24 bits, overflowed: every 2.3 s.
const OVERFLOW: u32 = 1;

/// A line that stays asserted until the device is served (ACPI's, by its timer): one message, and then silence until the
/// acknowledgement, or else a storm.
pub fn level_line(lab: &mut Lab) -> Outcome {
    let [_, (ports, irq)] = devices()?;
    let endpoint = lab.endpoint()?;
    let serve = || ports.write(POWER, 2, OVERFLOW);
    irq.bind(endpoint, 0x41)?;
    serve()?;
    ports.write(POWER + 2, 2, OVERFLOW)?;
    let m = syscall::recv(endpoint).check()?;
    same!((m.tag.message(), m.badge), (Message::Interrupt, 0x41));
    same!(m.words, [1, 0, 0, 0]);
    check!(ports.read(POWER, 2)? & OVERFLOW != 0);
    // Not acknowledged: the line is masked, so others run, though the device wants to be served.
    lab.rest(20_000_000);
    // Served and acknowledged, it is quiet.
    serve()?;
    irq.acknowledge()?;
    refused!(poll(endpoint), TimedOut);
    // Acknowledged, but not served: it interrupts again at once, each time.
    let m = syscall::recv(endpoint).check()?;
    for _ in 0..100 {
        same!(m.words, [1, 0, 0, 0]);
        irq.acknowledge()?;
        same!(poll(endpoint)?.words, [1, 0, 0, 0]);
    }
    irq.acknowledge()?;
    storms(lab, endpoint)?;
    serve()?;
    ports.write(POWER + 2, 2, 0)?;
    Ok(())
}

/// Counter 0 as a rate generator, with this divisor of 1,193,182 Hz (8254 data sheet).
fn set_timer(ports: IoPorts, divisor: u16) -> Result<(), abi::Error> {
    ports.write(0x43, 1, 0x34)?;
    ports.write(0x40, 1, divisor as u32 & 0xff)?;
    ports.write(0x40, 1, divisor as u32 >> 8)
}

/// Rights of an Irq are its holder's own business: see `capabilities::rights_are_needed`. A copy may raise and no more.
pub fn bell(lab: &mut Lab) -> Outcome {
    let (endpoint, irq) = (lab.endpoint()?, lab.irq()?);
    irq.bind(endpoint, 1)?;
    extern "C" fn rings(_: u64) -> ! {
        let bell = Irq(Slot(1));
        let _ = bell.raise();
        let refused = bell.acknowledge().is_err() && bell.bind(Slot(2), 0).is_err();
        syscall::call(Slot(2), refused as u32, [0; 4]);
        crate::raw::stop()
    }
    let result = lab.endpoint()?;
    let give = [(irq.0, irq::RAISE_RIGHT, 0), (result, endpoint::CALL, 0)];
    lab.process(rings, 0, HIGH, &give, Slot(0))?;
    same!(
        syscall::recv(endpoint).check()?.tag.message(),
        Message::Interrupt
    );
    same!(syscall::recv(result).check()?.tag.label(), 1);
    Ok(())
}

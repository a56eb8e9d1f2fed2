//! What its partners hear when an object goes in the middle of IPC.

use crate::lab::{ENDPOINT, HIGH, LOW, Lab, NORMAL};
use crate::outcome::Outcome;
use crate::place::Place;
use crate::{check, raw, refused, same};
use abi::Error;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use libsys::lease::Lease;
use libsys::object::{OWN_TABLE, Reply, Thread};
use libsys::syscall::{self, Answer, CALLER, Slot};

/// A helper that calls `endpoint` and keeps the low half of the tag it gets.
fn caller(
    lab: &mut Lab,
    endpoint: Slot,
) -> Result<(Thread, Arc<AtomicU64>), crate::outcome::Failure> {
    let result = Arc::new(AtomicU64::new(0));
    let seen = result.clone();
    let thread = lab.spawn(HIGH, move || {
        let output = syscall::call(endpoint, 0, [0; 4]);
        seen.store(output.tag.0 & 0xffff_ffff | 1 << 40, Relaxed);
    })?;
    Ok((thread, result))
}

const DIED: u64 = Error::PartnerDied as u64 | 1 << 40;
const DELIVERED: u64 = 1 << 20;

/// The endpoint goes: queued callers and waiting receivers hear; whoever was taken still gets an answer.
pub fn endpoint(lab: &mut Lab) -> Outcome {
    let (endpoint, other) = (lab.endpoint()?, lab.endpoint()?);
    let (first, taken) = caller(lab, endpoint)?;
    let (_, queued) = caller(lab, endpoint)?;
    syscall::recv(endpoint).check()?;
    let status = Arc::new(AtomicU64::new(0));
    let seen = status.clone();
    lab.spawn(HIGH, move || {
        seen.store(syscall::recv(other).tag.0, Relaxed);
    })?;
    // It owes a caller of high priority and runs at that; the receiver must get there first.
    lab.rest(1_000_000);
    OWN_TABLE.delete(endpoint)?;
    OWN_TABLE.delete(other)?;
    lab.rest(1_000_000);
    same!(queued.load(Relaxed), DIED);
    same!(status.load(Relaxed), Error::PartnerDied as u64);
    same!(taken.load(Relaxed), 0);
    syscall::reply(Answer::new(0, [0; 4])).check()?;
    lab.join(first)?;
    same!(taken.load(Relaxed), 1 << 40);
    Ok(())
}

/// Revoking a derived capability stops nobody who is in already.
pub fn revoked_capability(lab: &mut Lab) -> Outcome {
    let endpoint = lab.endpoint()?;
    let copy = lab.copy(endpoint, ENDPOINT, 3)?;
    let (thread, result) = caller(lab, copy)?;
    OWN_TABLE.delete(copy)?;
    let m = syscall::recv(endpoint).check()?;
    same!(m.badge, 3);
    syscall::reply(Answer::new(0, [0; 4])).check()?;
    lab.join(thread)?;
    same!(result.load(Relaxed), 1 << 40);
    Ok(())
}

/// The server goes while it owes: its caller hears, and that it was delivered.
pub fn server(lab: &mut Lab) -> Outcome {
    let (endpoint, busy) = (lab.endpoint()?, lab.endpoint()?);
    let server = lab.spawn(LOW, move || {
        syscall::recv(endpoint);
        syscall::recv(busy);
        syscall::call(busy, 0, [0; 4]);
    })?;
    lab.rest(1_000_000);
    let (client, result) = caller(lab, endpoint)?;
    // It owes, so its receive is refused and it calls; it dies in that call.
    lab.rest(1_000_000);
    OWN_TABLE.delete(server.0)?;
    lab.join(client)?;
    same!(result.load(Relaxed), DIED | DELIVERED);
    refused!(syscall::recv_until(busy, 0).check(), TimedOut);
    Ok(())
}

/// A Reply object goes with a caller in it.
pub fn reply_object(lab: &mut Lab) -> Outcome {
    let (endpoint, reply) = (lab.endpoint()?, lab.reply()?);
    let (client, result) = caller(lab, endpoint)?;
    syscall::recv(endpoint).check()?;
    reply.defer()?;
    OWN_TABLE.delete(reply.0)?;
    lab.join(client)?;
    same!(result.load(Relaxed), DIED | DELIVERED);
    refused!(
        syscall::reply_via(reply.0, Answer::new(0, [0; 4])).check(),
        NoCapability
    );
    Ok(())
}

/// The caller goes: its server's answer is dropped, and its leases are gone at once.
pub fn caller_goes(lab: &mut Lab) -> Outcome {
    let (endpoint, reply) = (lab.endpoint()?, lab.reply()?);
    for park in [false, true] {
        let client = lab.spawn(HIGH, move || {
            let bytes = [7u8; 64];
            syscall::call_lending(endpoint, 0, [0; 4], Lease::read(&bytes));
        })?;
        syscall::recv(endpoint).check()?;
        let holder = if park { reply } else { Reply(CALLER) };
        if park {
            reply.defer()?;
        }
        let mut bytes = [0; 64];
        holder.lease_read(0, 0, &mut bytes)?;
        same!(bytes, [7; 64]);
        OWN_TABLE.delete(client.0)?;
        refused!(holder.lease_read(0, 0, &mut bytes), NoCaller);
        refused!(holder.lease_info(0), NoCaller);
        let answer = Answer::new(0, [0; 4]);
        let late = if park {
            syscall::reply_via(reply.0, answer)
        } else {
            syscall::reply(answer)
        };
        late.check()?;
        // Queued, with a deadline: it leaves queue and timer.
        let client = lab.spawn(HIGH, move || {
            let soon = libsys::time::Instant::now().0 + 1_000_000;
            syscall::call_until(endpoint, 0, [0; 4], Lease::NONE, soon);
        })?;
        OWN_TABLE.delete(client.0)?;
        lab.rest(2_000_000);
        refused!(syscall::recv_until(endpoint, 0).check(), TimedOut);
    }
    Ok(())
}

/// A server kills the caller it owes, then itself.
pub fn kills_its_caller_and_itself(lab: &mut Lab) -> Outcome {
    let endpoint = lab.endpoint()?;
    let (server, area) = lab.thread()?;
    let (client, client_area) = lab.thread()?;
    let place = |area| Place {
        table: OWN_TABLE,
        space: lab.space,
        fault: Slot(0),
        area,
    };
    let (server_place, client_place) = (place(area), place(client_area));
    lab.start_job(server, server_place, HIGH, move || {
        syscall::recv(endpoint);
        let _ = OWN_TABLE.delete(client.0);
        syscall::reply(Answer::new(0, [0; 4]));
        let _ = OWN_TABLE.delete(server.0);
    })?;
    lab.start_job(client, client_place, NORMAL, move || {
        syscall::call(endpoint, 0, [0; 4]);
    })?;
    lab.rest(1_000_000);
    refused!(client.info(), NoCapability);
    refused!(server.info(), NoCapability);
    Ok(())
}

/// A pager goes while a thread waits for it: the thread stops, and says why.
pub fn pager(lab: &mut Lab) -> Outcome {
    let faults = lab.endpoint()?;
    let pager = lab.spawn(HIGH, move || {
        syscall::recv(faults);
        syscall::recv(faults);
    })?;
    let setup = crate::lab::Setup {
        priority: LOW,
        fault: faults,
    };
    let client = lab.spawn_with(setup, || {
        raw::read(raw::WINDOW + 0x5000);
    })?;
    lab.rest(1_000_000);
    // The pager's second receive was refused, so it is done, and owes.
    check!(lab.is_done(pager));
    same!(client.info()?.state, 4);
    OWN_TABLE.delete(pager.0)?;
    same!(client.info()?.state, 0);
    // With the endpoint gone too, a fault has nowhere to go.
    OWN_TABLE.delete(faults)?;
    client.start()?;
    lab.rest(1_000_000);
    let info = client.info()?;
    same!((info.state, info.stopped_by), (0, Some(14)));
    Ok(())
}

/// A queued fault whose endpoint goes stops the thread; one that is cancelled is tried again.
pub fn queued_fault(lab: &mut Lab) -> Outcome {
    let faults = lab.endpoint()?;
    let frame = lab.frame()?;
    let setup = crate::lab::Setup {
        priority: HIGH,
        fault: faults,
    };
    let page = raw::WINDOW + 0x7000;
    let thread = lab.spawn_with(setup, move || {
        raw::read(page);
        raw::read(page + 0x1000);
    })?;
    same!(thread.info()?.state, 2);
    thread.cancel()?;
    same!(thread.info()?.state, 2);
    lab.map(frame, 7)?;
    thread.cancel()?;
    let fault = syscall::recv(faults).check()?;
    same!(fault.words[1], page + 0x1000);
    syscall::reply(Answer::new(abi::fault::RESUME, [0; 4]));
    same!(thread.info()?.state, 2);
    OWN_TABLE.delete(faults)?;
    same!(thread.info()?.state, 0);
    Ok(())
}

/// The whole program of a caller goes at once, by one revoke of its memory, while its server reads its lease.
pub fn whole_program(lab: &mut Lab) -> Outcome {
    extern "C" fn lends(_: u64) -> ! {
        let bytes = [3u8; 256];
        loop {
            syscall::call_lending(Slot(1), 0, [0; 4], Lease::read(&bytes));
        }
    }
    let endpoint = lab.endpoint()?;
    let give = [(endpoint, abi::object::endpoint::CALL, 0)];
    let process = lab.process(lends, 0, HIGH, &give, Slot(0))?;
    syscall::recv(endpoint).check()?;
    let mut bytes = [0; 256];
    Reply(CALLER).lease_read(0, 0, &mut bytes)?;
    same!(bytes, [3; 256]);
    // The space alone: the lease is not mapped any more.
    OWN_TABLE.delete(process.space.0)?;
    refused!(Reply(CALLER).lease_read(0, 0, &mut bytes), LeaseFault);
    OWN_TABLE.delete(process.table.0)?;
    OWN_TABLE.delete(process.thread.0)?;
    refused!(Reply(CALLER).lease_read(0, 0, &mut bytes), NoCaller);
    Ok(())
}

//! Deadlines, polls and CANCEL, and what each says about delivery.

use crate::lab::{HIGH, LOW, Lab, after};
use crate::outcome::Outcome;
use crate::{check, refused, same};
use abi::Error;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use libsys::lease::Lease;
use libsys::syscall::{self, Answer, Output, Slot};
use libsys::time::Instant;

const MILLISECOND: u64 = 1_000_000;

fn call_for(endpoint: Slot, ticks: u64) -> Output {
    let deadline = Instant::now().0 + ticks;
    syscall::call_until(endpoint, 0, [0; 4], Lease::NONE, deadline)
}

/// A call that nobody takes: not delivered, so safe to repeat.
pub fn not_taken(lab: &mut Lab) -> Outcome {
    let endpoint = lab.endpoint()?;
    for deadline in [0, 1, Instant::now().0] {
        let output = syscall::call_until(endpoint, 0, [0; 4], Lease::NONE, deadline);
        refused!(output.check(), TimedOut);
        check!(!output.delivered());
    }
    let start = Instant::now().0;
    let output = call_for(endpoint, MILLISECOND);
    refused!(output.check(), TimedOut);
    check!(!output.delivered());
    check!(Instant::now().0 - start >= MILLISECOND);
    // It is out of the queue.
    refused!(syscall::recv_until(endpoint, 0).check(), TimedOut);
    Ok(())
}

/// A call that a server took and did not answer in time: delivered, and the late answer is dropped.
pub fn taken(lab: &mut Lab) -> Outcome {
    let (endpoint, reply) = (lab.endpoint()?, lab.reply()?);
    let seen = Arc::new(AtomicU64::new(0));
    let log = seen.clone();
    for park in [false, true] {
        lab.spawn(HIGH, {
            let log = log.clone();
            move || {
                let output = call_for(endpoint, MILLISECOND);
                log.fetch_add(output.tag.0 & 0xffff_ffff, Relaxed);
            }
        })?;
        syscall::recv(endpoint).check()?;
        if park {
            reply.defer()?;
        }
        lab.rest(2 * MILLISECOND);
        let expected = Error::TimedOut as u64 | 1 << 20;
        same!(seen.swap(0, Relaxed), expected);
        refused!(reply.lease_info(0), NoCaller);
        let answer = Answer::new(0, [0; 4]);
        let late = if park {
            syscall::reply_via(reply.0, answer)
        } else {
            syscall::reply(answer)
        };
        late.check()?;
    }
    Ok(())
}

/// An answer in time: the deadline is forgotten.
pub fn answered(lab: &mut Lab) -> Outcome {
    let (endpoint, other) = (lab.endpoint()?, lab.endpoint()?);
    lab.spawn(HIGH, move || {
        let mut m = syscall::recv(endpoint);
        loop {
            m = syscall::reply_recv(endpoint, 0, m.words);
        }
    })?;
    // A past deadline does not keep a waiting server from taking the call: it may have acted.
    let output = syscall::call_until(endpoint, 0, [0; 4], Lease::NONE, 0);
    check!(output.check().is_ok() || output.delivered());
    for _ in 0..20 {
        call_for(endpoint, MILLISECOND).check()?;
        // A left-over deadline would end this wait too early, with TimedOut before its time.
        let start = Instant::now().0;
        refused!(
            syscall::recv_until(other, start + 2 * MILLISECOND).check(),
            TimedOut
        );
        check!(Instant::now().0 - start >= 2 * MILLISECOND);
    }
    Ok(())
}

/// Receiving with a deadline; a past one is a poll.
pub fn receiving(lab: &mut Lab) -> Outcome {
    let endpoint = lab.endpoint()?;
    refused!(syscall::recv_until(endpoint, 0).check(), TimedOut);
    lab.spawn(HIGH, move || {
        syscall::call(endpoint, 3, [0; 4]);
    })?;
    same!(syscall::recv_until(endpoint, 0).check()?.tag.label(), 3);
    // The RECV half of a REPLY_RECV times out after the reply was sent.
    let answer = Answer::new(0, [0; 4]);
    refused!(
        syscall::reply_recv_with(endpoint, answer, Some(0)).check(),
        TimedOut
    );
    syscall::reply(answer).check()?;
    let soon = Instant::now().0 + MILLISECOND;
    refused!(syscall::recv_until(endpoint, soon).check(), TimedOut);
    check!(Instant::now().0 >= soon);
    // Never is far, but not an error.
    lab.spawn(LOW, move || {
        syscall::call(endpoint, 4, [0; 4]);
    })?;
    same!(
        syscall::recv_until(endpoint, u64::MAX).check()?.tag.label(),
        4
    );
    Ok(())
}

/// Many sleepers wake in the order of their deadlines, each within 100,000 ticks.
pub fn many_sleepers(lab: &mut Lab) -> Outcome {
    let endpoint = lab.endpoint()?;
    let nobody = lab.endpoint()?;
    let start = Instant::now().0 + 10 * MILLISECOND;
    const COUNT: u64 = 24;
    for i in 0..COUNT {
        // 7 and 24 have no common divisor: every place once, out of order.
        let due = start + (i * 7 % COUNT) * MILLISECOND / 4;
        lab.spawn(HIGH, move || {
            let _ = syscall::recv_until(nobody, due);
            let late = Instant::now().0.wrapping_sub(due);
            syscall::call(endpoint, 0, [due, late, 0, 0]);
        })?;
    }
    let mut last = 0;
    for _ in 0..COUNT {
        let m = syscall::recv_until(endpoint, after(5)).check()?;
        let [due, late, ..] = m.words;
        check!(due > last && late < 100_000);
        last = due;
        syscall::reply(Answer::new(0, [0; 4]));
    }
    Ok(())
}

/// CANCEL ends each kind of waiting, and nothing else.
pub fn cancelling(lab: &mut Lab) -> Outcome {
    let (endpoint, result) = (lab.endpoint()?, lab.endpoint()?);
    let reply = lab.reply()?;
    let answer = Answer::new(0, [0; 4]);
    let thread = lab.spawn(HIGH, move || {
        loop {
            for receive in [true, false, false, false] {
                let output = if receive {
                    syscall::recv(endpoint)
                } else {
                    syscall::call(endpoint, 0, [0; 4])
                };
                syscall::call(result, 0, [output.tag.0, 0, 0, 0]);
            }
        }
    })?;
    let next = || {
        let m = syscall::recv(result).check().map(|m| m.words[0]);
        syscall::reply(answer);
        m
    };
    let cancelled = Error::Cancelled as u64;
    for _ in 0..3 {
        thread.cancel()?;
        same!(next()?, cancelled);
        thread.cancel()?;
        same!(next()?, cancelled);
        syscall::recv(endpoint).check()?;
        thread.cancel()?;
        same!(next()?, cancelled | 1 << 20);
        syscall::reply(answer).check()?;
        syscall::recv(endpoint).check()?;
        reply.defer()?;
        thread.cancel()?;
        same!(next()?, cancelled | 1 << 20);
        refused!(reply.lease_info(0), NoCaller);
    }
    // One that does not wait does not notice.
    lab.me.cancel()?;
    Ok(())
}

//! The floating-point registers: for threads with the right alone, never lost, never leaked.

use crate::lab::{HIGH, LOW, Lab, NORMAL, Setup, after};
use crate::outcome::{Failure, Outcome};
use crate::place::Place;
use crate::vector::{self, Vectors};
use crate::{raw, refused, same};
use abi::fault;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use libsys::object::{OWN_TABLE, Thread};
use libsys::syscall::{self, Answer, Output, Slot, invoke};

const DEVICE_NOT_AVAILABLE: u64 = 7;
const X87_ERROR: u64 = 16;

/// Seconds that no fault takes.
const PATIENCE: u64 = 5;
/// Rounds of each exchange.
const ROUNDS: u64 = 50;

/// How often registers were not what they should be.
#[derive(Clone, Default)]
struct Wrong(Arc<AtomicU64>);

impl Wrong {
    /// The registers must hold this.
    fn expect(&self, vectors: &Vectors) {
        if Vectors::read() != *vectors {
            self.0.fetch_add(1, Relaxed);
        }
    }

    /// Fills the registers, does something that may let others run, and looks.
    fn across(&self, seed: u64, act: impl FnOnce()) {
        let pattern = Vectors::pattern(seed);
        pattern.load();
        act();
        self.expect(&pattern);
    }

    fn count(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A helper that may use the registers.
fn spawn(lab: &mut Lab, setup: Setup, job: impl Fn() + Send + 'static) -> Result<Thread, Failure> {
    let (thread, area) = lab.thread()?;
    thread.flags(true, false)?;
    let place = Place {
        table: OWN_TABLE,
        space: lab.space,
        fault: setup.fault,
        area,
    };
    lab.start_job(thread, place, setup.priority, job)?;
    Ok(thread)
}

fn at(priority: u8) -> Setup {
    Setup {
        priority,
        fault: Slot(0),
    }
}

/// Receives a fault. A thread that may touch the registers does not fault, and then this ends in time.
fn fault_at(faults: Slot) -> Result<Output, Failure> {
    Ok(syscall::recv_until(faults, after(PATIENCE)).check()?)
}

/// Receives a fault, whose vector it must be, and ends its thread.
fn expect_fault(faults: Slot, vector: u64) -> Outcome {
    let message = fault_at(faults)?;
    same!(message.words[0] & 0xff, vector);
    syscall::reply(Answer::new(fault::STOP, [0; 4]));
    Ok(())
}

/// Without the right the first touch is exception 7, also right after others have used the registers.
pub fn without_the_right(lab: &mut Lab) -> Outcome {
    let faults = lab.endpoint()?;
    let user = spawn(lab, at(HIGH), || Vectors::pattern(1).load())?;
    lab.join(user)?;
    for snippet in [raw::sse(), raw::x87()] {
        let setup = Setup {
            priority: HIGH,
            fault: faults,
        };
        lab.spawn_with(setup, move || snippet.run())?;
        let message = fault_at(faults)?;
        same!(message.words[0], DEVICE_NOT_AVAILABLE);
        same!(message.words[2], snippet.at);
        syscall::reply(Answer::new(fault::STOP, [0; 4]));
    }
    if vector::avx() {
        let setup = Setup {
            priority: HIGH,
            fault: faults,
        };
        lab.spawn_with(setup, || Vectors::pattern(1).load())?;
        expect_fault(faults, DEVICE_NOT_AVAILABLE)?;
    }
    Ok(())
}

/// FLAGS: on an Inactive thread, with CONTROL, and 0 or 1. The right can be taken away; given anew, it comes with the
/// initial state.
pub fn giving_and_taking(lab: &mut Lab) -> Outcome {
    use abi::object::thread::{FLAGS, REGISTERS};
    let faults = lab.endpoint()?;
    refused!(lab.me.flags(true, false), BadState);
    let (other, _) = lab.thread()?;
    refused!(invoke(other.0, FLAGS, [2, 0, 0, 0]), InvalidArgument);
    refused!(invoke(other.0, FLAGS, [0, 1 << 32, 0, 0]), InvalidArgument);
    let weak = Thread(lab.copy(other.0, REGISTERS, 0)?);
    refused!(weak.flags(true, false), MissingRight);

    let (wrong, looks) = (Wrong::default(), Wrong::default());
    let (shared, clean) = (wrong.clone(), looks.clone());
    let go = lab.endpoint()?;
    let setup = Setup {
        priority: HIGH,
        fault: faults,
    };
    let thread = spawn(lab, setup, move || {
        clean.expect(&Vectors::initial());
        // Suspended and started again meanwhile: cancelled, but with its registers.
        shared.across(7, || {
            syscall::call(go, 0, [0; 4]);
        });
        Vectors::pattern(8).load();
        syscall::call(go, 1, [0; 4]);
        clean.expect(&Vectors::initial());
        syscall::call(go, 2, [0; 4]);
        Vectors::read();
    })?;
    let step = |label, fpu: Option<bool>| -> Outcome {
        same!(syscall::recv(go).check()?.tag.label(), label);
        thread.suspend()?;
        if let Some(fpu) = fpu {
            thread.flags(false, false)?;
            thread.flags(fpu, false)?;
        }
        syscall::reply(Answer::new(0, [0; 4]));
        Ok(thread.start()?)
    };
    step(0, None)?;
    step(1, Some(true))?;
    step(2, Some(false))?;
    expect_fault(faults, DEVICE_NOT_AVAILABLE)?;
    same!((wrong.count(), looks.count()), (0, 0));
    Ok(())
}

/// Call and reply between two that use the registers, and one that does not, short and long messages.
pub fn call_and_reply(lab: &mut Lab) -> Outcome {
    let endpoint = lab.endpoint()?;
    let (server_wrong, client_wrong) = (Wrong::default(), Wrong::default());
    let shared = server_wrong.clone();
    spawn(lab, at(HIGH), move || {
        let mut round = 1000;
        shared.across(round, || {
            syscall::recv(endpoint);
        });
        loop {
            round += 1;
            shared.across(round, || {
                syscall::reply_recv(endpoint, 0, [0; 4]);
            });
        }
    })?;
    let shared = client_wrong.clone();
    let client = spawn(lab, at(NORMAL), move || {
        for round in 0..ROUNDS {
            shared.across(round, || {
                syscall::call(endpoint, 0, [round; 4]);
            });
            let extra = round as usize % 100;
            shared.across(round, || {
                syscall::call_extra(endpoint, 0, [0; 4], extra);
            });
        }
    })?;
    for _ in 0..ROUNDS {
        syscall::call(endpoint, 0, [0; 4]).check()?;
    }
    lab.join(client)?;
    same!((server_wrong.count(), client_wrong.count()), (0, 0));
    Ok(())
}

/// A fault, handled by one that uses the registers itself.
pub fn across_faults(lab: &mut Lab) -> Outcome {
    let faults = lab.endpoint()?;
    let (handler_wrong, wrong) = (Wrong::default(), Wrong::default());
    let shared = handler_wrong.clone();
    spawn(lab, at(HIGH), move || {
        let mut round = 2000;
        shared.across(round, || {
            syscall::recv(faults);
        });
        loop {
            round += 1;
            // After INT3 the thread goes on by itself.
            shared.across(round, || {
                syscall::reply_recv(faults, fault::RESUME, [0; 4]);
            });
        }
    })?;
    let shared = wrong.clone();
    let setup = Setup {
        priority: NORMAL,
        fault: faults,
    };
    let thread = spawn(lab, setup, move || {
        for round in 0..ROUNDS {
            shared.across(round, || raw::breakpoint().run());
        }
    })?;
    lab.join(thread)?;
    same!((handler_wrong.count(), wrong.count()), (0, 0));
    Ok(())
}

/// An interrupt wakes one that uses the registers over another that does.
pub fn across_interrupts(lab: &mut Lab) -> Outcome {
    let (endpoint, irq) = (lab.endpoint()?, lab.irq()?);
    irq.bind(endpoint, 5)?;
    let (server_wrong, wrong) = (Wrong::default(), Wrong::default());
    let taken = Arc::new(AtomicU64::new(0));
    let (shared, count) = (server_wrong.clone(), taken.clone());
    spawn(lab, at(HIGH), move || {
        let mut round = 3000;
        shared.across(round, || {
            syscall::recv(endpoint);
        });
        loop {
            round += 1;
            count.fetch_add(1, Relaxed);
            shared.across(round, || {
                syscall::reply_recv(endpoint, 0, [0; 4]);
            });
        }
    })?;
    let shared = wrong.clone();
    let thread = spawn(lab, at(NORMAL), move || {
        for round in 0..ROUNDS {
            shared.across(round, || {
                let _ = irq.raise();
            });
        }
    })?;
    lab.join(thread)?;
    same!(taken.load(Relaxed), ROUNDS);
    same!((server_wrong.count(), wrong.count()), (0, 0));
    Ok(())
}

/// Three of one priority that never give way: two with patterns, one without the registers.
pub fn preemption(lab: &mut Lab) -> Outcome {
    const TURNS: u64 = 8;
    let wrong = Wrong::default();
    let turn = Arc::new(AtomicU64::new(0));
    let mut threads = Vec::new();
    for number in 0..3 {
        let (shared, turn) = (wrong.clone(), turn.clone());
        let plain = number == 2;
        let job = move || {
            for mine in (number..3 * TURNS).step_by(3) {
                // Only the timer lets the others come to their turns.
                let wait = || {
                    while turn.load(Relaxed) != mine {
                        core::hint::spin_loop();
                    }
                };
                if plain {
                    wait();
                } else {
                    shared.across(4000 + mine, wait);
                }
                turn.fetch_add(1, Relaxed);
            }
        };
        threads.push(if plain {
            lab.spawn(LOW, job)?
        } else {
            spawn(lab, at(LOW), job)?
        });
    }
    for thread in threads {
        lab.join(thread)?;
    }
    same!(wrong.count(), 0);
    Ok(())
}

/// An error of x87 arithmetic is a fault, and what it leaves behind is not for the next to see. (QEMU's emulation never
/// raises those of SSE.)
pub fn arithmetic_error(lab: &mut Lab) -> Outcome {
    let faults = lab.endpoint()?;
    let setup = Setup {
        priority: HIGH,
        fault: faults,
    };
    spawn(lab, setup, vector::divide_zero_by_zero)?;
    expect_fault(faults, X87_ERROR)?;
    let wrong = Wrong::default();
    let shared = wrong.clone();
    let next = spawn(lab, at(HIGH), move || shared.expect(&Vectors::initial()))?;
    lab.join(next)?;
    same!(wrong.count(), 0);
    Ok(())
}

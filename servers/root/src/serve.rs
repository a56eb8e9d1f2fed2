//! The message loop: one thread, one endpoint, and the badge says what the caller may ask for.

use crate::death::{bury, faulted};
use crate::fault::Fault;
use crate::slots::ENDPOINT;
use crate::system::{System, facet};
use crate::{caps, children, control, log, memory, power};
use abi::Error;
use abi::fault::STOP;
use abi::tag::Message;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use libsys::object::Reply;
use libsys::proto::children::{END, SPAWN, WAIT};
use libsys::proto::control::{
    CAPS, EXIT, Ended, KILL, LOG, MEM, PANIC, POWER_OFF, PS, SAY, SECTION, Status, THREADS, TRACE,
    TRACE_SWITCH,
};
use libsys::syscall::{Answer, CALLER, Output, Words, recv, recv_until, reply_recv_with};
use libsys::time::Instant;

/// Longest text of a program that is logged.
const LONGEST_TEXT: usize = 512;

/// What the caller gets.
enum Reaction {
    /// Nothing: it is gone.
    Gone,
    /// A label and words.
    Words(u32, Words),
    /// Label 0, words, and bytes into its lease 0.
    Bytes(Words, Vec<u8>),
}

/// Serves for good.
pub fn serve(mut system: System) -> ! {
    let mut message = receive(&system);
    loop {
        // A stream of requests must not keep a program from its restart.
        system.restart_due(Instant::now().0);
        message = match message.check() {
            Ok(message) => match react(&mut system, &message) {
                Reaction::Gone => receive(&system),
                Reaction::Words(label, words) => answer(&system, Answer::new(label, words)),
                Reaction::Bytes(words, payload) => {
                    let bytes = Answer {
                        payload: &payload,
                        ..Answer::new(0, words)
                    };
                    answer(&system, bytes)
                }
            },
            Err(Error::TimedOut) => receive(&system),
            // A payload that does not fit the caller's lease, or a caller whose teardown failed: it still waits.
            Err(_) => answer(&system, Answer::new(Status::BadBuffer as u32, [0; 4])),
        };
    }
}

/// Waits for a message, or until a program is to be started anew.
fn receive(system: &System) -> Output {
    match system.next_restart() {
        Some(deadline) => recv_until(ENDPOINT, deadline),
        None => recv(ENDPOINT),
    }
}

/// Answers, and then waits as [`receive`] does.
fn answer(system: &System, answer: Answer<'_>) -> Output {
    reply_recv_with(ENDPOINT, answer, system.next_restart())
}

fn react(system: &mut System, message: &Output) -> Reaction {
    let (id, facet) = ((message.badge >> 32) as u32, message.badge as u32);
    // A caller is alive while it waits for root; the answer to anything else is dropped by the kernel.
    let Some(index) = system.find(id) else {
        return Reaction::Words(STOP, [0; 4]);
    };
    match (message.tag.message(), facet) {
        (Message::Fault, facet::FAULT) => {
            faulted(system, index, &Fault::received(message.words));
            Reaction::Gone
        }
        (Message::Call, facet::MEMORY | facet::CONTROL) => request(system, index, facet, message),
        _ => Reaction::Words(Status::BadOperation as u32, [0; 4]),
    }
}

fn request(system: &mut System, index: usize, facet: u32, message: &Output) -> Reaction {
    let [w0, ..] = message.words;
    match message.tag.label() {
        EXIT => {
            bury(system, index, Ended::Exit(w0 as u32));
            Reaction::Gone
        }
        PANIC => {
            let text = lent_text(message.lease.length());
            log!("program {} panicked: {text}", system.programs[index].name());
            bury(system, index, Ended::Panic);
            Reaction::Gone
        }
        SAY => {
            let text = lent_text(message.lease.length());
            // A line of its own, or a carriage return, cannot pretend to be root's.
            let line = text.split(char::is_control).next().unwrap_or_default();
            log::line(&format!("{}: {line}", system.programs[index].name()));
            Reaction::Words(0, [0; 4])
        }
        SPAWN => match children::spawn(system, index, message) {
            Ok(id) => Reaction::Words(0, [id.into(), 0, 0, 0]),
            Err(status) => refuse(status),
        },
        WAIT => match children::wait(system, index) {
            Ok(Some(words)) => Reaction::Words(0, words),
            Ok(None) => Reaction::Gone,
            Err(status) => refuse(status),
        },
        END => match children::end(system, index, w0) {
            Ok(()) => Reaction::Words(0, [0; 4]),
            Err(status) => refuse(status),
        },
        PS | MEM | LOG | POWER_OFF | KILL | SECTION | CAPS | TRACE_SWITCH | TRACE | THREADS
            if facet != facet::CONTROL =>
        {
            refuse(Status::NotPermitted)
        }
        CAPS => match u32::try_from(w0).ok().and_then(|id| system.find(id)) {
            Some(index) => bytes(caps::of(system, index), 0),
            None => refuse(Status::NoProgram),
        },
        PS => bytes(control::processes(&system.programs), 0),
        MEM => bytes(control::memory(&system.machine, &system.programs), 0),
        LOG => {
            let (text, position) = control::log(w0);
            bytes(text, position)
        }
        SECTION => Reaction::Words(0, [control::longest_section(), 0, 0, 0]),
        TRACE_SWITCH => {
            let [first, messages] = control::trace_switch(w0 != 0, &system.programs);
            Reaction::Words(0, [first, messages, 0, 0])
        }
        TRACE => {
            let (events, first) = control::trace(w0);
            bytes(events, first)
        }
        THREADS => bytes(control::threads(&system.programs), 0),
        KILL => kill(system, index, w0),
        POWER_OFF => power::off(w0 as u8, system.acpi.pm1a_control),
        label => {
            let (label, words) = memory::answer(system, index, label, message.words);
            Reaction::Words(label, words)
        }
    }
}

/// Ends the program with this id, on behalf of the one at `caller`.
fn kill(system: &mut System, caller: usize, id: u64) -> Reaction {
    let victim = u32::try_from(id).ok().and_then(|id| system.find(id));
    let Some(victim) = victim else {
        return refuse(Status::NoProgram);
    };
    bury(system, victim, Ended::Killed);
    match victim == caller {
        true => Reaction::Gone,
        false => Reaction::Words(0, [0; 4]),
    }
}

fn refuse(status: Status) -> Reaction {
    Reaction::Words(status as u32, [0; 4])
}

fn bytes(payload: Vec<u8>, second: u64) -> Reaction {
    Reaction::Bytes([payload.len() as u64, second, 0, 0], payload)
}

/// The beginning of the caller's lease 0; empty if there is none.
fn lent_text(length: u64) -> String {
    let mut text = [0; LONGEST_TEXT];
    let text = &mut text[..(length as usize).min(LONGEST_TEXT)];
    match Reply(CALLER).lease_read(0, 0, text) {
        Ok(()) => String::from_utf8_lossy(text).into_owned(),
        Err(_) => String::new(),
    }
}

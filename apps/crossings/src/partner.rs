//! The other side: a server in a space of its own. [`ENTER`] puts it into a mode, which is a loop of its own so that it
//! costs what a server with that one job costs; any message the mode does not expect ends it.

use abi::object::endpoint;
use abi::tag::{Flags, Message, Transfer};
use abi::{Op, Tag, fault};
use libsys::object::OWN_TABLE;
use libsys::rt::{self, ENDPOINT};
use libsys::slots;
use libsys::syscall::{self, Answer, Input, Output, Slot};

/// Label of the request `w0` = [`Mode`], `w1` = clients of [`Mode::Queue`].
pub const ENTER: u32 = 1;
/// Label of what a client asks a mode to do. With four words at most, the tag of such a request is 0: one comparison.
pub const ROUND: u32 = 0;
/// A request without extra words, as it arrives.
pub const PLAIN: Tag = Tag(0);

/// What the partner does with requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Mode {
    /// Answers with four zeros.
    Zeros,
    /// Answers with the words of the request.
    Echo,
    /// Answers with as many words beyond the first four: 4, 28 or 116.
    Echo8,
    /// See [`Mode::Echo8`].
    Echo32,
    /// See [`Mode::Echo8`].
    Echo120,
    /// As [`Mode::Zeros`], with a flag in the tag that leads past the kernel's fast path.
    Slow,
    /// Takes a capability with each request. The answer to [`ENTER`] brings a capability to the partner's endpoint.
    Take,
    /// Parks the caller in a Reply object, looks for other requests, and answers it from there.
    Park,
    /// As [`Mode::Zeros`], for some clients of its own priority: before every so many answers it lets them queue.
    Queue,
    /// Handles the faults of a thread: resumes it behind the two bytes of its UD2.
    Faults,
    /// Acknowledges interrupts.
    Interrupts,
}

const MODES: [Mode; 11] = [
    Mode::Zeros,
    Mode::Echo,
    Mode::Echo8,
    Mode::Echo32,
    Mode::Echo120,
    Mode::Slow,
    Mode::Take,
    Mode::Park,
    Mode::Queue,
    Mode::Faults,
    Mode::Interrupts,
];

/// Serves for good.
pub fn serve() -> ! {
    let mut message = syscall::recv(ENDPOINT);
    loop {
        let [wanted, clients, ..] = message.words;
        let mode = MODES.into_iter().find(|mode| *mode as u64 == wanted);
        message = match mode {
            Some(mode) if message.tag.label() == ENTER => run(mode, clients),
            _ => syscall::reply_recv(ENDPOINT, u32::MAX, [0; 4]),
        };
    }
}

/// Answers the request to enter, and then as `mode` wants until another message comes, which is returned.
fn run(mode: Mode, clients: u64) -> Output {
    match mode {
        Mode::Zeros => zeros(ENDPOINT),
        Mode::Echo => echo(),
        Mode::Echo8 => echo_long::<4>(),
        Mode::Echo32 => echo_long::<28>(),
        Mode::Echo120 => echo_long::<116>(),
        Mode::Slow => slow(),
        Mode::Take => take(),
        Mode::Park => park(),
        Mode::Queue => queue(clients),
        Mode::Faults => faults(),
        Mode::Interrupts => interrupts(),
    }
}

/// [`Mode::Zeros`], at any endpoint.
#[inline(always)]
pub fn zeros(endpoint: Slot) -> Output {
    loop {
        let message = syscall::reply_recv(endpoint, 0, [0; 4]);
        if message.tag != PLAIN {
            return message;
        }
    }
}

fn echo() -> Output {
    let mut message = syscall::reply_recv(ENDPOINT, 0, [0; 4]);
    while message.tag == PLAIN {
        message = syscall::reply_recv(ENDPOINT, 0, message.words);
    }
    message
}

/// The tag of a plain message with extra words, as it arrives.
pub const fn long(extra: usize) -> Tag {
    Tag((extra as u64) << 8)
}

fn echo_long<const EXTRA: usize>() -> Output {
    let mut message = syscall::reply_recv(ENDPOINT, 0, [0; 4]);
    while message.tag == long(EXTRA) {
        let answer = Answer {
            extra: EXTRA,
            ..Answer::new(0, message.words)
        };
        message = syscall::reply_recv_with(ENDPOINT, answer, None);
    }
    message
}

/// A request whose tag says that R9 may name capabilities, and whose R9 names none: nothing to do for the kernel but to look.
pub const SLOW: Flags = Flags::CAP;

fn slow() -> Output {
    let answer = Input::new(Tag::new(Op::ReplyRecv, 0, 0, SLOW), ENDPOINT, [0; 4]);
    loop {
        let message = syscall::enter(answer);
        if message.tag != PLAIN {
            return message;
        }
    }
}

/// A plain request that brought a capability, as it arrives.
const GIFT: Tag = Tag(Flags::CAP_ARRIVED.bits() as u64);

fn take() -> Output {
    let (Some(spare), Some(receive)) = (slots::allocate(), slots::allocate()) else {
        return syscall::reply_recv(ENDPOINT, u32::MAX, [0; 4]);
    };
    // If this fails the client gets no capability, and says so.
    let _ = OWN_TABLE.derive(spare, ENDPOINT, endpoint::ALL, 0);
    let answer = |pass: Slot| Answer {
        transfer: Transfer {
            pass: pass.0,
            move_it: pass.0 != 0,
            receive: receive.0,
        },
        ..Answer::new(0, [0; 4])
    };
    let mut message = syscall::reply_recv_with(ENDPOINT, answer(spare), None);
    while message.tag == GIFT {
        message = syscall::reply_recv_with(ENDPOINT, answer(Slot(0)), None);
    }
    slots::release(spare);
    slots::release(receive);
    message
}

fn park() -> Output {
    let Some(reply) = rt::info().replies.first().copied().map(Slot) else {
        return syscall::reply_recv(ENDPOINT, u32::MAX, [0; 4]);
    };
    let via = |tag| Input {
        via: reply,
        ..Input::new(tag, ENDPOINT, [0; 4])
    };
    // A deadline that is past: nobody else calls, so this half finds nothing.
    let look = via(Tag::new(Op::Recv, 0, 0, Flags::VIA | Flags::TIMED));
    let answer = via(Tag::new(Op::ReplyRecv, 0, 0, Flags::VIA));
    let mut message = syscall::reply_recv(ENDPOINT, 0, [0; 4]);
    while message.tag == PLAIN {
        syscall::enter(look);
        message = syscall::enter(answer);
    }
    message
}

fn queue(clients: u64) -> Output {
    let mut message = syscall::reply_recv(ENDPOINT, 0, [0; 4]);
    let mut left = 1;
    while message.tag == PLAIN {
        left -= 1;
        if left == 0 {
            syscall::yield_now();
            left = clients;
        }
        message = syscall::reply_recv(ENDPOINT, 0, [0; 4]);
    }
    message
}

/// A server of a chain, for good: it answers with the answer of the next one, or, as the last, with zeros.
pub fn chain(next: Option<Slot>) -> ! {
    syscall::recv(ENDPOINT);
    loop {
        let Some(next) = next else {
            zeros(ENDPOINT);
            continue;
        };
        let answer = syscall::call(next, ROUND, [0; 4]);
        syscall::reply_recv(ENDPOINT, answer.tag.label(), answer.words);
    }
}

/// A fault, as it arrives.
const FAULT: Tag = Tag(Flags::FAULT.bits() as u64 | (fault::EXTRA as u64) << 8);

fn faults() -> Output {
    let mut message = syscall::reply_recv(ENDPOINT, 0, [0; 4]);
    while message.tag == FAULT {
        let [_, _, rip, rsp] = message.words;
        let answer = Answer {
            extra: fault::EXTRA,
            ..Answer::new(fault::RESUME, [0, 0, rip + 2, rsp])
        };
        message = syscall::reply_recv_with(ENDPOINT, answer, None);
    }
    message
}

fn interrupts() -> Output {
    loop {
        let message = syscall::reply_recv(ENDPOINT, 0, [0; 4]);
        if message.tag.message() != Message::Interrupt {
            return message;
        }
    }
}

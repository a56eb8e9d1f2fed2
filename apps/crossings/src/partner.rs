//! The other side: a server in a space of its own. [`ENTER`] puts it into a mode, which is a loop of its own so that it
//! costs what a server with that one job costs; any message the mode does not expect ends it.

use abi::Tag;
use libsys::rt::ENDPOINT;
use libsys::syscall::{self, Answer, Output, Slot};

/// Label of the request `w0` = [`Mode`].
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
}

const MODES: [Mode; 5] = [
    Mode::Zeros,
    Mode::Echo,
    Mode::Echo8,
    Mode::Echo32,
    Mode::Echo120,
];

/// Serves for good.
pub fn serve() -> ! {
    let mut message = syscall::recv(ENDPOINT);
    loop {
        let wanted = message.words[0];
        let mode = MODES.into_iter().find(|mode| *mode as u64 == wanted);
        message = match mode {
            Some(mode) if message.tag.label() == ENTER => run(mode),
            _ => syscall::reply_recv(ENDPOINT, u32::MAX, [0; 4]),
        };
    }
}

/// Answers the request to enter, and then as `mode` wants until another message comes, which is returned.
fn run(mode: Mode) -> Output {
    match mode {
        Mode::Zeros => zeros(ENDPOINT),
        Mode::Echo => echo(),
        Mode::Echo8 => echo_long::<4>(),
        Mode::Echo32 => echo_long::<28>(),
        Mode::Echo120 => echo_long::<116>(),
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

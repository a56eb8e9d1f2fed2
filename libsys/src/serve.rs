//! The server's loop. A server implements [`Server`] and calls [`serve`]; what it does not answer is `BadRequest`.
//!
//! A whole server, one that has no bytes and takes all (`null:`):
//!
//! ```no_run
//! #![cfg_attr(target_os = "none", no_std, no_main)]
//! #![forbid(unsafe_code)]
//! use libsys::proto::io::{IoError, Stat};
//! use libsys::serve::{Done, Reaction, Request, Server, serve};
//!
//! libsys::entry!(start);
//!
//! struct Null;
//!
//! impl Server for Null {
//!     type Session = ();
//!
//!     fn open(&mut self, name: &str, _request: &Request) -> Result<(), IoError> {
//!         if name.is_empty() { Ok(()) } else { Err(IoError::NotFound) }
//!     }
//!
//!     fn read(&mut self, _session: &mut (), _offset: u64, _request: Request) -> Reaction<'_> {
//!         Ok(Done::Count(0))
//!     }
//!
//!     fn write(&mut self, _session: &mut (), _offset: u64, request: Request) -> Reaction<'_> {
//!         Ok(Done::Count(request.length()))
//!     }
//!
//!     fn stat(&mut self, _session: &mut ()) -> Result<Stat, IoError> {
//!         Ok(Stat::stream())
//!     }
//! }
//!
//! fn start() {
//!     serve(&mut Null)
//! }
//! ```

use crate::object::OWN_TABLE;
use crate::proto::io::{self, IoError, Stat};
use crate::proto::memory;
use crate::proto::program::GONE;
pub use crate::request::{Done, Parked, Reaction, Request};
use crate::request::{encode, lease_error, take_parking};
use crate::rt::{self, ENDPOINT};
use crate::session::{Badge, Sessions};
use crate::slots;
use crate::syscall::{self, Answer, Output, Slot};
use abi::object::endpoint;
use abi::tag::{Message, Transfer};
use abi::{Error, fault};

/// A server of named things.
#[expect(
    unused_variables,
    reason = "the default answers need no arguments, but their names say what they are"
)]
pub trait Server {
    /// What it keeps for each open name.
    type Session;

    /// Whether it has a [`Server::deadline`].
    const TIMED: bool = false;

    /// A client opens `name`, the part behind the prefix.
    fn open(&mut self, name: &str, request: &Request) -> Result<Self::Session, IoError> {
        Err(IoError::NotFound)
    }

    /// Up to `request.length()` bytes from `offset` on, into the lease.
    fn read(&mut self, session: &mut Self::Session, offset: u64, request: Request) -> Reaction<'_> {
        Err(IoError::BadRequest)
    }

    /// `request.length()` bytes of the lease, to `offset`.
    fn write(
        &mut self,
        session: &mut Self::Session,
        offset: u64,
        request: Request,
    ) -> Reaction<'_> {
        Err(IoError::ReadOnly)
    }

    /// Size and kind.
    fn stat(&mut self, session: &mut Self::Session) -> Result<Stat, IoError> {
        Err(IoError::BadRequest)
    }

    /// [`Server::stat`] for a server that parks the request.
    fn stat_request(&mut self, session: &mut Self::Session, request: Request) -> Reaction<'_> {
        self.stat(session).map(|stat| Done::Words(stat.to_words()))
    }

    /// Everything written reaches the medium.
    fn sync(&mut self, session: &mut Self::Session, request: Request) -> Reaction<'_> {
        Ok(Done::Count(0))
    }

    /// Answers when a read ([`io::READABLE`]) or write ([`io::WRITABLE`]) would not wait, as word 0 wishes. A server whose reads
    /// or writes wait parks the request.
    fn wait(&mut self, session: &mut Self::Session, request: Request) -> Reaction<'_> {
        Ok(Done::Words([
            request.words[0] & (io::READABLE | io::WRITABLE),
            0,
            0,
            0,
        ]))
    }

    /// [`io::SHARE`], [`io::READ_SHARED`] or [`io::WRITE_SHARED`], by its label.
    fn shared(
        &mut self,
        session: &mut Self::Session,
        label: u32,
        request: Request,
    ) -> Reaction<'_> {
        Err(IoError::BadRequest)
    }

    /// The client closed it, or is no more.
    fn close(&mut self, session: Self::Session) {}

    /// A client is no more: requests of it that are parked wait in vain ([`Parked::is_alive`]).
    fn gone(&mut self) {}

    /// An operation of its own (from [`io::FIRST_OTHER`] on); `session` is `None` on a capability that root gave
    /// ([`Request::facet`]).
    fn other(
        &mut self,
        session: Option<&mut Self::Session>,
        label: u32,
        request: Request,
    ) -> Reaction<'_> {
        Err(IoError::BadRequest)
    }

    /// An interrupt bound under `badge` fired `count` times. It is acknowledged when this returns.
    fn interrupt(&mut self, badge: u64, count: u64) {}

    /// [`Server::interrupt`] for a server that has an answer ready then: giving it to `answer` saves a way into the kernel, and
    /// its bytes are copied once.
    fn interrupt_with_answer<T>(
        &mut self,
        badge: u64,
        count: u64,
        answer: impl FnOnce(Parked, Reaction<'_>) -> T,
    ) -> Option<T> {
        self.interrupt(badge, count);
        None
    }

    /// When (absolute TSC) to be woken by [`Server::expired`], if at all. Only asked if [`Server::TIMED`].
    fn deadline(&self) -> Option<u64> {
        None
    }

    /// The deadline has passed.
    fn expired(&mut self) {}
}

/// Serves for good.
///
/// # Panics
/// The program's table has no free slot, or its endpoint is gone.
pub fn serve<S: Server>(server: &mut S) -> ! {
    let mut sessions = Sessions::new(rt::info().sessions.into());
    let Some(spare) = slots::allocate() else {
        panic!("no free slot")
    };
    let mut message = receive(server);
    loop {
        message = match message.check() {
            Ok(message) => match message.tag.message() {
                Message::Call => request(server, &mut sessions, spare, message),
                Message::Interrupt if message.badge == GONE => {
                    forget_gone(server, &mut sessions);
                    receive(server)
                }
                Message::Interrupt => interrupt(server, message),
                Message::Fault => syscall::reply_recv(ENDPOINT, fault::STOP, [0; 4]),
            },
            Err(Error::TimedOut) => {
                server.expired();
                receive(server)
            }
            Err(Error::Cancelled) => receive(server),
            Err(
                error @ (Error::PartnerDied
                | Error::NoCapability
                | Error::WrongKind
                | Error::MissingRight),
            ) => {
                panic!("endpoint: {error:?}")
            }
            // The answer was refused (its payload does not fit the lease): say so instead.
            Err(error) => {
                let code = lease_error(error).code();
                syscall::reply(Answer::new(code, [0; 4]));
                receive(server)
            }
        };
    }
}

fn receive<S: Server>(server: &S) -> Output {
    match server.deadline() {
        Some(deadline) if S::TIMED => syscall::recv_until(ENDPOINT, deadline),
        _ => syscall::recv(ENDPOINT),
    }
}

/// Handles an interrupt and waits for the next message.
#[inline(always)]
fn interrupt<S: Server>(server: &mut S, message: Output) -> Output {
    let [count, ..] = message.words;
    let next = server.interrupt_with_answer(message.badge, count, |parked, reaction| {
        match S::TIMED {
            // The deadline is not known before the answer is given away.
            true => {
                parked.finish(reaction);
                None
            }
            false => parked.finish_and_receive(&reaction),
        }
    });
    next.flatten().unwrap_or_else(|| receive(server))
}

/// Ends the sessions of programs that are no more.
fn forget_gone<S: Server>(server: &mut S, sessions: &mut Sessions<S::Session>) {
    for client in sessions.clients() {
        // Root answers always; if it does not, the sessions stay.
        let alive = syscall::call(rt::MEMORY, memory::IS_ALIVE, [client.into(), 0, 0, 0]).check();
        if alive.is_ok_and(|answer| answer.words[0] == 0) {
            sessions
                .remove_all(client)
                .for_each(|session| server.close(session));
        }
    }
    server.gone();
}

/// Handles a call, answers it and waits for the next message.
#[inline(always)]
fn request<S: Server>(
    server: &mut S,
    sessions: &mut Sessions<S::Session>,
    spare: Slot,
    message: Output,
) -> Output {
    let badge = Badge(message.badge);
    let offset = message.words[0];
    let request = Request {
        badge,
        words: message.words,
        lease: message.lease,
    };
    let session = sessions.get(badge);
    let reaction = match (message.tag.label(), session) {
        (io::READ, Some(session)) => match server.read(session, offset, request) {
            Ok(Done::Data(bytes)) if !S::TIMED && in_message(&message, bytes) => {
                return syscall::reply_recv_bytes(ENDPOINT, bytes.len() as u64, bytes);
            }
            reaction => reaction,
        },
        (io::WRITE, Some(session)) => server.write(session, offset, request),
        (io::STAT, Some(session)) => server.stat_request(session, request),
        (io::SYNC, Some(session)) => server.sync(session, request),
        (io::WAIT, Some(session)) => server.wait(session, request),
        (label @ io::SHARE..=io::WRITE_SHARED, Some(session)) => {
            server.shared(session, label, request)
        }
        (io::CLOSE, Some(_)) => {
            if let Some(session) = sessions.remove(badge) {
                server.close(session);
            }
            Ok(Done::Count(0))
        }
        (io::OPEN, None) if badge.facet().is_some() => {
            let answer = open(server, sessions, spare, &request)
                .unwrap_or_else(|error| Answer::new(error.code(), [0; 4]));
            syscall::reply(answer);
            return receive(server);
        }
        // A session that has ended must not pass for the capability that root gave.
        (label @ io::FIRST_OTHER.., session) if session.is_some() || badge.facet().is_some() => {
            server.other(session, label, request)
        }
        _ => Err(IoError::BadRequest),
    };
    if let Ok(Done::Later) = reaction {
        let deadline = if S::TIMED { server.deadline() } else { None };
        return match take_parking() {
            Some(reply) => syscall::recv_parking(ENDPOINT, reply, deadline),
            None => receive(server),
        };
    }
    let answer = encode(&reaction);
    if S::TIMED {
        syscall::reply(answer);
        receive(server)
    } else if answer.payload.is_empty() {
        syscall::reply_recv(ENDPOINT, answer.label, answer.words)
    } else {
        syscall::reply_recv_with(ENDPOINT, answer, None)
    }
}

/// Whether a read's answer goes into the message.
#[inline(always)]
fn in_message(read: &Output, bytes: &[u8]) -> bool {
    read.words[1] & io::IN_MESSAGE != 0 && bytes.len() <= io::MESSAGE_MOST
}

/// Makes a session and the answer that carries its capability.
fn open<S: Server>(
    server: &mut S,
    sessions: &mut Sessions<S::Session>,
    spare: Slot,
    request: &Request,
) -> Result<Answer<'static>, IoError> {
    if !sessions.has_room(request.client()) {
        return Err(IoError::TooManySessions);
    }
    let mut name = [0; io::NAME_MAX];
    let name = name
        .get_mut(..request.length())
        .ok_or(IoError::BadRequest)?;
    if !name.is_empty() {
        request.copy_in(0, name)?;
    }
    let name = str::from_utf8(name).map_err(|_| IoError::BadRequest)?;
    let session = server.open(name, request)?;
    let badge = sessions.insert(request.client(), session);
    // What a client that gave no slot did not take is still there.
    let _ = OWN_TABLE.delete(spare);
    if OWN_TABLE
        .derive(spare, ENDPOINT, endpoint::CALL, badge.0)
        .is_err()
    {
        if let Some(session) = sessions.remove(badge) {
            server.close(session);
        }
        return Err(IoError::OutOfMemory);
    }
    let transfer = Transfer {
        pass: spare.0,
        move_it: true,
        receive: 0,
    };
    Ok(Answer {
        transfer,
        ..Answer::new(0, [0; 4])
    })
}

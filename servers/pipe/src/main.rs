//! `pipe:NAME`: what one program writes another reads. Who opens it with `CREATE` has the writing end, others have the reading
//! one. A read waits for bytes until there was a writer and is none any more; a write waits for room, and fails when there was a
//! reader and is none any more. A pipe is there while any of its ends is open.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]
extern crate alloc;

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use libsys::proto::io::{CREATE, IoError, READABLE, Stat, WRITABLE};
use libsys::serve::{Done, Parked, Reaction, Request, Server, serve};
use pipe::pipe::{CAPACITY, End, Pipe, Ready};

libsys::entry!(start);

/// Most pipes at a time.
const MOST: usize = 64;

#[derive(Default)]
struct Pipes {
    pipes: BTreeMap<String, Pipe>,
    waiting: Vec<Waiting>,
    /// Bytes on their way through this program.
    buffer: Vec<u8>,
}

/// An open end.
#[derive(Clone, PartialEq, Eq)]
struct Session {
    pipe: String,
    end: End,
}

/// A caller that waits at an end.
struct Waiting {
    at: Session,
    /// It wants to move bytes, not only to know that it could.
    transfer: bool,
    parked: Parked,
}

impl Pipes {
    fn ready(&self, at: &Session) -> Ready {
        let pipe = self.pipes.get(&at.pipe);
        pipe.map_or(Ready::Over, |pipe| pipe.ready(at.end))
    }

    /// Does what waiting callers wait for, until nobody can go on.
    fn serve_waiting(&mut self) {
        let can_go_on = |pipes: &Self| {
            let mut all = pipes.waiting.iter();
            all.position(|waiting| pipes.ready(&waiting.at) != Ready::NotYet)
        };
        while let Some(index) = can_go_on(self) {
            let Waiting {
                at,
                transfer,
                parked,
            } = self.waiting.remove(index);
            if transfer {
                let count = self.moved(&at, parked.length(), |bytes| match at.end {
                    End::Reading => parked.copy_out(0, bytes),
                    End::Writing => parked.copy_in(0, bytes),
                });
                parked.finish(count.map(Done::Count));
            } else {
                parked.finish(Ok(Done::Words([interest(at.end), 0, 0, 0])));
            }
        }
    }

    /// Moves up to `length` bytes at an end that is ready: `copy` takes them to the caller, or fetches them.
    fn moved(
        &mut self,
        at: &Session,
        length: usize,
        copy: impl FnOnce(&mut [u8]) -> Result<(), IoError>,
    ) -> Result<usize, IoError> {
        let (count, pipe) = match (self.ready(at), self.pipes.get_mut(&at.pipe)) {
            (Ready::Bytes(most), Some(pipe)) => (most.min(length), pipe),
            _ if at.end == End::Reading => return Ok(0),
            _ => return Err(IoError::Reset),
        };
        self.buffer.resize(count, 0);
        match at.end {
            End::Reading => {
                self.buffer.copy_from_slice(pipe.front(count));
                copy(&mut self.buffer)?;
                pipe.consume(count);
            }
            End::Writing => {
                copy(&mut self.buffer)?;
                pipe.extend(&self.buffer);
            }
        }
        Ok(count)
    }

    fn transfer(&mut self, at: &Session, request: Request) -> Reaction<'static> {
        match self.ready(at) {
            Ready::NotYet if !request.waits() => Err(IoError::WouldBlock),
            Ready::NotYet => self.park(at, request, true),
            _ => {
                let count = self.moved(at, request.length(), |bytes| match at.end {
                    End::Reading => request.copy_out(0, bytes),
                    End::Writing => request.copy_in(0, bytes),
                })?;
                // In this order: who waits has its answer before the caller's next request.
                self.serve_waiting();
                Ok(Done::Count(count))
            }
        }
    }

    fn park(&mut self, at: &Session, request: Request, transfer: bool) -> Reaction<'static> {
        self.gone();
        self.waiting.push(Waiting {
            at: at.clone(),
            transfer,
            parked: request.park()?,
        });
        Ok(Done::Later)
    }
}

const fn interest(end: End) -> u64 {
    match end {
        End::Reading => READABLE,
        End::Writing => WRITABLE,
    }
}

impl Server for Pipes {
    type Session = Session;

    fn open(&mut self, name: &str, request: &Request) -> Result<Session, IoError> {
        if name.is_empty() {
            return Err(IoError::BadName);
        }
        if self.pipes.len() == MOST && !self.pipes.contains_key(name) {
            return Err(IoError::NoSpace);
        }
        let end = match request.words[0] & CREATE {
            0 => End::Reading,
            _ => End::Writing,
        };
        let pipe = name.to_string();
        self.pipes.entry(pipe.clone()).or_default().open(end);
        Ok(Session { pipe, end })
    }

    fn read(&mut self, session: &mut Session, _offset: u64, request: Request) -> Reaction<'_> {
        match session.end {
            End::Reading => self.transfer(session, request),
            End::Writing => Err(IoError::BadRequest),
        }
    }

    fn write(&mut self, session: &mut Session, _offset: u64, request: Request) -> Reaction<'_> {
        match session.end {
            End::Writing => self.transfer(session, request),
            End::Reading => Err(IoError::ReadOnly),
        }
    }

    fn stat(&mut self, _session: &mut Session) -> Result<Stat, IoError> {
        Ok(Stat::stream())
    }

    fn wait(&mut self, session: &mut Session, request: Request) -> Reaction<'_> {
        let wish = request.words[0] & interest(session.end);
        match self.ready(session) {
            _ if wish == 0 => Err(IoError::BadRequest),
            Ready::NotYet => self.park(session, request, false),
            _ => Ok(Done::Words([wish, 0, 0, 0])),
        }
    }

    fn close(&mut self, session: Session) {
        let open = self.pipes.get_mut(&session.pipe);
        if open.is_some_and(|pipe| !pipe.close(session.end)) {
            self.pipes.remove(&session.pipe);
        }
        self.serve_waiting();
    }

    fn gone(&mut self) {
        self.waiting.retain(|waiting| waiting.parked.is_alive());
    }
}

fn start() {
    serve(&mut Pipes {
        buffer: Vec::with_capacity(CAPACITY),
        ..Pipes::default()
    })
}

//! Everything that is open, and who waits for what.
//!
//! A request is attempted at once; one that has to wait is parked, and attempted again whenever something has happened
//! ([`Stack::poll`]). Nothing here knows of messages: the tests bring memory and callers of their own.

mod open;

use crate::frames::{Frames, LONGEST, Link};
use crate::name::Host;
use crate::network::{Fallback, Network};
use crate::ping::{self, Pings};
use crate::session::{Kind, Memory, Sessions, Work, attempt, events};
use crate::tcp::{Pool, share};
use alloc::vec::Vec;
use libsys::proto::io::{IoError, READABLE, WRITABLE};
use libsys::proto::net::Status;
use smoltcp::iface::{PollIngressSingleResult, PollResult};
use smoltcp::time::Instant;

/// Frames taken before others have their turn.
const BATCH: usize = 64;
/// How often a poll looks whether those it has served have made more work.
const ROUNDS: usize = 4;

/// Somebody who waits, and lends memory as long.
pub trait Caller: Memory {
    /// Answers it.
    fn finish(self, answer: Result<Answer, IoError>);
    /// Whether it still waits: it may have died.
    fn is_alive(&self) -> bool;
}

/// What is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Bytes moved, readiness, or events.
    Count(u64),
    /// An echo: round trip in microseconds, and address.
    Echo(u64, [u8; 4]),
}

/// What a parked request waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Session(u32, Work),
    /// Any of this client's sessions; until when.
    Events(u32, Option<Instant>),
}

struct Waiting<C> {
    what: What,
    caller: C,
}

/// The network.
pub struct Stack<L, C> {
    frames: Frames<L>,
    network: Network,
    /// How many have equal shares.
    clients: usize,
    pool: Pool,
    pings: Pings<C>,
    sessions: Sessions,
    /// The latest session's number.
    last: u32,
    waiting: Vec<Waiting<C>>,
    deadline: Option<Instant>,
}

impl<L: Link, C: Caller> Stack<L, C> {
    /// A network over this device, for so many clients with equal shares of what it has; the rest as for [`Network::new`].
    pub fn new(
        link: L,
        clients: usize,
        fallback: Option<Fallback>,
        seed: u64,
        now: Instant,
    ) -> Self {
        let mut frames = Frames::new(link);
        let mut network = Network::new(&mut frames, fallback, seed, now);
        let mut stack = Self {
            frames,
            pings: Pings::new(&mut network),
            network,
            clients,
            pool: Pool::new(clients),
            sessions: Sessions::new(),
            last: 0,
            waiting: Vec::new(),
            deadline: None,
        };
        stack.poll(now);
        stack
    }

    /// Ends a session; whoever waits for it is told `BadRequest`.
    pub fn close(&mut self, session: u32, now: Instant) {
        let (pool, network) = (&mut self.pool, &mut self.network);
        match self.sessions.remove(&session).map(|session| session.kind) {
            Some(Kind::Frames) => self.frames.untap(session),
            Some(Kind::Connection(connection)) => connection.close(pool, network),
            Some(Kind::Listener(listener)) => listener.close(pool, network),
            Some(Kind::Datagrams(datagrams)) => datagrams.close(network),
            None => {}
        }
        let concerned =
            |w: &mut Waiting<C>| matches!(w.what, What::Session(other, _) if other == session);
        for waiting in self.waiting.extract_if(.., concerned).collect::<Vec<_>>() {
            waiting.caller.finish(Err(IoError::BadRequest));
        }
        self.poll(now);
    }

    /// Forgets callers that no longer wait.
    pub fn forget_dead(&mut self) {
        self.waiting.retain(|waiting| waiting.caller.is_alive());
        self.pings.retain(&mut self.network, C::is_alive);
    }

    /// Does what a session is asked for, if that needs no waiting.
    pub fn attempt(
        &mut self,
        number: u32,
        work: Work,
        memory: &impl Memory,
        now: Instant,
    ) -> Option<Result<u64, IoError>> {
        let result = attempt(
            &mut self.frames,
            &mut self.network,
            &mut self.sessions,
            number,
            work,
            memory,
        )?;
        // What is to be sent is sent at once; what is read opens the window, which may be told a little later.
        let moved = *result.as_ref().unwrap_or(&0) as usize;
        if work == Work::Write || (work == Work::Read && moved > LONGEST) {
            self.poll(now);
        }
        Some(result)
    }

    /// Attempts it again whenever something has happened.
    pub fn wait(&mut self, session: u32, work: Work, caller: C, now: Instant) {
        let what = What::Session(session, work);
        self.waiting.push(Waiting { what, caller });
        self.poll(now);
    }

    /// Answers `caller` when some of the client's sessions that have subscribed are ready, or at `until`.
    pub fn wait_for_events(
        &mut self,
        client: u32,
        until: Option<Instant>,
        caller: C,
        now: Instant,
    ) {
        let what = What::Events(client, until);
        self.waiting.push(Waiting { what, caller });
        self.poll(now);
    }

    /// The events of a client now, as many as fit.
    pub fn events(&self, client: u32, memory: &impl Memory) -> Result<u64, IoError> {
        events(&self.network, &self.frames, &self.sessions, client, memory)
    }

    /// Names a session for [`Stack::events`].
    pub fn subscribe(&mut self, session: u32, number: u64, interest: u64) {
        if let Some(session) = self.sessions.get_mut(&session) {
            let interest = interest & (READABLE | WRITABLE);
            session.subscription = (interest != 0).then_some((number, interest));
        }
    }

    /// Ends the writing half of a connection.
    ///
    /// # Errors
    /// `BadRequest`: it is none. Else as [`Connection::finish`].
    pub fn finish(&mut self, session: u32, now: Instant) -> Result<(), IoError> {
        match self
            .sessions
            .get_mut(&session)
            .map(|session| &mut session.kind)
        {
            Some(Kind::Connection(connection)) => connection.finish(&mut self.network)?,
            _ => return Err(IoError::BadRequest),
        }
        self.poll(now);
        Ok(())
    }

    /// Whether there is room for one more [`Stack::ping`] of a client.
    pub fn may_ping(&self, client: u32) -> bool {
        self.pings.has_room(client, share(ping::MOST, self.clients))
    }

    /// Sends an echo request of a client, and answers `caller` with the time until its answer.
    pub fn ping(&mut self, client: u32, caller: C, host: Host, until: Instant, now: Instant) {
        self.pings.add(client, caller, host, until, now);
        self.poll(now);
    }

    /// How things are.
    pub fn status(&mut self) -> Status {
        let address = self.network.interface.ip_addrs().first().map(|cidr| {
            let smoltcp::wire::IpCidr::Ipv4(cidr) = cidr;
            (cidr.address().octets(), cidr.prefix_len())
        });
        Status {
            mac: self.frames.link().mac(),
            address,
            gateway: self.network.gateway.map(|gateway| gateway.octets()),
            dns: self
                .network
                .servers
                .iter()
                .map(|server| server.octets())
                .collect(),
            source: self.network.source,
            sessions: (self.sessions.len() as u32, self.pool.used() as u32),
            frames: self.frames.count,
        }
    }

    /// When [`Stack::poll`] is due, if nothing happens before.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Takes what has arrived, sends what is to be sent, and answers those whose wait is over.
    pub fn poll(&mut self, now: Instant) {
        let mut more = true;
        for _ in 0..ROUNDS {
            more = self.receive(now);
            self.network.advance(now);
            for session in self.sessions.values_mut() {
                match &mut session.kind {
                    Kind::Connection(connection) => connection.advance(&mut self.network, now),
                    Kind::Datagrams(datagrams) => datagrams.advance(&mut self.network, now),
                    Kind::Frames | Kind::Listener(_) => {}
                }
            }
            for (caller, answer) in self.pings.advance(&mut self.network, now) {
                caller.finish(
                    answer.map(|(time, from)| Answer::Echo(time.total_micros(), from.octets())),
                );
            }
            let Network {
                interface, sockets, ..
            } = &mut self.network;
            while interface.poll_egress(now, &mut self.frames, sockets)
                == PollResult::SocketStateChanged
            {}
            self.pool.collect(&mut self.network);
            if !self.serve(now) && !more {
                break;
            }
        }
        self.frames.link().flush();
        self.deadline = if more {
            Some(now)
        } else {
            self.next_deadline(now)
        };
    }

    /// Takes frames, and says whether there are more.
    fn receive(&mut self, now: Instant) -> bool {
        for _ in 0..BATCH {
            let Network {
                interface, sockets, ..
            } = &mut self.network;
            if interface.poll_ingress_single(now, &mut self.frames, sockets)
                == PollIngressSingleResult::None
            {
                return false;
            }
            // Before the next frame, which may want to connect, too.
            for session in self.sessions.values_mut() {
                if let Kind::Listener(listener) = &mut session.kind {
                    listener.advance(&mut self.pool, &mut self.network);
                }
            }
        }
        true
    }

    /// Attempts again what waits. Says whether anybody was answered.
    fn serve(&mut self, now: Instant) -> bool {
        let mut answered = false;
        let mut index = 0;
        while let Some(Waiting { what, caller }) = self.waiting.get(index) {
            let result = match *what {
                What::Session(session, work) => {
                    let (frames, network) = (&mut self.frames, &mut self.network);
                    attempt(frames, network, &mut self.sessions, session, work, caller)
                }
                What::Events(client, until) => {
                    match events(&self.network, &self.frames, &self.sessions, client, caller) {
                        Ok(0) if until.is_none_or(|until| until > now) => None,
                        other => Some(other),
                    }
                }
            };
            match result {
                None => index += 1,
                Some(result) => {
                    let waiting = self.waiting.remove(index);
                    waiting.caller.finish(result.map(Answer::Count));
                    answered = true;
                }
            }
        }
        answered
    }

    fn next_deadline(&mut self, now: Instant) -> Option<Instant> {
        let Network {
            interface, sockets, ..
        } = &mut self.network;
        let sockets = interface.poll_at(now, sockets).map(|at| at.max(now));
        // What cannot be sent now is sent when the device interrupts.
        let full = self.frames.link().sender().is_none();
        let sockets = sockets.filter(|at| *at > now || !full);
        let sessions = self
            .sessions
            .values()
            .filter_map(|session| match &session.kind {
                Kind::Connection(connection) => connection.deadline(),
                Kind::Datagrams(datagrams) => datagrams.deadline(),
                Kind::Frames | Kind::Listener(_) => None,
            });
        let waiting = self
            .waiting
            .iter()
            .filter_map(|waiting| match waiting.what {
                What::Events(_, until) => until,
                What::Session(..) => None,
            });
        let others = [sockets, self.network.deadline(), self.pings.deadline()];
        others
            .into_iter()
            .flatten()
            .chain(sessions)
            .chain(waiting)
            .min()
    }
}

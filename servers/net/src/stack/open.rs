//! What a name opens, and whether there is room for one more.

use super::{Caller, Stack};
use crate::frames::{self, Link};
use crate::name::Name;
use crate::session::{Kind, Session};
use crate::tcp::{Connection, Listener, share};
use crate::udp::{self, Datagrams};
use libsys::proto::io::IoError;
use smoltcp::time::Instant;

impl<L: Link, C: Caller> Stack<L, C> {
    /// Opens a name and returns its session's number.
    ///
    /// # Errors
    /// `NotFound`: no such name. `InUse`: somebody listens there. `OutOfMemory`: too many sockets.
    pub fn open(&mut self, name: &str, client: u32, now: Instant) -> Result<u32, IoError> {
        let number = self.number();
        let (pool, network) = (&mut self.pool, &mut self.network);
        let kind = match Name::parse(name)? {
            Name::Frames => {
                self.check_room(client, frames::MOST, |kind| matches!(kind, Kind::Frames))?;
                self.frames.tap(number);
                Kind::Frames
            }
            Name::Connect(host, port) => {
                Kind::Connection(Connection::new(pool, network, client, host, port, now)?)
            }
            Name::Listen(port) => {
                let taken = |session: &Session| matches!(&session.kind, Kind::Listener(l) if l.port() == port);
                if self.sessions.values().any(taken) {
                    return Err(IoError::InUse);
                }
                Kind::Listener(Listener::new(pool, network, client, port)?)
            }
            Name::Accepted(number) => {
                let mut own = self.sessions.values_mut().filter(|s| s.client == client);
                let found = own.find_map(|session| match &mut session.kind {
                    Kind::Listener(listener) => listener.accepted(number),
                    _ => None,
                });
                Kind::Connection(found.ok_or(IoError::NotFound)?)
            }
            Name::Datagrams(host, port) => {
                self.check_datagrams(client, None)?;
                Kind::Datagrams(Datagrams::with(&mut self.network, host, port, now))
            }
            Name::ListenDatagrams(port) => {
                self.check_datagrams(client, Some(port))?;
                Kind::Datagrams(Datagrams::at(&mut self.network, port))
            }
        };
        let session = Session {
            client,
            kind,
            subscription: None,
        };
        self.sessions.insert(number, session);
        self.poll(now);
        Ok(number)
    }

    /// A number that no session has: they are counted anew after 2^32.
    fn number(&mut self) -> u32 {
        loop {
            self.last = self.last.wrapping_add(1);
            if !self.sessions.contains_key(&self.last) {
                return self.last;
            }
        }
    }

    /// Whether a client may open one more of a kind of which there can be `most`.
    fn check_room(
        &self,
        client: u32,
        most: usize,
        is_such: impl Fn(&Kind) -> bool,
    ) -> Result<(), IoError> {
        let all = || {
            self.sessions
                .values()
                .filter(|session| is_such(&session.kind))
        };
        let own = all().filter(|session| session.client == client);
        let full = own.count() >= share(most, self.clients) || all().count() >= most;
        if full {
            Err(IoError::OutOfMemory)
        } else {
            Ok(())
        }
    }

    fn check_datagrams(&self, client: u32, port: Option<u16>) -> Result<(), IoError> {
        self.check_room(client, udp::MOST, |kind| matches!(kind, Kind::Datagrams(_)))?;
        let taken = |session: &Session| matches!(&session.kind, Kind::Datagrams(d) if d.listens_at(&self.network) == port);
        match port.is_some() && self.sessions.values().any(taken) {
            true => Err(IoError::InUse),
            false => Ok(()),
        }
    }
}

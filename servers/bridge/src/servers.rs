//! The message loop of either end.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use bootinfo::shim::BELL_RUNS;
use bridge::end::Bell;
use bridge::export::{Exporter, Here};
use bridge::import::{Importer, Session};
use libsys::proto::io::{IoError, READ, STAT, SYNC, WRITE};
use libsys::rt;
use libsys::serve::{Done, Parked, Reaction, Request, Server};
use libsys::time::Instant;

use crate::End;

/// How long a request waits for a bridge to begin at the other end.
const PATIENCE: Duration = Duration::from_secs(2);

/// Says once that the other end breaks the rules.
fn complain(end: &End, complained: &mut bool) {
    if end.broken() > 0 && !*complained {
        *complained = true;
        rt::say(format_args!(
            "the other end breaks the rules; it begins anew each time"
        ));
    }
}

/// The exporting end: nobody here calls it.
pub struct Exporting {
    end: Option<End>,
    exporter: Exporter<Here>,
    complained: bool,
}

impl Exporting {
    /// Opens these names for the other instance.
    pub fn new(end: Option<End>, names: Vec<String>) -> Self {
        let mut server = Self {
            end,
            exporter: Exporter::new(Here, names),
            complained: false,
        };
        server.attend();
        server
    }

    fn attend(&mut self) {
        if let Some(end) = &mut self.end {
            end.attend(&mut self.exporter);
            complain(end, &mut self.complained);
        }
    }
}

impl Server for Exporting {
    type Session = ();

    fn interrupt(&mut self, _badge: u64, _count: u64) {
        self.attend();
    }
}

/// The importing end.
pub struct Importing {
    end: Option<End>,
    importer: Importer<Parked>,
    prefix: &'static str,
    /// Since when requests wait for the link.
    since: Option<Instant>,
    complained: bool,
}

impl Importing {
    /// Opens names of the other instance, which have `prefix` there.
    pub fn new(end: Option<End>, prefix: &'static str) -> Self {
        let mut server = Self {
            end,
            importer: Importer::new(),
            prefix,
            since: None,
            complained: false,
        };
        server.attend();
        server
    }

    fn attend(&mut self) {
        let Some(end) = &mut self.end else {
            return;
        };
        end.attend(&mut self.importer);
        complain(end, &mut self.complained);
        self.since = match end.link.is_up() || !self.importer.has_queue() {
            true => None,
            false => self.since.or(Some(Instant::now())),
        };
    }

    fn request(&mut self, session: &Session, label: u32, request: Request) -> Reaction<'static> {
        self.importer.check(session)?;
        let words = request.words;
        self.importer
            .request(session, label, words, request.park()?);
        self.attend();
        Ok(Done::Later)
    }
}

impl Server for Importing {
    type Session = Session;
    const TIMED: bool = true;

    fn open(&mut self, name: &str, request: &Request) -> Result<Session, IoError> {
        let end = self.end.as_ref().ok_or(IoError::NoDevice)?;
        if end.bell.who() & BELL_RUNS == 0 {
            return Err(IoError::PartnerDied);
        }
        let name = format!("{}{name}", self.prefix);
        let session = self.importer.open(name, request.words[0])?;
        self.attend();
        Ok(session)
    }

    fn read(&mut self, session: &mut Session, _offset: u64, request: Request) -> Reaction<'_> {
        self.request(session, READ, request)
    }

    fn write(&mut self, session: &mut Session, _offset: u64, request: Request) -> Reaction<'_> {
        self.request(session, WRITE, request)
    }

    fn stat_request(&mut self, session: &mut Session, request: Request) -> Reaction<'_> {
        self.request(session, STAT, request)
    }

    fn sync(&mut self, session: &mut Session, request: Request) -> Reaction<'_> {
        self.request(session, SYNC, request)
    }

    fn close(&mut self, session: Session) {
        self.importer.close(session);
        self.attend();
    }

    fn gone(&mut self) {
        self.importer.forget_dead();
    }

    fn interrupt(&mut self, _badge: u64, _count: u64) {
        self.attend();
    }

    fn deadline(&self) -> Option<u64> {
        self.since.map(|since| (since + PATIENCE).0)
    }

    fn expired(&mut self) {
        if self.since.is_some_and(|since| since.elapsed() >= PATIENCE) {
            self.importer.fail(IoError::TimedOut);
            self.since = None;
        }
    }
}

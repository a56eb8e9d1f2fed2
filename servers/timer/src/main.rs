//! `timer`: answers each sleeper when its time has come, and tells the time of day.
//!
//! `timer:` is the date and time in UTC as a line of text. A read of `timer:N` waits for the next of the moments that follow
//! its opening every N milliseconds, and returns how many have passed since the last read, as 8 bytes (little endian).
//! Programs sleep by [`SLEEP`] alone. The hardware timer is the kernel's; this is a program that waits with a deadline and
//! parks its callers.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]
extern crate alloc;

use ::time::OffsetDateTime;
use alloc::format;
use alloc::string::String;
use core::time::Duration;
use libsys::object::IoPorts;
use libsys::proto::io::{IoError, READABLE, Stat};
use libsys::proto::program::Device;
use libsys::proto::timer::{CLOCK, SLEEP};
use libsys::rt;
use libsys::serve::{Done, Parked, Reaction, Request, Server, serve};
use libsys::syscall::Slot;
use libsys::time::{Instant, ticks};
use timer::queue::Queue;
use timer::rtc;

libsys::entry!(start);

/// Bytes of the date and time as text.
const TEXT: usize = "2026-11-24 13:55:06\n".len();
/// Bytes of a count of moments.
const COUNT: usize = size_of::<u64>();

/// Who waits, and what for.
enum Sleeper {
    /// For its deadline.
    Plain(Parked),
    /// For a moment of `timer:N`, to read it.
    Read(Parked),
    /// For a moment of `timer:N`, to know that it can be read.
    Readable(Parked),
}

impl Sleeper {
    fn parked(&self) -> &Parked {
        let (Self::Plain(parked) | Self::Read(parked) | Self::Readable(parked)) = self;
        parked
    }

    fn wake(self) {
        match self {
            Self::Plain(parked) => parked.finish(Ok(Done::Count(0))),
            Self::Read(parked) => {
                let copied = parked.copy_out(0, &1u64.to_le_bytes());
                parked.finish(copied.map(|()| Done::Count(COUNT)));
            }
            Self::Readable(parked) => parked.finish(Ok(Done::Words([READABLE, 0, 0, 0]))),
        }
    }
}

/// An open name.
enum Session {
    /// `timer:`
    Clock,
    /// `timer:N`
    Moments {
        /// The next one that nobody has read, in TSC ticks.
        next: u64,
        /// TSC ticks from one to the next, not 0.
        period: u64,
    },
}

struct Timer {
    sleepers: Queue<Sleeper>,
    /// The clock's two ports: register number, register.
    clock: Option<(IoPorts, u16)>,
    text: String,
}

impl Timer {
    fn unix_time(&self) -> Result<u64, IoError> {
        let (ports, base) = self.clock.ok_or(IoError::NoDevice)?;
        // A port that cannot be read looks like one where nothing answers.
        let read = |register: u8| {
            let selected = ports.write(base, 1, register.into());
            let value = selected.and_then(|()| ports.read(base + 1, 1));
            value.map_or(0xff, |value| value as u8)
        };
        rtc::unix_time(read).ok_or(IoError::NoDevice)
    }

    fn read_clock(&mut self, offset: u64, request: &Request) -> Reaction<'_> {
        let seconds = i64::try_from(self.unix_time()?).map_err(|_| IoError::DeviceError)?;
        let now = OffsetDateTime::from_unix_timestamp(seconds);
        let now = now.map_err(|_| IoError::DeviceError)?;
        let (year, month, day) = now.to_calendar_date();
        let (hour, minute, second) = now.to_hms();
        let month = month as u8;
        self.text = format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}\n");
        let start = usize::try_from(offset).ok();
        let rest = start.and_then(|start| self.text.as_bytes().get(start..));
        let rest = rest.ok_or(IoError::BeyondEnd)?;
        Ok(Done::Data(&rest[..rest.len().min(request.length())]))
    }

    /// Parks a caller until `deadline`.
    fn sleep(
        &mut self,
        request: Request,
        deadline: u64,
        kind: fn(Parked) -> Sleeper,
    ) -> Reaction<'static> {
        // Sleepers that gave up hold Reply objects in vain.
        self.gone();
        self.sleepers.insert(deadline, kind(request.park()?));
        Ok(Done::Later)
    }
}

impl Server for Timer {
    type Session = Session;
    const TIMED: bool = true;

    fn open(&mut self, name: &str, _request: &Request) -> Result<Session, IoError> {
        if name.is_empty() {
            return Ok(Session::Clock);
        }
        let milliseconds = name.parse().map_err(|_| IoError::NotFound)?;
        let period = ticks(Duration::from_millis(milliseconds), rt::info().tsc_hz);
        if period == 0 {
            return Err(IoError::NotFound);
        }
        let next = Instant::now().0.saturating_add(period);
        Ok(Session::Moments { next, period })
    }

    fn read(&mut self, session: &mut Session, offset: u64, request: Request) -> Reaction<'_> {
        self.expired();
        let Session::Moments { next, period } = session else {
            return self.read_clock(offset, &request);
        };
        if request.length() < COUNT {
            return Err(IoError::BadRequest);
        }
        let (now, first) = (Instant::now().0, *next);
        if first <= now {
            let count = (now - first) / *period + 1;
            request.copy_out(0, &count.to_le_bytes())?;
            *next = first.saturating_add(count.saturating_mul(*period));
            return Ok(Done::Count(COUNT));
        }
        if !request.waits() {
            return Err(IoError::WouldBlock);
        }
        let reaction = self.sleep(request, first, Sleeper::Read)?;
        *next = first.saturating_add(*period);
        Ok(reaction)
    }

    fn wait(&mut self, session: &mut Session, request: Request) -> Reaction<'_> {
        self.expired();
        // Nothing here can be written.
        if request.words[0] & READABLE == 0 {
            return Err(IoError::ReadOnly);
        }
        match *session {
            Session::Moments { next, .. } if next > Instant::now().0 => {
                self.sleep(request, next, Sleeper::Readable)
            }
            _ => Ok(Done::Words([READABLE, 0, 0, 0])),
        }
    }

    fn stat(&mut self, session: &mut Session) -> Result<Stat, IoError> {
        Ok(match session {
            Session::Clock => Stat::block(TEXT as u64),
            Session::Moments { .. } => Stat::stream(),
        })
    }

    fn other(
        &mut self,
        _session: Option<&mut Session>,
        label: u32,
        request: Request,
    ) -> Reaction<'_> {
        // A stream of requests must not keep those from waking whose time has come.
        self.expired();
        match label {
            SLEEP if request.words[0] <= Instant::now().0 => Ok(Done::Count(0)),
            SLEEP => {
                let deadline = request.words[0];
                self.sleep(request, deadline, Sleeper::Plain)
            }
            CLOCK => Ok(Done::Words([self.unix_time()?, 0, 0, 0])),
            _ => Err(IoError::BadRequest),
        }
    }

    fn gone(&mut self) {
        self.sleepers.retain(|sleeper| sleeper.parked().is_alive());
    }

    fn deadline(&self) -> Option<u64> {
        self.sleepers.next()
    }

    fn expired(&mut self) {
        let now = Instant::now().0;
        while let Some(sleeper) = self.sleepers.pop_due(now) {
            sleeper.wake();
        }
    }
}

fn start() {
    let clock = rt::info().devices.iter().find_map(|device| match *device {
        Device::Ports { slot, base, count } if count >= 2 => Some((IoPorts(Slot(slot)), base)),
        _ => None,
    });
    serve(&mut Timer {
        sleepers: Queue::default(),
        clock,
        text: String::new(),
    })
}

//! The message loop around the stack: `net:`, `tcp:` and `udp:`.

use crate::driver::{InitError, Net};
use crate::name::Host;
use crate::network::Fallback;
use crate::session::{Memory, Work};
use crate::stack::{Answer, Caller, Stack};
use alloc::string::String;
use libsys::proto::io::{IoError, NAME_MAX, Stat};
use libsys::proto::net::{EVENTS, FINISH, PING, STATUS, SUBSCRIBE};
use libsys::rt;
use libsys::serve::{Done, Parked, Reaction, Request, Server, serve};
use libsys::time::Instant as Ticks;
use smoltcp::time::Instant;
use virtio::program::{Program, connect, devices};
use virtio::transport::MsiX;

/// A caller whose request is at hand.
struct Present<'a>(&'a Request);

impl Memory for Present<'_> {
    fn length(&self) -> usize {
        self.0.length()
    }
    fn copy_in(&self, offset: usize, bytes: &mut [u8]) -> Result<(), IoError> {
        unless_empty(bytes.len(), || self.0.copy_in(offset, bytes))
    }
    fn copy_out(&self, offset: usize, bytes: &[u8]) -> Result<(), IoError> {
        unless_empty(bytes.len(), || self.0.copy_out(offset, bytes))
    }
}

/// Copies, unless there is nothing to copy: then there need be no memory either.
fn unless_empty(length: usize, copy: impl FnOnce() -> Result<(), IoError>) -> Result<(), IoError> {
    if length == 0 { Ok(()) } else { copy() }
}

/// A caller parked in a Reply object.
struct Waiting(Parked);

impl Memory for Waiting {
    fn length(&self) -> usize {
        self.0.length()
    }
    fn copy_in(&self, offset: usize, bytes: &mut [u8]) -> Result<(), IoError> {
        unless_empty(bytes.len(), || self.0.copy_in(offset, bytes))
    }
    fn copy_out(&self, offset: usize, bytes: &[u8]) -> Result<(), IoError> {
        unless_empty(bytes.len(), || self.0.copy_out(offset, bytes))
    }
}

impl Caller for Waiting {
    fn finish(self, answer: Result<Answer, IoError>) {
        self.0.finish(answer.map(|answer| match answer {
            Answer::Count(count) => Done::Words([count, 0, 0, 0]),
            Answer::Echo(time, address) => {
                Done::Words([time, u64::from(u32::from_be_bytes(address)), 0, 0])
            }
        }));
    }
    fn is_alive(&self) -> bool {
        self.0.is_alive()
    }
}

type Running = Stack<Net<Program, MsiX>, Waiting>;

struct NetServer {
    /// The network, or what opening says.
    stack: Result<Running, IoError>,
}

impl NetServer {
    fn stack(&mut self) -> Result<&mut Running, IoError> {
        self.stack.as_mut().map_err(|error| *error)
    }

    /// Sets a caller aside. Those that have given up hold Reply objects in vain.
    fn park(&mut self, request: Request) -> Result<Waiting, IoError> {
        self.gone();
        request.park().map(Waiting)
    }

    /// Does what a session is asked for, or parks the caller.
    fn work(&mut self, session: u32, work: Work, request: Request) -> Reaction<'static> {
        let now = now();
        let stack = self.stack()?;
        if let Some(result) = stack.attempt(session, work, &Present(&request), now) {
            return result.map(|count| Done::Words([count, 0, 0, 0]));
        }
        if !matches!(work, Work::Wait(_)) && !request.waits() {
            // Those who never wait open the window here.
            stack.poll(now);
            return Err(IoError::WouldBlock);
        }
        let caller = self.park(request)?;
        self.stack()?.wait(session, work, caller, now);
        Ok(Done::Later)
    }

    fn events(&mut self, request: Request) -> Reaction<'static> {
        let (client, now) = (request.client(), now());
        match self.stack()?.events(client, &Present(&request))? {
            0 => {
                let until = (request.words[0] != 0).then(|| instant(request.words[0]));
                let caller = self.park(request)?;
                self.stack()?.wait_for_events(client, until, caller, now);
                Ok(Done::Later)
            }
            count => Ok(Done::Words([count, 0, 0, 0])),
        }
    }

    fn ping(&mut self, request: Request) -> Reaction<'static> {
        let mut host = [0; NAME_MAX];
        let host = host
            .get_mut(..request.length())
            .ok_or(IoError::BadRequest)?;
        Present(&request).copy_in(0, host)?;
        let host = Host::parse(str::from_utf8(host).map_err(|_| IoError::BadRequest)?)?;
        let (client, until, now) = (request.client(), instant(request.words[0]), now());
        self.gone();
        if !self.stack()?.may_ping(client) {
            return Err(IoError::WouldBlock);
        }
        let caller = Waiting(request.park()?);
        self.stack()?.ping(client, caller, host, until, now);
        Ok(Done::Later)
    }
}

impl Server for NetServer {
    type Session = u32;
    const TIMED: bool = true;

    fn open(&mut self, name: &str, request: &Request) -> Result<u32, IoError> {
        self.stack()?.open(name, request.client(), now())
    }

    fn read(&mut self, session: &mut u32, _offset: u64, request: Request) -> Reaction<'_> {
        self.work(*session, Work::Read, request)
    }

    fn write(&mut self, session: &mut u32, _offset: u64, request: Request) -> Reaction<'_> {
        self.work(*session, Work::Write, request)
    }

    fn wait(&mut self, session: &mut u32, request: Request) -> Reaction<'_> {
        self.work(*session, Work::Wait(request.words[0]), request)
    }

    fn gone(&mut self) {
        if let Ok(stack) = &mut self.stack {
            stack.forget_dead();
        }
    }

    fn stat(&mut self, _session: &mut u32) -> Result<Stat, IoError> {
        Ok(Stat::stream())
    }

    fn close(&mut self, session: u32) {
        if let Ok(stack) = &mut self.stack {
            stack.close(session, now());
        }
    }

    fn other(&mut self, session: Option<&mut u32>, label: u32, request: Request) -> Reaction<'_> {
        match (label, session) {
            (STATUS, None) => {
                let status = postcard::to_allocvec(&self.stack()?.status());
                let status = status.map_err(|_| IoError::OutOfMemory)?;
                request.copy_out(0, &status)?;
                Ok(Done::Count(status.len()))
            }
            (PING, None) => self.ping(request),
            (EVENTS, None) => self.events(request),
            (SUBSCRIBE, Some(session)) => {
                let [number, interest, ..] = request.words;
                self.stack()?.subscribe(*session, number, interest);
                Ok(Done::Count(0))
            }
            (FINISH, Some(session)) => {
                self.stack()?.finish(*session, now())?;
                Ok(Done::Count(0))
            }
            _ => Err(IoError::BadRequest),
        }
    }

    fn interrupt(&mut self, _badge: u64, _count: u64) {
        self.expired();
    }

    fn deadline(&self) -> Option<u64> {
        self.stack.as_ref().ok()?.deadline().map(ticks)
    }

    fn expired(&mut self) {
        if let Ok(stack) = &mut self.stack {
            stack.poll(now());
        }
    }
}

/// This moment, as smoltcp counts: microseconds.
fn now() -> Instant {
    instant(Ticks::now().0)
}

fn instant(ticks: u64) -> Instant {
    let micros = u128::from(ticks) * 1_000_000 / u128::from(rt::info().tsc_hz.max(1));
    Instant::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
}

/// The first tick that belongs to a moment.
fn ticks(at: Instant) -> u64 {
    let ticks =
        (at.total_micros().max(0) as u128 * u128::from(rt::info().tsc_hz)).div_ceil(1_000_000);
    u64::try_from(ticks).unwrap_or(u64::MAX)
}

/// Serves the program's device for good. Arguments: `--fallback ADDRESS/PREFIX,GATEWAY,DNS`, used if no DHCP server answers.
pub fn run() {
    let stack = start().map_err(|(error, why)| {
        rt::say(format_args!("{why}"));
        error
    });
    serve(&mut NetServer { stack })
}

fn start() -> Result<Running, (IoError, String)> {
    let device = devices().flatten().next().ok_or((
        IoError::NoDevice,
        "absent: the machine has no network device".into(),
    ))?;
    let failed = |why: &str| (IoError::DeviceError, why.into());
    let arguments = &rt::info().args;
    let fallback = match arguments.iter().position(|word| word == "--fallback") {
        None => None,
        Some(at) => {
            let text = arguments.get(at + 1).map_or("", String::as_str);
            Some(
                Fallback::parse(text)
                    .ok_or_else(|| failed("--fallback wants ADDRESS/PREFIX,GATEWAY,DNS"))?,
            )
        }
    };
    let net = Net::new(connect(device, 0).map_err(failed)?).map_err(|error| match error {
        InitError::Unsupported => failed("not a modern virtio network device with an address"),
        InitError::OutOfMemory => failed("too little memory for DMA"),
    })?;
    let clients = rt::info().clients as usize;
    Ok(Stack::new(net, clients, fallback, Ticks::now().0, now()))
}

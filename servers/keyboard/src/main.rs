//! `keyboard:`: what is typed at the PS/2 keyboard, as a terminal would send it. Arguments: the layout, `us` (also without any)
//! or `de`; then `strikes`, for measurements.
//!
//! Whoever opens `keyboard:` has the keyboard until it closes it. While nobody has, what is typed goes to the console, as
//! if it came from the serial line. With `strikes`, what is written to it (a scan code of set 1 at a time) comes as if that key were
//! struck, interrupt included.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]
extern crate alloc;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use keyboard::controller::{COMMAND, Controller, DATA, Ports};
use keyboard::keys::Keys;
use libsys::handle::answered;
use libsys::input::Input;
use libsys::lease::Lease;
use libsys::object::{IoPorts, Irq};
use libsys::proto::console::{INPUT, INPUT_MAX};
use libsys::proto::io::{IoError, READABLE, Stat};
use libsys::proto::program::Device;
use libsys::rt;
use libsys::serve::{Done, Reaction, Request, Server, serve};
use libsys::syscall::{self, Slot};

libsys::entry!(start);

/// The argument with which keys can be struck.
const STRIKES: &str = "strikes";
/// Most bytes that wait for a reader; what is typed beyond is lost.
const MOST: usize = 1024;
/// Most scan codes taken per interrupt: a keyboard that has more interrupts again.
const CODES: usize = 64;

/// The ports that the manifest gives this program.
struct Program {
    data: IoPorts,
    command: IoPorts,
}

impl Program {
    fn new() -> Option<Self> {
        let port = |wanted: u16| {
            rt::info().devices.iter().find_map(|device| match *device {
                Device::Ports { slot, base, .. } if base == wanted => Some(IoPorts(Slot(slot))),
                _ => None,
            })
        };
        Some(Self {
            data: port(DATA)?,
            command: port(COMMAND)?,
        })
    }

    fn of(&self, port: u16) -> &IoPorts {
        if port == DATA {
            &self.data
        } else {
            &self.command
        }
    }
}

impl Ports for Program {
    fn read(&self, port: u16) -> Option<u8> {
        self.of(port).read(port, 1).ok().map(|value| value as u8)
    }

    fn write(&self, port: u16, value: u8) -> Option<()> {
        self.of(port).write(port, 1, value.into()).ok()
    }
}

struct Keyboard {
    /// `None`: the machine has none.
    controller: Option<Controller<Program>>,
    keys: Keys,
    /// Whether keys can be struck by writing.
    strikes: bool,
    /// How often `keyboard:` is open.
    sessions: usize,
    typed: Input,
}

impl Keyboard {
    /// Passes on what was typed, to readers or else to the console.
    fn pass_on(&mut self, typed: &[u8]) {
        if self.sessions == 0 {
            typed.chunks(INPUT_MAX).for_each(to_console);
            return;
        }
        // What nobody has room for is lost.
        let _ = self.typed.push(typed);
        self.typed.serve();
    }
}

/// Types at the console. One that was just started anew gets it once more.
fn to_console(typed: &[u8]) {
    let Some(console) = rt::endpoint("console.input") else {
        return;
    };
    for _ in 0..2 {
        let lease = Lease::read(typed);
        match answered(syscall::call_lending(console, INPUT, [0; 4], lease)) {
            Err(IoError::ServerDied { delivered: false }) => {}
            _ => return,
        }
    }
}

impl Server for Keyboard {
    type Session = ();

    fn open(&mut self, name: &str, _request: &Request) -> Result<(), IoError> {
        match name {
            "" if self.controller.is_none() => Err(IoError::NoDevice),
            "" => {
                self.sessions += 1;
                Ok(())
            }
            _ => Err(IoError::NotFound),
        }
    }

    fn close(&mut self, _session: ()) {
        self.sessions -= 1;
        if self.sessions == 0 {
            // It was typed for somebody who does not want it any more.
            self.typed.clear();
        }
    }

    fn read(&mut self, _session: &mut (), _offset: u64, request: Request) -> Reaction<'_> {
        self.typed.read(request)
    }

    fn write(&mut self, _session: &mut (), _offset: u64, request: Request) -> Reaction<'_> {
        if !self.strikes {
            return Err(IoError::ReadOnly);
        }
        let mut code = [0];
        request.copy_in(0, &mut code)?;
        let controller = self.controller.as_ref().ok_or(IoError::NoDevice)?;
        controller.strike(code[0]).ok_or(IoError::WouldBlock)?;
        Ok(Done::Count(code.len()))
    }

    fn wait(&mut self, _session: &mut (), request: Request) -> Reaction<'_> {
        // Nothing here waits to be written.
        if request.words[0] & READABLE == 0 {
            return Err(IoError::ReadOnly);
        }
        self.typed.wait(request)
    }

    fn stat(&mut self, _session: &mut ()) -> Result<Stat, IoError> {
        Ok(Stat::stream())
    }

    fn gone(&mut self) {
        self.typed.forget_dead();
    }

    fn interrupt(&mut self, _badge: u64, _count: u64) {
        let mut typed = Vec::new();
        if let Some(controller) = &self.controller {
            (0..CODES)
                .map_while(|_| controller.scan_code())
                .for_each(|code| self.keys.input(code, &mut typed));
        }
        self.pass_on(&typed);
    }
}

fn start() -> Result<(), String> {
    let layout = rt::info().args.first().map_or("us", String::as_str);
    let keys = Keys::new(layout).ok_or_else(|| format!("{layout}: no such layout"))?;
    let irq = rt::info().devices.iter().find_map(|device| match *device {
        Device::Irq { slot } => Some(Irq(Slot(slot))),
        _ => None,
    });
    irq.ok_or("the manifest gives it no interrupt")?
        .bind(rt::ENDPOINT, 0)
        .map_err(|error| format!("its interrupt cannot be bound: {error:?}"))?;
    let controller = Program::new().and_then(Controller::new);
    if controller.is_none() {
        rt::say(format_args!("there is no keyboard"));
    }
    serve(&mut Keyboard {
        controller,
        keys,
        strikes: rt::info().args.iter().any(|argument| argument == STRIKES),
        sessions: 0,
        typed: Input::new(MOST),
    })
}

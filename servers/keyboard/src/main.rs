//! `keyboard:`: what is typed at the PS/2 keyboard, as a terminal would send it. Arguments: the layout, `us` (also without any)
//! or `de`.
//!
//! Whoever opens `keyboard:` has the keyboard until it closes it. While nobody has, what is typed goes to the console, as
//! if it came from the serial line.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]
extern crate alloc;

mod controller;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use controller::Controller;
use keyboard::keys::Keys;
use libsys::handle::answered;
use libsys::input::Input;
use libsys::lease::Lease;
use libsys::object::Irq;
use libsys::proto::console::{INPUT, INPUT_MAX};
use libsys::proto::io::{IoError, READABLE, Stat};
use libsys::proto::program::Device;
use libsys::rt;
use libsys::serve::{Reaction, Request, Server, serve};
use libsys::syscall::{self, Slot};

libsys::entry!(start);

/// Most bytes that wait for a reader; what is typed beyond is lost.
const MOST: usize = 1024;
/// Most scan codes taken per interrupt: a keyboard that has more interrupts again.
const CODES: usize = 64;

struct Keyboard {
    /// `None`: the machine has none.
    controller: Option<Controller>,
    keys: Keys,
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

    fn wait(&mut self, _session: &mut (), request: Request) -> Reaction<'_> {
        // Nothing here can be written.
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
    let controller = controller::find();
    if controller.is_none() {
        rt::say(format_args!("there is no keyboard"));
    }
    serve(&mut Keyboard {
        controller,
        keys,
        sessions: 0,
        typed: Input::new(MOST),
    })
}

//! `console`: the serial line, interrupt-driven both ways, and the screen.
//!
//! Texts of up to 4096 bytes leave whole and in order: a writer waits, parked, until the chip has its text, so that no text
//! that was taken is lost with this program. Readers wait, parked, for input: from the serial line, and what
//! `keyboard` passes on. A program that sends nonsense hurts nobody but itself.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![deny(unsafe_code)]
extern crate alloc;

#[expect(
    unsafe_code,
    reason = "the traits of uart_16550 are unsafe to implement"
)]
mod uart;

use alloc::collections::VecDeque;
use alloc::format;
use console::display::Display;
use console::output::{Output, WHOLE};
use libsys::input::Input;
use libsys::object::{IoPorts, Irq};
use libsys::proto::console::{INPUT, INPUT_FACET, INPUT_MAX};
use libsys::proto::io::{IoError, READABLE, Stat, WRITABLE};
use libsys::proto::program::Device;
use libsys::rt;
use libsys::serve::{Done, Parked, Reaction, Request, Server, serve};
use libsys::syscall::Slot;
use uart::Uart;

libsys::entry!(start);

/// Most bytes of input that wait for a reader.
const MOST_INPUT: usize = 4096;

/// First port of the display's controller.
const DISPLAY: u16 = 0x3d4;
/// Most turns of service per interrupt; a chip that wants more interrupts again.
const TURNS: usize = 64;

struct Console {
    uart: Uart,
    output: Output,
    input: Input,
    /// Input bytes that nobody had room for, not yet reported.
    lost: u64,
    /// `None`: the machine has none.
    display: Option<Display>,
    writers: VecDeque<Writer>,
    syncers: VecDeque<Parked>,
}

/// A program whose text is on its way.
struct Writer {
    parked: Parked,
    /// Bytes of its text, and where in the output they end; `None`: they did not fit yet.
    taken: Option<(usize, u64)>,
}

impl Console {
    /// Moves bytes both ways until there is nothing to do.
    fn work(&mut self) {
        for _ in 0..TURNS {
            self.receive();
            self.send();
            if !self.uart.wants_service() {
                break;
            }
        }
    }

    fn receive(&mut self) {
        while let Some(byte) = self.uart.receive() {
            self.type_in(&[byte]);
        }
        self.lost += u64::from(self.uart.overran());
        self.input.serve();
    }

    fn type_in(&mut self, bytes: &[u8]) {
        self.lost += self.input.push(bytes) as u64;
    }

    fn send(&mut self) {
        loop {
            self.admit_writers();
            let count = self.uart.send(self.output.front());
            self.output.consume(count);
            self.answer_writers();
            if self.output.is_empty() && self.lost > 0 {
                let text = format!("\n[console: {} bytes of input lost]\n", self.lost);
                self.output.push(text.as_bytes());
                self.show(text.as_bytes());
                self.lost = 0;
            } else if count == 0 {
                break;
            }
        }
        self.expired();
        self.uart.interrupt_for_output(!self.output.is_empty());
        if self.output.is_empty() && !self.syncers.is_empty() {
            self.uart.drain();
            self.syncers
                .drain(..)
                .for_each(|syncer| syncer.finish(Ok(Done::Count(0))));
        }
    }

    /// Takes the texts of waiting writers, the oldest first, as far as they fit.
    fn admit_writers(&mut self) {
        let mut text = [0; WHOLE];
        let mut next = 0;
        while let Some(writer) = self.writers.get(next) {
            if writer.taken.is_some() {
                next += 1;
                continue;
            }
            let count = writer.parked.length().min(WHOLE);
            let copied = writer.parked.copy_in(0, &mut text[..count]);
            match copied {
                Ok(()) if !self.output.push(&text[..count]) => return,
                Ok(()) => {
                    self.writers[next].taken = Some((count, self.output.end()));
                    self.show(&text[..count]);
                    next += 1;
                }
                Err(error) => {
                    if let Some(writer) = self.writers.remove(next) {
                        writer.parked.finish(Err(error));
                    }
                }
            }
        }
    }

    /// Answers the writers whose texts the chip has.
    fn answer_writers(&mut self) {
        while let Some((count, end)) = self.writers.front().and_then(|writer| writer.taken)
            && self.output.has_sent(end)
            && let Some(writer) = self.writers.pop_front()
        {
            writer.parked.finish(Ok(Done::Count(count)));
        }
    }

    fn show(&mut self, text: &[u8]) {
        if let Some(display) = &mut self.display {
            display.write(text);
        }
    }
}

impl Server for Console {
    type Session = ();
    const TIMED: bool = true;

    fn open(&mut self, name: &str, _request: &Request) -> Result<(), IoError> {
        if name.is_empty() {
            Ok(())
        } else {
            Err(IoError::NotFound)
        }
    }

    fn read(&mut self, _session: &mut (), _offset: u64, request: Request) -> Reaction<'_> {
        if self.input.readiness() == 0 {
            self.gone();
        }
        self.input.read(request)
    }

    fn write(&mut self, _session: &mut (), _offset: u64, request: Request) -> Reaction<'_> {
        if request.length() == 0 {
            return Ok(Done::Count(0));
        }
        self.gone();
        self.writers.push_back(Writer {
            parked: request.park()?,
            taken: None,
        });
        self.send();
        Ok(Done::Later)
    }

    fn stat(&mut self, _session: &mut ()) -> Result<Stat, IoError> {
        Ok(Stat::stream())
    }

    fn sync(&mut self, _session: &mut (), request: Request) -> Reaction<'_> {
        if !self.output.is_empty() {
            self.gone();
            self.syncers.push_back(request.park()?);
            return Ok(Done::Later);
        }
        self.uart.drain();
        Ok(Done::Count(0))
    }

    fn wait(&mut self, _session: &mut (), request: Request) -> Reaction<'_> {
        let wish = request.words[0];
        // Writers wait for the chip, not for another program.
        match wish & (WRITABLE | self.input.readiness()) {
            0 if wish & READABLE != 0 => {
                self.gone();
                self.input.wait(request)
            }
            ready => Ok(Done::Words([ready, 0, 0, 0])),
        }
    }

    fn other(&mut self, _session: Option<&mut ()>, label: u32, request: Request) -> Reaction<'_> {
        match (label, request.facet()) {
            (INPUT, Some(INPUT_FACET)) => {
                let mut typed = [0; INPUT_MAX];
                let typed = typed.get_mut(..request.length());
                let typed = typed.ok_or(IoError::BadRequest)?;
                request.copy_in(0, typed)?;
                self.type_in(typed);
                self.input.serve();
                self.send();
                Ok(Done::Count(typed.len()))
            }
            (INPUT, _) => Err(IoError::NotPermitted),
            _ => Err(IoError::BadRequest),
        }
    }

    fn gone(&mut self) {
        // A text that was taken goes on its way whoever waits for it.
        self.writers
            .retain(|writer| writer.taken.is_some() || writer.parked.is_alive());
        self.syncers.retain(Parked::is_alive);
        self.input.forget_dead();
    }

    fn deadline(&self) -> Option<u64> {
        self.display.as_ref().and_then(Display::deadline)
    }

    fn expired(&mut self) {
        if let Some(display) = &mut self.display {
            display.show();
        }
    }

    fn interrupt(&mut self, _badge: u64, _count: u64) {
        self.work();
    }
}

fn start() -> Result<(), &'static str> {
    let devices = &rt::info().devices;
    let uart = devices.iter().find_map(|device| match *device {
        Device::Ports { slot, base, count } if base != DISPLAY => {
            Some(Uart::new(Slot(slot), base, count))
        }
        _ => None,
    });
    let ports = devices.iter().find_map(|device| match *device {
        Device::Ports { slot, base, count } if base == DISPLAY && count >= 2 => {
            Some(IoPorts(Slot(slot)))
        }
        _ => None,
    });
    let display = ports.and_then(|ports| Display::take(ports, DISPLAY));
    if display.is_none() {
        rt::say(format_args!("there is no screen"));
    }
    let irq = devices.iter().find_map(|device| match *device {
        Device::Irq { slot } => Some(Irq(Slot(slot))),
        _ => None,
    });
    let (uart, early) = uart.ok_or("the manifest gives it no ports")??;
    irq.ok_or("the manifest gives it no interrupt")?
        .bind(rt::ENDPOINT, 0)
        .map_err(|_| "its interrupt cannot be bound")?;
    let mut console = Console {
        uart,
        output: Output::default(),
        input: Input::new(MOST_INPUT),
        lost: 0,
        display,
        writers: VecDeque::new(),
        syncers: VecDeque::new(),
    };
    console.type_in(&early);
    // What arrived before the interrupt was bound raised no edge that counts.
    console.work();
    serve(&mut console)
}

//! `console`: the serial line, interrupt-driven both ways.
//!
//! Texts of up to 4096 bytes leave whole and in order: a writer waits, parked, until its text fits the queue. Readers
//! wait, parked, for input. A program that sends nonsense hurts nobody but itself.
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
use console::output::{Output, WHOLE};
use libsys::object::Irq;
use libsys::proto::io::{IoError, Kind, Stat};
use libsys::proto::program::Device;
use libsys::rt;
use libsys::serve::{Done, Parked, Reaction, Request, Server, serve};
use libsys::syscall::Slot;
use uart::Uart;

libsys::entry!(start);

/// Most bytes of input that wait for a reader.
const INPUT: usize = 4096;

/// Most turns of service per interrupt; a chip that wants more interrupts again.
const TURNS: usize = 64;

struct Console {
    uart: Uart,
    output: Output,
    input: VecDeque<u8>,
    /// Input bytes that nobody had room for, not yet reported.
    lost: u64,
    writers: VecDeque<Parked>,
    readers: VecDeque<Parked>,
    syncers: VecDeque<Parked>,
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
            if self.input.len() < INPUT {
                self.input.push_back(byte);
            } else {
                self.lost += 1;
            }
        }
        self.lost += u64::from(self.uart.overran());
        while !self.input.is_empty()
            && let Some(reader) = self.readers.pop_front()
        {
            let count = reader.length().min(self.input.len());
            // Who cannot take its input (it died, or lent nonsense) leaves it to the next.
            let taken = reader.copy_out(0, &self.input.make_contiguous()[..count]);
            if taken.is_ok() {
                self.input.drain(..count);
            }
            reader.finish(taken.map(|()| Done::Count(count)));
        }
    }

    fn send(&mut self) {
        loop {
            let count = self.uart.send(self.output.front());
            self.output.consume(count);
            if self.output.is_empty() && self.lost > 0 {
                self.output
                    .push(format!("\n[console: {} bytes of input lost]\n", self.lost).as_bytes());
                self.lost = 0;
            }
            self.admit_writers();
            if count == 0 {
                break;
            }
        }
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
        while let Some(writer) = self.writers.front() {
            let count = writer.length().min(WHOLE);
            let mut text = [0; WHOLE];
            let copied = writer.copy_in(0, &mut text[..count]);
            if copied.is_ok() && !self.output.push(&text[..count]) {
                return;
            }
            if let Some(writer) = self.writers.pop_front() {
                writer.finish(copied.map(|()| Done::Count(count)));
            }
        }
    }

    /// Parks a request in one of the queues.
    fn park(
        &mut self,
        request: Request,
        queue: fn(&mut Self) -> &mut VecDeque<Parked>,
    ) -> Reaction<'static> {
        // Callers that died while they waited hold Reply objects in vain.
        for all in [&mut self.writers, &mut self.readers, &mut self.syncers] {
            all.retain(Parked::is_alive);
        }
        let parked = request.park()?;
        queue(self).push_back(parked);
        Ok(Done::Later)
    }
}

impl Server for Console {
    type Session = ();

    fn open(&mut self, name: &str, _request: &Request) -> Result<(), IoError> {
        if name.is_empty() {
            Ok(())
        } else {
            Err(IoError::NotFound)
        }
    }

    fn read(&mut self, _session: &mut (), _offset: u64, request: Request) -> Reaction<'_> {
        if request.length() == 0 {
            return Ok(Done::Count(0));
        }
        if self.input.is_empty() || !self.readers.is_empty() {
            return self.park(request, |console| &mut console.readers);
        }
        let count = request.length().min(self.input.len());
        request.copy_out(0, &self.input.make_contiguous()[..count])?;
        self.input.drain(..count);
        Ok(Done::Count(count))
    }

    fn write(&mut self, _session: &mut (), _offset: u64, request: Request) -> Reaction<'_> {
        let count = request.length().min(WHOLE);
        let mut text = [0; WHOLE];
        request.copy_in(0, &mut text[..count])?;
        if !self.writers.is_empty() || !self.output.push(&text[..count]) {
            return self.park(request, |console| &mut console.writers);
        }
        self.send();
        Ok(Done::Count(count))
    }

    fn stat(&mut self, _session: &mut ()) -> Result<Stat, IoError> {
        Ok(Stat {
            size: 0,
            block_size: 1,
            kind: Kind::Stream,
        })
    }

    fn sync(&mut self, _session: &mut (), request: Request) -> Reaction<'_> {
        if !self.output.is_empty() {
            return self.park(request, |console| &mut console.syncers);
        }
        self.uart.drain();
        Ok(Done::Count(0))
    }

    fn interrupt(&mut self, _badge: u64, _count: u64) {
        self.work();
    }
}

fn start() -> Result<(), &'static str> {
    let devices = &rt::info().devices;
    let uart = devices.iter().find_map(|device| match *device {
        Device::Ports { slot, base, count } => Some(Uart::new(Slot(slot), base, count)),
        _ => None,
    });
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
        input: early.into(),
        lost: 0,
        writers: VecDeque::new(),
        readers: VecDeque::new(),
        syncers: VecDeque::new(),
    };
    // What arrived before the interrupt was bound raised no edge that counts.
    console.work();
    serve(&mut console)
}

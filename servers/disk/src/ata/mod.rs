//! An ATA disk, the first drive of a channel: programmed input and output, with an interrupt for each sector (ATA/ATAPI-6).
//!
//! Requests wait in a queue, because a channel does one command at a time. What the driver does next depends only on the status it
//! reads, so an interrupt too many does no harm. Read in this order: [`bus`] (the registers), this (commands), [`identity`] (what
//! a disk says of itself), [`trouble`] (what can go wrong), [`ports`] (the registers of a real channel).

pub mod bus;
pub mod identity;
pub mod ports;
pub mod trouble;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

use crate::device::{Device, DeviceError, Operation, Pieces, SLOTS};
use crate::range::{BUFFER, SECTOR};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec;
use bus::{Bus, Command, Control, LBA, Register, Status};
use identity::{Absent, Identity};
use trouble::Trouble;

/// Seconds that a disk may take for a sector, or to be ready after a reset. (It may have to start its motor.)
const PATIENCE: u64 = 10;
/// Readings of the alternate status that take 400 ns or more: so long a new status may need to appear (7.15.6.1).
const SETTLE: usize = 4;
/// Most sectors of a command with and without 48-bit addresses.
const MOST: usize = 1 << 16;
const MOST_28: usize = 1 << 8;

struct Slot {
    buffer: Box<[u8]>,
    /// What the request in flight moves, if not the buffer.
    pieces: Option<Pieces>,
    in_flight: bool,
}

/// The request that the disk works at.
struct Work {
    slot: usize,
    operation: Operation,
    /// Sectors moved, and where the command that runs ends.
    done: usize,
    end: usize,
    /// When it is late (ticks).
    deadline: u64,
    /// It failed before anything was waited for.
    trouble: Option<Trouble>,
}

/// What became of [`Work`] when the status was read.
enum Step {
    /// It goes on with the next interrupt.
    Waits,
    /// It went on; the status tells how far.
    WentOn,
    Done(Result<(), Trouble>),
}

/// A disk.
pub struct Ata<B> {
    bus: B,
    identity: Identity,
    slots: [Slot; SLOTS],
    queue: VecDeque<(usize, Operation)>,
    work: Option<Work>,
    /// It did not come back from a reset.
    dead: bool,
    /// [`PATIENCE`] in ticks.
    patience: u64,
    report: Box<dyn Fn(Trouble)>,
}

impl<B: Bus> Ata<B> {
    /// Resets the channel and asks its first drive what it is. `ticks` is the clock's ticks in a second; `report` is told of
    /// everything that goes wrong later.
    pub fn new(bus: B, ticks: u64, report: impl Fn(Trouble) + 'static) -> Result<Self, Absent> {
        let slot = || Slot {
            buffer: vec![0; BUFFER].into_boxed_slice(),
            pieces: None,
            in_flight: false,
        };
        let mut ata = Self {
            bus,
            identity: Identity::default(),
            slots: core::array::from_fn(|_| slot()),
            queue: VecDeque::new(),
            work: None,
            dead: false,
            patience: PATIENCE * ticks,
            report: Box::new(report),
        };
        // Where nothing answers all bits are set.
        if ata.bus.read(Register::Status) == u8::MAX || !ata.reset() {
            return Err(Absent::NoDevice);
        }
        ata.identity = ata.identify()?;
        ata.bus.write(Register::Control, Control::empty().bits());
        Ok(ata)
    }

    /// Asks, without interrupts.
    fn identify(&mut self) -> Result<Identity, Absent> {
        self.bus
            .write(Register::Control, Control::NO_INTERRUPT.bits());
        self.command(Command::Identify);
        let status = self.ready().ok_or(Absent::NoDevice)?;
        let mut sector = [0; SECTOR];
        if status.is_error() || !status.contains(Status::DATA) {
            // No drive, or one that is no disk: a CD drive, say.
            return Err(Absent::NoDevice);
        }
        self.bus.read_sector(&mut sector);
        Identity::parse(&sector)
    }

    /// Resets the channel, after which its first drive is selected. Whether that is ready.
    fn reset(&mut self) -> bool {
        // If firmware left the second drive selected, its status, not the first one's, would say when the reset is over.
        if !self.status().contains(Status::BUSY) {
            self.bus.write(Register::Device, LBA);
            self.settle();
        }
        let control = Control::RESET | Control::NO_INTERRUPT;
        self.bus.write(Register::Control, control.bits());
        // At least 5 µs (9.2); each reading of a register takes a tenth of that or more.
        for _ in 0..16 * SETTLE {
            self.bus.read(Register::Control);
        }
        self.bus.write(Register::Control, Control::empty().bits());
        self.settle();
        let ready = self.ready().is_some();
        // The reset selects the first drive, too, but not in QEMU.
        self.bus.write(Register::Device, LBA);
        self.settle();
        ready
    }

    /// Waits until the drive is not busy.
    fn ready(&mut self) -> Option<Status> {
        let end = self.bus.now() + self.patience;
        loop {
            let status = self.status();
            if !status.contains(Status::BUSY) {
                return Some(status);
            }
            if self.bus.now() > end {
                return None;
            }
        }
    }

    fn status(&mut self) -> Status {
        Status::from_bits_retain(self.bus.read(Register::Status))
    }

    fn settle(&mut self) {
        for _ in 0..SETTLE {
            self.bus.read(Register::Control);
        }
    }

    fn command(&mut self, command: Command) {
        self.bus.write(Register::COMMAND, command as u8);
        self.settle();
    }

    /// Starts the next request, if the disk is idle.
    fn start(&mut self) {
        if self.work.is_some() {
            return;
        }
        let Some((slot, operation)) = self.queue.pop_front() else {
            return;
        };
        let mut work = Work {
            slot,
            operation,
            done: 0,
            end: 0,
            deadline: 0,
            trouble: None,
        };
        if let Err(trouble) = self.start_command(&mut work) {
            // It is late from the beginning, so that somebody comes and asks.
            (work.deadline, work.trouble) = (0, Some(trouble));
        }
        self.work = Some(work);
    }

    /// Gives the disk a command for the sectors that follow.
    fn start_command(&mut self, work: &mut Work) -> Result<(), Trouble> {
        if self.dead {
            return Err(Trouble::Dead(work.operation));
        }
        let wide = self.identity.wide;
        let (command, sector, sectors) = match work.operation {
            Operation::Read { sector, sectors } if wide => (Command::ReadWide, sector, sectors),
            Operation::Read { sector, sectors } => (Command::Read, sector, sectors),
            Operation::Write { sector, sectors } if wide => (Command::WriteWide, sector, sectors),
            Operation::Write { sector, sectors } => (Command::Write, sector, sectors),
            Operation::Flush if wide => (Command::FlushWide, 0, 0),
            Operation::Flush => (Command::Flush, 0, 0),
        };
        let count = (sectors - work.done).min(if wide { MOST } else { MOST_28 });
        work.end = work.done + count;
        work.deadline = self.bus.now() + self.patience;
        self.place(sector + work.done as u64, count);
        self.command(command);
        if let Operation::Write { .. } = work.operation {
            // The first sector is asked for without an interrupt (9.6).
            let status = self.ready().ok_or(Trouble::Late(work.operation))?;
            if status.is_error() || !status.contains(Status::DATA) {
                return Err(self.failure(work.operation));
            }
            self.move_sector(work);
        }
        Ok(())
    }

    /// Sets address and count of the next command.
    fn place(&mut self, sector: u64, count: usize) {
        let [b0, b1, b2, b3, b4, b5, ..] = sector.to_le_bytes();
        let [c0, c1, ..] = count.to_le_bytes();
        let mut write = |count, low, middle, high| {
            self.bus.write(Register::Count, count);
            self.bus.write(Register::Low, low);
            self.bus.write(Register::Middle, middle);
            self.bus.write(Register::High, high);
        };
        // With 48 bits each register takes two bytes, the upper one first (6.2.2).
        if self.identity.wide {
            write(c1, b3, b4, b5);
        }
        write(c0, b0, b1, b2);
        let rest = if self.identity.wide { 0 } else { b3 & 0xf };
        self.bus.write(Register::Device, LBA | rest);
    }

    /// Moves the next sector between disk and memory, which takes its time.
    fn move_sector(&mut self, work: &mut Work) {
        let slot = &mut self.slots[work.slot];
        let at = work.done * SECTOR;
        let mut sector = [0; SECTOR];
        match work.operation {
            Operation::Write { .. } => {
                match &slot.pieces {
                    Some(pieces) => pieces.copy_out(at, &mut sector),
                    None => sector.copy_from_slice(&slot.buffer[at..at + SECTOR]),
                }
                self.bus.write_sector(&sector);
            }
            _ => {
                self.bus.read_sector(&mut sector);
                match &mut slot.pieces {
                    Some(pieces) => pieces.copy_in(at, &sector),
                    None => slot.buffer[at..at + SECTOR].copy_from_slice(&sector),
                }
            }
        }
        work.done += 1;
        work.deadline = self.bus.now() + self.patience;
        // The new status takes a bus cycle to appear (9.5, 9.6).
        self.bus.read(Register::Control);
    }

    /// Reads the status and does what it asks for.
    fn step(&mut self, work: &mut Work) -> Step {
        if let Some(trouble) = work.trouble {
            return Step::Done(Err(trouble));
        }
        let status = self.status();
        let operation = work.operation;
        let sectors = match operation {
            Operation::Read { sectors, .. } | Operation::Write { sectors, .. } => sectors,
            Operation::Flush => 0,
        };
        let late = self.bus.now() > work.deadline;
        let busy = status.contains(Status::BUSY);
        let data = status.contains(Status::DATA);
        if busy || !status.is_error() && !data && work.done < work.end {
            return match late {
                true => Step::Done(Err(Trouble::Late(operation))),
                false => Step::Waits,
            };
        }
        if status.is_error() {
            return Step::Done(Err(self.failure(operation)));
        }
        match data {
            // More than was asked for: nobody knows what it is.
            true if work.done == work.end => Step::Done(Err(Trouble::Confused(operation))),
            true => {
                self.move_sector(work);
                Step::WentOn
            }
            false if work.done == sectors => Step::Done(Ok(())),
            false => match self.start_command(work) {
                Ok(()) => Step::WentOn,
                Err(trouble) => Step::Done(Err(trouble)),
            },
        }
    }

    /// What the disk says about a command that failed.
    fn failure(&mut self, operation: Operation) -> Trouble {
        Trouble::Failed(operation, self.bus.read(Register::Error))
    }

    /// Ends a request and starts the next one.
    fn finish(&mut self, index: usize, result: Result<(), Trouble>) -> Result<(), DeviceError> {
        let slot = &mut self.slots[index];
        (slot.in_flight, slot.pieces) = (false, None);
        if let Err(trouble) = result {
            (self.report)(trouble);
            if trouble.needs_reset() && !self.reset() {
                self.dead = true;
            }
        }
        self.start();
        result.map_err(|_| DeviceError)
    }
}

impl<B: Bus> Device for Ata<B> {
    fn size(&self) -> u64 {
        self.identity.sectors * SECTOR as u64
    }

    fn is_read_only(&self) -> bool {
        false
    }

    fn has_flush(&self) -> bool {
        self.identity.flush
    }

    fn buffer(&mut self, slot: usize) -> &mut [u8] {
        let slot = &mut self.slots[slot];
        assert!(!slot.in_flight, "the device owns this buffer");
        &mut slot.buffer
    }

    fn submit(&mut self, index: usize, operation: Operation, pieces: Option<Pieces>) {
        let slot = &mut self.slots[index];
        assert!(!slot.in_flight, "a slot has one request at a time");
        if let Operation::Read { sectors, .. } | Operation::Write { sectors, .. } = operation {
            let room = pieces.as_ref().map_or(BUFFER, |pieces| pieces.bytes());
            assert!((1..=room / SECTOR).contains(&sectors), "as much as fits");
        }
        (slot.in_flight, slot.pieces) = (true, pieces);
        self.queue.push_back((index, operation));
        self.start();
    }

    fn completed(&mut self) -> Option<(usize, Result<(), DeviceError>)> {
        let mut work = self.work.take()?;
        loop {
            match self.step(&mut work) {
                Step::WentOn => {}
                Step::Waits => {
                    self.work = Some(work);
                    return None;
                }
                Step::Done(result) => return Some((work.slot, self.finish(work.slot, result))),
            }
        }
    }

    fn deadline(&self) -> Option<u64> {
        self.work.as_ref().map(|work| work.deadline)
    }
}

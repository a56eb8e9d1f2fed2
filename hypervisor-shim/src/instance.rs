//! A guest: its partition, its processor, and the devices that are its own.

use bootinfo::Range;
use bootinfo::shim::{self, EXITS};

use crate::hardware::registers::Kept;
use crate::lines::{Lines, Pending};
use crate::pci;
use crate::rtc::Rtc;
use crate::uart::Uart;

/// "Never".
pub const NEVER: u64 = u64::MAX;
/// Line of the serial port.
pub const SERIAL_LINE: u32 = 4;
/// Most lines that the shim prints about one instance: nobody can flood the others' line.
const REPORTS: u8 = 8;

/// A guest.
pub struct Instance<V> {
    /// Its processor.
    pub vcpu: V,
    /// Its memory.
    pub partition: Range,
    /// Address of its nested page tables.
    pub nested: u64,
    /// What it is started from.
    pub archive: &'static [u8],
    /// What a new start resets.
    pub board: Board,
    /// How often it was started anew.
    pub restarts: u64,
    /// Bit n: line n of the machine's is its own.
    pub own_lines: u32,
    /// Its PCI functions.
    pub pci: pci::Space,
    /// The keyboard controller is its own.
    pub keyboard: bool,
    /// The control of instances is its own, and its last answer.
    pub control: Option<u64>,
    /// TSC ticks of the last switch to it.
    pub switch_ticks: u64,
    /// Exits by kind.
    pub exits: [u64; EXITS.len()],
    /// Accesses to ports that are not its own.
    pub foreign: u64,
}

/// What is emulated for a guest.
#[derive(Default)]
pub struct Board {
    /// It runs no more.
    pub stopped: bool,
    /// Vectors that wait.
    pub pending: Pending,
    /// The one that the processor was told of.
    pub offered: Option<u8>,
    /// When its timer fires.
    pub deadline: Option<u64>,
    /// Its interrupt lines.
    pub lines: Lines,
    /// Its serial line.
    pub uart: Uart,
    /// Its clock.
    pub rtc: Rtc,
    /// What of its processor is kept while others run.
    pub kept: Kept,
    /// Lines that were printed about it.
    reports: u8,
}

impl<V> Instance<V> {
    /// One that has nothing but memory.
    pub fn new(vcpu: V, partition: Range, nested: u64, archive: &'static [u8]) -> Self {
        Self {
            vcpu,
            partition,
            nested,
            archive,
            board: Board::default(),
            restarts: 0,
            own_lines: 0,
            pci: pci::Space::default(),
            keyboard: false,
            control: None,
            switch_ticks: 0,
            exits: [0; EXITS.len()],
            foreign: 0,
        }
    }

    /// It starts anew: its devices are as after reset.
    pub fn renew(&mut self) {
        self.board = Board::default();
        self.pci.renew();
        self.restarts += 1;
    }

    /// What there is to read of it (`bootinfo::shim::READ`).
    pub fn read(&self, argument: u32) -> Option<u64> {
        Some(match argument {
            shim::STOPPED => self.board.stopped.into(),
            shim::MEMORY => self.partition.size,
            shim::FOREIGN => self.foreign,
            shim::RESTARTS => self.restarts,
            shim::SWITCH_TICKS => self.switch_ticks,
            index => *self.exits.get(index as usize)?,
        })
    }

    /// A line of it fires.
    pub fn fire(&mut self, line: u32) {
        if let Some(vector) = self.board.lines.fire(line) {
            self.board.pending.add(vector);
        }
    }

    /// Whether one more line about it may be printed.
    pub fn may_report(&mut self) -> bool {
        self.board.reports = self.board.reports.saturating_add(1);
        self.board.reports <= REPORTS
    }
}

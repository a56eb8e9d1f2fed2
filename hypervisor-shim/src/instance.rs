//! A guest: its partition, its processor, and the devices that are its own.

use bootinfo::Range;
use bootinfo::shim::{self, EXITS};

use crate::lines::{Lines, Pending};
use crate::pci;
use crate::rtc::Rtc;
use crate::uart::Uart;

/// "Never".
pub const NEVER: u64 = u64::MAX;
/// Line of the serial port.
pub const SERIAL_LINE: u32 = 4;
/// Most lines that the shim prints about one instance: nobody can flood the others' line.
const REPORTS: u8 = 32;

/// A guest.
#[derive(Debug)]
pub struct Instance<V> {
    /// Its processor.
    pub vcpu: V,
    /// Its memory.
    pub partition: Range,
    /// What it is started from.
    pub archive: &'static [u8],
    /// It runs no more.
    pub stopped: bool,
    /// How often it was started anew.
    pub restarts: u64,
    /// Vectors that wait.
    pub pending: Pending,
    /// The one that the processor was told of.
    pub offered: Option<u8>,
    /// When its timer fires.
    pub deadline: u64,
    /// Its interrupt lines, and which of the machine's are its own.
    pub lines: Lines,
    /// Bit n: line n.
    pub own_lines: u32,
    /// Its serial line.
    pub uart: Uart,
    /// Its clock.
    pub rtc: Rtc,
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
    reports: u8,
}

impl<V> Instance<V> {
    /// One that has nothing but memory.
    pub fn new(vcpu: V, partition: Range, archive: &'static [u8]) -> Self {
        Self {
            vcpu,
            partition,
            archive,
            stopped: false,
            restarts: 0,
            pending: Pending::default(),
            offered: None,
            deadline: NEVER,
            lines: Lines::new(),
            own_lines: 0,
            uart: Uart::default(),
            rtc: Rtc::default(),
            pci: pci::Space::default(),
            keyboard: false,
            control: None,
            switch_ticks: 0,
            exits: [0; EXITS.len()],
            foreign: 0,
            reports: 0,
        }
    }

    /// It starts anew: its devices are as after reset.
    pub fn renew(&mut self) {
        self.stopped = false;
        self.restarts += 1;
        self.pending = Pending::default();
        self.offered = None;
        self.deadline = NEVER;
        self.lines = Lines::new();
        self.uart = Uart::default();
        self.rtc = Rtc::default();
        self.pci.renew();
        self.reports = 0;
    }

    /// What there is to read of it (`bootinfo::shim::READ`).
    pub fn read(&self, argument: u32) -> Option<u64> {
        Some(match argument {
            shim::STOPPED => self.stopped.into(),
            shim::MEMORY => self.partition.size,
            shim::FOREIGN => self.foreign,
            shim::RESTARTS => self.restarts,
            shim::SWITCH_TICKS => self.switch_ticks,
            index => *self.exits.get(index as usize)?,
        })
    }

    /// A line of it fires.
    pub fn fire(&mut self, line: u32) {
        if let Some(vector) = self.lines.fire(line) {
            self.pending.add(vector);
        }
    }

    /// Whether one more line about it may be printed.
    pub fn may_report(&mut self) -> bool {
        self.reports = self.reports.saturating_add(1);
        self.reports <= REPORTS
    }
}

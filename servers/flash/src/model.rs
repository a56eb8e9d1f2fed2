//! A NOR chip that is stricter than QEMU's: programming only clears bits, commands out of order are errors, erasures are
//! counted, blocks can be locked or broken, and power can fail in every single operation.

use crate::cfi;
use crate::chip::BLOCK;
use crate::platform::Platform;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

const READY: u8 = 1 << 7;
const ERASE_ERROR: u8 = 1 << 5;
const PROGRAM_ERROR: u8 = 1 << 4;
const LOCKED: u8 = 1 << 1;

/// What the next bus cycle means.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Mode {
    Array,
    Query,
    Status,
    Erase,
    Program,
    BufferCount {
        block: usize,
    },
    BufferData {
        block: usize,
        left: usize,
        bytes: Vec<(usize, u8)>,
    },
}

/// The chip itself. Clones are snapshots.
#[derive(Debug, Clone)]
pub struct Cells {
    pub bytes: Vec<u8>,
    pub erased: Vec<u32>,
    pub locked: Vec<usize>,
    pub broken: Vec<usize>,
    /// Status reads that find it busy after each operation.
    pub busy_for: u32,
    /// Operations until power fails in the middle of one.
    pub power: Option<u64>,
    /// Writes on the bus until the driver dies.
    pub cycles: Option<u64>,
    /// As QEMU's: clearing the status clears that it is ready, too, until the next operation.
    pub forgetful: bool,
    /// Bytes programmed and blocks erased.
    pub operations: u64,
    query: Vec<u8>,
    buffer: usize,
    mode: Mode,
    status: u8,
    busy: u32,
    random: u64,
}

impl Cells {
    pub fn new(blocks: usize, buffer: u8) -> Self {
        Self {
            bytes: alloc::vec![0xff; blocks * BLOCK],
            erased: alloc::vec![0; blocks],
            locked: Vec::new(),
            broken: Vec::new(),
            busy_for: 2,
            power: None,
            cycles: None,
            forgetful: false,
            operations: 0,
            query: cfi::example(blocks as u16, BLOCK as u16, buffer).into(),
            buffer: 1 << buffer,
            mode: Mode::Array,
            status: READY,
            busy: 0,
            random: 0x9e37_79b9_7f4a_7c15,
        }
    }

    /// As after power came back.
    pub fn powered_on(mut self) -> Self {
        (self.mode, self.status, self.busy, self.power) = (Mode::Array, READY, 0, None);
        self
    }

    pub fn is_off(&self) -> bool {
        self.power == Some(0)
    }

    fn random(&mut self) -> u8 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random as u8
    }

    /// Whether this operation is done to its end.
    fn operate(&mut self) -> bool {
        self.operations += 1;
        self.status |= READY;
        if let Some(left) = &mut self.power {
            *left -= 1;
        }
        !self.is_off()
    }

    fn program(&mut self, offset: usize, value: u8) {
        if self.locked.contains(&(offset / BLOCK)) {
            self.status |= PROGRAM_ERROR | LOCKED;
        } else if self.broken.contains(&(offset / BLOCK)) {
            self.status |= PROGRAM_ERROR;
        } else if self.operate() {
            self.bytes[offset] &= value;
        } else {
            // Some of the bits are cleared.
            self.bytes[offset] &= value | self.random();
        }
    }

    fn erase(&mut self, block: usize) {
        if self.locked.contains(&block) {
            self.status |= ERASE_ERROR | LOCKED;
        } else if self.broken.contains(&block) {
            self.status |= ERASE_ERROR;
        } else if self.operate() {
            self.erased[block] += 1;
            self.bytes[block * BLOCK..][..BLOCK].fill(0xff);
        } else {
            // Some of the bits are set; some bytes are as they were, some blank.
            for offset in block * BLOCK..(block + 1) * BLOCK {
                match self.random() % 4 {
                    0 => self.bytes[offset] |= self.random(),
                    1 => {}
                    _ => self.bytes[offset] = 0xff,
                }
            }
        }
    }

    fn write(&mut self, offset: usize, value: u8) {
        match &mut self.cycles {
            Some(0) => return,
            Some(left) => *left -= 1,
            None => {}
        }
        if self.is_off() {
            return;
        }
        let sequence_error = ERASE_ERROR | PROGRAM_ERROR;
        self.mode = match (core::mem::replace(&mut self.mode, Mode::Status), value) {
            (Mode::Erase, 0xd0) => {
                self.busy = self.busy_for;
                self.erase(offset / BLOCK);
                Mode::Status
            }
            (Mode::Erase, _) => {
                self.status |= sequence_error;
                Mode::Status
            }
            (Mode::Program, value) => {
                self.busy = self.busy_for;
                self.program(offset, value);
                Mode::Status
            }
            (Mode::BufferCount { block }, count)
                if count as usize >= self.buffer || block != offset / BLOCK * BLOCK =>
            {
                self.status |= sequence_error;
                Mode::Status
            }
            (Mode::BufferCount { block }, count) => Mode::BufferData {
                block,
                left: count as usize + 1,
                bytes: Vec::new(),
            },
            (
                Mode::BufferData {
                    block,
                    left: 0,
                    bytes,
                },
                0xd0,
            ) => {
                let window = bytes[0].0 / self.buffer;
                assert!(bytes.iter().all(|(at, _)| at / self.buffer == window));
                assert!(bytes.iter().all(|(at, _)| at / BLOCK * BLOCK == block));
                self.busy = self.busy_for;
                for (at, byte) in bytes {
                    if self.is_off() {
                        break;
                    }
                    self.program(at, byte);
                }
                Mode::Status
            }
            (Mode::BufferData { left: 0, .. }, _) => {
                self.status |= sequence_error;
                Mode::Status
            }
            (
                Mode::BufferData {
                    block,
                    left,
                    mut bytes,
                },
                value,
            ) => {
                bytes.push((offset, value));
                Mode::BufferData {
                    block,
                    left: left - 1,
                    bytes,
                }
            }
            (_, _) if self.busy > 0 => Mode::Status,
            (_, 0xff) => Mode::Array,
            (_, 0x98) => Mode::Query,
            (_, 0x70) => Mode::Status,
            (mode, 0x50) => {
                self.status = if self.forgetful { 0 } else { READY };
                mode
            }
            (_, 0x20) => Mode::Erase,
            (_, 0x40) => Mode::Program,
            (_, 0xe8) => Mode::BufferCount {
                block: offset / BLOCK * BLOCK,
            },
            (_, other) => panic!("command {other:#x}"),
        };
    }

    fn read(&mut self, offset: usize) -> u8 {
        match self.mode {
            _ if self.is_off() => 0,
            // A dead driver reads nothing; this makes it give up.
            _ if self.cycles == Some(0) => 0xff,
            Mode::Array => self.bytes[offset],
            Mode::Query => self.query.get(offset).copied().unwrap_or(0),
            _ if self.busy > 0 => {
                self.busy -= 1;
                0
            }
            _ => self.status,
        }
    }
}

/// The bus to the chip; clones reach the same one.
#[derive(Debug, Clone)]
pub struct Model {
    pub cells: Rc<RefCell<Cells>>,
    clock: Rc<Cell<u64>>,
}

impl Model {
    pub fn of(cells: Cells) -> Self {
        Self {
            cells: Rc::new(RefCell::new(cells)),
            clock: Rc::default(),
        }
    }

    pub fn new(blocks: usize, buffer: u8) -> Self {
        Self::of(Cells::new(blocks, buffer))
    }
}

impl Platform for Model {
    fn size(&self) -> usize {
        self.cells.borrow().bytes.len()
    }

    fn read(&self, offset: usize) -> u8 {
        self.cells.borrow_mut().read(offset)
    }

    fn write(&mut self, offset: usize, value: u8) {
        self.cells.borrow_mut().write(offset, value);
    }

    fn copy_out(&self, offset: usize, bytes: &mut [u8]) {
        let cells = self.cells.borrow();
        if cells.is_off() || cells.cycles == Some(0) {
            return bytes.fill(0);
        }
        assert_eq!(cells.mode, Mode::Array, "the array is not shown");
        bytes.copy_from_slice(&cells.bytes[offset..][..bytes.len()]);
    }

    fn now(&self) -> u64 {
        // Half a millisecond per look, so that a chip without power is given up soon.
        self.clock.set(self.clock.get() + 500);
        self.clock.get()
    }
}

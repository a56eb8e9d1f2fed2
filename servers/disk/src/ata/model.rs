//! A strict model of an ATA disk: what a real one leaves undefined is a panic here, and a status read too early is a wrong one.

use super::bus::{Bus, Control, Register, Status};
use crate::range::SECTOR;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// Times that the alternate status must be read until the status is right: after a command, and after a sector.
const AFTER_COMMAND: u32 = 4;
const AFTER_SECTOR: u32 = 1;

/// The driver's and the test's end of it.
#[derive(Clone)]
pub struct Model(pub Rc<RefCell<Disk>>);

/// What the disk does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    /// A sector can be read, or written; so many sectors of the command are left, this one included.
    In {
        sector: u64,
        left: usize,
    },
    Out {
        sector: u64,
        left: usize,
    },
    Identify,
    Failed,
}

/// The disk's own side.
pub struct Disk {
    /// What power cuts leave, and what is only in the cache.
    pub medium: Vec<[u8; SECTOR]>,
    pub cache: BTreeMap<u64, [u8; SECTOR]>,
    pub wide: bool,
    /// Sectors that cannot be read or written.
    pub bad: BTreeSet<u64>,
    /// Readings of a status that each step takes; `u32::MAX`: it hangs.
    pub latency: u32,
    /// It does not come back from a reset.
    pub dead: bool,
    /// It has a sector more than it was asked for.
    pub generous: bool,
    /// The answer to IDENTIFY DEVICE; `None`: it is no disk.
    pub identity: Option<[u16; 256]>,
    /// Commands it got.
    pub commands: Vec<u8>,
    pub resets: u32,
    /// An interrupt that nobody took.
    pub interrupt: bool,
    state: State,
    /// What follows, and when.
    next: Option<(State, u32)>,
    settling: u32,
    control: Control,
    /// The last two bytes written to each register.
    registers: [[u8; 2]; 8],
    error: u8,
    clock: u64,
}

impl Model {
    /// A disk of so many sectors, each full of its number.
    pub fn new(sectors: u64, wide: bool) -> Self {
        let mut identity = [0; 256];
        identity[49] = 1 << 9;
        let short = sectors.min((1 << 28) - 1);
        (identity[60], identity[61]) = (short as u16, (short >> 16) as u16);
        identity[83] = 1 << 14 | 1 << 12;
        if wide {
            identity[83] |= 1 << 10 | 1 << 13;
            (identity[100], identity[101]) = (sectors as u16, (sectors >> 16) as u16);
        }
        Self(Rc::new(RefCell::new(Disk {
            medium: (0..sectors).map(|sector| [sector as u8; SECTOR]).collect(),
            cache: BTreeMap::new(),
            wide,
            bad: BTreeSet::new(),
            latency: 0,
            dead: false,
            generous: false,
            identity: Some(identity),
            commands: Vec::new(),
            resets: 0,
            interrupt: false,
            state: State::Idle,
            next: None,
            settling: 0,
            control: Control::empty(),
            registers: [[0; 2]; 8],
            error: 0,
            clock: 0,
        })))
    }

    /// Lets it finish what it is doing. Whether it interrupts then.
    pub fn works(&self) -> bool {
        let mut disk = self.0.borrow_mut();
        if disk.latency != u32::MAX {
            disk.settling = 0;
            disk.arrive();
        }
        disk.interrupt
    }

    /// Lets so many ticks pass.
    pub fn passes(&self, ticks: u64) {
        self.0.borrow_mut().clock += ticks;
    }
}

impl Disk {
    /// What is on it, the cache included.
    pub fn sector(&self, sector: u64) -> [u8; SECTOR] {
        let cached = self.cache.get(&sector).copied();
        cached.unwrap_or_else(|| self.medium[sector as usize])
    }

    fn go(&mut self, next: State, settling: u32) {
        self.next = Some((next, self.latency));
        self.settling = settling;
    }

    /// The step is done: the status is new, and an interrupt says so.
    fn arrive(&mut self) {
        if let Some((next, _)) = self.next.take() {
            // The first sector of a write is asked for without one.
            let first = matches!(next, State::Out { .. }) && self.state == State::Idle;
            self.state = next;
            self.interrupt = !first && !self.control.contains(Control::NO_INTERRUPT);
        }
    }

    fn status(&mut self, alternate: bool) -> Status {
        self.clock += 1;
        if self.settling > 0 {
            self.settling -= u32::from(alternate);
            // Not yet what it will be: as if all were done.
            return Status::empty();
        }
        match &mut self.next {
            Some((_, u32::MAX)) => return Status::all(),
            Some((_, left @ 1..)) => {
                *left -= 1;
                return Status::BUSY;
            }
            _ => self.arrive(),
        }
        if !alternate {
            self.interrupt = false;
        }
        match self.state {
            State::Idle => Status::empty(),
            State::Failed => Status::ERROR,
            State::In { .. } | State::Out { .. } | State::Identify => Status::DATA,
        }
    }

    fn is_busy(&self) -> bool {
        self.next.is_some()
    }

    fn command(&mut self, command: u8) {
        assert!(!self.is_busy(), "a command while it is busy");
        assert!(
            matches!(self.state, State::Idle | State::Failed),
            "a command in the middle of {:?}",
            self.state
        );
        self.commands.push(command);
        self.state = State::Idle;
        let now = |register: Register| u64::from(self.registers[register as usize][1]);
        let before = |register: Register| u64::from(self.registers[register as usize][0]);
        assert_eq!(
            now(Register::Device) & 0x50,
            0x40,
            "the first drive, by sector"
        );
        use Register::{Count, Device, High, Low, Middle};
        let short = now(Low) | now(Middle) << 8 | now(High) << 16;
        let long = before(Low) << 24 | before(Middle) << 32 | before(High) << 40;
        let wide = matches!(command, 0x24 | 0x34 | 0xea);
        assert!(self.wide || !wide, "a command that it does not know");
        let (sector, left) = match wide {
            true => (short | long, before(Count) << 8 | now(Count)),
            false => (short | (now(Device) & 0xf) << 24, now(Count)),
        };
        let most = if wide { 1 << 16 } else { 1 << 8 };
        let left = if left == 0 { most } else { left as usize };
        let next = match command {
            0x20 | 0x24 => self.reach(State::In { sector, left }),
            0x30 | 0x34 => self.reach(State::Out { sector, left }),
            0xe7 | 0xea => {
                while let Some((sector, bytes)) = self.cache.pop_first() {
                    self.medium[sector as usize] = bytes;
                }
                State::Idle
            }
            0xec if self.identity.is_some() => State::Identify,
            _ => {
                self.error = 1 << 2;
                State::Failed
            }
        };
        self.go(next, AFTER_COMMAND);
    }

    /// The state for a sector, or what is instead if that is bad or not there.
    fn reach(&mut self, state: State) -> State {
        let (State::In { sector, left } | State::Out { sector, left }) = state else {
            return state;
        };
        self.error = match sector {
            _ if left == 0 && !self.generous => return State::Idle,
            _ if sector >= self.medium.len() as u64 => 1 << 4,
            _ if self.bad.contains(&sector) => 1 << 6,
            _ => return state,
        };
        State::Failed
    }
}

impl Bus for Model {
    fn read(&mut self, register: Register) -> u8 {
        let mut disk = self.0.borrow_mut();
        match register {
            Register::Status => disk.status(false).bits(),
            Register::Control => disk.status(true).bits(),
            Register::Error => {
                assert_eq!(disk.state, State::Failed, "there is no error");
                disk.error
            }
            other => panic!("{other:?} is not read"),
        }
    }

    fn write(&mut self, register: Register, value: u8) {
        let mut disk = self.0.borrow_mut();
        if register == Register::Control {
            let control = Control::from_bits(value).expect("no other bit");
            if disk.control.contains(Control::RESET) && !control.contains(Control::RESET) {
                disk.resets += 1;
                disk.state = State::Idle;
                let latency = if disk.dead { u32::MAX } else { 3 };
                disk.next = Some((State::Idle, latency));
                disk.settling = AFTER_COMMAND;
            }
            disk.control = control;
            return;
        }
        // A disk that hangs takes nothing, and nobody minds.
        if disk.dead && disk.is_busy() {
            return;
        }
        assert!(!disk.is_busy(), "{register:?} while it is busy");
        match register {
            Register::COMMAND => disk.command(value),
            Register::Data => panic!("data goes by the sector"),
            _ => {
                let bytes = &mut disk.registers[register as usize];
                *bytes = [bytes[1], value];
            }
        }
    }

    fn read_sector(&mut self, bytes: &mut [u8; SECTOR]) {
        let mut disk = self.0.borrow_mut();
        assert!(!disk.is_busy(), "data while it is busy");
        let next = match disk.state {
            State::Identify => {
                let words = disk.identity.expect("it was asked for");
                let words = words.iter().flat_map(|word| word.to_le_bytes());
                bytes
                    .iter_mut()
                    .zip(words)
                    .for_each(|(to, from)| *to = from);
                // Nothing follows, so there is nothing to wait for.
                disk.state = State::Idle;
                return;
            }
            State::In { sector, left } => {
                *bytes = disk.sector(sector);
                disk.reach(State::In {
                    sector: sector + 1,
                    left: left.saturating_sub(1),
                })
            }
            other => panic!("there is nothing to read: {other:?}"),
        };
        match next {
            // After the last sector there is no interrupt.
            State::Idle => {
                disk.state = next;
                disk.settling = AFTER_SECTOR;
            }
            _ => disk.go(next, AFTER_SECTOR),
        }
    }

    fn write_sector(&mut self, bytes: &[u8; SECTOR]) {
        let mut disk = self.0.borrow_mut();
        assert!(!disk.is_busy(), "data while it is busy");
        let State::Out { sector, left } = disk.state else {
            panic!("nothing is to be written: {:?}", disk.state)
        };
        disk.cache.insert(sector, *bytes);
        let next = disk.reach(State::Out {
            sector: sector + 1,
            left: left - 1,
        });
        disk.go(next, AFTER_SECTOR);
    }

    fn now(&self) -> u64 {
        self.0.borrow().clock
    }
}

//! The reference: what the kernel's specification (capabilities, IPC, leases, scheduling) says, in plain maps and lists.
//!
//! It shares no code with the kernel but the numbers of the ABI. Objects are named by their physical addresses, which the
//! model computes itself. Every part of the state that a program or the next step could notice is here.

mod caps;
mod devices;
mod ipc;
mod irq;
mod lifetime;
mod memory;
mod objects;
mod sched;
mod syscall;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use abi::{Kind, fault::Registers, root};

use crate::world::{Event, HZ};

pub use caps::{Cap, Part, Place};

/// Physical address of an object: its name.
pub type Address = u64;

/// What a thread waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Inactive,
    Ready,
    Sending(Address),
    Receiving(Address),
    Awaiting(Holder),
}

/// Who owes a caller its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    Thread(Address),
    Reply(Address),
}

/// What a thread owes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owed {
    Nothing,
    Caller(Address),
    Irq(Address),
}

/// A thread.
#[derive(Clone, Debug)]
pub struct Thread {
    pub state: State,
    pub owed: Owed,
    /// What it owes a caller belongs to the running turn.
    pub in_turn: bool,
    pub base: i32,
    pub priority: i32,
    pub ceiling: u8,
    pub table: Option<Address>,
    pub space: Option<Address>,
    pub buffer: Option<u64>,
    pub registers: Registers,
    /// Vector of the last entry; 0x100: a system call.
    pub vector: u64,
    pub error: u64,
    pub fault_address: u64,
    pub stopped_by: u64,
    pub paid: u64,
    pub deadline: Option<u64>,
    /// What it sent was a fault.
    pub fault: bool,
    pub badge: u64,
    pub transfer: u64,
    pub leases: Vec<(u64, u64)>,
}

/// An address space.
#[derive(Clone, Debug)]
pub struct Space {
    /// No other Space, earlier or later, has the same.
    pub serial: u64,
    /// Pages of the pool not yet used.
    pub free: u64,
    /// Page tables in use: level and number.
    pub tables: HashSet<(u32, u64)>,
    /// Pages by address.
    pub pages: HashMap<u64, Mapping>,
}

/// A mapped page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    pub physical: Address,
    pub write: bool,
    pub device: bool,
}

/// An endpoint.
#[derive(Clone, Debug, Default)]
pub struct Endpoint {
    pub senders: VecDeque<Address>,
    pub receivers: VecDeque<Address>,
    pub pending: VecDeque<Address>,
    pub messages: u64,
}

/// How far an interrupt has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    Idle,
    Pending,
    Delivered,
}

/// An interrupt.
#[derive(Clone, Debug)]
pub struct Irq {
    pub progress: Progress,
    pub count: u64,
    pub vector: Option<u8>,
    pub line: Option<(u32, bool)>,
}

/// The whole state.
pub struct Model {
    pub now: u64,
    pub caps: HashMap<Place, Cap>,
    pub roots: Vec<Place>,
    pub tables: BTreeMap<Address, u32>,
    pub threads: BTreeMap<Address, Thread>,
    pub spaces: BTreeMap<Address, Space>,
    pub endpoints: BTreeMap<Address, Endpoint>,
    pub replies: BTreeMap<Address, Option<Address>>,
    pub irqs: BTreeMap<Address, Irq>,
    /// Contents of frames and message buffers.
    pub memory: HashMap<Address, Box<[u8; 4096]>>,
    pub current: Option<Address>,
    pub ready: BTreeMap<i32, VecDeque<Address>>,
    /// Threads with a deadline, in order.
    pub timed: Vec<(u64, Address)>,
    pub turn_end: Option<u64>,
    pub turn_over: bool,
    /// Tables being emptied, the last first, and how far.
    pub dying: Vec<(Address, u64)>,
    pub vectors: BTreeMap<u8, Address>,
    pub masked: u32,
    pub written: Option<(u16, u64, u64)>,
    pub idle_paid: u64,
    pub payer: Option<Address>,
    pub turn_began: u64,
    next_serial: u64,
}

impl Model {
    /// What boot leaves: root's thread, table and space, and memory as (address, bits).
    pub fn new(thread: Address, table: Address, space: Address, untyped: &[(u64, u8)]) -> Self {
        let mut model = Self {
            now: 0,
            caps: HashMap::new(),
            roots: Vec::new(),
            tables: BTreeMap::from([(table, root::TABLE_BITS as u32)]),
            threads: BTreeMap::new(),
            spaces: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            replies: BTreeMap::new(),
            irqs: BTreeMap::new(),
            memory: HashMap::new(),
            current: Some(thread),
            ready: BTreeMap::new(),
            timed: Vec::new(),
            turn_end: None,
            turn_over: false,
            dying: Vec::new(),
            vectors: BTreeMap::new(),
            masked: (1 << 24) - 1,
            written: None,
            idle_paid: 0,
            payer: Some(thread),
            turn_began: 0,
            next_serial: 0,
        };
        model.new_space(space, 18);
        // The first program's stack and information page; nothing in the model reads them.
        for page in 1..=root::STACK_PAGES {
            let address = root::THREAD_AREA + abi::buffer::AREA - page * abi::PAGE;
            model.take_tables(space, address).expect("pool");
        }
        model.take_tables(space, root::INFO).expect("pool");
        model.new_thread(thread);
        model
            .map_page(space, root::THREAD_AREA, thread + 4096, true, false)
            .expect("root's buffer");
        let first = model.thread_mut(thread);
        first.state = State::Ready;
        (first.base, first.priority, first.ceiling) = (255, 255, 255);
        (first.table, first.space) = (Some(table), Some(space));
        first.buffer = Some(root::THREAD_AREA);
        first.vector = 0x100;
        first.registers.rip = crate::world::ENTRY;
        first.registers.rsp = root::THREAD_AREA + abi::buffer::AREA;
        let mut put = |index: u32, kind, object, rights, bits| {
            let place = Place::Slot(table, index as u64);
            let mut cap = Cap::new(kind, object, rights, bits);
            cap.original = true;
            model.caps.insert(place, cap);
            model.roots.push(place);
        };
        put(root::TABLE, Kind::CapTable, table, 3, root::TABLE_BITS as u32);
        put(root::THREAD, Kind::Thread, thread, 3, 0);
        put(root::SPACE, Kind::Space, space, 1, 18);
        put(root::SYSTEM, Kind::System, 1, 0, 0);
        for (index, &(start, bits)) in untyped.iter().enumerate() {
            let slot = root::FIRST_UNTYPED + index as u32;
            put(slot, Kind::Untyped, start, 7, bits as u32);
        }
        for (index, part) in [(root::TABLE, Part::Table), (root::SPACE, Part::Space)] {
            let from = Place::Slot(table, index as u64);
            model.embed(from, Place::Thread(thread, part), None);
        }
        model
    }

    /// Lets something happen.
    pub fn step(&mut self, event: &Event) {
        match event {
            Event::Call(call) => self.system_call(call),
            Event::Trap { vector, error, address, registers } => {
                self.trap(*vector, *error, *address, registers)
            }
            Event::Timer => {
                self.fired();
                self.finish();
            }
            Event::Interrupt(vector) => {
                if let Some(&irq) = self.vectors.get(vector) {
                    self.fire(irq);
                }
                self.finish();
            }
            Event::Store(address, value) => {
                let page = self.memory.get_mut(&(address & !0xfff)).expect("memory");
                let offset = (address & 0xfff) as usize;
                page[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
            }
        }
    }

    pub fn thread(&self, thread: Address) -> &Thread {
        &self.threads[&thread]
    }

    pub fn thread_mut(&mut self, thread: Address) -> &mut Thread {
        self.threads.get_mut(&thread).expect("a live thread")
    }

    /// A new Inactive thread with an empty buffer.
    pub fn new_thread(&mut self, at: Address) {
        let registers = Registers { rflags: 0x202, ..Registers::default() };
        self.memory.insert(at + 4096, Box::new([0; 4096]));
        self.threads.insert(
            at,
            Thread {
                state: State::Inactive,
                owed: Owed::Nothing,
                in_turn: true,
                base: 0,
                priority: 0,
                ceiling: 0,
                table: None,
                space: None,
                buffer: None,
                registers,
                vector: 0,
                error: 0,
                fault_address: 0,
                stopped_by: 0,
                paid: 0,
                deadline: None,
                fault: false,
                badge: 0,
                transfer: 0,
                leases: Vec::new(),
            },
        );
    }

    /// Ticks of a turn.
    const TURN: u64 = HZ / 100;
}

//! One program: its state, and its kernel objects.

use crate::layout;
use crate::problem::{Problem, Step};
use crate::restart::Restarts;
use crate::shared::Buffer;
use crate::slots::{MAX_PROGRAMS, ProgramSlots, TABLE};
use abi::object::{captable, space, untyped};
use abi::{Error, Kind, PAGE, Rights, USER_END};
use alloc::{string::String, vec, vec::Vec};
use bootinfo::shim;
use libsys::object::Frame;
use libsys::proto::control::Ended;
use libsys::proto::program::{DEVICES, GONE};
use libsys::syscall::Slot;
use libsys::time::Instant;
use virtio_drivers::transport::pci::bus::DeviceFunction;

/// What a program does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Not built (yet), or could not be.
    Absent,
    /// Started.
    Running,
    /// Torn down.
    Ended(Ended),
}

/// How many pieces of memory its heap has, and how many were made for it: the others are free.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Heap {
    /// Mapped, one behind the other.
    pub mapped: u32,
    /// Made from its budget.
    pub made: u32,
}

/// A program of the manifest, and the instance of it that runs.
pub struct Program {
    /// What the manifest says.
    pub manifest: manifest::Program,
    /// Its slots in root's table.
    pub slots: ProgramSlots,
    /// Who started it, and ends it when it ends itself: an index of [`crate::system::System::programs`].
    pub parent: Option<usize>,
    /// Its environment.
    pub env: Vec<(String, String)>,
    /// Id of the instance: the upper half of its badges. Unique since boot.
    pub id: u32,
    /// Size bits of its budget; `None` if the machine has no memory for it.
    pub budget: Option<u8>,
    /// What it does.
    pub state: State,
    /// When and how often it is started anew.
    pub restarts: Restarts,
    /// First slot of its table that root has put nothing in.
    pub free_slot: u32,
    /// First free slot of its vault.
    pub vault_next: u32,
    /// Slots of its vault.
    pub vault_size: u32,
    /// Its heap.
    pub heap: Heap,
    /// First free address for devices and DMA memory.
    pub device_next: u64,
    /// Its shared buffer.
    pub shared: Option<Buffer>,
    /// How many it has made, for their ids.
    pub buffers_made: u32,
    /// PCI functions it owns, to be silenced when it ends.
    pub functions: Vec<DeviceFunction>,
}

impl Program {
    /// The program at `index` (below [`MAX_PROGRAMS`]) of the manifest, with nothing made for it yet.
    pub fn new(manifest: manifest::Program, index: usize) -> Self {
        assert!(index < MAX_PROGRAMS);
        Self {
            manifest,
            slots: ProgramSlots::new(index),
            parent: None,
            env: Vec::new(),
            id: 0,
            budget: None,
            state: State::Absent,
            restarts: Restarts::default(),
            free_slot: 0,
            vault_next: 1,
            vault_size: 0,
            heap: Heap::default(),
            device_next: DEVICES,
            shared: None,
            buffers_made: 0,
            functions: Vec::new(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.manifest.name
    }

    /// Bytes of its budget in use, and the budget.
    pub fn memory(&self) -> (u64, u64) {
        let (free, size) = self.slots.budget().info().unwrap_or((0, 0));
        let unused = u64::from(self.heap.made - self.heap.mapped) << self.piece_bits();
        (size.saturating_sub(free + unused), size)
    }

    /// Size bits of a piece of its heap.
    pub fn piece_bits(&self) -> u8 {
        layout::piece_bits(self.budget.unwrap_or_default())
    }

    /// Makes its kernel objects (largest first: each is aligned to its size) and names them with `id`.
    /// `shared` = bytes of address space for buffers that it shares with others.
    pub fn make_objects(&mut self, id: u32, shared: u64) -> Result<(), Problem> {
        let slots = self.slots;
        let budget = self.budget.ok_or(Problem::NoMemory)?;
        (self.id, self.vault_next, self.device_next) = (id, 1, DEVICES);
        self.heap = Heap::default();
        let devices = self.manifest.devices.iter();
        let devices: u64 = devices
            .map(|device| match device {
                // Registers and DMA memory: its budget bounds the latter.
                manifest::Device::Pci { .. } => 1 << budget,
                manifest::Device::Memory { size, .. } => *size,
                manifest::Device::Channel(_) => shim::CHANNEL_SIZE,
                _ => 0,
            })
            .sum();
        let devices = devices + shared;
        let vault_bits = layout::vault_bits(budget, devices);
        self.vault_size = 1 << vault_bits;
        let own = self.manifest.untyped;
        let mut objects = vec![
            (
                Kind::Space,
                layout::space_bits(budget, devices, own != 0),
                slots.space().0,
            ),
            (Kind::CapTable, vault_bits, slots.vault().0),
            (Kind::CapTable, layout::TABLE_BITS, slots.table().0),
            (Kind::Thread, 13, slots.thread().0),
            (Kind::Endpoint, 6, slots.endpoint()),
        ];
        if own != 0 {
            let bits = own.trailing_zeros() as u8;
            objects.push((Kind::Untyped, bits, slots.untyped().0));
        }
        objects.sort_by_key(|(kind, bits, _)| {
            let bytes = if *kind == Kind::CapTable {
                bits + 5
            } else {
                *bits
            };
            core::cmp::Reverse(bytes)
        });
        for (kind, bits, slot) in objects {
            self.make(kind, bits, 1, slot)
                .step("make its kernel objects")?;
        }
        Ok(())
    }

    /// Makes `count` objects from its budget, in root's table from `first` on.
    pub fn make(&self, kind: Kind, bits: u8, count: u32, first: Slot) -> Result<(), Error> {
        self.slots
            .budget()
            .retype(kind, bits, count as u16, TABLE, first, untyped::ALL)
    }

    /// Puts the capability in root's slot `slot` where the program cannot reach it.
    pub fn keep(&mut self, slot: Slot) -> Result<(), Error> {
        self.slots.vault().move_from(Slot(self.vault_next), slot)?;
        self.vault_next += 1;
        Ok(())
    }

    /// Forgets the frames kept since `vault_next` was `mark`, and with them their mappings.
    pub fn forget_since(&mut self, mark: u32) {
        for slot in mark..self.vault_next {
            let _ = self.slots.vault().delete(Slot(slot));
        }
        self.vault_next = mark;
    }

    /// Address space for `bytes` of device or DMA memory, with a page that stays empty behind it.
    pub fn device_area(&mut self, bytes: u64) -> Result<u64, Error> {
        let address = self.device_next;
        let next = bytes
            .checked_next_multiple_of(PAGE)
            .and_then(|b| address.checked_add(b + PAGE));
        self.device_next = next
            .filter(|end| *end < USER_END)
            .ok_or(Error::InvalidAddress)?;
        Ok(address)
    }

    /// Maps the frame in root's slot `slot` into the program.
    pub fn map(&self, slot: Slot, address: u64, rights: Rights) -> Result<(), Error> {
        self.slots
            .space()
            .map(Frame(slot), address, rights, space::WRITE_BACK)
    }

    /// Makes the interrupt that tells it that a client is no more.
    pub fn make_gone(&self) -> Result<(), Error> {
        let gone = self.slots.gone();
        self.make(Kind::Irq, 0, 1, gone.0)?;
        gone.bind(self.slots.endpoint(), GONE)
    }

    /// Puts a copy of the capability in root's slot `source` into slot `to` of the program's own table.
    pub fn give(&self, to: u32, source: Slot, rights: Rights, badge: u64) -> Result<(), Error> {
        self.slots.table().derive(Slot(to), source, rights, badge)
    }

    /// Its badge with the lower half `facet`.
    pub fn badge(&self, facet: u32) -> u64 {
        (self.id as u64) << 32 | facet as u64
    }

    /// Lets it run.
    pub fn start(&mut self) -> Result<(), Problem> {
        self.slots.thread().start().step("start its thread")?;
        self.restarts.started(Instant::now().0);
        self.state = State::Running;
        Ok(())
    }
}

/// Rights of a program on its own table.
pub const OWN_TABLE: Rights = captable::ALL;

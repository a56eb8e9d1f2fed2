//! A kernel and its model, side by side.

use abi::{Error, Kind, Op, Tag, object::*, tag::Flags};
use microkernel::{arch::host, slot::SlotRef};

use crate::{
    compare::{compare, compare_memory},
    generate::BUFFERS,
    inspect::{Complaint, at_slot, name},
    model::{Model, Place},
    world::{Call, Event, World},
};

/// Both.
pub struct Pair {
    pub world: World,
    pub model: Model,
}

/// Root's slots in the world that [`Pair::populate`] makes.
pub mod slots {
    pub const TABLES: u64 = 32;
    pub const SPACES: u64 = 34;
    pub const THREADS: u64 = 36;
    pub const ENDPOINTS: u64 = 40;
    pub const REPLIES: u64 = 43;
    pub const IRQS: u64 = 45;
    pub const FRAMES: u64 = 48;
    pub const UNTYPED: u64 = 54;
    pub const PORTS: u64 = 56;
    pub const DEVICE: u64 = 57;
    pub const FAULTS: u64 = 58;
}

impl Pair {
    /// A freshly booted kernel.
    pub fn boot() -> Self {
        let mut world = World::boot();
        let model = model_of(&mut world);
        Self { world, model }
    }

    /// The same memory, booted again.
    pub fn reboot(&mut self) {
        self.world.reboot();
        self.model = model_of(&mut self.world);
    }

    /// Lets something happen to both.
    pub fn step(&mut self, event: &Event) {
        self.world.step(event);
        self.model.step(event);
    }

    /// Lets time pass for both.
    pub fn pass(&mut self, ticks: u64) {
        self.model.now += ticks;
        host::set_machine(|machine| machine.now = self.model.now);
    }

    /// Are they in the same state?
    pub fn compare(&mut self) -> Result<(), Complaint> {
        compare(&mut self.world, &self.model)
    }

    /// Is what the bytes of all memory say the same, too?
    pub fn compare_memory(&self) -> Result<(), Complaint> {
        compare_memory(&self.world, &self.model)
    }

    /// The running thread invokes an object: status and words.
    pub fn invoke(&mut self, slot: u64, label: u32, words: [u64; 4]) -> (u8, [u64; 4]) {
        let call = Call {
            rax: Tag::new(Op::Call, label, 0, Flags::empty()).0,
            rdi: slot,
            words,
            ..Call::default()
        };
        let thread = self.world.current().expect("a thread runs");
        self.step(&Event::Call(call));
        let frame = thread.frame();
        (Tag(frame.rax.get()).status(), frame.words())
    }

    /// The same, to succeed, however often it must be asked.
    #[track_caller]
    pub fn done(&mut self, slot: u64, label: u32, words: [u64; 4]) -> [u64; 4] {
        loop {
            match self.invoke(slot, label, words) {
                (0, words) => return words,
                (status, _) if status == Error::Again as u8 => {}
                (status, _) => panic!("{label} on {slot}: {:?}", Error::from_code(status)),
            }
        }
    }

    /// Root makes objects of one kind in its own table.
    #[track_caller]
    pub fn make(&mut self, untyped: u64, kind: Kind, bits: u8, count: u16, first: u64) {
        let what = untyped::retype_word(kind, bits, count);
        let rights = untyped::ALL as u64;
        let words = [what, abi::root::TABLE as u64, first, rights];
        self.done(untyped, untyped::RETYPE, words);
    }

    /// Root's Untyped of at least 2^`bits` bytes, the smallest.
    pub fn untyped(&self, bits: u32) -> u64 {
        let root = self.model.current.expect("root runs");
        let table = self.model.thread(root).table.expect("root's table");
        let sizes = (abi::root::FIRST_UNTYPED as u64..32).filter_map(|index| {
            let cap = self.model.caps.get(&Place::Slot(table, index))?;
            (cap.bits >= bits).then_some((cap.bits, index))
        });
        sizes.min().expect("memory").1
    }

    /// A small system: four threads of two programs, three endpoints, and something of every kind.
    pub fn populate(&mut self) {
        self.make_objects();
        self.start_threads();
    }

    /// The same with every interrupt bound to the first endpoint.
    pub fn populate_with_interrupts(&mut self) {
        self.make_objects();
        for irq in 0..3 {
            self.done(slots::IRQS + irq, irq::BIND, [slots::ENDPOINTS, 9 + irq, 0, 0]);
        }
        self.start_threads();
    }

    fn make_objects(&mut self) {
        use slots::*;
        const OWN: u64 = abi::root::TABLE as u64;
        const SYSTEM: u64 = abi::root::SYSTEM as u64;
        let memory = self.untyped(20);
        self.make(memory, Kind::CapTable, 6, 2, TABLES);
        self.make(memory, Kind::Space, 15, 1, SPACES);
        self.make(memory, Kind::Space, 15, 1, SPACES + 1);
        self.make(memory, Kind::Thread, 0, 4, THREADS);
        self.make(memory, Kind::Endpoint, 0, 3, ENDPOINTS);
        self.make(memory, Kind::Reply, 0, 2, REPLIES);
        self.make(memory, Kind::Irq, 0, 3, IRQS);
        self.make(memory, Kind::Frame, 12, 6, FRAMES);
        self.make(memory, Kind::Untyped, 16, 2, UNTYPED);
        self.done(SYSTEM, system::IRQ_ATTACH, [IRQS, system::MSI, 0, 0]);
        self.done(SYSTEM, system::IRQ_ATTACH, [IRQS + 1, 3, system::LEVEL, 0]);
        self.done(SYSTEM, system::IO_PORTS, [0x60, 16, PORTS, 0]);
        self.done(SYSTEM, system::DEVICE_FRAME, [1 << 40, 12, DEVICE, 0]);
        let derive = |pair: &mut Self, table, to, from, rights: u8, badge| {
            pair.done(table, captable::DERIVE, [to, from, rights as u64, badge]);
        };
        derive(self, OWN, FAULTS, ENDPOINTS + 2, endpoint::CALL, 0xfa);
        for program in 0..2 {
            let table = TABLES + program;
            let badge = 0x1000 + program;
            derive(self, table, 1, table, captable::ALL, 0);
            derive(self, table, 3, ENDPOINTS, endpoint::ALL, 0);
            derive(self, table, 4, ENDPOINTS, endpoint::CALL | endpoint::GRANT, badge);
            derive(self, table, 5, ENDPOINTS + 1, endpoint::ALL, 0);
            derive(self, table, 6, ENDPOINTS + 1, endpoint::CALL | endpoint::GRANT, badge);
            derive(self, table, 7, ENDPOINTS + 2, endpoint::ALL, 0);
            self.done(table, captable::MOVE, [8, REPLIES + program, 0, 0]);
            for irq in 0..3 {
                derive(self, table, 9 + irq, IRQS + irq, irq::ALL, 0);
            }
            for thread in 0..2 {
                let from = THREADS + 2 * program + thread;
                derive(self, table, 12 + thread, from, thread::ALL, 0);
            }
            derive(self, table, 14, SPACES + program, space::ALL, 0);
            for frame in 0..3 {
                let slot = FRAMES + 3 * program + frame;
                let address = 0x1_0000 + 4096 * frame;
                self.done(SPACES + program, space::MAP, [slot, address, 3, 0]);
                derive(self, table, 15 + frame, slot, frame::ALL, 0);
            }
            self.done(table, captable::MOVE, [18, UNTYPED + program, 0, 0]);
            derive(self, table, 19, PORTS, ioports::ALL, 0);
            derive(self, table, 20, TABLES + 1 - program, captable::ALL, 0);
            derive(self, table, 21, DEVICE, 3, 0);
        }
    }

    fn start_threads(&mut self) {
        use slots::*;
        for thread in 0..4 {
            let program = thread / 2;
            let (table, space) = (TABLES + program, SPACES + program);
            let words = [table, space, FAULTS, BUFFERS + 4096 * thread];
            self.done(THREADS + thread, thread::CONFIGURE, words);
            let priority = [10, 20, 20, 30][thread as usize];
            self.done(THREADS + thread, thread::PRIORITY, [priority, 40, 0, 0]);
            self.done(THREADS + thread, thread::START, [0; 4]);
        }
        let own_thread = abi::root::THREAD as u64;
        self.done(own_thread, thread::PRIORITY, [1, 255, 0, 0]);
    }
}

/// The model of a world that just booted.
fn model_of(world: &mut World) -> Model {
    let root = world.current().expect("root runs");
    let table = root.slot(abi::root::TABLE as u64).expect("its table");
    let space = root.slot(abi::root::SPACE as u64).expect("its space");
    let mut untyped = Vec::new();
    let mut index = abi::root::FIRST_UNTYPED as u64;
    loop {
        let slot: SlotRef = at_slot(table.object() + 32 * index);
        if slot.is_empty() {
            break;
        }
        untyped.push((slot.object(), slot.extra() as u8));
        index += 1;
    }
    Model::new(name(root), table.object(), space.object(), &untyped)
}

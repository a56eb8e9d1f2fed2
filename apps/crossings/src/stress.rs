//! `kernel.longest_section`: every long operation of the kernel at its worst. The kernel itself measures how long it ran
//! without accepting an interrupt (its feature `longest-section`), and root tells.

use crate::clock::Samples;
use crate::crowd::{DEADLINE, EXTRA, call, large_call, receive, serve};
use crate::{Bench, Failure, PRIORITY, kernel};
use abi::fault::Registers;
use abi::object::{endpoint, frame, ioports, space, untyped};
use abi::tag::Transfer;
use abi::{COPY_LIMIT, Error, Kind, PAGE};
use alloc::vec;
use core::sync::atomic::Ordering;
use libsys::lease::Lease;
use libsys::object::{CapTable, Frame, OWN_TABLE, Reply, Space, Thread, Untyped};
use libsys::proto::control;
use libsys::rt::{self, ENDPOINT};
use libsys::slots;
use libsys::syscall::{self, Answer, CALLER, Slot};
use libsys::thread::{Entry, Worker};
use libsys::time::Instant;

/// Objects that one RETYPE makes at most, and how many threads are made at a time.
const MANY: u32 = 64;
/// Size bits of the memory that each operation uses again.
const ROOM: u8 = 22;
/// Size bits of the piece of it at the bottom of a tree as deep as can be: room for the threads and a table.
const DEEP: u8 = 20;
/// Addresses that nothing else uses: message buffers of the threads, then two stacks, then a large frame.
const AREA: u64 = 0x5000_0000_0000;
const STACKS: u64 = AREA + (MANY as u64 + 1) * PAGE;
const LARGE: u64 = AREA + (2 << 20);

/// Runs all of it.
pub fn longest_section(bench: &Bench) -> Result<Samples, Failure> {
    let control = rt::endpoint("root.control").ok_or("it needs `root.control`")?;
    let stress = Stress::new(bench).map_err(kernel)?;
    // The threads run at once when they are started, and when what they wait for ends.
    let own = Thread(Slot(bench.own.thread));
    own.priority(PRIORITY - 1, PRIORITY).map_err(kernel)?;
    for operation in [
        Stress::retype,
        Stress::revoke_deep,
        Stress::revoke_threads,
        Stress::empty_tables,
        Stress::full_tables,
        Stress::waiters,
        Stress::deadlines,
        Stress::messages,
        Stress::devices,
    ] {
        operation(&stress).map_err(kernel)?;
        OWN_TABLE.revoke(stress.room.0).map_err(kernel)?;
    }
    stress.log(control).map_err(kernel)?;
    own.priority(PRIORITY, PRIORITY).map_err(kernel)?;
    let longest = syscall::call(control, control::SECTION, [0; 4]);
    match longest.check().map_err(kernel)?.words[0] {
        0 => Err("the kernel was not built to measure it".into()),
        longest => Ok(Samples {
            ticks: vec![longest],
            batch: 1,
            overhead: 0,
        }),
    }
}

struct Stress<'a> {
    bench: &'a Bench,
    room: Untyped,
    /// Three ranges of empty slots: [`MANY`] for objects, as many for other capabilities, and one for each level of the tree.
    many: u32,
    others: u32,
    levels: u32,
}

impl<'a> Stress<'a> {
    fn new(bench: &'a Bench) -> Result<Self, Error> {
        let memory = Untyped(Slot(bench.own.untyped));
        let room = Untyped(Slot(range(1)?));
        memory.retype(Kind::Untyped, ROOM, 1, OWN_TABLE, room.0, untyped::ALL)?;
        let stress = Self {
            bench,
            room,
            many: range(MANY)?,
            others: range(8)?,
            levels: range(32)?,
        };
        for address in [STACKS, STACKS + PAGE] {
            let slot = Slot(range(1)?);
            memory.retype(Kind::Frame, 12, 1, OWN_TABLE, slot, untyped::ALL)?;
            let rights = frame::READ | frame::WRITE;
            stress
                .space()
                .map(Frame(slot), address, rights, space::WRITE_BACK)?;
        }
        Ok(stress)
    }

    fn space(&self) -> Space {
        Space(Slot(self.bench.own.space))
    }

    /// Makes `count` objects of the room, from slot `first` of the program's table on.
    fn make(&self, kind: Kind, size_bits: u8, count: u32, first: u32) -> Result<(), Error> {
        make(self.room, kind, size_bits, count, first)
    }

    /// A piece of the room as deep in the tree as can be for something to be made of it.
    fn deep(&self) -> Result<Untyped, Error> {
        let mut memory = self.room;
        for level in self.levels.. {
            match make(memory, Kind::Untyped, DEEP, 1, level) {
                Ok(()) => memory = Untyped(Slot(level)),
                Err(Error::TooDeep) => break,
                Err(error) => return Err(error),
            }
        }
        // What has the greatest depth can have no children: its parent is the one.
        let last = memory.0.0;
        OWN_TABLE.delete(Slot(last))?;
        Ok(Untyped(Slot(last - 1)))
    }
}

/// The operations. Each leaves the room to be emptied.
impl Stress<'_> {
    /// Memory is zeroed, and as many objects as can be are made in the entry that zeroes the last of it.
    fn retype(&self) -> Result<(), Error> {
        let kinds = [
            (Kind::Thread, 0),
            (Kind::Endpoint, 0),
            (Kind::Reply, 0),
            (Kind::Irq, 0),
            (Kind::CapTable, 5),
            (Kind::Frame, 12),
            (Kind::Untyped, 12),
        ];
        for (kind, size_bits) in kinds {
            self.make(kind, size_bits, MANY, self.many)?;
            OWN_TABLE.revoke(self.room.0)?;
        }
        self.make(Kind::Frame, 21, 2, self.many)?;
        let large = Frame(Slot(self.many));
        let rights = frame::READ | frame::WRITE;
        self.space().map(large, LARGE, rights, space::WRITE_BACK)?;
        OWN_TABLE.revoke(self.room.0)?;
        self.make(Kind::Space, 20, 1, self.others)?;
        let (other, tables) = (Space(Slot(self.others)), [0, 1 << 30, 1 << 40]);
        self.make(Kind::Frame, 12, MANY, self.many)?;
        for (slot, base) in (self.many..).zip(tables) {
            other.map(Frame(Slot(slot)), AREA + base, rights, space::WRITE_BACK)?;
        }
        OWN_TABLE.delete(other.0)
    }

    /// Copies at the bottom of a deep tree: every step of a REVOKE at its top goes all the way down.
    fn revoke_deep(&self) -> Result<(), Error> {
        self.make(Kind::Endpoint, 0, 1, self.others)?;
        let table = CapTable(Slot(self.others + 1));
        self.make(Kind::CapTable, 7, 1, table.0.0)?;
        let mut lowest = Slot(self.others);
        for level in self.levels.. {
            match OWN_TABLE.derive(Slot(level), lowest, endpoint::ALL, 0) {
                Ok(()) => lowest = Slot(level),
                Err(Error::TooDeep) => break,
                Err(error) => return Err(error),
            }
        }
        OWN_TABLE.delete(lowest)?;
        let parent = Slot(lowest.0 - 1);
        (1..=MANY).try_for_each(|to| table.derive(Slot(to), parent, endpoint::CALL, 0))?;
        OWN_TABLE.revoke(Slot(self.others))
    }

    /// Threads that wait in a queue, with a deadline, owe an answer to others that have a deadline too, and lie deep in the tree.
    fn revoke_threads(&self) -> Result<(), Error> {
        self.threads_that_owe()?;
        OWN_TABLE.revoke(self.room.0)
    }

    /// The same threads, in a table that is destroyed; between two of them as many empty slots as an entry may pass.
    fn empty_tables(&self) -> Result<(), Error> {
        self.make(Kind::CapTable, 16, 1, self.others)?;
        OWN_TABLE.delete(Slot(self.others))?;
        for apart in [16, 24, 32, 40] {
            let memory = self.threads_that_owe()?;
            let table = CapTable(Slot(self.others + 4));
            make(memory, Kind::CapTable, 12, 1, table.0.0)?;
            for thread in 0..MANY {
                table.move_from(Slot(1 + thread * apart), Slot(self.many + thread))?;
            }
            OWN_TABLE.delete(table.0)?;
            OWN_TABLE.revoke(self.room.0)?;
        }
        Ok(())
    }

    /// Tables in tables in a table, full of mapped frames and copies.
    fn full_tables(&self) -> Result<(), Error> {
        const BITS: u8 = 7;
        let outer = CapTable(Slot(self.others));
        self.make(Kind::CapTable, BITS, 1, outer.0.0)?;
        for round in 0..2 {
            let inner = CapTable(Slot(self.others + 1));
            for place in 1..1 << (BITS - 1) {
                self.make(Kind::CapTable, BITS, 1, inner.0.0)?;
                let copies = 1..1 << BITS;
                copies
                    .into_iter()
                    .try_for_each(|to| inner.derive(Slot(to), ENDPOINT, endpoint::CALL, 0))?;
                outer.move_from(Slot(place + round * 64), inner.0)?;
            }
        }
        // The table goes into itself: nobody but the tree knows it then.
        outer.move_from(Slot(64), outer.0)?;
        OWN_TABLE.revoke(self.room.0)?;
        self.make(Kind::CapTable, BITS, 1, outer.0.0)?;
        let rights = frame::READ | frame::WRITE;
        self.make(Kind::Frame, 12, MANY, self.many)?;
        for frame in 0..MANY {
            let slot = Slot(self.many + frame);
            let address = LARGE + frame as u64 * PAGE;
            self.space()
                .map(Frame(slot), address, rights, space::WRITE_BACK)?;
            outer.move_from(Slot(1 + frame), slot)?;
        }
        OWN_TABLE.delete(outer.0)
    }

    /// An endpoint goes at which callers wait, then one at which receivers do.
    fn waiters(&self) -> Result<(), Error> {
        for entry in [call as Entry, receive] {
            self.make(Kind::Endpoint, 0, 1, self.others)?;
            self.threads(self.room)?;
            DEADLINE.store(u64::MAX, Ordering::Relaxed);
            self.start(0..MANY, entry, self.others as u64, STACKS)?;
            OWN_TABLE.delete(Slot(self.others))?;
            OWN_TABLE.revoke(self.room.0)?;
        }
        Ok(())
    }

    /// All threads give up at once; this one does last, and the others have by then.
    fn deadlines(&self) -> Result<(), Error> {
        /// Long enough for all of them to be started.
        const TICKS: u64 = 10_000_000;
        self.make(Kind::Endpoint, 0, 2, self.others)?;
        self.threads(self.room)?;
        let deadline = Instant::now().0 + TICKS;
        DEADLINE.store(deadline, Ordering::Relaxed);
        self.start(0..MANY, call, self.others as u64, STACKS)?;
        match syscall::recv_until(Slot(self.others + 1), deadline + 1).check() {
            Err(Error::TimedOut) => Ok(()),
            other => other.map(drop),
        }
    }

    /// Answers with as many words, bytes and capabilities as can be, each followed by receiving as large a request. Memory is lent
    /// and copied at odd addresses.
    fn messages(&self) -> Result<(), Error> {
        self.make(Kind::Endpoint, 0, 2, self.others)?;
        let helper = Worker::new(&self.bench.own, 8)?;
        let clients = [&self.bench.worker, &helper];
        for (index, client) in clients.into_iter().enumerate() {
            let words = self.others as u64 | (self.others as u64 + 2 + index as u64) << 32;
            OWN_TABLE.derive(
                Slot(self.others + 2 + index as u32),
                ENDPOINT,
                endpoint::ALL,
                0,
            )?;
            client.start(large_call, words, PRIORITY, Slot(0))?;
        }
        let endpoint = Slot(self.others);
        let mut bytes = vec![0; COPY_LIMIT as usize + PAGE as usize];
        let bytes = &mut bytes[PAGE as usize / 2 + 1..][..COPY_LIMIT as usize];
        let transfer = |receive: u32| Transfer {
            pass: self.others + 1,
            move_it: false,
            receive,
        };
        syscall::recv_transferring(endpoint, Slot(self.many)).check()?;
        for round in 1..8 {
            Reply(CALLER).lease_read(0, 0, bytes)?;
            Reply(CALLER).lease_write(3, 0, bytes)?;
            let answer = Answer {
                payload: bytes,
                transfer: transfer(self.many + round),
                extra: EXTRA,
                ..Answer::new(0, [1; 4])
            };
            syscall::reply_recv_with(endpoint, answer, None).check()?;
        }
        for (index, client) in clients.into_iter().enumerate() {
            client.stop()?;
            OWN_TABLE.delete(Slot(self.others + 2 + index as u32))?;
        }
        Ok(())
    }

    /// Blocks from and to a port: the scratch register of the 16550, which does nothing.
    fn devices(&self) -> Result<(), Error> {
        const SCRATCH: u16 = 7;
        let (ports, base) = self.bench.ports;
        let mut block = [0; ioports::BLOCK];
        ports.read_block(base + SCRATCH, &mut block)?;
        ports.write_block(base + SCRATCH, &block)
    }

    /// The kernel's log, read and written.
    fn log(&self, control: Slot) -> Result<(), Error> {
        let mut block = [b'.'; abi::object::system::LOG_BLOCK];
        syscall::call_lending(control, control::LOG, [0; 4], Lease::write(&mut block)).check()?;
        syscall::call_lending(control, control::SAY, [0; 4], Lease::read(&[b'.'; 400])).check()?;
        Ok(())
    }

    /// As many threads as can be made at once, half of which owe the others an answer. Returns the memory they lie in.
    fn threads_that_owe(&self) -> Result<Untyped, Error> {
        self.make(Kind::Endpoint, 0, 2, self.others)?;
        let memory = self.deep()?;
        self.threads(memory)?;
        DEADLINE.store(u64::MAX, Ordering::Relaxed);
        // What was made last ends first.
        let (served, waiting) = (self.others as u64, self.others as u64 + 1);
        self.start(MANY / 2..MANY, serve, served | waiting << 32, STACKS)?;
        self.start(0..MANY / 2, call, served, STACKS + PAGE)?;
        Ok(memory)
    }

    fn threads(&self, memory: Untyped) -> Result<(), Error> {
        make(memory, Kind::Thread, 0, MANY, self.many)
    }

    /// Starts some of the threads. All have one stack: nobody gets as far as to return to what lies there.
    fn start(
        &self,
        which: core::ops::Range<u32>,
        entry: Entry,
        argument: u64,
        stack: u64,
    ) -> Result<(), Error> {
        for index in which {
            let thread = Thread(Slot(self.many + index));
            let own_buffer = AREA + index as u64 * PAGE;
            thread.configure(OWN_TABLE, self.space(), ENDPOINT, own_buffer)?;
            thread.write_registers(&Registers {
                rip: entry as *const () as u64,
                rsp: stack + PAGE - 8,
                rflags: 0x202,
                rdi: argument,
                ..Registers::default()
            })?;
            thread.priority(PRIORITY, PRIORITY)?;
            thread.start()?;
        }
        Ok(())
    }
}

/// Makes `count` objects, from slot `first` of the program's table on.
fn make(memory: Untyped, kind: Kind, size_bits: u8, count: u32, first: u32) -> Result<(), Error> {
    let rights = untyped::ALL;
    memory.retype(
        kind,
        size_bits,
        count as u16,
        OWN_TABLE,
        Slot(first),
        rights,
    )
}

/// The first of `count` empty slots in a row.
fn range(count: u32) -> Result<u32, Error> {
    let mut taken = (0..count).map(|_| slots::allocate());
    let first = taken.next().flatten().ok_or(Error::NoCapability)?;
    // Nothing was given back yet, so they come in a row.
    match taken
        .enumerate()
        .all(|(index, slot)| slot == Some(Slot(first.0 + 1 + index as u32)))
    {
        true => Ok(first.0),
        false => Err(Error::NoCapability),
    }
}

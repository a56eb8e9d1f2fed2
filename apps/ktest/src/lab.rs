//! What a test works with: memory that is its own, objects made of it, and threads. All of it goes when the test ends,
//! and the lab then counts what is left.

use crate::outcome::{Failure, Outcome};
use crate::place::{self as thread, Place};
use crate::raw::{self, WINDOW};
use abi::object::{endpoint, frame, space, untyped};
use abi::{Kind, PAGE, Rights};
use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;
use libsys::lease::Lease;
use libsys::object::{CapTable, Frame, Irq, OWN_TABLE, Reply, Space, Thread, Untyped};
use libsys::rt;
use libsys::syscall::{self, Answer, Slot};
use libsys::time::Instant;

/// Priority of the thread that runs the tests.
pub const NORMAL: u8 = 50;
/// Runs only while the tester waits.
pub const LOW: u8 = 40;
/// Runs before the tester.
pub const HIGH: u8 = 60;

/// The highest priority this program may give: its own in the manifest.
pub const CEILING: u8 = 100;

/// Slots from here on are the lab's; those below are libsys's and root's.
const FIRST: u32 = 64;
pub(crate) const MEMORY: Untyped = Untyped(Slot(FIRST));
pub(crate) const VAULT: CapTable = CapTable(Slot(FIRST + 1));
const DONE: Slot = Slot(FIRST + 2);
pub(crate) const SPARE: Slot = Slot(FIRST + 3);
const NOBODY: Slot = Slot(FIRST + 4);
const FREE: u32 = FIRST + 5;
/// Slots of the program's table (root's `layout::TABLE_BITS`).
const END: u32 = 256;
const VAULT_BITS: u8 = 11;
/// Pages of a helper's stack.
const STACK: u64 = 4;

/// No helper needs longer than this many seconds; it only ends tests that hang.
const PATIENCE: u64 = 20;

/// What a helper borrows, at an address that stays.
struct Job {
    thread: Thread,
    run: Box<dyn Fn()>,
}

/// See the module.
pub struct Lab {
    /// The program's own Space.
    pub space: Space,
    /// The program's first Thread.
    pub me: Thread,
    root: Untyped,
    next: u32,
    areas: u64,
    pub(crate) kept: u32,
    #[expect(clippy::vec_box, reason = "helpers know the address of theirs")]
    jobs: Vec<Box<Job>>,
    ended: Vec<Slot>,
    before: Vec<Option<Kind>>,
}

/// How a helper thread is set up.
#[derive(Clone, Copy)]
pub struct Setup {
    /// Its priority; the ceiling is the same.
    pub priority: u8,
    /// Where its faults go.
    pub fault: Slot,
}

impl Lab {
    /// The lab of a program with `untyped` in its manifest.
    pub fn new() -> Option<Self> {
        let own = rt::info().own?;
        Some(Self {
            space: Space(Slot(own.space)),
            me: Thread(Slot(own.thread)),
            root: Untyped(Slot(own.untyped)),
            next: FREE,
            areas: 1,
            kept: 1,
            jobs: Vec::new(),
            ended: Vec::new(),
            before: Vec::new(),
        })
    }

    /// Makes everything anew for a test.
    pub fn begin(&mut self) -> Outcome {
        (self.next, self.areas, self.kept) = (FREE, 1, 1);
        self.before = kinds();
        self.me.priority(NORMAL, CEILING)?;
        let (_, size) = self.root.info()?;
        let bits = size.trailing_zeros() as u8;
        self.root
            .retype(Kind::Untyped, bits, 1, OWN_TABLE, MEMORY.0, untyped::ALL)?;
        let make = |kind, bits, slot| MEMORY.retype(kind, bits, 1, OWN_TABLE, slot, untyped::ALL);
        make(Kind::CapTable, VAULT_BITS, VAULT.0)?;
        make(Kind::Endpoint, 0, DONE)?;
        make(Kind::Endpoint, 0, NOBODY)?;
        Ok(())
    }

    /// Takes everything back. Fails if something is left.
    pub fn end(&mut self) -> Outcome {
        OWN_TABLE.revoke(self.root.0)?;
        self.jobs.clear();
        self.ended.clear();
        let (free, size) = self.root.info()?;
        if free != size {
            return Err(Failure(format!("leak: {} bytes not free", size - free)));
        }
        let after = kinds();
        for (slot, (before, after)) in self.before.iter().zip(&after).enumerate() {
            if before != after {
                let _ = OWN_TABLE.delete(Slot(slot as u32));
                let text = format!("leak: slot {slot} held {before:?}, now {after:?}");
                return Err(Failure(text));
            }
        }
        Ok(())
    }

    /// The test's memory.
    pub fn memory(&self) -> Untyped {
        MEMORY
    }

    /// An empty slot of the program's table.
    pub fn slot(&mut self) -> Slot {
        self.slots(1)
    }

    /// The first of `count` empty slots.
    ///
    /// # Panics
    /// The table is full: the test wants too much.
    pub fn slots(&mut self, count: u32) -> Slot {
        let first = self.next;
        self.next += count;
        assert!(self.next <= END);
        Slot(first)
    }

    /// A new object.
    #[track_caller]
    pub fn make(&mut self, kind: Kind, bits: u8) -> Result<Slot, Failure> {
        let slot = self.slot();
        MEMORY.retype(kind, bits, 1, OWN_TABLE, slot, untyped::ALL)?;
        Ok(slot)
    }

    /// A new Endpoint.
    pub fn endpoint(&mut self) -> Result<Slot, Failure> {
        self.make(Kind::Endpoint, 0)
    }

    /// A new Reply object.
    pub fn reply(&mut self) -> Result<Reply, Failure> {
        self.make(Kind::Reply, 0).map(Reply)
    }

    /// A new Irq without a source.
    pub fn irq(&mut self) -> Result<Irq, Failure> {
        self.make(Kind::Irq, 0).map(Irq)
    }

    /// A new Frame of 4 KiB.
    pub fn frame(&mut self) -> Result<Frame, Failure> {
        self.make(Kind::Frame, 12).map(Frame)
    }

    /// A new CapTable of 2^`bits` slots.
    pub fn table(&mut self, bits: u8) -> Result<CapTable, Failure> {
        self.make(Kind::CapTable, bits).map(CapTable)
    }

    /// A copy of a capability in an empty slot.
    #[track_caller]
    pub fn copy(&mut self, from: Slot, rights: Rights, badge: u64) -> Result<Slot, Failure> {
        let slot = self.slot();
        OWN_TABLE.derive(slot, from, rights, badge)?;
        Ok(slot)
    }

    /// Maps a frame into the program's window, readable and writable, at page `page`.
    pub fn map(&mut self, frame: Frame, page: u64) -> Result<u64, Failure> {
        let address = WINDOW + page * PAGE;
        let rights = frame::READ | frame::WRITE;
        self.space.map(frame, address, rights, space::WRITE_BACK)?;
        Ok(address)
    }

    /// A new Thread and a stack for it, in the program's own space.
    pub fn thread(&mut self) -> Result<(Thread, u64), Failure> {
        let thread = Thread(self.make(Kind::Thread, 0)?);
        let area = thread::area(self.areas);
        self.areas += 1;
        self.stack(self.space, area)?;
        Ok((thread, area))
    }

    pub(crate) fn stack(&mut self, space: Space, area: u64) -> Outcome {
        let keep = (VAULT, Slot(self.kept));
        self.kept += STACK as u32;
        Ok(thread::map_stack(MEMORY, space, area, STACK, SPARE, keep)?)
    }

    /// Starts a helper: a thread of this program that runs `job` and then says so (see [`Lab::join`]).
    #[track_caller]
    pub fn spawn(
        &mut self,
        priority: u8,
        job: impl Fn() + Send + 'static,
    ) -> Result<Thread, Failure> {
        let setup = Setup {
            priority,
            fault: Slot(0),
        };
        self.spawn_with(setup, job)
    }

    /// Starts a helper that faults to an endpoint.
    #[track_caller]
    pub fn spawn_with(
        &mut self,
        setup: Setup,
        job: impl Fn() + Send + 'static,
    ) -> Result<Thread, Failure> {
        let (thread, area) = self.thread()?;
        let place = Place {
            table: OWN_TABLE,
            space: self.space,
            fault: setup.fault,
            area,
        };
        self.start_job(thread, place, setup.priority, job)?;
        Ok(thread)
    }

    /// Lets a thread made by [`Lab::thread`] run `job`.
    #[track_caller]
    pub fn start_job(
        &mut self,
        thread: Thread,
        place: Place,
        priority: u8,
        job: impl Fn() + Send + 'static,
    ) -> Outcome {
        // The helper borrows it until the lab's end, when the helper is gone.
        let job = Box::new(Job {
            thread,
            run: Box::new(job),
        });
        let argument = &raw const *job as u64;
        self.jobs.push(job);
        thread::prepare(thread, place, helper, argument)?;
        thread.priority(priority, priority)?;
        Ok(thread.start()?)
    }

    /// Waits until a helper's job is done.
    pub fn join(&mut self, thread: Thread) -> Outcome {
        while !self.ended.contains(&thread.0) {
            let message = syscall::recv_until(DONE, after(PATIENCE)).check()?;
            syscall::reply(Answer::new(0, [0; 4]));
            self.ended.push(Slot(message.words[0] as u32));
        }
        Ok(())
    }

    /// Whether a helper's job is done already.
    pub fn is_done(&mut self, thread: Thread) -> bool {
        while syscall::recv_until(DONE, 0)
            .check()
            .map(|m| self.ended.push(Slot(m.words[0] as u32)))
            .is_ok()
        {
            syscall::reply(Answer::new(0, [0; 4]));
        }
        self.ended.contains(&thread.0)
    }

    /// Sleeps, so that lower priorities run. A call, because who owes a reply may not receive.
    pub fn rest(&self, ticks: u64) {
        let until = Instant::now().0 + ticks;
        let _ = syscall::call_until(NOBODY, 0, [0; 4], Lease::NONE, until);
    }
}

/// What every helper runs.
extern "C" fn helper(job: u64) -> ! {
    let job: *const Job = core::ptr::with_exposed_provenance(job as usize);
    // SAFETY: `start_job` passed a Job that the lab keeps until this thread is gone, and nobody changes it.
    let job = unsafe { &*job };
    (job.run)();
    let _ = syscall::call(DONE, 0, [job.thread.0.0 as u64, 0, 0, 0]);
    let _ = job.thread.suspend();
    raw::stop()
}

/// `seconds` from now, as a deadline.
pub fn after(seconds: u64) -> u64 {
    Instant::now().0 + seconds * rt::info().tsc_hz
}

/// All rights of an Endpoint.
pub const ENDPOINT: Rights = endpoint::ALL;

/// What lies in each slot of the program's table.
fn kinds() -> Vec<Option<Kind>> {
    (0..END)
        .map(|slot| OWN_TABLE.identify(Slot(slot), Slot(0)).ok())
        .map(|identity| identity.map(|identity| identity.kind))
        .collect()
}

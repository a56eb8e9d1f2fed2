//! Further threads of a program: made from its own Untyped.
//!
//! [`spawn`] and [`scope`] are what programs use; below them, a [`Worker`] is started and stopped at will. Only programs whose
//! manifest gives them `untyped` can make any. A thread that panics or traps ends the program.

use crate::object::{Frame, OWN_TABLE, Space, Thread, Untyped};
use crate::proto::program::Own;
use crate::sync::{Mutex, Semaphore};
use crate::syscall::Slot;
use crate::{rt, slots};
use abi::fault::Registers;
use abi::object::{frame, space, untyped};
use abi::{Error, Kind, PAGE, buffer};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::marker::PhantomData;
use core::sync::atomic::{AtomicU64, Ordering};

/// Where the areas of further threads lie, one behind the other.
const AREAS: u64 = 0x6000_0000_0000;
/// Size bits of a Thread object.
const THREAD_BITS: u8 = 13;

/// The next area's address.
static NEXT: AtomicU64 = AtomicU64::new(AREAS);

/// What a thread runs: it gets the argument of [`Worker::start`], and never returns.
pub type Entry = extern "C" fn(u64) -> !;

/// Room for one thread at a time: memory for its object, its message buffer and its stack.
#[derive(Debug)]
pub struct Worker {
    memory: Untyped,
    thread: Thread,
    space: Space,
    area: u64,
}

impl Worker {
    /// Makes the room, with `stack` pages of stack.
    ///
    /// # Errors
    /// `OutOfMemory`, `OutOfTables`: the program's Untyped or Space is used up. `NoCapability`: its table is.
    pub fn new(own: &Own, stack: u64) -> Result<Self, Error> {
        let (source, space) = (Untyped(Slot(own.untyped)), Space(Slot(own.space)));
        let slot = || slots::allocate().ok_or(Error::NoCapability);
        let (memory, thread) = (Untyped(slot()?), Thread(slot()?));
        let size = THREAD_BITS;
        source.retype(Kind::Untyped, size, 1, OWN_TABLE, memory.0, untyped::ALL)?;
        let area = NEXT.fetch_add(buffer::AREA, Ordering::Relaxed);
        for page in 1..=stack {
            let slot = slot()?;
            source.retype(Kind::Frame, 12, 1, OWN_TABLE, slot, untyped::ALL)?;
            let rights = frame::READ | frame::WRITE;
            let address = area + buffer::AREA - page * PAGE;
            space.map(Frame(slot), address, rights, space::WRITE_BACK)?;
        }
        Ok(Self {
            memory,
            thread,
            space,
            area,
        })
    }

    /// Makes a thread and starts it. Its faults go to `fault` (`Slot(0)`: they stop it).
    ///
    /// # Errors
    /// `SlotOccupied`: a thread runs here already. `AboveCeiling`: `priority` is above this program's.
    pub fn start(
        &self,
        entry: Entry,
        argument: u64,
        priority: u8,
        fault: Slot,
    ) -> Result<(), Error> {
        let thread = self.thread;
        self.memory
            .retype(Kind::Thread, 0, 1, OWN_TABLE, thread.0, untyped::ALL)?;
        thread.configure(OWN_TABLE, self.space, fault, self.area)?;
        thread.write_registers(&Registers {
            rip: entry as *const () as u64,
            // As after a call: 8 below a multiple of 16.
            rsp: self.area + buffer::AREA - 8,
            rflags: 0x202,
            rdi: argument,
            ..Registers::default()
        })?;
        thread.priority(priority, priority)?;
        thread.start()
    }

    /// Stops its thread and takes it back.
    ///
    /// # Errors
    /// `NoCapability`: none runs here.
    pub fn stop(&self) -> Result<(), Error> {
        self.thread.suspend()?;
        OWN_TABLE.delete(self.thread.0)
    }
}

/// Pages of the stack of a thread.
const STACK: u64 = 8;

/// Room of threads that have ended.
static IDLE: spin::Mutex<Vec<Worker>> = spin::Mutex::new(Vec::new());

/// What a thread is told: it lives until the thread was taken back.
struct Task {
    work: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    done: Semaphore,
    thread: Thread,
}

/// A thread that was started. Dropping it waits until it has ended.
struct Running {
    worker: Option<Worker>,
    task: Box<Task>,
}

impl Running {
    fn start(work: Box<dyn FnOnce() + Send>) -> Result<Self, Error> {
        let own = rt::info().own.ok_or(Error::OutOfMemory)?;
        let idle = IDLE.lock().pop();
        let worker = idle.map_or_else(|| Worker::new(&own, STACK), Ok)?;
        let mut running = Self {
            worker: None,
            task: Box::new(Task {
                work: Mutex::new(Some(work)),
                done: Semaphore::new(0),
                thread: worker.thread,
            }),
        };
        let task = (&raw const *running.task).expose_provenance() as u64;
        if let Err(error) = worker.start(perform, task, own.priority, Slot(own.fault)) {
            let _ = worker.stop();
            IDLE.lock().push(worker);
            return Err(error);
        }
        running.worker = Some(worker);
        Ok(running)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(worker) = self.worker.take() {
            self.task.done.acquire();
            // It has nothing left to do, and holds nothing: it may be anywhere between its last words and its end.
            if worker.stop().is_ok() {
                IDLE.lock().push(worker);
            }
        }
    }
}

/// Where every thread begins and ends.
extern "C" fn perform(task: u64) -> ! {
    // SAFETY: `Running` keeps the task where it is until this thread is deleted.
    let task: &Task = unsafe { &*core::ptr::with_exposed_provenance(task as usize) };
    let (thread, work) = (task.thread, task.work.lock().take());
    if let Some(work) = work {
        work();
    }
    task.done.release();
    loop {
        let _ = thread.suspend();
    }
}

/// What a thread returns.
struct Packet<T> {
    result: Mutex<Option<T>>,
    done: Semaphore,
}

impl<T> Packet<T> {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            result: Mutex::new(None),
            done: Semaphore::new(0),
        })
    }

    fn finish(&self, result: T) {
        *self.result.lock() = Some(result);
        self.done.release();
    }

    fn wait(&self) -> T {
        self.done.acquire();
        let Some(result) = self.result.lock().take() else {
            unreachable!("a thread leaves its result before it is done")
        };
        result
    }
}

/// A thread started by [`spawn`]. Dropping it waits for the thread's end.
pub struct JoinHandle<T> {
    packet: Arc<Packet<T>>,
    _running: Running,
}

impl<T> JoinHandle<T> {
    /// Waits for the thread's end, and returns what it returned.
    pub fn join(self) -> T {
        self.packet.wait()
    }
}

/// Starts a thread, with this program's priority.
///
/// # Errors
/// `OutOfMemory`, `NoCapability`: as [`Worker::new`], or the manifest gives the program no Untyped.
pub fn spawn<T, F>(work: F) -> Result<JoinHandle<T>, Error>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let packet = Packet::new();
    let own = packet.clone();
    let running = Running::start(Box::new(move || own.finish(work())))?;
    Ok(JoinHandle {
        packet,
        _running: running,
    })
}

/// Lets threads borrow what lives longer than `body`: all that it starts have ended when this returns.
pub fn scope<'env, F, T>(body: F) -> T
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
{
    let scope = Scope {
        running: spin::Mutex::new(Vec::new()),
        scope: PhantomData,
        env: PhantomData,
    };
    let result = body(&scope);
    // One by one: those that still run may start others.
    while let Some(running) = scope.last() {
        drop(running);
    }
    result
}

/// Where [`scope`]'s threads are started.
pub struct Scope<'scope, 'env: 'scope> {
    running: spin::Mutex<Vec<Running>>,
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

impl<'scope> Scope<'scope, '_> {
    fn last(&self) -> Option<Running> {
        self.running.lock().pop()
    }

    /// Starts a thread.
    ///
    /// # Errors
    /// As [`spawn`].
    pub fn spawn<T, F>(&'scope self, work: F) -> Result<ScopedJoinHandle<'scope, T>, Error>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        let packet = Packet::new();
        let own = packet.clone();
        let work: Box<dyn FnOnce() + Send + 'scope> = Box::new(move || own.finish(work()));
        // SAFETY: only the lifetime changes, and `scope` waits for the thread's end before anything of `'scope` ends: nothing
        // unwinds here, and nobody else can drop a `Scope`.
        let work = unsafe {
            core::mem::transmute::<Box<dyn FnOnce() + Send + 'scope>, Box<dyn FnOnce() + Send>>(
                work,
            )
        };
        let running = Running::start(work)?;
        self.running.lock().push(running);
        Ok(ScopedJoinHandle {
            packet,
            scope: PhantomData,
        })
    }
}

/// A thread of a [`scope`].
pub struct ScopedJoinHandle<'scope, T> {
    packet: Arc<Packet<T>>,
    scope: PhantomData<&'scope ()>,
}

impl<T> ScopedJoinHandle<'_, T> {
    /// Waits until the thread has a result, and returns it.
    pub fn join(self) -> T {
        self.packet.wait()
    }
}

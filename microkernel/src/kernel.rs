//! The kernel's whole state. One CPU, interrupts off: whoever holds the `&mut` is alone.

use core::mem::offset_of;

use crate::{
    arch,
    irq::Vectors,
    sched::Ready,
    slot::SlotRef,
    space::SpaceIds,
    thread::{ThreadRef, ThreadState},
    timer::Timer,
    trace::{Event, Trace},
};

/// Where the fast path finds the highest priority that is ready.
pub const READY_TOP: usize = offset_of!(Kernel, ready) + Ready::TOP;

/// The kernel's state.
pub struct Kernel {
    /// The thread that runs, or [`Kernel::idle`].
    pub current: ThreadRef,
    /// Stands for "nobody": never queued, runs HLT.
    pub idle: ThreadRef,
    /// Threads that could run.
    pub ready: Ready,
    /// Deadlines and the time slice.
    pub timer: Timer,
    /// Which Space has which id.
    pub spaces: SpaceIds,
    /// Which Irq has which vector.
    pub vectors: Vectors,
    /// Node (slot 0) of the first CapTable that is being emptied.
    pub dying: Option<SlotRef>,
    /// The last events.
    pub trace: Trace,
    /// System calls try the fast path, unless tracing is on.
    pub fast_path: bool,
    /// Most TSC ticks between an entry and its exit; 0 unless the kernel was built to measure it (`longest-section`).
    pub longest_section: u64,
    /// TSC ticks per second.
    pub tsc_hz: u64,
    /// TSC when the kernel started.
    pub boot_time: u64,
    /// Who is charged for the time since `charged_from`: the thread that ran after the last slow switch.
    payer: ThreadRef,
    charged_from: u64,
    /// The space the processor uses, as CR3 wants it.
    loaded_root: u64,
    /// A space with nothing in its user half, as CR3 wants it.
    pub empty_root: u64,
}

impl Kernel {
    /// A kernel with nobody to run but `idle`.
    pub const fn new(idle: ThreadRef) -> Self {
        Self {
            current: idle,
            idle,
            ready: Ready::new(),
            timer: Timer::new(),
            spaces: SpaceIds::new(),
            vectors: Vectors::new(),
            dying: None,
            trace: Trace::new(),
            fast_path: true,
            longest_section: 0,
            tsc_hz: 0,
            boot_time: 0,
            payer: idle,
            charged_from: 0,
            loaded_root: 0,
            empty_root: 0,
        }
    }

    /// The machine is set up: `root` is the page-table root in use, with nothing in its user half.
    pub fn begin(&mut self, root: u64, tsc_hz: u64) {
        self.tsc_hz = tsc_hz;
        self.boot_time = arch::cpu::now();
        self.idle.set_state(ThreadState::Ready);
        arch::set_current(self.idle);
        self.charged_from = self.boot_time;
        self.empty_root = arch::paging::cr3(root, 0);
        self.loaded_root = self.empty_root;
    }

    /// The first step of every entry but the fast path: catches up with what that did. It switches threads by changing
    /// TSS.RSP0 and CR3 alone, and leaves the running thread's state stale.
    #[inline]
    pub fn enter(&mut self) {
        if let Some(current) = arch::current() {
            self.current = current;
        }
        if self.current != self.idle {
            self.current.set_state(ThreadState::Ready);
            self.loaded_root = self.current.cr3.get();
        }
    }

    /// A thread in state Ready may run: queues it.
    pub fn make_ready(&mut self, thread: ThreadRef) {
        debug_assert_eq!(thread.state(), ThreadState::Ready);
        if thread != self.current {
            self.ready.push_back(thread);
        }
    }

    /// Takes a thread out of the ready queue, if it is there.
    pub fn make_unready(&mut self, thread: ThreadRef) {
        if thread.state() == ThreadState::Ready && thread != self.current {
            self.ready.remove(thread);
        }
    }

    /// Changes the priority a thread runs at now.
    pub fn set_priority(&mut self, thread: ThreadRef, priority: i32) {
        if thread.priority.get() == priority {
            return;
        }
        self.make_unready(thread);
        thread.priority.set(priority);
        if thread.state() == ThreadState::Ready {
            self.make_ready(thread);
        }
    }

    /// The current thread just blocked and made `next` Ready: switches to it unless somebody more urgent is ready.
    pub fn hand_over(&mut self, next: ThreadRef) {
        if next.priority.get() >= self.ready.top() {
            self.switch_to(next);
        } else {
            self.make_ready(next);
        }
    }

    /// An interrupt made `next` Ready: switches to it if it is the most urgent.
    pub fn preempt(&mut self, next: ThreadRef) {
        let urgent = next.priority.get() > self.current.priority.get().max(self.ready.top());
        if !urgent {
            return self.make_ready(next);
        }
        if self.current != self.idle {
            self.ready.push_front(self.current);
        }
        self.switch_to(next);
    }

    /// Picks who runs next. Every entry ends here.
    pub fn reschedule(&mut self) {
        let current = self.current;
        if current.state() == ThreadState::Ready {
            if current.priority.get() >= self.ready.top() {
                return;
            }
            if current != self.idle {
                self.ready.push_front(current);
            }
        }
        let next = self.ready.pop().unwrap_or(self.idle);
        self.switch_to(next);
    }

    /// Lets others of the same priority run.
    pub fn rotate(&mut self) {
        let current = self.current;
        if current != self.idle
            && current.state() == ThreadState::Ready
            && self.ready.top() >= current.priority.get()
        {
            self.ready.push_back(current);
            let next = self.ready.pop().unwrap_or(self.idle);
            self.switch_to(next);
        }
    }

    fn switch_to(&mut self, next: ThreadRef) {
        self.charge(next);
        self.trace
            .record(Event::Switch, 0, next.physical(), next.frame().rip.get());
        self.current = next;
        arch::set_current(next);
        if next != self.idle {
            self.load_root(next.cr3.get());
        }
    }

    fn charge(&mut self, next: ThreadRef) {
        let now = arch::cpu::now();
        self.payer
            .paid
            .set(self.payer.paid.get() + (now - self.charged_from));
        self.payer = next;
        self.charged_from = now;
    }

    /// A thread is being destroyed: it neither runs nor pays any more.
    pub fn forget(&mut self, thread: ThreadRef) {
        if thread == self.payer {
            self.charge(self.idle);
        }
        if thread == self.current {
            self.switch_to(self.idle);
        }
    }

    /// Uses another space, given as CR3 wants it.
    pub fn load_root(&mut self, root: u64) {
        if root != self.loaded_root {
            self.loaded_root = root;
            arch::paging::load_root(root);
        }
    }

    /// The space the processor uses, as CR3 wants it.
    pub fn loaded_root(&self) -> u64 {
        self.loaded_root
    }
}

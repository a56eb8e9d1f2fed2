//! The kernel's whole state. One CPU, interrupts off: whoever holds the `&mut` is alone.

use crate::{
    arch::{self, frame},
    irq::Vectors,
    sched::Ready,
    slot::SlotRef,
    space::SpaceIds,
    thread::{ThreadFlags, ThreadRef, ThreadState},
    timer::Timer,
    trace::{Event, Trace},
};

/// The kernel's state.
pub struct Kernel {
    /// Stands for "nobody": never queued, runs HLT.
    pub idle: ThreadRef,
    /// Threads that could run.
    pub ready: Ready,
    /// Deadlines and the turn.
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
    /// The running turn.
    pub(crate) turn: Turn,
    /// A space with nothing in its user half, as CR3 wants it.
    pub empty_root: u64,
}

/// A turn: the time between two choices of who is next.
#[derive(Clone, Copy)]
pub struct Turn {
    /// Whose it is: it pays for the time since it began, also for that of the servers that work for it.
    pub payer: ThreadRef,
    /// When (TSC).
    pub began: u64,
    /// It has lasted long enough, but a server works in it.
    pub over: bool,
}

impl Kernel {
    /// A kernel with nobody to run but `idle`.
    pub const fn new(idle: ThreadRef) -> Self {
        Self {
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
            turn: Turn { payer: idle, began: 0, over: false },
            empty_root: 0,
        }
    }

    /// The machine is set up: `root` is the page-table root in use, with nothing in its user half.
    pub fn begin(&mut self, root: u64, tsc_hz: u64) {
        self.tsc_hz = tsc_hz;
        self.boot_time = arch::cpu::now();
        self.idle.set_state(ThreadState::Ready);
        self.idle.frame().vector.set(frame::IDLE);
        arch::set_current(self.idle);
        self.turn.began = self.boot_time;
        self.timer.set_turn(tsc_hz);
        self.empty_root = arch::paging::cr3(root, 0);
        self.idle.cr3.set(self.empty_root);
    }

    /// The thread that runs, or [`Kernel::idle`]. The processor knows it best: the fast path switches threads by changing
    /// TSS.RSP0 and CR3 alone.
    #[inline]
    pub fn current(&self) -> ThreadRef {
        arch::current().unwrap_or(self.idle)
    }

    /// The first step of every entry but the fast path, which leaves the running thread's state stale. Returns it.
    #[inline]
    pub fn enter(&self) -> ThreadRef {
        let thread = self.current();
        thread.set_state(ThreadState::Ready);
        thread
    }

    /// A thread in state Ready may run: queues it.
    pub fn make_ready(&mut self, thread: ThreadRef) {
        debug_assert_eq!(thread.state(), ThreadState::Ready);
        if thread != self.current() {
            self.ready.push_back(thread);
            let payer = self.turn.payer.priority.get();
            if payer >= 0 && thread.priority.get() >= payer {
                self.timer.limit_turn();
            }
        }
    }

    /// Takes a thread out of the ready queue, if it is there.
    pub fn make_unready(&mut self, thread: ThreadRef) {
        if thread.state() == ThreadState::Ready && thread != self.current() {
            self.ready.remove(thread);
        }
    }

    /// Changes the priority a thread runs at now.
    #[inline(never)]
    pub fn set_priority(&mut self, thread: ThreadRef, priority: i32) {
        if thread.priority.get() == priority {
            return;
        }
        self.make_unready(thread);
        thread.priority.set(priority);
        if thread.state() == ThreadState::Ready {
            self.make_ready(thread);
        }
        if thread == self.turn.payer && self.ready.top() >= priority {
            self.timer.limit_turn();
        }
    }

    /// The current thread blocked, and `next` is Ready: runs it on the same account, as the fast path does, unless somebody
    /// more urgent is ready.
    #[inline(always)]
    pub fn hand_over(&mut self, next: ThreadRef) {
        if next.priority.get() >= self.ready.top() {
            self.enter_thread(next);
        } else {
            self.make_ready(next);
            self.run_next();
        }
    }

    /// The current thread answered `next` and blocked: runs that, if its priority allows. A reply in the running turn goes on
    /// with it, as on the fast path, and so does one to its payer; any other begins a turn, behind its equals.
    #[inline(always)]
    pub fn hand_back(&mut self, next: ThreadRef, in_turn: bool) {
        if in_turn || (next == self.turn.payer && !self.turn.over) {
            self.hand_over(next);
        } else if next.priority.get() > self.ready.top() {
            self.switch_to(next);
        } else {
            self.make_ready(next);
            self.run_next();
        }
    }

    /// An interrupt made `next` Ready: switches to it if it is the most urgent.
    pub fn preempt(&mut self, next: ThreadRef) {
        let current = self.current();
        let urgent = next.priority.get() > current.priority.get().max(self.ready.top());
        if !urgent {
            return self.make_ready(next);
        }
        if current != self.idle {
            self.ready.push_front(current);
        }
        self.change_to(next);
    }

    /// The last step of every entry: lets the most urgent thread run. Usually that is `current`, who runs.
    #[inline(always)]
    pub fn leave(&mut self, current: ThreadRef) {
        if !self.goes_on(current) {
            self.choose(current);
        }
    }

    /// The running thread is still the most urgent.
    #[inline(always)]
    pub fn goes_on(&self, current: ThreadRef) -> bool {
        current.is_ready() && current.priority.get() >= self.ready.top()
    }

    /// Switches to the most urgent thread.
    pub fn choose(&mut self, current: ThreadRef) {
        if current.is_ready() && current != self.idle {
            self.ready.push_front(current);
        }
        self.run_next();
    }

    /// The running thread is queued, or blocked: switches to the first of the ready ones.
    #[inline(never)]
    pub fn run_next(&mut self) {
        match self.ready.pop() {
            Some(next) => self.change_to(next),
            None => self.rest(),
        }
    }

    /// Nobody is ready: idle runs, in whatever space is there, and pays.
    #[inline(always)]
    fn rest(&mut self) {
        let (current, idle) = (self.current(), self.idle);
        self.turn = self.next_turn(idle);
        self.timer.begin_turn(self.turn.began, false);
        self.trace.record_message(Event::Switch, idle.address(), 0);
        if current.flags().contains(ThreadFlags::FPU) {
            switch_fpu(current, idle);
        }
        arch::set_current(idle);
        idle.cr3.set(current.cr3.get());
    }

    /// Lets others of the same priority run.
    pub fn rotate(&mut self) {
        let current = self.current();
        if current != self.idle && current.is_ready() && self.ready.top() >= current.priority.get()
        {
            self.ready.push_back(current);
            self.run_next();
        }
    }

    /// The turn has lasted long enough: others of the running thread's priority are next. If it is a server more urgent than
    /// they, it works on, and whoever it answers begins a turn of its own.
    pub fn end_turn(&mut self) {
        let current = self.current();
        if self.ready.top() >= current.priority.get() {
            self.rotate();
        } else {
            self.turn.over = true;
            current.leave_turn();
        }
    }

    /// [`Kernel::change_to`], for where it is not worth its length.
    #[inline(never)]
    fn switch_to(&mut self, next: ThreadRef) {
        self.change_to(next);
    }

    /// Runs another thread, on its own account.
    #[inline(always)]
    fn change_to(&mut self, next: ThreadRef) {
        self.begin_turn(next);
        self.trace.record(Event::Switch, next.address(), next.frame().rip.get());
        self.enter_thread(next);
    }

    #[inline(always)]
    fn enter_thread(&mut self, next: ThreadRef) {
        let current = self.current();
        if (current.flags() | next.flags()).contains(ThreadFlags::FPU) {
            switch_fpu(current, next);
        }
        arch::set_current(next);
        if next == self.idle {
            // It does with whatever space is there.
            next.cr3.set(current.cr3.get());
        } else if next.cr3.get() != current.cr3.get() {
            arch::paging::load_root(next.cr3.get());
        }
    }

    /// From now on `next` pays. With equals that are ready, only for so long.
    #[inline(always)]
    fn begin_turn(&mut self, next: ThreadRef) {
        self.turn = self.next_turn(next);
        next.leave_turn();
        let contended = next != self.idle && self.ready.top() >= next.priority.get();
        self.timer.begin_turn(self.turn.began, contended);
    }

    /// The running turn ends now: its payer has paid. Returns the one of `payer`, which begins.
    #[inline(always)]
    fn next_turn(&self, payer: ThreadRef) -> Turn {
        let began = arch::cpu::now();
        let paid = &self.turn.payer.paid;
        paid.set(paid.get() + (began - self.turn.began));
        Turn { payer, began, over: false }
    }

    /// A thread is being destroyed: it neither runs nor pays any more.
    pub fn forget(&mut self, thread: ThreadRef) {
        if thread == self.turn.payer {
            let current = self.current();
            let heir = if thread == current { self.idle } else { current };
            self.begin_turn(heir);
        }
        if thread == self.current() {
            self.switch_to(self.idle);
        }
    }

    /// Takes a thread's Space away.
    pub fn leave_space(&mut self, thread: ThreadRef) {
        thread.cr3.set(self.empty_root);
        if thread == self.current() {
            arch::paging::load_root(self.empty_root);
        }
    }

    /// The space the processor uses, as CR3 wants it.
    pub fn loaded_root(&self) -> u64 {
        self.current().cr3.get()
    }
}

/// One of the two may use the floating-point registers.
#[cold]
fn switch_fpu(current: ThreadRef, next: ThreadRef) {
    if current.flags().contains(ThreadFlags::FPU) {
        arch::fpu::leave(current.fpu());
    }
    if next.flags().contains(ThreadFlags::FPU) {
        arch::fpu::enter(next.fpu());
    }
}

//! A booted kernel in memory of its own, driven only through its entries: system call, trap, interrupt.
//!
//! The memory lies below 128 GiB, because a slot's links hold 32 bits of `address >> 5`. The kernel's own state lies in
//! it, too, so that a copy of the memory is a copy of the world.

use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use abi::{Tag, fault::Registers};
use bootinfo::{Acpi, BootInfo, Image, MemoryKind, MemoryRange, Range};
use microkernel::{
    Kernel,
    arch::{self, frame, host},
    boot,
    syscall::{self, Exit, Operation},
    thread::{self, Block, ThreadRef},
    trap,
};
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

/// TSC ticks per second of the machine.
pub const HZ: u64 = 100_000;
/// Bytes of a world.
pub const SIZE: u64 = 8 << 20;
/// From here on its memory is free at boot.
const FREE: u64 = 128 << 10;
/// Entry point of the first program.
pub const ENTRY: u64 = 0x40_0000;

/// The registers of a system call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Call {
    pub rax: u64,
    pub rdi: u64,
    pub rsi: u64,
    pub rdx: u64,
    pub r8: u64,
    pub r9: u64,
    pub r10: u64,
    pub words: [u64; 4],
}

/// Something that happens to the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The running thread executes SYSCALL.
    Call(Call),
    /// The running thread traps.
    Trap { vector: u8, error: u64, address: u64, registers: Box<Registers> },
    /// The local APIC's timer fires.
    Timer,
    /// An interrupt arrives.
    Interrupt(u8),
    /// A user program writes its memory: physical address, value.
    Store(u64, u64),
}

/// A kernel and its memory.
pub struct World {
    pub base: u64,
    idle: ThreadRef,
}

impl World {
    /// Boots with nothing but root.
    pub fn boot() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(16 << 30);
        let hint = NEXT.fetch_add(2 * SIZE, Relaxed);
        // SAFETY: a new mapping, nobody else's memory.
        let memory = unsafe {
            mmap_anonymous(
                hint as *mut _,
                SIZE as usize,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE,
            )
        };
        let base = memory.expect("8 MiB of memory") as u64;
        assert!(base + SIZE < 1 << 37, "the host gave memory at {base:#x}");
        let block = (base + FREE - 8192) as *mut Block;
        // SAFETY: inside the fresh mapping, aligned to pages; nothing else refers to it.
        let idle = unsafe {
            block.write(Block::new(-1));
            thread::in_static(&*block)
        };
        let mut world = Self { base, idle };
        world.reboot();
        world
    }

    /// Boots once more in the same memory, which keeps what lies in it.
    pub fn reboot(&mut self) {
        static PROTECT: Once = Once::new();
        // All memory below 1 TiB is RAM; device registers lie above.
        PROTECT.call_once(|| arch::protect([(0, 1 << 40)].into_iter().collect()));
        assert!(size_of::<Kernel>() as u64 <= FREE - 8192);
        // SAFETY: as in `boot`; the old kernel owns nothing outside this memory.
        unsafe {
            ((self.base + FREE - 8192) as *mut Block).write(Block::new(-1));
            ((self.base + FREE - 4096) as *mut [u64; 512]).write([0; 512]);
            (self.base as *mut Kernel).write(Kernel::new(self.idle));
        }
        host::set_machine(|machine| *machine = host::Machine::new());
        let info = BootInfo {
            version: bootinfo::VERSION,
            command_line: "proof",
            memory: [MemoryRange {
                start: self.base + FREE,
                size: SIZE - FREE,
                kind: MemoryKind::Usable,
            }]
            .into_iter()
            .collect(),
            kernel: Range { start: 0, size: 0 },
            kernel_virtual: 0,
            root: Image { entry: ENTRY, segments: Default::default() },
            archive: Range { start: 0, size: 0 },
            acpi: Acpi::default(),
        };
        let root = self.base + FREE - 4096;
        let kernel = self.kernel();
        kernel.begin(root, HZ);
        boot::start_root(kernel, &info).expect("enough memory for root");
        let root = self.current().expect("root runs");
        root.frame().vector.set(frame::SYSCALL);
    }

    /// The kernel's state.
    pub fn kernel(&mut self) -> &mut Kernel {
        // SAFETY: `reboot` put it there; the borrow of `self` makes it the only one.
        unsafe { &mut *(self.base as *mut Kernel) }
    }

    /// The running thread; `None`: nobody runs.
    pub fn current(&mut self) -> Option<ThreadRef> {
        let current = self.kernel().current();
        (current != self.idle).then_some(current)
    }

    /// Lets something happen. A system call and a trap need a running thread.
    pub fn step(&mut self, event: &Event) {
        match event {
            Event::Call(call) => {
                let thread = self.current().expect("a thread runs");
                set_call(thread, call);
                if syscall::handle(self.kernel(), Operation::of(Tag(call.rax))) == Exit::Zeros {
                    let thread = self.kernel().current();
                    thread.frame().set_status(0);
                }
            }
            Event::Trap { vector, error, address, registers } => {
                let thread = self.current().expect("a thread runs");
                let frame = thread.frame();
                frame.set_registers(registers).expect("user registers");
                frame.vector.set(*vector as u64);
                frame.error.set(*error);
                host::set_machine(|machine| machine.fault_address = *address);
                trap::handle(self.kernel(), *vector);
            }
            Event::Timer => {
                host::set_machine(|machine| machine.timer = u64::MAX);
                trap::handle(self.kernel(), trap::TIMER_VECTOR);
            }
            Event::Interrupt(vector) => trap::handle(self.kernel(), *vector),
            Event::Store(address, value) => {
                // SAFETY: inside this world's memory (a Frame or a message buffer), which Rust never borrows.
                unsafe { (*address as *mut u64).write_volatile(*value) }
            }
        }
        // The way out: whoever runs in user mode has a frame that says SYSCALL.
        if let Some(thread) = self.current() {
            thread.frame().vector.set(frame::SYSCALL);
        }
    }

    /// A page of this world's memory.
    pub fn page(&self, address: u64) -> [u8; 4096] {
        assert!(address >= self.base && address + 4096 <= self.base + SIZE);
        // SAFETY: inside the mapping; no kernel code runs meanwhile.
        unsafe { (address as *const [u8; 4096]).read_volatile() }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // SAFETY: mapped by `boot`; nothing refers to it any more.
        unsafe { munmap(self.base as *mut _, SIZE as usize) }.expect("unmap");
    }
}

/// The registers as the entry code saves them at SYSCALL; RIP, RSP, RBX and RBP stay the thread's own.
pub fn set_call(thread: ThreadRef, call: &Call) {
    let frame = thread.frame();
    frame.vector.set(frame::SYSCALL);
    let [w0, w1, w2, w3] = call.words;
    for (cell, value) in [
        (&frame.rax, call.rax),
        (&frame.rdi, call.rdi),
        (&frame.rsi, call.rsi),
        (&frame.rdx, call.rdx),
        (&frame.r8, call.r8),
        (&frame.r9, call.r9),
        (&frame.r10, call.r10),
        (&frame.r12, w0),
        (&frame.r13, w1),
        (&frame.r14, w2),
        (&frame.r15, w3),
    ] {
        cell.set(value);
    }
}

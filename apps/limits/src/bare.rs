//! What is measured, in which order, and the lines for the host tool.

use core::fmt::{Display, Write};

use bootinfo::{BootInfo, cycles, exit};
use table::Figures;

use microkernel::arch::{cpu, entry, gdt, mmio, paging, port, serial};
use x86_64::registers::control::{Cr4, Cr4Flags};
use x86_64::registers::model_specific::LStar;
use x86_64::structures::idt::InterruptDescriptorTable;
use x86_64::{PrivilegeLevel, VirtAddr};

use super::places::*;
use super::spaces::{
    self, A, ARGUMENTS, BUFFER, CURRENT, KNOWN, PAGE, SAMPLES, SLOT, SPACES, Static, TICKS,
};

/// Crossings, or round trips, in one sample.
const BATCH: u64 = 16;
/// Pages that are touched in one sample.
const PAGES: u64 = 32;
/// The vector that ends user code, and the first of those that stand for one function each.
const END: u8 = 0x90;
const FIRST_VECTOR: u8 = 0x81;
/// The vector that stands for a device's.
const INTERRUPT: u8 = 0x91;
/// Where the local APIC is told of an interrupt's end (SDM 3A 11.8.5).
const END_OF_INTERRUPT: u64 = 0xb0;
/// A value of CR3 with bit 63 does not flush what is tagged (SDM 3A 4.10.4.1); its lowest bits are the tag.
const KEEP: u64 = 1 << 63;

static TRAP_STACK: Static<[u64; 512]> = Static::new([0; 512]);
static IDT: Static<InterruptDescriptorTable> = Static::new(InterruptDescriptorTable::new());
static OFFSET: Static<u64> = Static::new(0);
/// The entry of a page, the address of the local APIC's register, and where a thread begins that has one call to make.
static ENTRY: Static<u64> = Static::new(0);
static EOI: Static<u64> = Static::new(0);
static LIFE: Static<u64> = Static::new(0);
/// What is copied between the messages of two threads, and from where: 1 KiB each.
static WORDS: Static<[u64; 256]> = Static::new([0; 256]);
static COPY: [Static<spaces::Page>; 2] = [const { Static::new(spaces::Page([0; 512])) }; 2];

core::arch::global_asm!(
    concat!(
        include_str!("crossing.s"),
        include_str!("objects.s"),
        include_str!("anatomy.s")
    ),
    stack = sym entry::POSTERN_STACK,
    stack_size = const entry::STACK,
    start = sym start,
    thread_a = sym A,
    current = sym CURRENT,
    trap_stack = sym TRAP_STACK,
    arguments = sym ARGUMENTS,
    offset = sym OFFSET,
    words = sym WORDS,
    entry = sym ENTRY,
    eoi = sym EOI,
    life = sym LIFE,
    spaces = sym SPACES,
    slot = const SLOT,
    page = const PAGE,
    interrupt = const INTERRUPT,
    batch = const BATCH,
    cycles = const cycles::INDEX,
    pages = const PAGES,
    known = const KNOWN,
    end = const END,
    first_vector = const FIRST_VECTOR,
);

extern "C" fn start(info: *const u8, length: usize) -> ! {
    serial::init();
    // SAFETY: the loader passes the address and length of its postcard bytes, in the physical map.
    let bytes = unsafe { core::slice::from_raw_parts(info, length) };
    let done = postcard::from_bytes(bytes)
        .map_err(|_| "boot information")
        .and_then(|info| measure(&info));
    let value = match done {
        Ok(()) => exit::SUCCESS,
        Err(why) => {
            let _ = writeln!(Line, "limits: {why}");
            exit::LOADER_REFUSED
        }
    };
    end(value)
}

/// Ends the machine; or, where another kernel follows, only this one.
fn end(value: u8) -> ! {
    relay::pass_on();
    port::end_machine(value)
}

/// The command line is `NONCE SAMPLES`, or `table SAMPLES`, and words for the loader.
fn measure(info: &BootInfo) -> Result<(), &'static str> {
    let mut words = info.command_line.split_whitespace();
    let nonce = words.next().ok_or("no nonce")?;
    let samples = words.next().and_then(|word| word.parse().ok());
    let samples = samples
        .filter(|n| (1..=SAMPLES).contains(n))
        .ok_or("no number of samples")?;
    relay::init(info.command_line);
    gdt::init();
    cpu::init();
    gdt::set_trap_stack(TRAP_STACK.address() + 4096);
    interrupts();
    let offset = info.kernel_virtual - info.kernel.start;
    // SAFETY: the loader's tables are still there.
    let counts_cycles = unsafe { super::cycles::take(offset) };
    match (nonce, counts_cycles) {
        (table::WORD, true) => title(table::CYCLES),
        (table::WORD, false) => title(table::TICKS),
        (_, true) => drop(writeln!(Line, "\x1ebench {nonce} cycles")),
        (_, false) => {}
    }
    // SAFETY: nothing else runs; only the walk through the tables reads it.
    unsafe { *OFFSET.0.get() = offset };
    paging::load_root(mmio::build_root(offset));
    // SAFETY: nothing else runs; only the code that is measured reads them.
    unsafe {
        *ENTRY.0.get() = spaces::entry(offset);
        *EOI.0.get() = mmio::map(0, info.acpi.local_apic) + END_OF_INTERRUPT;
        *LIFE.0.get() = spaces::user(limits_user_once);
    }
    let [first, second] = spaces::build(offset);
    paging::load_root(first);

    let overhead = run(limits_user_clock, samples.min(64)).0[0];
    let bench = Bench { nonce, samples };
    for (id, entry, user, expected) in CROSSINGS {
        bench.crossing(id, entry, user, expected, overhead)?;
    }
    spaces::serve(limits_user_handler);
    LStar::write(VirtAddr::new(limits_enter_interrupted as *const () as u64));
    let (ticks, _) = run(limits_user_interrupt, samples);
    // INT stands for the line of a device; it is no part of the way.
    bench.result("limit.vector", 1, overhead + 1, ticks);
    let has = |feature| Cr4::read().contains(feature);
    if has(Cr4Flags::SUPERVISOR_MODE_ACCESS_PREVENTION) {
        let (entry, user) = (limits_enter_direct, limits_user_pointed);
        bench.crossing("trap.args.direct", entry, user, Some(SUM), overhead)?;
    } else {
        bench.absent("trap.args.direct", "this processor has no STAC and CLAC");
    }

    let [from, to] = [0, 1].map(|index| COPY[index].address());
    bench.kernel("limit.copy.4096", limits_kernel_copy, 1, from, to);
    bench.kernel("switch.cr3", limits_kernel_cr3, BATCH, first, second);
    if has(Cr4Flags::PCID) {
        let tagged = [first | 1 | KEEP, second | 2 | KEEP];
        bench.kernel(
            "switch.cr3_pcid",
            limits_kernel_cr3,
            BATCH,
            tagged[0],
            tagged[1],
        );
        paging::load_root(first);
    } else {
        bench.absent("switch.cr3_pcid", "this processor has no PCID");
    }
    // The user's pages, of 4 KiB; the kernel's own are larger.
    bench.kernel("tlb.warm", limits_kernel_warm, PAGES, first, BUFFER);
    bench.kernel("tlb.refill", limits_kernel_refill, PAGES, first, BUFFER);
    if nonce != table::WORD {
        let _ = writeln!(Line, "\x1ebench {nonce} end");
    }
    Ok(())
}

/// The head of a table for a person.
fn title(unit: &str) {
    let _ = write!(Line, "{unit}\r\n{}\r\n", table::HEADING);
}

/// Handlers of what user code does on purpose. Every other exception resets the machine.
fn interrupts() {
    let address = |place: Place| VirtAddr::new(place as *const () as u64);
    // SAFETY: called once, with interrupts off; the handlers return to user code, or to `limits_run`, inside which alone user
    // code runs. The vectors' addresses are in the image.
    unsafe {
        let idt = &mut *IDT.0.get();
        idt.invalid_opcode.set_handler_addr(address(limits_fault));
        let user = PrivilegeLevel::Ring3;
        idt[0x80]
            .set_handler_addr(address(limits_int80))
            .set_privilege_level(user);
        for (vector, handler) in [(END, limits_done as Place), (INTERRUPT, limits_fault)] {
            idt[vector]
                .set_handler_addr(address(handler))
                .set_privilege_level(user);
        }
        for (vector, handler) in (FIRST_VECTOR..).zip(limits_vectors) {
            idt[vector]
                .set_handler_addr(VirtAddr::new(handler))
                .set_privilege_level(user);
        }
        idt.load();
    }
}

/// Where results go.
struct Bench<'a> {
    nonce: &'a str,
    samples: usize,
}

impl Bench<'_> {
    /// Measures what user code does.
    fn crossing(
        &self,
        id: &str,
        entry: Place,
        user: Place,
        expected: Option<u64>,
        overhead: u64,
    ) -> Result<(), &'static str> {
        LStar::write(VirtAddr::new(entry as *const () as u64));
        run(user, self.samples.min(64));
        let (ticks, result) = run(user, self.samples);
        if expected.is_some_and(|expected| expected != result) {
            return Err("a trap did not bring what it should");
        }
        self.result(id, BATCH, overhead, ticks);
        Ok(())
    }

    /// Measures what ring 0 does alone.
    fn kernel(&self, id: &str, code: Kernel, batch: u64, one: u64, other: u64) {
        let run = |code: Kernel, samples: usize| {
            // SAFETY: the code writes `samples` words at TICKS. What it reads, copies and loads into CR3 is mapped or made for it
            // in `measure`, and both spaces share the kernel half.
            unsafe {
                code(TICKS.address(), samples as u64, one, other);
                &mut (&mut *TICKS.0.get()).0[..samples]
            }
        };
        let clock = run(limits_kernel_clock, self.samples.min(64));
        let overhead = clock.iter().copied().min().unwrap_or(0);
        run(code, self.samples.min(64));
        self.result(id, batch, overhead, run(code, self.samples));
    }

    fn result(&self, id: &str, batch: u64, overhead: u64, ticks: &mut [u64]) {
        for tick in ticks.iter_mut() {
            *tick = (tick.saturating_sub(overhead) + batch / 2) / batch;
        }
        if self.nonce == table::WORD {
            return match Figures::of(ticks) {
                Ok(figures) => row(id, figures),
                Err(why) => row(id, why),
            };
        }
        ticks.sort_unstable();
        let _ = write!(
            Line,
            "\x1ebench {} result {id} {batch} {overhead}",
            self.nonce
        );
        for same in ticks.chunk_by(|one, other| one == other) {
            let _ = write!(Line, " {}*{}", same[0], same.len());
        }
        let _ = writeln!(Line);
    }

    fn absent(&self, id: &str, why: &str) {
        if self.nonce == table::WORD {
            return row(id, why);
        }
        let _ = writeln!(Line, "\x1ebench {} absent {id} {why}", self.nonce);
    }
}

/// A line of a table for a person.
fn row(id: &str, what: impl Display) {
    let _ = write!(Line, "{}\r\n", table::Line(id, what));
}

/// Runs user code in the first space; returns its samples, sorted if it is the clock's, and its result.
fn run(code: Place, samples: usize) -> (&'static mut [u64], u64) {
    // SAFETY: the user code ends with INT after it has written `samples` words at BUFFER, which is TICKS; both spaces map the
    // page of user code and share the kernel half, so that whichever runs, the kernel goes on.
    let (ticks, result) = unsafe {
        let result = limits_run(spaces::user(code), BUFFER, samples as u64);
        let all = &mut *TICKS.0.get();
        (&mut all.0[..samples], result)
    };
    if code as *const () == limits_user_clock as *const () {
        ticks.sort_unstable();
    }
    (ticks, result)
}

/// The serial line, and what the last kernel shows of it, where others follow.
struct Line;

impl Write for Line {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        text.bytes().for_each(serial::write);
        relay::tell(text);
        Ok(())
    }
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo) -> ! {
    let _ = writeln!(Line, "limits: {info}");
    end(exit::KERNEL_PANIC)
}

//! Two spaces, one page of user code, and the lines for the host tool.

use core::cell::UnsafeCell;
use core::fmt::Write;

use bootinfo::{BootInfo, exit};
use microkernel::arch::{cpu, entry, gdt, mmio, paging, port, serial};
use x86_64::VirtAddr;
use x86_64::registers::model_specific::LStar;
use x86_64::structures::idt::InterruptDescriptorTable;
use x86_64::structures::paging::PageTableFlags as Flags;

/// Crossings, or round trips, in one sample.
const BATCH: u64 = 16;
/// Most samples.
const SAMPLES: usize = 16 << 10;
/// Where the page of user code is mapped.
const CODE: u64 = 0x40_0000;
/// Where the samples are mapped, in the first space.
const BUFFER: u64 = CODE + 4096;

/// What the switch knows of a side. `crossing.s` has the offsets.
#[repr(C)]
struct Side {
    rip: u64,
    rsp: u64,
    /// The kernel's stack pointer while user code runs.
    kernel: u64,
    other: *const Static<Side>,
    cr3: u64,
}

/// Page tables of a space with one stretch of user memory below 2 MiB from [`CODE`].
#[repr(C, align(4096))]
struct Tables([[u64; 512]; 4]);

#[repr(C, align(4096))]
struct Samples([u64; SAMPLES]);

#[repr(transparent)]
struct Static<T>(UnsafeCell<T>);
// SAFETY: one CPU, interrupts off, and no reference outlives the statement that makes it.
unsafe impl<T> Sync for Static<T> {}

impl<T> Static<T> {
    const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    fn address(&self) -> u64 {
        self.0.get() as u64
    }
}

const fn side(other: *const Static<Side>) -> Static<Side> {
    Static::new(Side {
        rip: 0,
        rsp: 0,
        kernel: 0,
        other,
        cr3: 0,
    })
}

static A: Static<Side> = side(&raw const B);
static B: Static<Side> = side(&raw const A);
static CURRENT: Static<*const Static<Side>> = Static::new(&raw const A);
static SPACES: [Static<Tables>; 2] = [const { Static::new(Tables([[0; 512]; 4])) }; 2];
static TICKS: Static<Samples> = Static::new(Samples([0; SAMPLES]));
static TRAP_STACK: Static<[u64; 512]> = Static::new([0; 512]);
static IDT: Static<InterruptDescriptorTable> = Static::new(InterruptDescriptorTable::new());

core::arch::global_asm!(
    include_str!("crossing.s"),
    stack = sym entry::POSTERN_STACK,
    stack_size = const entry::STACK,
    start = sym start,
    thread_a = sym A,
    current = sym CURRENT,
    batch = const BATCH,
);

unsafe extern "C" {
    fn limits_run(user: u64, buffer: u64, samples: u64);
    fn limits_done();
    fn limits_enter_bare();
    fn limits_enter_switch();
    fn limits_user();
    fn limits_user_clock();
    fn limits_user_client();
    fn limits_user_server();
}

/// User address of a place in the page of user code.
fn user(place: unsafe extern "C" fn()) -> u64 {
    CODE + (place as *const () as u64 - limits_user as *const () as u64)
}

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
    port::write(exit::PORT, 1, value as u64);
    cpu::halt()
}

/// The command line is `NONCE SAMPLES`.
fn measure(info: &BootInfo) -> Result<(), &'static str> {
    let mut words = info.command_line.split_whitespace();
    let nonce = words.next().ok_or("no nonce")?;
    let samples = words.next().and_then(|word| word.parse().ok());
    let samples = samples
        .filter(|n| (1..=SAMPLES).contains(n))
        .ok_or("no number of samples")?;
    gdt::init();
    cpu::init();
    gdt::set_trap_stack(TRAP_STACK.address() + 4096);
    // SAFETY: called once, with interrupts off; `limits_done` is the only handler, and it returns to `limits_run`, inside
    // which alone user code runs. Every other exception resets the machine.
    unsafe {
        let idt = &mut *IDT.0.get();
        idt.invalid_opcode
            .set_handler_addr(VirtAddr::new(limits_done as *const () as u64));
        idt.load();
    }
    let offset = info.kernel_virtual - info.kernel.start;
    paging::load_root(mmio::build_root(offset));
    let [first, second] = [0, 1].map(|index| build(&SPACES[index], offset));
    // SAFETY: nothing runs but this function; `limits_enter_switch` reads and writes them later.
    unsafe {
        (*A.0.get()).cr3 = first;
        *B.0.get() = Side {
            rip: user(limits_user_server),
            cr3: second,
            ..core::ptr::read(B.0.get())
        };
    }
    paging::load_root(first);
    let overhead = run(limits_user_clock, samples.min(64))[0];
    let mut line = Line;
    for (id, entry) in [
        (
            "limit.crossing",
            limits_enter_bare as unsafe extern "C" fn(),
        ),
        ("limit.roundtrip.cross", limits_enter_switch),
    ] {
        LStar::write(VirtAddr::new(entry as *const () as u64));
        run(limits_user_client, samples.min(64));
        let ticks = run(limits_user_client, samples);
        for tick in ticks.iter_mut() {
            *tick = (tick.saturating_sub(overhead) + BATCH / 2) / BATCH;
        }
        ticks.sort_unstable();
        let _ = write!(line, "\x1ebench {nonce} result {id} {BATCH} {overhead}");
        for same in ticks.chunk_by(|one, other| one == other) {
            let _ = write!(line, " {}*{}", same[0], same.len());
        }
        let _ = writeln!(line);
    }
    let _ = writeln!(line, "\x1ebench {nonce} end");
    Ok(())
}

/// Runs user code in the first space and returns its samples, sorted if it is the clock's.
fn run(code: unsafe extern "C" fn(), samples: usize) -> &'static mut [u64] {
    // SAFETY: the user code ends in UD2 after it has written `samples` words at BUFFER, which is TICKS; both spaces map the
    // page of user code and share the kernel half, so that whichever runs, the kernel goes on.
    let ticks = unsafe {
        limits_run(user(code), BUFFER, samples as u64);
        let all = &mut *TICKS.0.get();
        &mut all.0[..samples]
    };
    if code as *const () == limits_user_clock as *const () {
        ticks.sort_unstable();
    }
    ticks
}

/// Fills a space's tables; returns the root's physical address.
fn build(space: &Static<Tables>, offset: u64) -> u64 {
    let physical = |address: u64| address - offset;
    let base = physical(space.address());
    let user = Flags::PRESENT | Flags::USER_ACCESSIBLE;
    let table = (user | Flags::WRITABLE).bits();
    let data = (user | Flags::WRITABLE | Flags::NO_EXECUTE).bits();
    let index = (CODE >> 21) as usize;
    // SAFETY: a static that no CR3 holds yet; every entry is a page of this image, or another of these tables.
    unsafe {
        let tables = &mut (*space.0.get()).0;
        tables[0][0] = (base + 4096) | table;
        tables[1][0] = (base + 2 * 4096) | table;
        tables[2][index] = (base + 3 * 4096) | table;
        tables[3][0] = physical(limits_user as *const () as u64) | user.bits();
        let pages = (size_of::<Samples>() / 4096) as u64;
        for page in 0..pages {
            tables[3][1 + page as usize] = physical(TICKS.address() + page * 4096) | data;
        }
    }
    paging::share_kernel_half(base);
    base
}

/// The serial line.
struct Line;

impl Write for Line {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        text.bytes().for_each(serial::write);
        Ok(())
    }
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo) -> ! {
    let _ = writeln!(Line, "limits: {info}");
    port::write(exit::PORT, 1, exit::KERNEL_PANIC as u64);
    cpu::halt()
}

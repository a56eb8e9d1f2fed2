//! From what the loader left to the first program: memory becomes Untyped, root gets everything.

use core::cell::UnsafeCell;

use abi::{
    Kind, PAGE,
    buffer::AREA,
    fault::Registers,
    object::untyped as untyped_right,
    root::{self, RootInfo},
};
use bootinfo::{BootInfo, MemoryKind, Range};
use heapless::Vec;

use crate::{
    Kernel, arch, captable, log, mem,
    raw::Ref,
    slot::{Capability, Flags, SlotRef},
    space::{self, Space},
    thread::{self, Block, ThreadRef, ThreadState},
    tree,
};

/// Word of the command line: every system call takes the slow path.
pub const NO_FAST_PATH: &str = "fastpath=off";

/// Whether the command line has a word.
pub fn has_option(info: &BootInfo, option: &str) -> bool {
    info.command_line.split_whitespace().any(|word| word == option)
}

/// The kernel's state, where the fast path finds it.
#[repr(transparent)]
pub struct Global(UnsafeCell<Kernel>);
// SAFETY: one CPU, interrupts off in the kernel, and each entry borrows it once (`kernel`).
unsafe impl Sync for Global {}

struct Idle(Block);
// SAFETY: as for Global.
unsafe impl Sync for Idle {}

static IDLE: Idle = Idle(Block::new(-1));
/// See [`kernel`].
#[unsafe(no_mangle)]
pub static POSTERN_KERNEL: Global =
    Global(UnsafeCell::new(Kernel::new(thread::in_static(&IDLE.0))));

/// The kernel's state.
pub fn kernel() -> &'static mut Kernel {
    // SAFETY: called once by each entry (`entry.rs`), at boot before the first exit, and by a panic, which does not
    // return to the holder. Entries do not nest: interrupts are off.
    unsafe { &mut *POSTERN_KERNEL.0.get() }
}

/// Page-table pages for root: 2^18 bytes hold 62, for 100 MiB and more of archive and heap.
const SPACE_BITS: u8 = 18;
/// Most pieces of free memory kept in mind.
const RANGES: usize = 64;
/// Smallest Untyped worth a slot.
const SMALLEST: u64 = PAGE;

/// Why the kernel cannot start root.
pub type Refusal = &'static str;

/// Free memory at boot.
struct Free(Vec<Range, RANGES>);

impl Free {
    fn new(info: &BootInfo) -> Self {
        let usable = info.memory.iter().filter(|range| range.kind == MemoryKind::Usable);
        let ranges = usable.filter_map(|range| {
            let end = (range.start + range.size).min(mem::PHYSICAL_END);
            // Page 0 is nobody's: address 0 means "none" in a slot.
            let start = range.start.max(PAGE);
            (start < end).then(|| Range { start, size: end - start })
        });
        Self(ranges.take(RANGES).collect())
    }

    /// Takes zeroed memory, aligned to its size, from the first range that has it.
    fn take(&mut self, size: u64) -> Result<u64, Refusal> {
        for index in 0..self.0.len() {
            let range = self.0[index];
            let (start, end) = (range.start.next_multiple_of(size), range.start + range.size);
            if start + size > end {
                continue;
            }
            self.0[index] = Range { start: start + size, size: end - start - size };
            // What lies before it is free still, if there is room to say so.
            if start > range.start {
                let _ = self.0.push(Range { start: range.start, size: start - range.start });
            }
            // SAFETY: free memory inside the physical map.
            unsafe { core::ptr::write_bytes(mem::to_virtual(start) as *mut u8, 0, size as usize) };
            return Ok(start);
        }
        Err("not enough memory for the first program; give the machine more (--memory)")
    }

    /// Cuts the rest into aligned powers of two, each as big as can be.
    fn cut(&self, mut each: impl FnMut(u64, u8)) {
        for range in &self.0 {
            let (mut start, end) = (range.start.next_multiple_of(PAGE), range.start + range.size);
            while start + SMALLEST <= end {
                let bits = start.trailing_zeros().min((end - start).ilog2()).min(36);
                each(start, bits as u8);
                start += 1 << bits;
            }
        }
    }
}

/// Makes the first program from the loader's layout and gives it all there is.
pub fn start_root(kernel: &mut Kernel, info: &BootInfo) -> Result<(), Refusal> {
    let mut free = Free::new(info);
    let space = make_space(kernel, &mut free)?;
    let map = |address, physical, write, execute| {
        space::map_boot(space, address, physical, write, execute)
            .map_err(|_| "root does not fit its page tables")
    };
    for segment in &info.root.segments {
        for offset in (0..segment.size).step_by(PAGE as usize) {
            map(
                segment.address + offset,
                segment.physical + offset,
                segment.write,
                segment.execute,
            )?;
        }
    }
    for offset in (0..info.archive.size).step_by(PAGE as usize) {
        map(root::ARCHIVE + offset, info.archive.start + offset, false, false)?;
    }
    for page in 1..=root::STACK_PAGES {
        map(root::THREAD_AREA + AREA - page * PAGE, free.take(PAGE)?, true, false)?;
    }
    let page = free.take(PAGE)?;
    map(root::INFO, page, false, false)?;
    let table = mem::to_virtual(free.take(crate::slot::SIZE << root::TABLE_BITS)?);
    let thread = make_thread(kernel, &mut free, info.root.entry)?;
    let untyped = fill_table(&free, table, thread, space);
    write_info(kernel, info, page, untyped)?;
    configure(thread, table, space)?;
    thread.set_state(ThreadState::Ready);
    kernel.make_ready(thread);
    kernel.choose(kernel.idle);
    Ok(())
}

fn make_space(kernel: &mut Kernel, free: &mut Free) -> Result<Ref<Space>, Refusal> {
    let address = mem::to_virtual(free.take(1 << SPACE_BITS)?);
    space::create(kernel, address, SPACE_BITS).map_err(|_| "no id for the first space")?;
    // SAFETY: made on the line before, and never destroyed: its original capability is root's own.
    Ok(unsafe { Ref::from_address(address) })
}

fn make_thread(kernel: &Kernel, free: &mut Free, entry: u64) -> Result<ThreadRef, Refusal> {
    let address = mem::to_virtual(free.take(thread::SIZE)?);
    // SAFETY: fresh memory of the right size and alignment.
    let thread = unsafe { thread::create(address) };
    let registers = Registers { rip: entry, rsp: root::THREAD_AREA + AREA, ..Registers::default() };
    thread.frame().set_registers(&registers).map_err(|_| "root's entry is not a user address")?;
    thread.priority.set(255);
    thread.base.set(255);
    thread.ceiling.set(255);
    thread.cr3.set(kernel.empty_root);
    Ok(thread)
}

fn configure(thread: ThreadRef, table: u64, space: Ref<Space>) -> Result<(), Refusal> {
    space::map_buffer(space, thread, root::THREAD_AREA)
        .map_err(|_| "root's message buffer cannot be mapped")?;
    thread.buffer.set(root::THREAD_AREA);
    // Root may delete what it runs on, like anybody else: then its thread hears about it.
    for (index, embedded) in
        [(root::TABLE, thread.table_slot()), (root::SPACE, thread.space_slot())]
    {
        // SAFETY: a slot of root's table, which `fill_table` filled.
        let slot: SlotRef = unsafe { Ref::from_address(table + index as u64 * crate::slot::SIZE) };
        captable::embed(slot, embedded, None, captable::Owner::Thread)
            .map_err(|_| "root's table and space are not its own")?;
    }
    thread.set_table(table, 1 << root::TABLE_BITS);
    thread.cr3.set(space.cr3.get());
    Ok(())
}

/// Fills root's table; returns the size of each Untyped.
fn fill_table(free: &Free, table: u64, thread: ThreadRef, space: Ref<Space>) -> Vec<u8, 128> {
    let mut last: Option<SlotRef> = None;
    let mut put = |index: u32, kind, object, extra| {
        // SAFETY: a slot of the fresh table.
        let slot: SlotRef = unsafe { Ref::from_address(table + index as u64 * crate::slot::SIZE) };
        let rights = captable::all_rights(kind);
        slot.set(Capability { object, data: 0, kind, rights, flags: Flags::ORIGINAL, extra });
        if let Some(last) = last {
            tree::insert_root(last, slot);
        }
        last = Some(slot);
    };
    put(root::TABLE, Kind::CapTable, table, root::TABLE_BITS as u32);
    put(root::THREAD, Kind::Thread, thread.address() - thread::OFFSET, 0);
    put(root::SPACE, Kind::Space, space.address(), SPACE_BITS as u32);
    // System has no object of its own; any non-zero address will do.
    put(root::SYSTEM, Kind::System, 1, 0);
    let mut untyped = Vec::new();
    free.cut(|start, bits| {
        if untyped.push(bits).is_ok() {
            put(root::FIRST_UNTYPED + untyped.len() as u32 - 1, Kind::Untyped, start, bits as u32);
        }
    });
    const { assert!(untyped_right::ALL == 7) };
    untyped
}

fn write_info(
    kernel: &Kernel,
    info: &BootInfo,
    page: u64,
    untyped: Vec<u8, 128>,
) -> Result<(), Refusal> {
    let root_info = RootInfo {
        command_line: info.command_line,
        archive_size: info.archive.size,
        untyped,
        acpi: info.acpi.clone(),
        tsc_hz: kernel.tsc_hz,
    };
    // SAFETY: a fresh page that only the kernel sees yet.
    let bytes =
        unsafe { core::slice::from_raw_parts_mut(mem::to_virtual(page) as *mut u8, PAGE as usize) };
    postcard::to_slice(&root_info, bytes)
        .map_err(|_| "the command line is too long (about 3,000 bytes fit)")?;
    Ok(())
}

/// Ranges no device frame may name: every range of memory, and the interrupt controllers.
pub fn protected(info: &BootInfo) -> Vec<(u64, u64), 96> {
    let memory = info
        .memory
        .iter()
        .filter(|range| range.kind != MemoryKind::Reserved)
        .map(|r| (r.start, r.size));
    let controllers = info.acpi.io_apics.iter().map(|controller| (controller.address, PAGE));
    let mut ranges = Vec::new();
    let mut all = memory.chain(controllers).chain([(info.acpi.local_apic, PAGE)]);
    assert!(all.all(|range| ranges.push(range).is_ok()), "more ranges than BootInfo has room for");
    ranges
}

/// Logs what the machine has.
pub fn greet(kernel: &Kernel, info: &BootInfo) {
    let usable =
        info.memory.iter().filter(|range| range.kind == MemoryKind::Usable).map(|range| range.size);
    log!(
        "Postern {}: {} MiB free, TSC {} MHz, {} IO-APIC(s)",
        env!("CARGO_PKG_VERSION"),
        usable.sum::<u64>() >> 20,
        kernel.tsc_hz / 1_000_000,
        info.acpi.io_apics.len()
    );
    log!("CPU: {}", arch::features::features());
}

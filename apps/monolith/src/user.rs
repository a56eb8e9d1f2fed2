//! The user program: its space, and its memory as a system call sees it.

use crate::calls;
use abi::USER_END;
use bootinfo::BootInfo;
use core::ptr::NonNull;
use disk::device::Piece;
use microkernel::arch::{gdt, paging};
use microkernel::raw::Ref;
use microkernel::space::{self, Space};
use microkernel::{boot, mem};
use ring0::caller::Memory;
use ring0::{memory, start};
use x86_64::structures::paging::{PageTable, PageTableFlags as Flags};

const PAGE: u64 = 4096;
/// The bits of CR3 that are the address of a page table.
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
/// Size of the Space object, as a power of two: it holds the page tables.
const SPACE_BITS: u8 = 18;

/// The program, laid out by the loader (in root's place), in a space of its own.
pub struct Program {
    space: Ref<Space>,
    entry: u64,
}

impl Program {
    /// Makes its space.
    ///
    /// # Errors
    /// There is too little memory.
    pub fn new(info: &BootInfo<'_>) -> Result<Self, &'static str> {
        let size = 1 << SPACE_BITS;
        // Twice as much, for it to be aligned to its size.
        let free = memory::take(2 * size / PAGE).ok_or("too little memory")?;
        let address = mem::to_virtual(free.next_multiple_of(size));
        space::create(boot::kernel(), address, SPACE_BITS).map_err(|_| "no space can be made")?;
        // SAFETY: made on the line before, and never destroyed.
        let space = unsafe { Ref::<Space>::from_address(address) };
        for segment in &info.root.segments {
            for offset in (0..segment.size).step_by(PAGE as usize) {
                let (at, physical) = (segment.address + offset, segment.physical + offset);
                space::map_boot(space, at, physical, segment.write, segment.execute)
                    .map_err(|_| "the program does not fit its page tables")?;
            }
        }
        Ok(Self {
            space,
            entry: info.root.entry,
        })
    }

    /// Its space, for CR3.
    pub fn cr3(&self) -> u64 {
        self.space.cr3.get()
    }

    /// Runs it to its end, which is the machine's.
    pub fn run(self) -> ! {
        gdt::set_trap_stack(start::stack());
        paging::load_root(self.cr3());
        calls::enter(self.entry)
    }
}

/// Memory that a system call names: looked up in the page tables, page by page, when it is used.
pub struct UserMemory {
    cr3: u64,
    address: u64,
    length: usize,
}

impl UserMemory {
    /// `None`: it is not in the user's half.
    #[inline(always)]
    pub fn new(cr3: u64, address: u64, length: u64) -> Option<Self> {
        let end = address.checked_add(length)?;
        (end <= USER_END).then_some(Self {
            cr3,
            address,
            length: length as usize,
        })
    }
}

impl Memory for UserMemory {
    fn length(&self) -> usize {
        self.length
    }

    #[inline(always)]
    fn piece(&self, offset: usize, most: usize, write: bool) -> Option<Piece> {
        let (address, most) = (self.address + offset as u64, most as u64);
        let mut table = last_table(self.cr3, address)?;
        let physical = page(table, address, write)? + address % PAGE;
        let mut bytes = PAGE - address % PAGE;
        // Pages that happen to lie one behind the other are one piece.
        while bytes < most {
            let next = address + bytes;
            if next.is_multiple_of(paging::LARGE) {
                table = last_table(self.cr3, next)?;
            }
            if page(table, next, write)? != physical + bytes {
                break;
            }
            bytes += PAGE;
        }
        Some(Piece {
            address: NonNull::new(mem::to_virtual(physical) as *mut u8)?,
            physical,
            bytes: bytes.min(most) as u32,
        })
    }
}

/// The page table that has the entries for pages around an address: all of the program's pages are small.
#[inline(always)]
fn last_table(cr3: u64, address: u64) -> Option<&'static PageTable> {
    let mut table = cr3 & ADDRESS;
    for shift in [39, 30, 21] {
        let entry = &of(table)[(address >> shift & 511) as usize];
        if !entry.flags().contains(Flags::PRESENT) {
            return None;
        }
        table = entry.addr().as_u64();
    }
    Some(of(table))
}

/// The table at a physical address.
#[inline(always)]
fn of(table: u64) -> &'static PageTable {
    // SAFETY: a table of the program's space, which is complete before the program runs.
    unsafe { &*(mem::to_virtual(table) as *const PageTable) }
}

/// Where a page lies, if the program may read, or write, it.
#[inline(always)]
fn page(table: &PageTable, address: u64, write: bool) -> Option<u64> {
    let entry = &table[(address >> 12 & 511) as usize];
    let mut needed = Flags::PRESENT | Flags::USER_ACCESSIBLE;
    needed.set(Flags::WRITABLE, write);
    let allowed = entry.flags().contains(needed);
    allowed.then(|| entry.addr().as_u64())
}

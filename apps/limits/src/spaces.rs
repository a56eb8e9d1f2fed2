//! Two spaces with one page of user code, and what their threads need.

use core::cell::UnsafeCell;

use microkernel::arch::paging;
use x86_64::structures::paging::PageTableFlags as Flags;

use super::places::{limits_user, limits_user_server};

/// Most samples.
pub const SAMPLES: usize = 16 << 10;
/// Where the page of user code is mapped.
const CODE: u64 = 0x40_0000;
/// Where the samples are mapped, in the first space.
pub const BUFFER: u64 = CODE + 4096;
/// Where [`ARGUMENTS`] are mapped, in both.
pub const KNOWN: u64 = BUFFER + size_of::<Samples>() as u64;

/// A page of user memory that nothing uses, and where its entry is in the first of [`SPACES`]: the last one.
pub const PAGE: u64 = CODE + 511 * 4096;
pub const SLOT: usize = 3 * 4096 + 511 * 8;

/// What the switch knows of a side. `crossing.s` has the offsets.
#[repr(C)]
pub struct Side {
    rip: u64,
    rsp: u64,
    /// The kernel's stack pointer while user code runs.
    kernel: u64,
    other: *const Static<Side>,
    cr3: u64,
}

/// Page tables of a space with one stretch of user memory below 2 MiB from [`CODE`].
#[repr(C, align(4096))]
pub struct Tables([[u64; 512]; 4]);

/// As many samples as fit.
#[repr(C, align(4096))]
pub struct Samples(pub [u64; SAMPLES]);

/// A page of words.
#[repr(C, align(4096))]
pub struct Page(pub [u64; 512]);

/// What assembly and the processor use as well.
#[repr(transparent)]
pub struct Static<T>(pub UnsafeCell<T>);
// SAFETY: one CPU, interrupts off, and no reference outlives the statement that makes it.
unsafe impl<T> Sync for Static<T> {}

impl<T> Static<T> {
    pub const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    pub fn address(&self) -> u64 {
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

/// The client, which measures.
pub static A: Static<Side> = side(&raw const B);
/// The server.
pub static B: Static<Side> = side(&raw const A);
/// Whose turn it is.
pub static CURRENT: Static<*const Static<Side>> = Static::new(&raw const A);
/// The samples.
pub static TICKS: Static<Samples> = Static::new(Samples([0; SAMPLES]));
/// A structure of arguments that both user and kernel know.
pub static ARGUMENTS: Static<Page> = Static::new(Page([0; 512]));
pub static SPACES: [Static<Tables>; 2] = [const { Static::new(Tables([[0; 512]; 4])) }; 2];

/// User address of a place in the page of user code.
pub fn user(place: unsafe extern "C" fn()) -> u64 {
    CODE + (place as *const () as u64 - limits_user as *const () as u64)
}

/// Makes both spaces, and the server ready in the second; returns the physical addresses of their roots.
pub fn build(offset: u64) -> [u64; 2] {
    let [first, second] = [0, 1].map(|index| fill(&SPACES[index], offset));
    // SAFETY: nothing runs but this function; the switch reads and writes them later.
    unsafe {
        (*A.0.get()).cr3 = first;
        *B.0.get() = Side {
            rip: user(limits_user_server),
            cr3: second,
            ..core::ptr::read(B.0.get())
        };
    }
    [first, second]
}

/// Makes the server begin at another place of the page of user code.
pub fn serve(place: unsafe extern "C" fn()) {
    // SAFETY: nothing runs but this function; the switch reads it later.
    unsafe { (*B.0.get()).rip = user(place) };
}

/// What the entry of a page of user memory says, if the page is that of [`ARGUMENTS`].
pub fn entry(offset: u64) -> u64 {
    let data = Flags::PRESENT | Flags::USER_ACCESSIBLE | Flags::WRITABLE | Flags::NO_EXECUTE;
    (ARGUMENTS.address() - offset) | data.bits()
}

/// Fills a space's tables; returns the root's physical address.
fn fill(space: &Static<Tables>, offset: u64) -> u64 {
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
        let pages = size_of::<Samples>() / 4096;
        for page in 0..pages {
            tables[3][1 + page] = physical(TICKS.address() + page as u64 * 4096) | data;
        }
        tables[3][1 + pages] = entry(offset);
    }
    paging::share_kernel_half(base);
    base
}

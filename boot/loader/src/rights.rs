//! That no code can be changed: what page tables allow (SDM 3A 5.6). The hypervisor shim looks at its own to be sure.

use core::ops::Range;

use x86_64::structures::paging::PageTableFlags as Flags;

use crate::Physical;
use crate::memory::PAGE;

/// A physical address that tables, of which `root` is the top, let be written, and executed there or elsewhere.
pub fn writable_code(memory: &impl Physical, root: u64) -> Option<u64> {
    let mut found = None;
    // Nothing yet.
    let mut code = Range {
        start: u64::MAX,
        end: 0,
    };
    walk(memory, root, 4, (true, true), &mut |page, _, execute| {
        if execute {
            code = code.start.min(page.start)..code.end.max(page.end);
        }
    });
    walk(memory, root, 4, (true, true), &mut |page, write, _| {
        if write && page.start < code.end && code.start < page.end {
            found = Some(page.start);
        }
    });
    found
}

/// Visits every page that a table maps: where it lies, and whether it may be written and executed.
fn walk(
    memory: &impl Physical,
    table: u64,
    level: u32,
    above: (bool, bool),
    visit: &mut dyn FnMut(Range<u64>, bool, bool),
) {
    for slot in (table..table + PAGE).step_by(8) {
        let bits = memory.read_u64(slot).unwrap_or(0);
        let entry = Flags::from_bits_truncate(bits);
        let write = above.0 && entry.contains(Flags::WRITABLE);
        let execute = above.1 && !entry.contains(Flags::NO_EXECUTE);
        let address = bits & 0x000f_ffff_ffff_f000;
        let leaf = level == 1 || entry.contains(Flags::HUGE_PAGE);
        match entry.contains(Flags::PRESENT) {
            true if leaf => visit(
                address..address + (PAGE << (9 * (level - 1))),
                write,
                execute,
            ),
            true => walk(memory, address, level - 1, (write, execute), visit),
            false => {}
        }
    }
}

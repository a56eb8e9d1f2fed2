//! A copy of a world's memory, to go back to, and to see what changed.

use microkernel::arch::host::{self, Machine};

use crate::world::World;

/// Bytes from the start of a world that are copied: the kernel's state, root, and what [`crate::pair::Pair::populate`] makes.
const COPIED: usize = 3 << 20;

/// The memory and the machine's registers at one moment.
pub struct Snapshot {
    bytes: Vec<u8>,
    machine: Machine,
}

impl Snapshot {
    /// Of how it is now.
    pub fn take(world: &World) -> Self {
        let mut snapshot = Self { bytes: vec![0; COPIED], machine: host::machine() };
        snapshot.retake(world);
        snapshot
    }

    /// The same, into memory already there.
    pub fn retake(&mut self, world: &World) {
        self.machine = host::machine();
        // SAFETY: the world's own mapping, longer than this; no kernel code runs meanwhile.
        unsafe {
            std::ptr::copy_nonoverlapping(world.base as *const u8, self.bytes.as_mut_ptr(), COPIED)
        };
    }

    /// Goes back to it.
    pub fn restore(&self, world: &mut World) {
        host::set_machine(|machine| *machine = self.machine);
        // SAFETY: as in `retake`; the borrow says that nobody holds a reference into the world.
        unsafe {
            std::ptr::copy_nonoverlapping(self.bytes.as_ptr(), world.base as *mut u8, COPIED)
        };
    }

    /// Addresses of the words in which the world now differs.
    pub fn changes(&self, world: &World) -> Vec<u64> {
        // SAFETY: as in `retake`; the slice ends before anything else happens to the world.
        let now = unsafe { std::slice::from_raw_parts(world.base as *const u8, COPIED) };
        let pages = self.bytes.chunks(4096).zip(now.chunks(4096)).enumerate();
        let changed = pages.filter(|(_, (before, now))| before != now);
        changed
            .flat_map(|(page, (before, now))| {
                let words = before.chunks(8).zip(now.chunks(8)).enumerate();
                let changed = words.filter(|(_, (before, now))| before != now);
                changed.map(move |(word, _)| world.base + 4096 * page as u64 + 8 * word as u64)
            })
            .collect()
    }
}

/// A change is seen where it is made and nowhere else, and is gone after going back.
#[test]
fn a_snapshot_shows_every_change_and_undoes_it() {
    let mut pair = crate::pair::Pair::boot();
    pair.populate();
    let before = Snapshot::take(&pair.world);
    assert_eq!(before.changes(&pair.world), []);
    for offset in [200 << 10, (2 << 20) + 8, COPIED as u64 - 8] {
        let address = pair.world.base + offset;
        let old = u64::from_le_bytes(
            pair.world.page(address & !0xfff)[(address & 0xfff) as usize..][..8]
                .try_into()
                .expect("8"),
        );
        pair.world.step(&crate::world::Event::Store(address, !old));
        assert_eq!(before.changes(&pair.world), [address]);
        before.restore(&mut pair.world);
        assert_eq!(before.changes(&pair.world), []);
    }
    pair.done(abi::root::SYSTEM as u64, abi::object::system::INFO, [0; 4]);
    assert_ne!(before.changes(&pair.world), []);
    pair.compare().expect("the model went along");
}

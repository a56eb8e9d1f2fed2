//! Address spaces, frames, message buffers, leases: bytes.

use std::collections::{HashMap, HashSet};

use abi::{Error, Kind, PAGE, USER_END, fault::Registers, object::frame, tag::LeaseBits};

use super::{Address, Mapping, Model, Place, Space, Thread};

/// One of the two spaces of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    From,
    To,
}

/// RFLAGS a user program may choose: CF PF AF ZF SF TF DF OF RF AC ID.
const USER_FLAGS: [u32; 11] = [0, 2, 4, 6, 7, 8, 10, 11, 16, 18, 21];

impl Thread {
    /// Registers as others see them: inside a system call only what the ABI preserves, and the words.
    pub fn shown_registers(&self) -> Registers {
        let r = &self.registers;
        if self.vector != 0x100 {
            return *r;
        }
        Registers {
            rip: r.rip,
            rsp: r.rsp,
            rbx: r.rbx,
            rbp: r.rbp,
            r12: r.r12,
            r13: r.r13,
            r14: r.r14,
            r15: r.r15,
            rflags: 0x202,
            ..Registers::default()
        }
    }

    pub fn set_registers(&mut self, words: [u64; 18]) {
        self.registers = Registers::from_words(words);
        let chosen = USER_FLAGS.iter().map(|bit| 1 << bit).sum::<u64>();
        self.registers.rflags = self.registers.rflags & chosen | 0x202;
        self.vector = 0;
    }
}

impl Model {
    pub fn word(&self, thread: Address, index: usize) -> u64 {
        self.load(thread + 4096 + 8 * index as u64)
    }

    pub fn set_word(&mut self, thread: Address, index: usize, value: u64) {
        let page = self.memory.get_mut(&(thread + 4096)).expect("a buffer");
        page[8 * index..8 * index + 8].copy_from_slice(&value.to_le_bytes());
    }

    fn load(&self, at: Address) -> u64 {
        let (page, offset) = (&self.memory[&(at & !0xfff)], (at & 0xfff) as usize);
        u64::from_le_bytes(page[offset..offset + 8].try_into().expect("8 bytes"))
    }

    pub fn new_space(&mut self, at: Address, bits: u32) {
        self.next_serial += 1;
        let space = Space {
            serial: self.next_serial,
            free: (1 << bits) / PAGE - 2,
            tables: HashSet::new(),
            pages: HashMap::new(),
        };
        self.spaces.insert(at, space);
    }

    /// The tables that a page needs come from the pool; they stay.
    pub fn take_tables(&mut self, space: Address, address: u64) -> Result<(), Error> {
        let space = self.spaces.get_mut(&space).expect("a space");
        for level in [3, 2, 1] {
            let number = address >> (12 + 9 * level);
            if !space.tables.contains(&(level, number)) {
                space.free = space.free.checked_sub(1).ok_or(Error::OutOfTables)?;
                space.tables.insert((level, number));
            }
        }
        Ok(())
    }

    pub fn map_page(
        &mut self,
        space: Address,
        address: u64,
        physical: Address,
        write: bool,
        device: bool,
    ) -> Result<(), Error> {
        self.take_tables(space, address)?;
        let pages = &mut self.spaces.get_mut(&space).expect("a space").pages;
        if pages.contains_key(&address) {
            return Err(Error::AlreadyMapped);
        }
        let page = Mapping { physical, write, device };
        pages.insert(address, page);
        Ok(())
    }

    /// Where the frame in a slot is mapped.
    pub fn mapping(&self, place: Place) -> Option<(Address, u64)> {
        let (space, serial, address) = self.caps[&place].mapped?;
        let lives = self.spaces.get(&space)?.serial == serial;
        lives.then_some((space, address))
    }

    pub fn map_frame(
        &mut self,
        space: Address,
        place: Place,
        address: u64,
        how: u64,
    ) -> Result<(), Error> {
        let (rights, cache) = (how as u8, how >> 8);
        let cap = self.check(place, Kind::Frame, rights)?;
        assert!(!cap.large, "the model maps 4 KiB frames only");
        let (physical, device) = (cap.object, cap.device);
        let known = frame::READ | frame::WRITE | frame::EXEC;
        if rights & frame::READ == 0 || rights & !known != 0 || cache > 1 {
            return Err(Error::InvalidArgument);
        }
        if rights & frame::WRITE != 0 && rights & frame::EXEC != 0 {
            return Err(Error::WriteAndExecute);
        }
        if !address.is_multiple_of(PAGE) || address > USER_END - PAGE {
            return Err(Error::InvalidAddress);
        }
        if self.mapping(place).is_some() {
            return Err(Error::AlreadyMapped);
        }
        let write = rights & frame::WRITE != 0;
        self.map_page(space, address, physical, write, device)?;
        let serial = self.spaces[&space].serial;
        self.caps.get_mut(&place).expect("it").mapped = Some((space, serial, address));
        Ok(())
    }

    pub fn unmap_frame(&mut self, place: Place) -> Result<(), Error> {
        let (space, address) = self.mapping(place).ok_or(Error::NotMapped)?;
        self.spaces.get_mut(&space).expect("it").pages.remove(&address);
        self.caps.get_mut(&place).expect("it").mapped = None;
        Ok(())
    }

    pub fn map_buffer(
        &mut self,
        space: Address,
        thread: Address,
        address: u64,
    ) -> Result<(), Error> {
        if address == 0 || !address.is_multiple_of(PAGE) || address >= USER_END {
            return Err(Error::InvalidAddress);
        }
        self.map_page(space, address, thread + 4096, true, false)
    }

    pub fn unmap_buffer(&mut self, thread: Address) {
        let state = self.thread_mut(thread);
        if let (Some(address), Some(space)) = (state.buffer.take(), state.space) {
            self.spaces.get_mut(&space).expect("it").pages.remove(&address);
        }
    }

    /// Physical address of a user address, if a program may read or write memory there.
    pub fn translate(&self, space: Option<Address>, address: u64, write: bool) -> Option<u64> {
        let page = self.spaces[&space?].pages.get(&(address & !0xfff))?;
        (!page.device && (page.write || !write)).then_some(page.physical + (address & 0xfff))
    }

    /// Copies between two spaces, 8 bytes at a time and then single ones, page piece by page piece. How many bytes, and
    /// which side's page was missing.
    pub fn copy(
        &mut self,
        from_space: Option<Address>,
        from: u64,
        to_space: Option<Address>,
        to: u64,
        length: u64,
    ) -> (u64, Option<Side>) {
        let mut moved = 0;
        while moved < length {
            let Some(source) = self.translate(from_space, from + moved, false) else {
                return (moved, Some(Side::From));
            };
            let Some(target) = self.translate(to_space, to + moved, true) else {
                return (moved, Some(Side::To));
            };
            let left = |address: u64| PAGE - address % PAGE;
            let piece = (length - moved).min(left(source)).min(left(target));
            let mut offset = 0;
            while offset < piece {
                let size = if piece - offset >= 8 { 8 } else { 1 };
                let mut bytes = [0; 8];
                let (page, at) = ((source + offset) & !0xfff, (source + offset) % PAGE);
                let range = at as usize..(at + size) as usize;
                bytes[..size as usize].copy_from_slice(&self.memory[&page][range]);
                let (page, at) = ((target + offset) & !0xfff, (target + offset) % PAGE);
                let range = at as usize..(at + size) as usize;
                let page = self.memory.get_mut(&page).expect("memory");
                page[range].copy_from_slice(&bytes[..size as usize]);
                offset += size;
            }
            moved += piece;
        }
        (moved, None)
    }

    /// The address of a piece of a lease, if the lease allows it.
    pub fn lent(
        &self,
        client: Address,
        index: u64,
        write: bool,
        offset: u64,
        length: u64,
    ) -> Result<u64, Error> {
        let leases = &self.thread(client).leases;
        let &(base, bits) = leases.get(index as usize).ok_or(Error::LeaseBounds)?;
        let bits = LeaseBits::from_bits_retain(bits);
        let right = if write { LeaseBits::WRITE } else { LeaseBits::READ };
        let inside = offset as u128 + length as u128 <= bits.length() as u128;
        if !inside || !bits.contains(right) {
            return Err(Error::LeaseBounds);
        }
        // What a caller lends is not checked before it is used.
        if base as u128 + offset as u128 + length as u128 > USER_END as u128 {
            return Err(Error::LeaseFault);
        }
        Ok(base + offset)
    }
}

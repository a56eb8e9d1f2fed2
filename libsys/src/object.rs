//! Kernel objects: one type for each kind, one method for each operation. Arguments, results and rights are those of
//! [`abi::object`]; every error is the kernel's.

mod device;

use crate::syscall::{self, Slot, invoke};
use abi::fault::Registers;
use abi::object::{captable, frame, reply, space, thread, untyped};
use abi::tag::LeaseBits;
use abi::{Error, Kind, Rights};
pub use device::{IoPorts, Irq, System};

/// A table of capabilities.
#[derive(Debug, Clone, Copy)]
pub struct CapTable(pub Slot);

/// The program's own table, where root put it.
pub const OWN_TABLE: CapTable = CapTable(Slot(crate::proto::program::TABLE));

/// What `IDENTIFY` says about a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// What the capability names.
    pub kind: Kind,
    /// Its rights.
    pub rights: Rights,
    /// Its badge, if it names the endpoint asked about.
    pub badge: Option<u64>,
}

impl CapTable {
    /// Copies own slot `source` into slot `to` of this table with at most `rights`; `badge` as in [`captable::DERIVE`].
    pub fn derive(self, to: Slot, source: Slot, rights: Rights, badge: u64) -> Result<(), Error> {
        invoke(
            self.0,
            captable::DERIVE,
            [to.0 as u64, source.0 as u64, rights as u64, badge],
        )
        .map(drop)
    }

    /// Moves own slot `source` into slot `to` of this table.
    pub fn move_from(self, to: Slot, source: Slot) -> Result<(), Error> {
        invoke(self.0, captable::MOVE, [to.0 as u64, source.0 as u64, 0, 0]).map(drop)
    }

    /// Removes a capability and all derived from it.
    pub fn delete(self, slot: Slot) -> Result<(), Error> {
        invoke(self.0, captable::DELETE, [slot.0 as u64, 0, 0, 0]).map(drop)
    }

    /// Removes all that is derived from a capability.
    pub fn revoke(self, slot: Slot) -> Result<(), Error> {
        invoke(self.0, captable::REVOKE, [slot.0 as u64, 0, 0, 0]).map(drop)
    }

    /// What lies in a slot (`NoCapability` if nothing does); the badge is told if it is the same endpoint as own slot `endpoint` (or `Slot(0)`).
    pub fn identify(self, slot: Slot, endpoint: Slot) -> Result<Identity, Error> {
        let w = invoke(
            self.0,
            captable::IDENTIFY,
            [slot.0 as u64, endpoint.0 as u64, 0, 0],
        )?;
        Ok(Identity {
            kind: Kind::from_number(w[0] as u8).unwrap_or(Kind::Empty),
            rights: w[1] as Rights,
            badge: (w[3] == 1).then_some(w[2]),
        })
    }

    /// Calls and faults that the endpoint in a slot has delivered (RECV).
    pub fn messages(self, slot: Slot) -> Result<u64, Error> {
        invoke(self.0, captable::MESSAGES, [slot.0.into(), 0, 0, 0]).map(|w| w[0])
    }
}

/// Memory that may become objects.
#[derive(Debug, Clone, Copy)]
pub struct Untyped(pub Slot);

impl Untyped {
    /// Makes `count` (1 to 64) objects of `kind` in the slots of `table` from `first` on; `size_bits` as in
    /// [`untyped::RETYPE`], `rights` those of a child Untyped.
    pub fn retype(
        self,
        kind: Kind,
        size_bits: u8,
        count: u16,
        table: CapTable,
        first: Slot,
        rights: Rights,
    ) -> Result<(), Error> {
        let what = untyped::retype_word(kind, size_bits, count);
        invoke(
            self.0,
            untyped::RETYPE,
            [what, table.0.0 as u64, first.0 as u64, rights as u64],
        )
        .map(drop)
    }

    /// Bytes free and size in bytes.
    pub fn info(self) -> Result<(u64, u64), Error> {
        invoke(self.0, untyped::INFO, [0; 4]).map(|w| (w[0], w[1]))
    }
}

/// A thread of execution.
#[derive(Debug, Clone, Copy)]
pub struct Thread(pub Slot);

/// What a thread does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThreadInfo {
    /// [`thread::State`] as a number.
    pub state: u8,
    /// Paid time in TSC ticks.
    pub time: u64,
    /// Vector of the exception that stopped it.
    pub stopped_by: Option<u8>,
}

impl Thread {
    /// Gives an inactive thread its table, space, fault endpoint (or `Slot(0)`) and message buffer address.
    pub fn configure(
        self,
        table: CapTable,
        space: Space,
        fault: Slot,
        buffer: u64,
    ) -> Result<(), Error> {
        invoke(
            self.0,
            thread::CONFIGURE,
            [table.0.0 as u64, space.0.0 as u64, fault.0 as u64, buffer],
        )
        .map(drop)
    }

    /// Sets priority and ceiling.
    pub fn priority(self, priority: u8, ceiling: u8) -> Result<(), Error> {
        invoke(
            self.0,
            thread::PRIORITY,
            [priority as u64, ceiling as u64, 0, 0],
        )
        .map(drop)
    }

    /// Makes an inactive thread ready.
    pub fn start(self) -> Result<(), Error> {
        invoke(self.0, thread::START, [0; 4]).map(drop)
    }

    /// Makes it inactive; what it waited for is cancelled.
    pub fn suspend(self) -> Result<(), Error> {
        invoke(self.0, thread::SUSPEND, [0; 4]).map(drop)
    }

    /// Ends what it waits for with `Cancelled`.
    pub fn cancel(self) -> Result<(), Error> {
        invoke(self.0, thread::CANCEL, [0; 4]).map(drop)
    }

    /// Its registers.
    pub fn read_registers(self) -> Result<Registers, Error> {
        invoke(self.0, thread::READ_REGISTERS, [0; 4])?;
        let mut words = [0; Registers::WORDS];
        for (i, word) in words.iter_mut().enumerate() {
            *word = syscall::word(4 + i);
        }
        Ok(Registers::from_words(words))
    }

    /// Sets the registers of an inactive thread.
    pub fn write_registers(self, registers: &Registers) -> Result<(), Error> {
        for (i, word) in registers.to_words().into_iter().enumerate() {
            syscall::set_word(4 + i, word);
        }
        invoke(self.0, thread::WRITE_REGISTERS, [0; 4]).map(drop)
    }

    /// Lets an inactive thread use the floating-point registers, or not; traces it, or not.
    pub fn flags(self, fpu: bool, traced: bool) -> Result<(), Error> {
        invoke(self.0, thread::FLAGS, [fpu as u64, traced as u64, 0, 0]).map(drop)
    }

    /// What it does.
    pub fn info(self) -> Result<ThreadInfo, Error> {
        let w = invoke(self.0, thread::INFO, [0; 4])?;
        Ok(ThreadInfo {
            state: w[0] as u8,
            time: w[1],
            stopped_by: (w[2] & 1 << 8 != 0).then_some(w[2] as u8),
        })
    }
}

/// An address space.
#[derive(Debug, Clone, Copy)]
pub struct Space(pub Slot);

impl Space {
    /// Maps a frame; `cache` is [`space::WRITE_BACK`] or [`space::UNCACHED`]. The kernel refuses an address in use.
    pub fn map(self, frame: Frame, address: u64, rights: Rights, cache: u64) -> Result<(), Error> {
        invoke(
            self.0,
            space::MAP,
            [frame.0.0 as u64, address, rights as u64 | cache << 8, 0],
        )
        .map(drop)
    }

    /// Takes a mapping away.
    pub fn unmap(self, frame: Frame) -> Result<(), Error> {
        invoke(self.0, space::UNMAP, [frame.0.0 as u64, 0, 0, 0]).map(drop)
    }

    /// Page tables free.
    pub fn tables_free(self) -> Result<u64, Error> {
        invoke(self.0, space::INFO, [0; 4]).map(|w| w[0])
    }
}

/// A page.
#[derive(Debug, Clone, Copy)]
pub struct Frame(pub Slot);

impl Frame {
    /// Its physical address.
    pub fn physical(self) -> Result<u64, Error> {
        invoke(self.0, frame::PHYSICAL, [0; 4]).map(|w| w[0])
    }
}

/// A parked caller, or ([`syscall::CALLER`]) the current one.
#[derive(Debug, Clone, Copy)]
pub struct Reply(pub Slot);

impl Reply {
    /// Parks the current caller here. `Busy` if somebody is parked already.
    pub fn defer(self) -> Result<(), Error> {
        invoke(self.0, reply::DEFER, [0; 4]).map(drop)
    }

    /// Copies from lease `index`, `offset` on, until `bytes` is full.
    pub fn lease_read(self, index: u64, offset: u64, bytes: &mut [u8]) -> Result<(), Error> {
        self.copy(
            reply::LEASE_READ,
            index,
            offset,
            bytes.as_mut_ptr() as u64,
            bytes.len(),
        )
    }

    /// Copies all of `bytes` into lease `index`, `offset` on.
    pub fn lease_write(self, index: u64, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        self.copy(
            reply::LEASE_WRITE,
            index,
            offset,
            bytes.as_ptr() as u64,
            bytes.len(),
        )
    }

    /// The kernel moves at most [`abi::COPY_LIMIT`] at a time.
    fn copy(
        self,
        label: u32,
        index: u64,
        offset: u64,
        address: u64,
        length: usize,
    ) -> Result<(), Error> {
        let mut done = 0;
        while done < length as u64 {
            let count = (length as u64 - done).min(abi::COPY_LIMIT);
            let moved = invoke(self.0, label, [index, offset + done, address + done, count])?[0];
            if moved == 0 {
                return Err(Error::LeaseFault);
            }
            done += moved;
        }
        Ok(())
    }

    /// Length and rights of lease `index`.
    pub fn lease_info(self, index: u64) -> Result<LeaseBits, Error> {
        invoke(self.0, reply::LEASE_INFO, [index, 0, 0, 0])
            .map(|w| LeaseBits::from_bits_retain(w[0]))
    }
}

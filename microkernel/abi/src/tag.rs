//! The tag (RAX) of a system call and of what it returns.

bitflags::bitflags! {
    /// Low half of the tag: what is wanted going in, what came going out. The high half is the [label](Tag::label).
    ///
    /// Bits 0-3 hold the [`Op`] going in; bits 0-7 the [error](crate::Error) coming out; bits 8-14 count the words
    /// beyond the first four in both directions.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Flags: u32 {
        /// In: a deadline is in R10 (absolute TSC).
        const TIMED = 1 << 4;
        /// In, replies: bytes at RDX, length R8, go to lease 0, offset 0.
        const PAYLOAD = 1 << 5;
        /// In: R9 names a capability to pass and/or a slot to receive into.
        const CAP = 1 << 6;
        /// In, calls: leases 1-3 are in the message buffer.
        const LEASES = 1 << 7;
        /// In: RSI names a Reply object.
        const VIA = 1 << 15;
        /// Out: the message is a fault.
        const FAULT = 1 << 16;
        /// Out: the message is an interrupt.
        const INTERRUPT = 2 << 16;
        /// Out: a capability arrived in the receive slot.
        const CAP_ARRIVED = 1 << 18;
        /// Out: the caller lends more than lease 0.
        const MORE_LEASES = 1 << 19;
        /// Out, failed call: a server had taken it, so it may have acted.
        const DELIVERED = 1 << 20;
        const _ = !0;
    }
}

/// The operation in bits 0-3 of the tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Op {
    /// Send to RDI and wait for the reply.
    Call = 0,
    /// Reply, then receive from RDI; indivisible.
    ReplyRecv = 1,
    /// Receive from RDI.
    Recv = 2,
    /// Reply to the current caller, or to the one in a Reply object.
    Reply = 3,
    /// Let others of the same priority run.
    Yield = 4,
    /// Nothing (the price of a trap).
    Nop = 5,
}

/// RAX of a system call, in either direction.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Tag(pub u64);

impl Tag {
    /// Most words beyond the first four.
    pub const MAX_EXTRA: usize = 116;

    /// Builds a tag going in.
    pub const fn new(op: Op, label: u32, extra: usize, flags: Flags) -> Self {
        Self((label as u64) << 32 | flags.bits() as u64 | ((extra as u64) & 0x7f) << 8 | op as u64)
    }

    /// Operation, status or fault action, by agreement of the partners.
    pub const fn label(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The flags of the low half (other fields masked away).
    pub const fn flags(self) -> Flags {
        Flags::from_bits_retain(self.0 as u32 & 0xffff_80f0)
    }

    /// Going in: an operation with a label and four words, and no flags but perhaps `flags`.
    pub const fn has_only(self, flags: Flags) -> bool {
        self.0 as u32 & !(flags.bits() | 0xf) == 0
    }

    /// Words beyond the first four.
    pub const fn extra(self) -> usize {
        (self.0 >> 8 & 0x7f) as usize
    }

    /// Going in: the operation, if there is one of that number.
    pub const fn op(self) -> Option<Op> {
        Some(match self.0 & 0xf {
            0 => Op::Call,
            1 => Op::ReplyRecv,
            2 => Op::Recv,
            3 => Op::Reply,
            4 => Op::Yield,
            5 => Op::Nop,
            _ => return None,
        })
    }

    /// Coming out: the error, 0 if none.
    pub const fn status(self) -> u8 {
        self.0 as u8
    }

    /// Coming out: what kind of message was received.
    pub const fn message(self) -> Message {
        if self.0 as u32 & Flags::FAULT.union(Flags::INTERRUPT).bits() == 0 {
            Message::Call
        } else if self.0 as u32 & Flags::FAULT.bits() == 0 {
            Message::Interrupt
        } else {
            Message::Fault
        }
    }
}

impl core::fmt::Debug for Tag {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Tag({:#x})", self.0)
    }
}

/// Who sent a received message. The kernel writes it; no sender can choose it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// A thread called.
    Call,
    /// A thread faulted ([`crate::fault`]).
    Fault,
    /// An interrupt fired: word 0 counts how often.
    Interrupt,
}

/// R9: capabilities travelling with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Transfer {
    /// Slot of the capability to pass, 0 = none.
    pub pass: u32,
    /// Move it instead of copying it.
    pub move_it: bool,
    /// Slot to receive into, 0 = none.
    pub receive: u32,
}

impl Transfer {
    /// R9's bits.
    pub const fn to_bits(self) -> u64 {
        (self.pass as u64 & 0x7fff_ffff)
            | (self.move_it as u64) << 31
            | (self.receive as u64 & 0x7fff_ffff) << 32
    }

    /// From R9's bits; bit 63 is ignored.
    pub const fn from_bits(bits: u64) -> Self {
        Self {
            pass: (bits & 0x7fff_ffff) as u32,
            move_it: bits >> 31 & 1 != 0,
            receive: (bits >> 32 & 0x7fff_ffff) as u32,
        }
    }
}

bitflags::bitflags! {
    /// R8 of a call: the length of lease 0 in bits 0-61 and what the server may do with it.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct LeaseBits: u64 {
        /// The server may read the caller's memory.
        const READ = 1 << 62;
        /// The server may write the caller's memory.
        const WRITE = 1 << 63;
        const _ = !0;
    }
}

impl LeaseBits {
    /// Length in bytes.
    pub const fn length(self) -> u64 {
        self.bits() & !(Self::READ.bits() | Self::WRITE.bits())
    }
}

//! Why a system call failed. The numbers are fixed.

macro_rules! errors {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)*) => {
        /// Why a system call failed (tag bits 0-7).
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Error { $($(#[$doc])* $name = $code,)* }

        impl Error {
            /// Every error, in order of its number.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The error with this number.
            pub const fn from_code(code: u8) -> Option<Self> {
                match code { $($code => Some(Self::$name),)* _ => None }
            }
        }
    };
}

errors! {
    /// The tag has an unknown operation or a bit that must be zero.
    InvalidTag = 0x10,
    /// The object does not know this operation (label).
    InvalidOperation = 0x11,
    /// An argument is out of its range.
    InvalidArgument = 0x12,
    /// An address is not aligned or not a user address.
    InvalidAddress = 0x13,
    /// The index is outside the table, or the slot is empty.
    NoCapability = 0x20,
    /// The capability names another kind of object.
    WrongKind = 0x21,
    /// The capability lacks a right.
    MissingRight = 0x22,
    /// The destination slot is in use.
    SlotOccupied = 0x23,
    /// The derivation tree is 32 levels deep.
    TooDeep = 0x24,
    /// This kind can only be moved.
    NotDerivable = 0x25,
    /// A priority above the caller's own ceiling.
    AboveCeiling = 0x26,
    /// The thread or interrupt is in the wrong state for this.
    BadState = 0x27,
    /// The Reply object or the interrupt source is taken.
    Busy = 0x28,
    /// The Untyped is used up.
    OutOfMemory = 0x30,
    /// The Space has no page-table pages left.
    OutOfTables = 0x31,
    /// No Space id or interrupt vector is free.
    OutOfIds = 0x32,
    /// The frame slot, or the address, is mapped already.
    AlreadyMapped = 0x33,
    /// The frame slot is not mapped.
    NotMapped = 0x34,
    /// A mapping must not be writable and executable.
    WriteAndExecute = 0x35,
    /// The server has not answered its caller yet.
    OwesReply = 0x40,
    /// Nobody waits for this reply.
    NoCaller = 0x41,
    /// Lease index, range or right.
    LeaseBounds = 0x42,
    /// The lender's memory is not mapped there.
    LeaseFault = 0x43,
    /// The caller's own memory is not mapped there.
    BadBuffer = 0x44,
    /// The deadline passed.
    TimedOut = 0x50,
    /// Another thread cancelled the operation.
    Cancelled = 0x51,
    /// The other side was destroyed.
    PartnerDied = 0x52,
    /// Bounded work was done; call again. Stubs loop: applications never see it.
    Again = 0x60,
}

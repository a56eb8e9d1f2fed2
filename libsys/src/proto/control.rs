//! `root.control`: the supervisor, for holders of the capability.
//!
//! Every program may call [`EXIT`], [`PANIC`] and [`SAY`] (it holds `root.memory`, which is the same endpoint with fewer rights in
//! its badge); the rest needs `root.control` in the manifest. Answers longer than registers are postcard in lease 0.

use alloc::{string::String, vec::Vec};
use serde::{Deserialize, Serialize};

/// `w0` = status: the caller ends. No reply.
pub const EXIT: u32 = 0x100;
/// Lease 0 (READ) = message: the caller panicked; it is logged and torn down. No reply.
pub const PANIC: u32 = 0x101;
/// Lease 0 (WRITE): [`Vec<ProgramStatus>`]. Replies `w0` = bytes.
pub const PS: u32 = 0x102;
/// Lease 0 (WRITE): [`MemoryStatus`]. Replies `w0` = bytes.
pub const MEM: u32 = 0x103;
/// `w0` = exit value for the machine ([`bootinfo::exit`] of the host tool's contract): powers off. No reply.
pub const POWER_OFF: u32 = 0x104;
/// `w0` = position; lease 0 (WRITE): text of the kernel's log. Replies `w0` = bytes, `w1` = position of the first.
pub const LOG: u32 = 0x105;
/// Lease 0 (READ) = a line, which goes into the kernel's log with the program's name in front.
pub const SAY: u32 = 0x106;
/// `w0` = program id: ends that program, as if it had crashed. It is started anew at once if the manifest says so.
pub const KILL: u32 = 0x107;
/// Replies `w0` = most TSC ticks between a kernel entry and its exit so far (0 unless the kernel was built to measure it).
pub const SECTION: u32 = 0x108;

/// `w0` = program id; lease 0 (WRITE): [`Vec<Holding>`], all that is in the program's table. Replies `w0` = bytes.
pub const CAPS: u32 = 0x109;
/// `w0` = 1: the kernel traces, and all calls take its slow path; 0: no longer. Replies, switched on, `w0` = position of the
/// first event. `w1` = calls and faults that the kernel has delivered so far, to all programs and this one.
pub const TRACE_SWITCH: u32 = 0x110;
/// `w0` = position in the kernel's trace; lease 0 (WRITE): events ([`crate::trace`]). Replies `w0` = bytes, `w1` = position of
/// the first event (later than asked if older ones are gone). No bytes are the end.
pub const TRACE: u32 = 0x111;
/// Lease 0 (WRITE): `Vec<(u64, String)>`, the number in the trace and the name of each program's first thread, root's
/// included. Replies `w0` = bytes.
pub const THREADS: u32 = 0x112;

/// Reply label of a refused request; 0 = done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Status {
    /// The answer does not fit lease 0, or lease 0 is no memory.
    BadBuffer = 1,
    /// The caller has no `root.control`.
    NotPermitted = 2,
    /// No such operation.
    BadOperation = 3,
    /// No program with this id runs, or no file has this name.
    NoProgram = 4,
    /// As many run as may.
    TooMany = 5,
    /// The log says why.
    NotStarted = 6,
    /// Somebody else waits already.
    Busy = 7,
}

impl Status {
    /// The status of a reply's label; `None` for 0 (done). An unknown one counts as a bad operation.
    pub const fn from_label(label: u32) -> Option<Self> {
        Some(match label {
            0 => return None,
            1 => Self::BadBuffer,
            2 => Self::NotPermitted,
            4 => Self::NoProgram,
            5 => Self::TooMany,
            6 => Self::NotStarted,
            7 => Self::Busy,
            _ => Self::BadOperation,
        })
    }
}

impl core::fmt::Display for Status {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::BadBuffer => "the answer is too long",
            Self::NotPermitted => "not permitted",
            Self::BadOperation => "no such operation",
            Self::NoProgram => "no such program",
            Self::TooMany => "too many programs run",
            Self::NotStarted => "it does not start (`dmesg` says why)",
            Self::Busy => "somebody waits already",
        })
    }
}

/// A line of `ps`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramStatus {
    /// Program id.
    pub id: u32,
    /// Name in the manifest.
    pub name: String,
    /// Thread priority.
    pub priority: u8,
    /// `abi::object::thread::State` of its first thread; 255 = ended.
    pub state: u8,
    /// How often it was started anew.
    pub restarts: u32,
    /// Why it ended, if it did (and is not started anew yet).
    pub ended: Option<Ended>,
    /// Paid CPU time in TSC ticks.
    pub time: u64,
    /// Calls and faults that it got, since it was started: the kernel counts them.
    pub messages: u64,
    /// When it was started (TSC).
    pub started: u64,
    /// Bytes of its budget in use, and the budget.
    pub memory: (u64, u64),
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ended {
    /// It said so.
    Exit(u32),
    /// It panicked.
    Panic,
    /// It trapped: vector, address, RIP.
    Fault(u8, u64, u64),
    /// A holder of `root.control` wanted it.
    Killed,
}

/// A capability that a program holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    /// Slot of its table.
    pub slot: u32,
    /// [`abi::Kind`] as a number.
    pub kind: u8,
    /// Rights of that kind.
    pub rights: u8,
    /// What it names.
    pub what: String,
    /// Where it came from.
    pub from: String,
}

/// The answer to `mem`. Bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryStatus {
    /// Memory the kernel gave root.
    pub total: u64,
    /// Not yet given to a program.
    pub free: u64,
    /// Budget and use of each program by name.
    pub programs: Vec<(String, u64, u64)>,
    /// Capabilities in root's own table (without those to pieces of the programs' heaps), and unused bytes of what it makes its own objects of.
    pub root: (u32, u64),
}

//! The kernel's event ring, as [`TRACE`](crate::object::system::TRACE) returns it.

/// What happened, and what the two words of the [`Record`] mean. Threads are numbers ([`NUMBER`]).
///
/// [`NUMBER`]: crate::object::system::NUMBER
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Event {
    /// Nothing yet.
    None = 0,
    /// A system call (only while tracing is on): thread, tag.
    Call = 1,
    /// An exception: thread, vector.
    Trap = 2,
    /// The scheduler chose another thread: thread, its RIP.
    Switch = 3,
    /// A hardware interrupt: vector, the thread that was interrupted.
    Interrupt = 4,
    /// A call or fault reached a server (only while tracing is on): caller, server. The tag is that of the caller's last
    /// `Call`.
    Deliver = 5,
    /// A reply reached its caller (only while tracing is on): server, caller. The tag is that of the server's last `Call`.
    Reply = 6,
    /// An interrupt reached a server (only while tracing is on): badge, server.
    Wake = 7,
}

impl Event {
    /// The event of a number.
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::None,
            1 => Self::Call,
            2 => Self::Trap,
            3 => Self::Switch,
            4 => Self::Interrupt,
            5 => Self::Deliver,
            6 => Self::Reply,
            7 => Self::Wake,
            _ => return None,
        })
    }
}

/// One event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// What happened.
    pub event: Event,
    /// When: TSC; meaningless for what happened before tracing was switched on.
    pub time: u64,
    /// Depends on the event.
    pub first: u64,
    /// Depends on the event.
    pub second: u64,
}

impl Record {
    /// Nothing.
    pub const NONE: Self = Self { event: Event::None, time: 0, first: 0, second: 0 };
    /// Words in the message buffer.
    pub const WORDS: usize = 4;

    /// As words of the message buffer.
    pub const fn to_words(self) -> [u64; Self::WORDS] {
        [self.event as u64, self.time, self.first, self.second]
    }

    /// From words of the message buffer; `None` if the event is unknown.
    pub fn from_words([what, time, first, second]: [u64; Self::WORDS]) -> Option<Self> {
        Some(Self { event: Event::from_number(what as u8)?, time, first, second })
    }
}

/// Who sends what no program does, interrupts, in a trace that is shown.
pub const KERNEL: &str = "kernel";

/// What a message is, for whoever shows a trace. The shell tells its host by [`Kind::name`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A call reached a server.
    Call,
    /// Its answer reached the caller.
    Reply,
    /// An interrupt reached a server.
    Interrupt,
    /// A trap of a program reached its handler.
    Fault,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Call, Self::Reply, Self::Interrupt, Self::Fault];

    /// One word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Reply => "reply",
            Self::Interrupt => "interrupt",
            Self::Fault => "fault",
        }
    }

    /// The one with that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

//! `io`: what every server of named things answers. Register messages and lease 0; the reply's label is 0 or an
//! [`IoError`]'s code. Positions live on the client's side.

/// `w0` = what to do besides ([`CREATE`], [`TRUNCATE`]; 0 = nothing); lease 0 (READ): the rest of the name, up to
/// [`NAME_MAX`] bytes. The reply brings the session, a badged endpoint.
pub const OPEN: u32 = 0;
/// `w0` = offset, `w1` = any of [`NO_WAIT`] and [`IN_MESSAGE`]; lease 0 (WRITE). Replies `w0` = bytes read, 0 only at the end.
pub const READ: u32 = 1;
/// `w0` = offset, or [`APPEND`]; `w1` = 0 or [`NO_WAIT`]; lease 0 (READ). Replies `w0` = bytes written.
pub const WRITE: u32 = 2;
/// Replies `w0` = size in bytes, `w1` = block size, `w2` = [`Kind`].
pub const STAT: u32 = 3;
/// Replies when everything written has reached the medium.
pub const SYNC: u32 = 4;
/// The session ends.
pub const CLOSE: u32 = 5;
/// `w0` = what to wait for ([`READABLE`], [`WRITABLE`]). Replies `w0` = what is so, as soon as any of it is.
pub const WAIT: u32 = 6;
/// `w0` = id of a buffer that the caller shares with the server ([`super::memory::SHARE`]): the session uses it from now on,
/// and no other.
pub const SHARE: u32 = 7;
/// `w0` = offset; `w1` to `w3` = pieces of the session's buffer, filled in this order: where each begins there (lower half) and
/// its bytes (upper half; 0 = no piece). The device itself moves the bytes, whole blocks. Replies `w0` = bytes read.
pub const READ_SHARED: u32 = 8;
/// [`READ_SHARED`], in the other direction.
pub const WRITE_SHARED: u32 = 9;
/// Servers number further operations from here on.
pub const FIRST_OTHER: u32 = 0x100;

/// Bit of `w0` of [`OPEN`]: makes what is missing, if the server can make things.
pub const CREATE: u64 = 1;
/// Bit of `w0` of [`OPEN`]: empties what is there, if the server's things can be empty.
pub const TRUNCATE: u64 = 2;
/// Bit of [`WAIT`]: a read would not wait (it may fail, or tell the end).
pub const READABLE: u64 = 1;
/// Bit of [`WAIT`]: a write would not wait.
pub const WRITABLE: u64 = 2;
/// Offset of a [`WRITE`] to wherever the end is then.
pub const APPEND: u64 = u64::MAX;
/// Word 1 of [`READ`] and [`WRITE`]: `WouldBlock` instead of waiting, where the server's things make one wait.
pub const NO_WAIT: u64 = 1;
/// Word 1 of [`READ`]: an answer of up to [`MESSAGE_MOST`] bytes may come in the message, from word 4 on, instead of the lease.
pub const IN_MESSAGE: u64 = 2;
/// Bytes that a message may have: to find the pages of a lease costs more than to move so few twice.
pub const MESSAGE_MOST: usize = 64;

/// Longest name in bytes.
pub const NAME_MAX: usize = 256;

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Kind {
    /// Bytes in sequence, without position or size.
    Stream = 0,
    /// Bytes at offsets, with a size.
    Block = 1,
    /// A list of names ([`super::file::LIST`]).
    Directory = 2,
}

/// The answer to [`STAT`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Size in bytes; 0 for a stream or a directory.
    pub size: u64,
    /// Transfers aligned to this many bytes are cheapest; 1 if it does not matter.
    pub block_size: u32,
    /// What it is.
    pub kind: Kind,
}

impl Stat {
    /// Bytes at offsets.
    pub const fn block(size: u64) -> Self {
        Self {
            size,
            block_size: 1,
            kind: Kind::Block,
        }
    }

    /// Bytes in sequence.
    pub const fn stream() -> Self {
        Self {
            size: 0,
            block_size: 1,
            kind: Kind::Stream,
        }
    }

    /// As words.
    pub const fn to_words(self) -> [u64; 4] {
        [self.size, self.block_size as u64, self.kind as u64, 0]
    }

    /// From words.
    pub const fn from_words(words: [u64; 4]) -> Self {
        const BLOCK: u64 = Kind::Block as u64;
        const DIRECTORY: u64 = Kind::Directory as u64;
        let kind = match words[2] {
            BLOCK => Kind::Block,
            DIRECTORY => Kind::Directory,
            _ => Kind::Stream,
        };
        Self {
            size: words[0],
            block_size: words[1] as u32,
            kind,
        }
    }
}

macro_rules! io_errors {
    ($($name:ident = $code:literal, $kind:ident, $text:literal;)*) => {
        /// Why an operation on a handle failed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum IoError {
            $(#[doc = $text] $name,)*
            /// The server is gone. `delivered`: it had taken the request, so it may have acted on it.
            ServerDied {
                /// Whether the server had taken the request.
                delivered: bool,
            },
            /// The kernel refused the call.
            System(abi::Error),
        }

        impl IoError {
            /// The errors a server can answer with.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The reply's label. What only the client's side can know is told as `DeviceError`.
            pub const fn code(self) -> u32 {
                match self {
                    $(Self::$name => $code,)*
                    Self::ServerDied { .. } | Self::System(_) => Self::DeviceError.code(),
                }
            }

            /// The error of a reply's label (not 0); an unknown one is a `DeviceError`.
            pub const fn from_code(code: u32) -> Self {
                match code { $($code => Self::$name,)* _ => Self::DeviceError }
            }

            const fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                    Self::ServerDied { delivered: true } => "the server died during the request, which may have had an effect",
                    Self::ServerDied { delivered: false } => "the server died before it took the request",
                    Self::System(_) => "the kernel refused the call",
                }
            }

            const fn embedded_kind(self) -> embedded_io::ErrorKind {
                use embedded_io::ErrorKind::*;
                match self { $(Self::$name => $kind,)* Self::ServerDied { .. } => ConnectionReset, Self::System(_) => Other }
            }
        }
    };
}

io_errors! {
    NotFound = 1, NotFound, "no such name";
    NotPermitted = 2, PermissionDenied, "not permitted";
    NoDevice = 3, NotFound, "no such device";
    BeyondEnd = 4, InvalidInput, "beyond the end";
    ReadOnly = 5, PermissionDenied, "read-only";
    WouldBlock = 6, Other, "the server is busy";
    BadBuffer = 7, InvalidInput, "bad buffer";
    DeviceError = 8, Other, "device error";
    TooManySessions = 9, OutOfMemory, "too many sessions";
    BadRequest = 10, Unsupported, "bad request";
    OutOfMemory = 11, OutOfMemory, "out of memory";
    AlreadyExists = 12, AlreadyExists, "it exists already";
    NoSpace = 13, Other, "no space left";
    NotEmpty = 14, InvalidInput, "the directory is not empty";
    NotDirectory = 15, InvalidInput, "not a directory";
    IsDirectory = 16, InvalidInput, "a directory";
    BadName = 17, InvalidInput, "no name for such a thing";
    NoFileSystem = 18, InvalidData, "no file system there";
    InUse = 19, Other, "it is in use";
    Corrupt = 20, InvalidData, "damaged";
    Stale = 21, NotFound, "it was lost after an error: open it again";
    BadPartitions = 22, InvalidData, "the partition table is damaged";
    NoNetwork = 32, NotConnected, "the network is down";
    Refused = 33, ConnectionRefused, "the other side refuses";
    Reset = 34, ConnectionReset, "the other side broke the connection";
    TimedOut = 35, TimedOut, "the other side does not answer";
    PartnerDied = 36, ConnectionReset, "the partner in the other instance died: open it again";
}

impl core::fmt::Display for IoError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::System(error) => write!(f, "the kernel refused the call: {error:?}"),
            other => f.write_str(other.text()),
        }
    }
}

impl core::error::Error for IoError {}

impl embedded_io::Error for IoError {
    fn kind(&self) -> embedded_io::ErrorKind {
        self.embedded_kind()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_round_trip_and_are_not_zero() {
        for &error in IoError::ALL {
            assert_ne!(error.code(), 0);
            assert_eq!(IoError::from_code(error.code()), error);
        }
        assert_eq!(IoError::from_code(999), IoError::DeviceError);
    }

    #[test]
    fn stat_round_trips() {
        for kind in [Kind::Stream, Kind::Block, Kind::Directory] {
            let stat = Stat {
                size: 1 << 40,
                block_size: 512,
                kind,
            };
            assert_eq!(Stat::from_words(stat.to_words()), stat);
        }
    }
}

//! The rows of the matrix: every device, where in it there is something to try, and how one gets something to read.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use libsys::handle::{Handle, IoError};
use libsys::proto::io::CREATE;

/// How there comes to be something to read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// It is there, the same in each run.
    Kept,
    /// It is there, another in each run.
    Changing,
    /// The other side sends back what is written.
    Echo,
    /// Somebody types; who does it is told by a line `type now`.
    Keys,
}

/// A device.
pub struct Row {
    /// What the matrix calls it.
    pub label: &'static str,
    /// What is opened.
    pub name: String,
    /// How, besides ([`libsys::proto::io::OPEN`]).
    pub how: u64,
    /// Where in it is tried.
    pub at: u64,
    /// Bytes of a plain read.
    pub piece: usize,
    /// Where these come from.
    pub source: Source,
    /// Names of the same server that it refuses.
    pub wrong: &'static [&'static str],
}

impl Row {
    fn new(label: &'static str, name: &str, wrong: &'static [&'static str]) -> Self {
        Self {
            label,
            name: name.into(),
            how: 0,
            at: 0,
            piece: 64,
            source: Source::Kept,
            wrong,
        }
    }

    /// Opens it.
    pub fn open(&self) -> Result<Handle, IoError> {
        Handle::open_with(&self.name, self.how)
    }

    /// Reads as many bytes from `offset` on as the buffer has, or as there are.
    pub fn read(&self, handle: &Handle, offset: u64, buffer: &mut [u8]) -> Result<usize, IoError> {
        if self.source == Source::Echo && !buffer.is_empty() {
            let text: Vec<u8> = (b'a'..=b'z').cycle().take(buffer.len()).collect();
            handle.write(&text)?;
        }
        fill(handle, offset, buffer)
    }

    /// Writes bytes to `offset`, all of them if it is a stream that has no room for them at once.
    pub fn write(&self, handle: &Handle, offset: u64, bytes: &[u8]) -> Result<usize, IoError> {
        let count = handle.write_at(offset, bytes)?;
        if self.source == Source::Echo {
            let mut back = vec![0; count];
            fill(handle, 0, &mut back)?;
            if back != bytes[..count] {
                return Err(IoError::Corrupt);
            }
        }
        Ok(count)
    }
}

/// Reads until the buffer is full or there is no more.
pub fn fill(handle: &Handle, offset: u64, buffer: &mut [u8]) -> Result<usize, IoError> {
    let mut done = 0;
    while done < buffer.len() {
        match handle.read_at(offset + done as u64, &mut buffer[done..]) {
            Ok(0) => break,
            Ok(count) => done += count,
            // What came before it is there.
            Err(IoError::BeyondEnd) if done > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// All rows. The TCP port `echo` of the host sends back what it gets; the disk's second half is nobody's.
pub fn all(echo: u64) -> Vec<Row> {
    vec![
        Row {
            at: 0xc0000,
            ..Row::new("disk", "disk:0", &["disk:1", "disk:x"])
        },
        Row {
            how: CREATE,
            ..Row::new("file", "file:/row", &["file:/none", "file:/row/row"])
        },
        Row::new("flash", "flash:0", &["flash:1", "flash:x"]),
        Row {
            how: CREATE,
            ..Row::new("value", "flash:kv/row", &["flash:kv/none"])
        },
        Row {
            source: Source::Echo,
            ..Row::new(
                "net",
                &format!("tcp:10.0.2.2:{echo}"),
                &["tcp:x", "tcp:10.0.2.2:0"],
            )
        },
        Row {
            piece: 2,
            source: Source::Keys,
            ..Row::new("keyboard", "keyboard:", &["keyboard:x"])
        },
        Row::new("null", "null:", &["null:x"]),
        Row::new("zero", "zero:", &["zero:1"]),
        Row::new("example", "blah:", &["blah:blah"]),
        Row {
            source: Source::Changing,
            ..Row::new("timer", "timer:", &["timer:x", "timer:0", "timer:-1"])
        },
        Row {
            piece: 8,
            source: Source::Changing,
            ..Row::new("moments", "timer:5", &[])
        },
    ]
}

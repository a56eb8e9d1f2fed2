//! `read` and `write`.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use libsys::handle::{Handle, IoError, Kind};
use libsys::{fs, print, println};
use sha2::{Digest, Sha256};
use shell::arguments::{Read, Write};
use shell::hexdump;

/// Bytes per message; more does not make it faster by much.
const PIECE: usize = 64 << 10;

/// Bytes shown if no size is given.
const SHOWN: u64 = 512;

/// Shows bytes of a device, or their digest.
pub fn read(words: &[String]) -> Result<(), String> {
    let arguments = Read::parse(words)?;
    let named = |error: IoError| format!("{}: {error}", arguments.name);
    let handle = Handle::open(arguments.name).map_err(named)?;
    let size = match arguments.size {
        Some(size) => size,
        None if !arguments.sha256 => SHOWN,
        None if handle.stat().map_err(named)?.kind == Kind::Block => u64::MAX,
        None => return Err(format!("{}: it has no end: give a --size", arguments.name)),
    };
    let mut buffer = vec![0; usize::try_from(size).map_or(PIECE, |size| size.min(PIECE))];
    let mut digest = Sha256::new();
    let count = pieces(
        &handle,
        arguments.offset,
        size,
        &mut buffer,
        |offset, bytes| match arguments.sha256 {
            true => digest.update(bytes),
            false => show(offset, bytes),
        },
    )
    .map_err(named)?;
    if arguments.sha256 {
        println!("{}  {}", hex(&digest.finalize()), arguments.name);
    }
    // Why fewer than asked for: the contract of `read` has two cases of Ok(0).
    match (arguments.size, count) {
        (Some(0), _) => println!("nothing read: the buffer is empty"),
        (None, _) if arguments.sha256 => {}
        (_, count) if count < size => println!("end of device at {}", arguments.offset + count),
        _ => {}
    }
    Ok(())
}

/// Writes a text to a device or file, which is made if it is missing, and syncs it.
pub fn write(words: &[String]) -> Result<(), String> {
    let arguments = Write::parse(words)?;
    let named = |error: IoError| format!("{}: {error}", arguments.name);
    let handle = fs::open_or_create(arguments.name).map_err(named)?;
    let mut done = 0;
    while done < arguments.text.len() {
        let rest = &arguments.text.as_bytes()[done..];
        match handle
            .write_at(arguments.offset.saturating_add(done as u64), rest)
            .map_err(named)?
        {
            0 => {
                return Err(format!(
                    "{}: end of device after {done} bytes",
                    arguments.name
                ));
            }
            count => done += count,
        }
    }
    handle.sync().map_err(named)?;
    println!("{done} bytes written");
    Ok(())
}

/// Reads up to `size` bytes from `offset` on, piece by piece (`piece` gets the offset of each), until the device ends.
/// Returns how many there were.
fn pieces(
    handle: &Handle,
    offset: u64,
    size: u64,
    buffer: &mut [u8],
    mut piece: impl FnMut(u64, &[u8]),
) -> Result<u64, IoError> {
    let mut done = 0;
    loop {
        let want = usize::try_from(size - done).map_or(buffer.len(), |left| left.min(buffer.len()));
        let at = offset.checked_add(done).ok_or(IoError::BeyondEnd)?;
        let count = handle.read_at(at, &mut buffer[..want])?;
        piece(at, &buffer[..count]);
        done += count as u64;
        if count == 0 || done == size {
            return Ok(done);
        }
    }
}

/// A digest in hexadecimal.
pub fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A hexdump of a piece, one message per page of lines.
pub fn show(offset: u64, bytes: &[u8]) {
    const LINES: usize = 32;
    for (i, page) in bytes.chunks(hexdump::LINE * LINES).enumerate() {
        let mut text = String::new();
        for (j, line) in page.chunks(hexdump::LINE).enumerate() {
            let before = (i * LINES + j) * hexdump::LINE;
            hexdump::line(&mut text, offset + before as u64, line);
        }
        print::write(text.as_bytes());
    }
}

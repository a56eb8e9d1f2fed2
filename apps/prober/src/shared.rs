//! Reads and writes of the disk through memory that is shared with its device.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use libsys::handle::{Handle, IoError, answered};
use libsys::proto::io;
use libsys::shared::Shared;
use libsys::{println, syscall};

const SECTOR: usize = 512;
/// Bytes of the buffer.
const SIZE: usize = 64 << 10;
/// Buffers made one after the other.
const MANY: usize = 100;

/// Checks all that can be seen with a disk, says so, and then reads for good; it begins anew when the disk's server dies.
///
/// # Errors
/// What is wrong.
pub fn run(name: &str) -> Result<(), String> {
    loop {
        match check(name).and_then(|()| forever(name)) {
            Err(Failure::Io(IoError::ServerDied { .. } | IoError::NotPermitted)) => {
                syscall::yield_now();
            }
            Err(Failure::Io(error)) => return Err(format!("{error}")),
            Err(Failure::Wrong(what)) => return Err(what.into()),
            Ok(never) => match never {},
        }
    }
}

enum Failure {
    Io(IoError),
    Wrong(&'static str),
}

impl From<IoError> for Failure {
    fn from(error: IoError) -> Self {
        Self::Io(error)
    }
}

fn expect(is_so: bool, what: &'static str) -> Result<(), Failure> {
    is_so.then_some(()).ok_or(Failure::Wrong(what))
}

fn refused<T>(
    result: Result<T, IoError>,
    error: IoError,
    what: &'static str,
) -> Result<(), Failure> {
    match result {
        Err(IoError::ServerDied { delivered }) => Err(IoError::ServerDied { delivered }.into()),
        result => expect(result.err() == Some(error), what),
    }
}

fn check(name: &str) -> Result<(), Failure> {
    for _ in 0..MANY {
        let session = Handle::open(name)?;
        let buffer = Shared::new(name, SIZE)?;
        buffer.attach(&session)?;
        drop((session, buffer));
    }
    let disk = Handle::open(name)?;
    Shared::new(name, SIZE)?.attach(&disk)?;
    refused(
        Shared::new(name, SIZE),
        IoError::OutOfMemory,
        "a second buffer while a session has the first",
    )?;
    drop(disk);
    let disk = Handle::open(name)?;
    let mut buffer = Shared::new(name, SIZE)?;
    refused(
        buffer.read(&disk, 0, &[(0, SECTOR)]),
        IoError::BadBuffer,
        "a read before the session has the buffer",
    )?;
    refused(
        answered(syscall::call(disk.slot(), io::SHARE, [u64::MAX, 0, 0, 0])),
        IoError::NotPermitted,
        "a buffer that nobody shares",
    )?;
    buffer.attach(&disk)?;
    bytes(&disk, &mut buffer)?;
    bounds(&disk, &mut buffer)
}

/// What comes is what an ordinary read brings, where it belongs and nowhere else; and the other way.
fn bytes(disk: &Handle, buffer: &mut Shared) -> Result<(), Failure> {
    let mut plain = [0; 4 * SECTOR];
    disk.read_at(SECTOR as u64, &mut plain)?;
    let pieces = [(4096, SECTOR), (0, 2 * SECTOR), (3 * SECTOR, SECTOR)];
    buffer.bytes().fill(b'#');
    println!("shared: reads without a copy");
    let count = buffer.read(disk, SECTOR as u64, &pieces)?;
    expect(count == plain.len(), "bytes are missing")?;
    let mut wanted = vec![b'#'; SIZE];
    wanted[4096..][..SECTOR].copy_from_slice(&plain[..SECTOR]);
    wanted[..2 * SECTOR].copy_from_slice(&plain[SECTOR..3 * SECTOR]);
    wanted[3 * SECTOR..][..SECTOR].copy_from_slice(&plain[3 * SECTOR..]);
    expect(buffer.bytes() == wanted, "other bytes, or elsewhere")?;
    let place = 200 * SECTOR as u64;
    let count = buffer.write(disk, place, &pieces)?;
    expect(count == plain.len(), "bytes were not written")?;
    let mut back = [0; 4 * SECTOR];
    disk.read_at(place, &mut back)?;
    expect(back == plain, "other bytes were written")
}

fn bounds(disk: &Handle, buffer: &mut Shared) -> Result<(), Failure> {
    let bad: [&[(usize, usize)]; 6] = [
        &[],
        &[(0, SECTOR - 1)],
        &[(SIZE, SECTOR)],
        &[(SIZE - SECTOR, 2 * SECTOR)],
        &[(u32::MAX as usize, SECTOR)],
        &[(0, SECTOR); 4],
    ];
    for pieces in bad {
        let read = buffer.read(disk, 0, pieces);
        refused(read, IoError::BadRequest, "pieces that cannot be")?;
    }
    let read = buffer.read(disk, 1, &[(0, SECTOR)]);
    refused(read, IoError::BadRequest, "a part of a sector")?;
    let end = disk.stat()?.size;
    let read = buffer.read(disk, end + SECTOR as u64, &[(0, SECTOR)]);
    refused(read, IoError::BeyondEnd, "a read beyond the end")?;
    let write = buffer.write(disk, end, &[(0, SECTOR)]);
    refused(write, IoError::BeyondEnd, "a write at the end")?;
    let count = buffer.read(disk, end - SECTOR as u64, &[(0, SECTOR), (4096, SECTOR)])?;
    expect(count == SECTOR, "a read across the end")?;
    for wild in [(SIZE, SECTOR), (SIZE + SECTOR, 0)] {
        let read = buffer.read(disk, end - SECTOR as u64, &[(0, SECTOR), wild]);
        refused(read, IoError::BadRequest, "a wild piece behind the end")?;
    }
    let count = buffer.read(disk, end, &[(0, SECTOR)])?;
    expect(count == 0, "a read at the end")
}

enum Never {}

fn forever(name: &str) -> Result<Never, Failure> {
    let disk = Handle::open(name)?;
    let mut buffer = Shared::new(name, SIZE)?;
    buffer.attach(&disk)?;
    read_on(&disk, &mut buffer)?;
    // Not before there is a session: whoever hears this and kills the server is noticed.
    println!("shared: nothing wrong");
    loop {
        read_on(&disk, &mut buffer)?;
    }
}

fn read_on(disk: &Handle, buffer: &mut Shared) -> Result<(), Failure> {
    let count = buffer.read(disk, 0, &[(0, SIZE)])?;
    expect(count == SIZE, "a read that is too short")?;
    expect(
        buffer.bytes().starts_with(b"Hello from sector 0"),
        "other bytes, later",
    )
}

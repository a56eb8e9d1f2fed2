//! write: what is written can be read again; `sync` waits until it is on the medium.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]

use embedded_io::SeekFrom;
use libsys::handle::{Handle, IoError};
use libsys::println;

libsys::entry!(start);

fn start() -> Result<(), IoError> {
    let disk = Handle::open("disk:0")?;
    disk.seek(SeekFrom::Start(4096))?;
    println!("wrote {} bytes", disk.write(b"written by an example")?);
    disk.sync()?;
    disk.seek(SeekFrom::Current(-10))?;
    let mut end = [0; 10];
    disk.read(&mut end)?;
    println!("the last ten: {}", end.escape_ascii());
    Ok(())
}

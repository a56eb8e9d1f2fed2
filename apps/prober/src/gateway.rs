//! Asks the gateway of QEMU's network for its Ethernet address, by frames of its own: that needs no address of this machine's.

use libsys::handle::{Handle, IoError};
use libsys::{net, syscall};

/// Ours, if a DHCP server had been asked; and the gateway's.
const OWN: [u8; 4] = [10, 0, 2, 15];
const GATEWAY: [u8; 4] = [10, 0, 2, 2];
/// Looks for an answer before it asks again.
const PATIENCE: u32 = 1000;
/// A request, from Ethernet's type on: IPv4 over Ethernet (RFC 826).
const REQUEST: [u8; 10] = [0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1];
/// An answer.
const ANSWER: [u8; 10] = [0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 2];

/// Returns when the gateway has answered.
pub fn answers() -> Result<(), IoError> {
    let mac = net::status()?.mac;
    let parts = [
        &[0xff; 6],
        &mac[..],
        &REQUEST,
        &mac,
        &OWN,
        &[0; 6],
        &GATEWAY,
    ];
    let request = parts.concat();
    let frames = Handle::open("net:")?;
    loop {
        frames.write(&request)?;
        for _ in 0..PATIENCE {
            let mut frame = [0; 1514];
            match frames.try_read(&mut frame) {
                Ok(_)
                    if frame[..6] == mac && frame[12..22] == ANSWER && frame[28..32] == GATEWAY =>
                {
                    return Ok(());
                }
                Ok(_) => {}
                Err(IoError::WouldBlock) => syscall::yield_now(),
                Err(error) => return Err(error),
            }
        }
    }
}

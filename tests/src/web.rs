//! The system `web`, in a test's hands: its serial line, and a port of the host that leads to its web server.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use postern::qemu::Options;
use postern::system::System;
use tempfile::NamedTempFile;

use crate::fat;
use crate::session::Session;

/// Bytes of the file that it serves, if the test does not mind.
const SIZE: u32 = 300_001;

/// A running web server.
pub struct Web {
    /// The machine.
    pub session: Session,
    /// Where its web server is reached.
    pub address: SocketAddr,
    /// What it serves at `/data`.
    pub content: Vec<u8>,
    _disk: NamedTempFile,
}

/// A port of loopback that nobody uses now.
///
/// # Panics
/// All are in use.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("some port is free");
    listener.local_addr().expect("it has an address").port()
}

impl Web {
    /// Boots `system` with a disk of its own, and waits for its web server.
    ///
    /// # Panics
    /// It does not start.
    pub fn boot(system: &System) -> Self {
        Self::serving(SIZE, system)
    }

    /// [`Web::boot`], with a file of `size` bytes, at most 31 MiB.
    ///
    /// # Panics
    /// As [`Web::boot`].
    pub fn serving(size: u32, system: &System) -> Self {
        // Bytes without a pattern that a mistake could hide in.
        let content: Vec<u8> = (0..size).map(|i| (i ^ i >> 7 ^ i >> 13) as u8).collect();
        let file = NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), &content).expect("it can be written");
        let disk = NamedTempFile::new().expect("a temporary file");
        let room = (size + (1 << 20)).next_power_of_two().max(8 << 20);
        fat::make(disk.path(), 16, room.into());
        fat::make_directory(disk.path(), "/www");
        fat::put(disk.path(), file.path(), "/www/data");
        let port = free_port();
        let options = Options {
            disks: vec![disk.path().into()],
            forward: vec![(port, 80)],
            ..Options::default()
        };
        let mut session = Session::boot(&options, system);
        session.expect("at port 80");
        Self {
            session,
            address: (Ipv4Addr::LOCALHOST, port).into(),
            content,
            _disk: disk,
        }
    }
}

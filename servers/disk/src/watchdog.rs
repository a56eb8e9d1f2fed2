//! Ends the program when a device keeps a request too long: nothing else makes a virtio device give memory back than a reset,
//! which is what root does with the devices of a program that has ended.

use crate::driver::watch::Watch;
use abi::Error;
use alloc::vec::Vec;
use core::time::Duration;
use libsys::cap::{Cap, Endpoint};
use libsys::syscall;
use libsys::thread::{self, JoinHandle};
use libsys::time::Instant;

/// Starts a thread that looks at these devices (and their numbers) every `patience`. A request is late after one to two of it.
///
/// # Errors
/// As [`thread::spawn`]. The thread ends when the program does.
pub fn start(devices: Vec<(usize, Watch)>, patience: Duration) -> Result<JoinHandle<()>, Error> {
    // Nobody calls it.
    let alarm = Cap::endpoint()?;
    thread::spawn(move || look(devices, patience, &alarm))
}

/// Looks for good.
///
/// # Panics
/// A request is late.
fn look(mut devices: Vec<(usize, Watch)>, patience: Duration, alarm: &Cap<Endpoint>) {
    loop {
        let _ = syscall::recv_until(alarm.slot(), (Instant::now() + patience).0);
        for (number, watch) in &mut devices {
            assert!(
                !watch.look(),
                "disk: {number}: no answer for {} s, so the disk is reset",
                patience.as_secs()
            );
        }
    }
}

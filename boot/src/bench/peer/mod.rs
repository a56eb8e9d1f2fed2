//! `cargo bench -- --peer linux`: another system on the same emulator, in the same run. Its figures are shown beside Postern's.
//!
//! Read in this order: [`ids`] (what is measured, beside what), [`packages`] (where the peer comes from), [`initramfs`] (what it boots
//! with), [`linux`] (the machine), [`measured`] (the program that measures). Apart from these, [`web`]: the web servers of
//! both systems, asked from the host, with [`http`] (the client) and [`script`] (a Linux that a script starts).

pub mod http;
pub mod ids;
pub mod initramfs;
pub mod linux;
pub mod measured;
pub mod packages;
pub mod script;
pub mod web;

use std::time::Duration;

use anyhow::{Result, bail};

use crate::machine::{Event, Machine};

/// What the peer is called.
pub const LINUX: &str = "Linux";
/// No healthy system takes longer to boot.
const LIMIT: Duration = Duration::from_secs(120);

/// Waits until a machine has printed `text`.
///
/// # Errors
/// It ends before, or takes too long; with the end of what it printed.
pub fn expect(machine: &Machine, text: &str) -> Result<()> {
    let deadline = std::time::Instant::now() + LIMIT;
    let mut log = Vec::new();
    loop {
        match machine.next(Some(deadline)) {
            Some(Event::Output(bytes)) => log.extend(bytes),
            Some(Event::Leave) => {}
            Some(Event::Signal(signal)) => bail!("interrupted by signal {signal}"),
            Some(Event::Ended) | None => {
                let log = String::from_utf8_lossy(&log).into_owned();
                let start = log.len().saturating_sub(2000);
                bail!(
                    "it did not say `{text}`:\n{}",
                    &log[log.ceil_char_boundary(start)..]
                );
            }
        }
        if String::from_utf8_lossy(&log).contains(text) {
            return Ok(());
        }
    }
}

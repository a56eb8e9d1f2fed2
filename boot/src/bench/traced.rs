//! The figures that come from a trace.

use std::ffi::OsString;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::gdb::Gdb;
use super::guest::{Lines, Said};
use super::stages;
use super::trace::{self, Cost, FAULT, INTERRUPT, ROUND_TRIPS, RoundTrip};
use crate::exec;
use crate::machine::{Event, Machine};
use crate::qemu::Options;
use crate::run::{self, Booted};
use crate::symbols::Symbols;
use crate::system::System;

/// What the trace shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traced {
    /// One round trip between two spaces, without words.
    pub trip: RoundTrip,
    /// From an interrupt to its server in another space.
    pub interrupt: Cost,
    /// From an exception to its handler in another space.
    pub fault: Cost,
}

impl Traced {
    /// The figure of an id, and what to say beside it.
    pub fn figure(&self, id: &str) -> Option<(u64, Option<String>)> {
        let trip = &self.trip;
        let plain = |value| Some((value, None));
        let of = |cost: &Cost, what: &str| match what {
            "instructions" => plain(cost.instructions),
            "memory" => plain(cost.memory),
            "expensive" => {
                let names = cost.expensive.join(", ");
                Some((cost.expensive.len() as u64, Some(names)))
            }
            _ => None,
        };
        match id {
            "ipc.loop.client" => plain(trip.client),
            "ipc.loop.server" => plain(trip.server),
            "irq.to_server" => plain(self.interrupt.instructions),
            "fault.to_handler" => plain(self.fault.instructions),
            _ if id.starts_with("ipc.stage.") => {
                let (way, name) = id.strip_prefix("ipc.stage.")?.split_once('.')?;
                let stage = stages::NAMES.iter().position(|known| *known == name)?;
                plain(match way {
                    "call" => trip.call_stages[stage],
                    _ => trip.reply_recv_stages[stage],
                })
            }
            _ => match id.strip_prefix("ipc.oneway.")?.split_once('.')? {
                ("call", what) => of(&trip.call, what),
                ("reply_recv", what) => of(&trip.reply_recv, what),
                _ => None,
            },
        }
    }
}

/// Boots the bench system and traces it.
///
/// # Errors
/// It does not get ready, or its trace is not as it should be.
pub fn traced(options: &Options) -> Result<Traced> {
    let mut system = System::load("bench")?;
    let nonce = exec::nonce();
    let program = system.program("crossings").context("no `crossings`")?;
    program.args = ["measure", &nonce, "1", "traced"]
        .map(String::from)
        .to_vec();
    let folder = tempfile::tempdir()?;
    let socket = folder.path().join("gdb");
    let mut stub = OsString::from("unix:");
    stub.push(&socket);
    stub.push(",server=on,wait=off");
    let more = ["-gdb".into(), stub];
    let Booted {
        machine, symbols, ..
    } = &mut run::boot_with(options, &system, &more)?;
    wait_ready(machine, symbols, options, &nonce)?;
    let mut gdb = Gdb::connect(&socket)?;
    let steps = trace::record(&mut gdb, ROUND_TRIPS)?;
    let trip = trace::round_trip(&steps)?;
    let steps = trace::record(&mut gdb, INTERRUPT)?;
    let interrupt = trace::interrupt(&steps)?;
    let steps = trace::record(&mut gdb, FAULT)?;
    let fault = trace::interrupt(&steps)?;
    Ok(Traced {
        trip,
        interrupt,
        fault,
    })
}

fn wait_ready(machine: &Machine, symbols: &Symbols, options: &Options, nonce: &str) -> Result<()> {
    let deadline = options.timeout.map(|limit| Instant::now() + limit);
    let mut lines = Lines::new(nonce);
    let mut log = Vec::new();
    loop {
        match machine.next(deadline) {
            Some(Event::Output(bytes)) => {
                log.extend_from_slice(&bytes);
                if lines.feed(&bytes).contains(&Ok(Said::Ready)) {
                    return Ok(());
                }
            }
            event => {
                let log = String::from_utf8_lossy(&log);
                eprintln!("--- the log\n{}---", symbols.annotate(&log));
                bail!("the bench system does not get ready: {event:?}");
            }
        }
    }
}

//! Measures what crossings of the kernel cost, for `cargo bench`: one line on the serial port for each result.
//!
//! Two programs of the bench system run this binary: `crossings measure NONCE SAMPLES ID…` measures, and `partner` (no
//! arguments) is the other side, in a space of its own; `chain [NEXT]` is a server that asks another one. `table SAMPLES ID…` measures for
//! a person (system `suite`). Read in this order: [`clock`], [`report`], [`partner`], then the
//! groups of ids: [`ipc`], [`load`], [`traps`], [`objects`], [`team`], [`reads`]; last [`stress`] with [`crowd`], [`traced`], and [`person`].
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]
extern crate alloc;

mod crowd;
mod ipc;
mod load;
mod objects;
mod partner;
mod person;
mod reads;
mod report;
mod stress;
mod team;
mod traced;
mod traps;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use bootinfo::exit;
use libsys::object::IoPorts;
use libsys::proto::control;
use libsys::proto::program::Own;
use libsys::syscall::{self, Slot};
use libsys::{rt, thread::Worker};
use measure::Failure;
use measure::clock::{self, Samples};
use measure::row::Row;
use report::Report;
use spin::Mutex;

libsys::entry!(start);

/// The priority of both programs in `boot/systems/bench.toml`.
pub const PRIORITY: u8 = 100;

/// Asks for [`traced`] in an id's place.
const TRACED: &str = "traced";

/// What every measurement may use.
pub struct Bench {
    /// Samples of each id.
    pub samples: usize,
    /// The partner's endpoint.
    pub partner: Slot,
    /// What this program makes kernel objects with.
    pub own: Own,
    /// A second thread of this program.
    pub worker: Worker,
    /// Further ones, as far as they have been needed.
    pub others: Mutex<Vec<Worker>>,
    /// The serial port, and its first port.
    pub ports: (IoPorts, u16),
}

/// An error of the kernel, in words.
pub fn kernel(error: abi::Error) -> Failure {
    format!("{error:?}")
}

fn start() -> Result<(), &'static str> {
    let mut words = rt::info().args.iter().map(String::as_str);
    let nonce = match words.next() {
        None => partner::serve(),
        Some("chain") => partner::chain(words.next().and_then(rt::endpoint)),
        Some("measure") => words.next(),
        Some("table") => None,
        Some(_) => {
            return Err("its first argument is `measure`, `table` or `chain`, or there is none");
        }
    };
    let samples = words.next().and_then(|n| n.parse().ok());
    let samples = samples.ok_or("usage: measure NONCE SAMPLES ID…, or table SAMPLES ID…")?;
    let own = rt::info().own.ok_or("it needs an Untyped")?;
    let report = Report::new(nonce.unwrap_or_default())?;
    let bench = Bench {
        samples,
        partner: rt::endpoint("partner").ok_or("it needs its partner")?,
        own,
        worker: Worker::new(&own, 4).map_err(|_| "it cannot make a thread")?,
        others: Mutex::new(Vec::new()),
        ports: report.ports(),
    };
    let counts_cycles = clock::take_cycles();
    if nonce.is_none() {
        person::run(&bench, &report, counts_cycles, words);
    }
    if counts_cycles {
        report.cycles();
    }
    for id in words {
        if id == TRACED {
            traced::run(&bench, &report).map_err(|_| "it cannot be traced")?;
        }
        match measure(&bench, id) {
            Ok(samples) => report.result(id, &samples),
            Err(failure) => report.failed(id, &failure),
        }
    }
    report.end();
    let control = rt::endpoint("root.control").ok_or("it cannot turn the machine off")?;
    syscall::call(control, control::POWER_OFF, [exit::SUCCESS as u64, 0, 0, 0]);
    Err("root does not turn the machine off")
}

fn measure(bench: &Bench, id: &str) -> Result<Samples, Failure> {
    // Above the hypervisor shim it is the same.
    match id.strip_prefix("vm.").unwrap_or(id) {
        "trap.null" => traps::null(bench),
        "ipc.roundtrip.same.0" => ipc::same(bench),
        "ipc.roundtrip.cross.0" => ipc::cross(bench),
        "ipc.roundtrip.cross.4" => ipc::cross_four(bench),
        "ipc.roundtrip.cross.8" => ipc::cross_long::<4>(bench),
        "ipc.roundtrip.cross.32" => ipc::cross_long::<28>(bench),
        "ipc.roundtrip.cross.120" => ipc::cross_long::<116>(bench),
        "ipc.roundtrip.traced" => ipc::traced(bench),
        "ipc.roundtrip.untraced" => ipc::untraced(bench),
        "ipc.slowpath.cross.0" => ipc::slow(bench),
        "ipc.call_with_cap" => ipc::with_capability(bench),
        "ipc.deferred" => ipc::deferred(bench),
        "ipc.roundtrip.cold" => load::cold(bench),
        "ipc.roundtrip.ready.100" => load::ready(bench),
        "ipc.chain.1" => load::chain(bench, 1),
        "ipc.chain.2" => load::chain(bench, 2),
        "ipc.chain.3" => load::chain(bench, 3),
        "ipc.chain.4" => load::chain(bench, 4),
        "ipc.chain.5" => load::chain(bench, 5),
        "ipc.fanin.1" => team::fan_in(bench, 1),
        "ipc.fanin.4" => team::fan_in(bench, 4),
        "ipc.fanin.16" => team::fan_in(bench, 16),
        "ipc.fanin.64" => team::fan_in(bench, 64),
        "fault.roundtrip" => traps::fault(bench),
        "irq.acknowledge" => traps::acknowledge(bench),
        "cap.mint_delete" => objects::mint_delete(bench),
        "cap.revoke.100" => objects::revoke(bench),
        "space.map_unmap" => objects::map_unmap(bench),
        "kernel.longest_section" => stress::longest_section(bench),
        "thread.life" => objects::thread_life(bench),
        "read.ipc.file.4096" => reads::file(bench.samples, "file:/FILE", 4096),
        _ => match Row::parse(id) {
            Some(row) => reads::row(bench.samples, &row),
            None => Err("no such id".into()),
        },
    }
}

//! Ids of kernel objects.

use crate::clock::{self, Samples};
use crate::partner::ROUND;
use crate::{Bench, Failure, PRIORITY, kernel};
use abi::object::{endpoint, frame, space, untyped};
use abi::{Error, Kind};
use libsys::object::{CapTable, Frame, OWN_TABLE, Space, Untyped};
use libsys::rt::ENDPOINT;
use libsys::slots;
use libsys::syscall::{self, Answer, Slot};

/// Operations in one sample of those that need no preparation.
const BATCH: u64 = 16;
/// An address that nothing else uses.
const ADDRESS: u64 = 0x5000_0000_0000;
/// Capabilities of `cap.revoke.100`.
const MANY: u32 = 100;

fn slot() -> Result<Slot, Failure> {
    slots::allocate().ok_or_else(|| kernel(Error::NoCapability))
}

/// `cap.mint_delete`: a badged copy of an endpoint capability, and its end.
pub fn mint_delete(bench: &Bench) -> Result<Samples, Failure> {
    let copy = slot()?;
    let samples = clock::loops(bench.samples, BATCH, || {
        OWN_TABLE
            .derive(copy, ENDPOINT, endpoint::CALL, 7)
            .and_then(|()| OWN_TABLE.delete(copy))
            .map_err(kernel)
    });
    slots::release(copy);
    samples
}

/// `cap.revoke.100`: 100 copies of one capability, in another table, go by one REVOKE.
pub fn revoke(bench: &Bench) -> Result<Samples, Failure> {
    let (parent, table) = (slot()?, CapTable(slot()?));
    let memory = Untyped(Slot(bench.own.untyped));
    memory
        .retype(Kind::CapTable, 7, 1, OWN_TABLE, table.0, untyped::ALL)
        .and_then(|()| OWN_TABLE.derive(parent, ENDPOINT, endpoint::ALL, 0))
        .map_err(kernel)?;
    let samples = clock::singles(
        bench.samples / 10,
        || {
            (1..=MANY)
                .try_for_each(|to| table.derive(Slot(to), parent, endpoint::CALL, 0))
                .map_err(kernel)
        },
        || OWN_TABLE.revoke(parent).map_err(kernel),
    );
    slots::release(parent);
    slots::release(table.0);
    samples
}

/// `space.map_unmap`: a page into this program's space, and out of it. The tables are there already.
pub fn map_unmap(bench: &Bench) -> Result<Samples, Failure> {
    let page = Frame(slot()?);
    let own = Space(Slot(bench.own.space));
    Untyped(Slot(bench.own.untyped))
        .retype(Kind::Frame, 12, 1, OWN_TABLE, page.0, untyped::ALL)
        .map_err(kernel)?;
    let rights = frame::READ | frame::WRITE;
    let samples = clock::loops(bench.samples, BATCH, || {
        own.map(page, ADDRESS, rights, space::WRITE_BACK)
            .and_then(|()| own.unmap(page))
            .map_err(kernel)
    });
    slots::release(page.0);
    samples
}

/// `thread.life`: retype, configure, registers, priority, start, one call, suspend, delete.
pub fn thread_life(bench: &Bench) -> Result<Samples, Failure> {
    extern "C" fn client(_: u64) -> ! {
        syscall::call(ENDPOINT, ROUND, [0; 4]);
        loop {
            syscall::yield_now();
        }
    }
    clock::singles(
        bench.samples / 10,
        || Ok(()),
        || {
            bench
                .worker
                .start(client, 0, PRIORITY, Slot(0))
                .map_err(kernel)?;
            syscall::recv(ENDPOINT).check().map_err(kernel)?;
            syscall::reply(Answer::new(0, [0; 4]));
            bench.worker.stop().map_err(kernel)
        },
    )
}

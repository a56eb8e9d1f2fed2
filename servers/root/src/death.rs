//! What happens when a program ends: it is torn down, and started anew if the manifest says so.
//!
//! The order is the point (KERNEL.md A2, A3): suspend it, so that it changes nothing any more; silence its devices, so
//! that they write no memory any more; then take back what it has. Its callers get `PartnerDied`.

use crate::children;
use crate::device;
use crate::fault::Fault;
use crate::log;
use crate::program::{Program, State};
use crate::shared;
use crate::slots::{SCRATCH, SPACE, TABLE};
use crate::system::System;
use crate::window::{self, WINDOW};
use abi::object::{frame, space};
use abi::{PAGE, buffer};
use libsys::object::Frame;
use libsys::proto::control::Ended;
use libsys::proto::program::{STACK_PAGES, THREAD_AREA};
use libsys::time::Instant;

/// A program trapped: says where, and buries it.
pub fn faulted(system: &mut System, index: usize, fault: &Fault) {
    let program = &system.programs[index];
    log!("program {} faulted: {}", program.name(), fault.describe());
    // Symbols belong to the file.
    log::line(&alloc::format!(
        "program {} backtrace:",
        program.manifest.file()
    ));
    for address in fault.backtrace(|address| read_stack(program, address)) {
        log::line(&alloc::format!("  {address:#x}"));
    }
    bury(
        system,
        index,
        Ended::Fault(fault.vector, fault.address, fault.registers.rip),
    );
}

/// A word of a program's stack.
fn read_stack(program: &Program, address: u64) -> Option<u64> {
    let bottom = THREAD_AREA + buffer::AREA - STACK_PAGES * PAGE;
    let offset = address
        .checked_sub(bottom)
        .filter(|o| o.is_multiple_of(8) && *o < STACK_PAGES * PAGE)?;
    let page = program.slots.stack(offset / PAGE);
    TABLE.derive(SCRATCH, page.0, frame::READ, 0).ok()?;
    let mapped = SPACE.map(Frame(SCRATCH), WINDOW, frame::READ, space::WRITE_BACK);
    let word = mapped
        .is_ok()
        .then(|| window::read((offset % PAGE) as usize));
    let _ = TABLE.delete(SCRATCH);
    word
}

/// Tears a program down, tells the servers it could call, and orders its restart if the manifest wants that.
pub fn bury(system: &mut System, index: usize, ended: Ended) {
    tear_down(&mut system.programs[index], State::Ended(ended));
    shared::forget(&mut system.programs, index);
    system.tell_servers(index);
    if let Some(parent) = system.programs[index].parent {
        return children::tell_parent(system, parent);
    }
    children::bury_all(system, index);
    let now = Instant::now().0;
    let tsc_hz = system.tsc_hz;
    let program = &mut system.programs[index];
    let name = program.manifest.name.as_str();
    match ended {
        _ if !program.manifest.restart || ended == Ended::Exit(0) => {
            log!("program {name} ended: {ended:?}");
        }
        Ended::Killed => {
            program.restarts.wanted(now);
            log!("program {name} was killed and is started anew");
        }
        _ => match program.restarts.crashed(now, tsc_hz) {
            0 => log!("program {name} is started anew"),
            wait => log!("program {name} dies again and again; it is started anew in {wait} ms"),
        },
    }
    // At once, if it is time: its clients shall not see a gap.
    system.restart_due(now);
}

/// Takes everything back that a program has.
pub fn tear_down(program: &mut Program, state: State) {
    let slots = program.slots;
    // Fails only if the thread was never made.
    let _ = slots.thread().suspend();
    for function in core::mem::take(&mut program.functions) {
        device::silence(function);
    }
    let _ = TABLE.delete(slots.fault());
    if program.budget.is_some()
        && let Err(error) = TABLE.revoke(slots.budget().0)
    {
        log!("program {} keeps its memory: {error:?}", program.name());
    }
    program.state = state;
}

//! Memory on demand, by a pager at user level.

use crate::lab::{HIGH, Lab};
use crate::outcome::Outcome;
use crate::raw::{self, WINDOW};
use crate::{check, same};
use abi::fault::{RESUME, STOP};
use abi::object::{endpoint, frame, untyped};
use abi::{Kind, PAGE};
use libsys::object::{CapTable, Frame, OWN_TABLE, Space, Untyped};
use libsys::syscall::{self, Answer, Slot};

const PAGES: u64 = 256;

/// Touches 256 pages that nobody mapped, twice, and reports a sum.
extern "C" fn touches(_: u64) -> ! {
    for page in 0..PAGES {
        raw::write(WINDOW + page * PAGE + 8, page);
    }
    let sum: u64 = (0..PAGES)
        .map(|page| raw::read(WINDOW + page * PAGE + 8))
        .sum();
    syscall::call(Slot(1), 0, [sum, 0, 0, 0]);
    raw::stop()
}

/// A program touches 256 pages; a pager in another space gives it each at its first touch, and none twice.
pub fn on_demand(lab: &mut Lab) -> Outcome {
    let (faults, result) = (lab.endpoint()?, lab.endpoint()?);
    let memory = Untyped(lab.make(Kind::Untyped, 21)?);
    let process = lab.process(touches, 0, HIGH, &[(result, endpoint::CALL, 0)], faults)?;
    let kept = lab.table(9)?;
    let (count, spare) = (lab.endpoint()?, lab.slot());
    let space = process.space;
    lab.spawn(HIGH, move || {
        serve(faults, count, memory, space, spare, kept)
    })?;
    let m = syscall::recv(result).check()?;
    same!(m.words[0], PAGES * (PAGES - 1) / 2);
    let served = syscall::call(count, 0, [0; 4]);
    check!(served.check().is_err() || served.words[0] == PAGES);
    same!(
        kept.identify(Slot(PAGES as u32), Slot(0))?.kind,
        Kind::Frame
    );
    check!(kept.identify(Slot(PAGES as u32 + 1), Slot(0)).is_err());
    Ok(())
}

/// The pager: a frame for each page fault in the window, STOP for anything else; after the last, the count for who asks.
fn serve(faults: Slot, count: Slot, memory: Untyped, space: Space, spare: Slot, kept: CapTable) {
    let mut served = 0;
    let mut fault = syscall::recv(faults);
    while served < PAGES {
        let [cause, address, ..] = fault.words;
        let page = address & !(PAGE - 1);
        let rights = frame::READ | frame::WRITE;
        let given = cause as u8 == 14
            && memory
                .retype(Kind::Frame, 12, 1, OWN_TABLE, spare, untyped::ALL)
                .is_ok()
            && space.map(Frame(spare), page, rights, 0).is_ok()
            && kept.move_from(Slot(served as u32 + 1), spare).is_ok();
        served += given as u64;
        let label = if given { RESUME } else { STOP };
        if served == PAGES {
            syscall::reply(Answer::new(label, [0; 4]));
        } else {
            fault = syscall::reply_recv(faults, label, [0; 4]);
        }
    }
    syscall::recv(count);
    syscall::reply(Answer::new(0, [served, 0, 0, 0]));
}

//! `timer`: answers each sleeper when its time has come. The hardware timer is the kernel's; this is a program that waits
//! with a deadline and parks its callers.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]
extern crate alloc;

use alloc::vec::Vec;
use libsys::proto::io::IoError;
use libsys::proto::timer::SLEEP;
use libsys::serve::{Done, Parked, Reaction, Request, Server, serve};
use libsys::time::Instant;

libsys::entry!(start);

struct Timer {
    /// The latest deadline (absolute TSC) first; of equal ones, who came last first.
    sleepers: Vec<(u64, Parked)>,
}

impl Server for Timer {
    type Session = ();
    const TIMED: bool = true;

    fn other(&mut self, _session: Option<&mut ()>, label: u32, request: Request) -> Reaction<'_> {
        if label != SLEEP {
            return Err(IoError::BadRequest);
        }
        let deadline = request.words[0];
        if deadline <= Instant::now().0 {
            return Ok(Done::Count(0));
        }
        // Sleepers that died hold Reply objects in vain.
        self.sleepers.retain(|(_, sleeper)| sleeper.is_alive());
        let place = self
            .sleepers
            .partition_point(|&(other, _)| other > deadline);
        self.sleepers.insert(place, (deadline, request.park()?));
        Ok(Done::Later)
    }

    fn deadline(&self) -> Option<u64> {
        self.sleepers.last().map(|&(deadline, _)| deadline)
    }

    fn expired(&mut self) {
        let now = Instant::now().0;
        while let Some((_, sleeper)) = self.sleepers.pop_if(|&mut (deadline, _)| deadline <= now) {
            sleeper.finish(Ok(Done::Count(0)));
        }
    }
}

fn start() {
    serve(&mut Timer {
        sleepers: Vec::new(),
    })
}

//! `timer`: answers each sleeper when its time has come. The hardware timer is the kernel's; this is a program that waits
//! with a deadline and parks its callers.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]

use libsys::proto::io::IoError;
use libsys::proto::timer::SLEEP;
use libsys::serve::{Done, Parked, Reaction, Request, Server, serve};
use libsys::time::Instant;
use timer::queue::Queue;

libsys::entry!(start);

#[derive(Default)]
struct Timer {
    sleepers: Queue<Parked>,
}

impl Server for Timer {
    type Session = ();
    const TIMED: bool = true;

    fn other(&mut self, _session: Option<&mut ()>, label: u32, request: Request) -> Reaction<'_> {
        if label != SLEEP {
            return Err(IoError::BadRequest);
        }
        // A stream of requests must not keep those from waking whose time has come.
        self.expired();
        let deadline = request.words[0];
        if deadline <= Instant::now().0 {
            return Ok(Done::Count(0));
        }
        // Sleepers that died hold Reply objects in vain.
        self.sleepers.retain(Parked::is_alive);
        self.sleepers.insert(deadline, request.park()?);
        Ok(Done::Later)
    }

    fn deadline(&self) -> Option<u64> {
        self.sleepers.next()
    }

    fn expired(&mut self) {
        let now = Instant::now().0;
        while let Some(sleeper) = self.sleepers.pop_due(now) {
            sleeper.finish(Ok(Done::Count(0)));
        }
    }
}

fn start() {
    serve(&mut Timer::default())
}

//! What a Linux is measured with, as the suite measures Postern: the same clock, the same samples, the same lines for the host tool.
//!
//! Read in this order: [`kernel`] (Linux's system calls), [`traps`], [`messages`], [`faults`] and [`reads`] (the groups of ids);
//! `main.rs` is the first process of that Linux. All of it runs on a Linux host, too, where tests try it.
#![cfg_attr(target_os = "none", no_std)]
#![cfg(all(target_arch = "x86_64", any(target_os = "none", target_os = "linux")))]
extern crate alloc;

pub mod faults;
pub mod kernel;
pub mod messages;
pub mod reads;
pub mod traps;

use kernel::Errno;
use measure::Failure;
use measure::clock::Samples;
use measure::row::{Row, Structure};

/// A Linux, as a program sees it.
pub struct Linux {
    /// What is read, and into what.
    pub files: reads::Files,
}

impl Structure for Linux {
    fn measure(&mut self, samples: usize, row: &Row<'_>) -> Result<Samples, Failure> {
        self.files.measure(samples, row)
    }

    fn other(&mut self, samples: usize, id: &str) -> Result<Samples, Failure> {
        match id {
            "trap.null" => traps::null(samples),
            "trap.invalid" => traps::invalid(samples),
            "ipc.roundtrip.pipe" => messages::pipe(samples),
            "ipc.roundtrip.socket" => messages::socket(samples),
            "ipc.roundtrip.futex" => messages::futex(samples),
            "ipc.roundtrip.eventfd" => messages::eventfd(samples),
            "fault.roundtrip" => faults::signal(samples),
            "fault.page.write" => faults::page(samples, true),
            "fault.page.read" => faults::page(samples, false),
            _ => Err("no such id".into()),
        }
    }
}

/// An error of Linux, in words.
#[cold]
#[inline(never)]
fn told(error: Errno) -> Failure {
    alloc::format!("{error}")
}

/// On the host's own Linux.
#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn every_id_can_be_measured() {
        let mut linux = Linux {
            files: reads::Files::default(),
        };
        for id in [
            "trap.null",
            "trap.invalid",
            "ipc.roundtrip.pipe",
            "ipc.roundtrip.socket",
            "ipc.roundtrip.futex",
            "ipc.roundtrip.eventfd",
            "fault.roundtrip",
            "fault.page.write",
            "fault.page.read",
        ] {
            let samples = linux.other(20, id).expect(id);
            assert_eq!(samples.ticks.len(), 20, "{id}");
        }
        for id in [
            "read.trap.null.0",
            "read.trap.null.4096",
            "write.trap.null.64",
        ] {
            let row = Row::parse(id).expect("it is a row");
            assert_eq!(linux.measure(20, &row).expect(id).ticks.len(), 20, "{id}");
        }
        assert!(linux.other(20, "trap.nonsense").is_err());
        let row = Row::parse("read.trap.flash.16").expect("it is a row");
        assert!(linux.measure(20, &row).is_err());
    }

    #[test]
    fn an_error_of_linux_is_told_by_its_number() {
        let error = kernel::Fd::open(c"/no/such/file", 0).expect_err("there is none");
        // ENOENT.
        assert_eq!(error, Errno(2));
        assert_eq!(told(error), "Linux says error 2 (errno.h)");
    }
}

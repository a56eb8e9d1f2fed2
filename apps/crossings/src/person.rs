//! The table for a person: every line on the serial port, and on the screen, which shows page after page in the end.

use crate::report::Report;
use crate::{Bench, measure};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use bootinfo::pixels::Pixels;
use console::display::Display;
use console::screen::ROWS;
use core::time::Duration;
use libsys::handle::Handle;
use libsys::object::IoPorts;
use libsys::proto::program::Device;
use libsys::rt::{self, ENDPOINT};
use libsys::syscall::{self, Slot};
use libsys::time::{self, Instant};
use measure::run;

/// First port of the display's controller.
const DISPLAY: u16 = 0x3d4;
/// Lines of a page: what is left beside the heading, a last line and an empty one.
const PAGE: usize = ROWS - 3;
/// How long a page stays.
const TURN: Duration = Duration::from_secs(10);

/// What a person sees.
struct Person<'a> {
    report: &'a Report<'a>,
    /// `None`: the machine has no screen.
    display: Option<Display>,
}

impl Person<'_> {
    fn tell(&mut self, line: &str) {
        self.report.plain(line);
        self.show(&format!("{line}\r\n"));
    }

    /// On the screen alone. It shows so many pictures a second, and nothing else is to be done before it has shown this.
    fn show(&mut self, text: &str) {
        if let Some(display) = &mut self.display {
            display.write(text.as_bytes());
            while display.deadline().is_some() {
                display.show();
            }
        }
    }
}

/// Measures the ids, and shows them for good.
pub fn run<'a>(
    bench: &Bench,
    report: &Report<'_>,
    counts_cycles: bool,
    ids: impl Iterator<Item = &'a str>,
) -> ! {
    let mut person = Person {
        report,
        display: display(),
    };
    // What kernels before this one measured is on the serial line already.
    let mut lines = relayed();
    let shown: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    person.show(&shown);
    person.tell(if counts_cycles {
        table::CYCLES
    } else {
        table::TICKS
    });
    person.tell(table::HEADING);
    // Where the screen is one of pixels, the last word says so.
    for id in ids.filter(|id| id.parse::<Pixels>().is_err()) {
        let line = run::row(id, measure(bench, id));
        person.tell(&line);
        lines.push(line);
    }
    person.tell("That is all.");
    turn(&mut person, &lines)
}

/// The rows of the kernels that ran before this one; none, if there were none.
fn relayed() -> Vec<String> {
    let text = Handle::open("relayed:").and_then(|handle| {
        let mut text = vec![0; handle.stat()?.size as usize];
        let count = handle.read_at(0, &mut text)?;
        text.truncate(count);
        Ok(text)
    });
    let text = String::from_utf8(text.unwrap_or_default()).unwrap_or_default();
    let is_row = |line: &&str| ![table::TICKS, table::CYCLES, table::HEADING].contains(line);
    text.lines().filter(is_row).map(String::from).collect()
}

/// Page after page.
fn turn(person: &mut Person<'_>, lines: &[String]) -> ! {
    let count = lines.len().div_ceil(PAGE);
    loop {
        for (index, page) in lines.chunks(PAGE).enumerate() {
            // Blank, and from the top.
            let mut text = format!("\x1b[2J\x1b[H{}\r\n", table::HEADING);
            page.iter().for_each(|line| text += &format!("{line}\r\n"));
            text += &format!("page {} of {count}; they turn by themselves", index + 1);
            person.show(&text);
            let until = Instant::now().0 + time::ticks(TURN, rt::info().tsc_hz);
            // Nobody calls.
            syscall::recv_until(ENDPOINT, until);
        }
    }
}

/// The machine's display, if this program has it.
fn display() -> Option<Display> {
    let ports = rt::info().devices.iter().find_map(|device| match device {
        Device::Ports {
            slot,
            base: DISPLAY,
            ..
        } => Some(IoPorts(Slot(*slot))),
        _ => None,
    });
    Display::take(ports?, DISPLAY)
}

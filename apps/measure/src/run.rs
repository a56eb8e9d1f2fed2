//! All rows of a command line, and the lines that tell the host tool of them.

use crate::Failure;
use crate::clock::{self, Samples};
use crate::row::{Row, Structure};
use alloc::format;
use alloc::string::String;
use bootinfo::cycles;
use core::fmt::Write;
use table::{Figures, Line};

/// Measures what a command line asks for: `NONCE SAMPLES ID…`. Words with `=` are for somebody else. The lines are for the host tool,
/// or, if the nonce is [`table::WORD`], for a person.
///
/// # Errors
/// The command line is not like that.
pub fn all(
    command_line: &str,
    structure: &mut impl Structure,
    mut print: impl FnMut(&str),
) -> Result<(), &'static str> {
    let mut words = command_line
        .split_whitespace()
        .filter(|word| !word.contains('='));
    let nonce = words.next().ok_or("there is no nonce")?;
    let samples = words.next().and_then(|word| word.parse().ok());
    let samples: usize = samples.ok_or("there is no number of samples")?;
    let for_a_person = nonce == table::WORD;
    if cycles::is_wanted(command_line) && clock::take_cycles() && !for_a_person {
        print(&format!("\x1ebench {nonce} cycles\n"));
    }
    for id in words {
        let measured = match Row::parse(id) {
            None => structure.other(samples, id),
            Some(row) => structure.measure(samples, &row),
        };
        if for_a_person {
            print(&format!("{}\r\n", row(id, measured)));
            continue;
        }
        let text = match measured {
            Ok(samples) => result(id, samples),
            Err(failure) => format!("failed {id} {failure}"),
        };
        print(&format!("\x1ebench {nonce} {text}\n"));
    }
    if !for_a_person {
        print(&format!("\x1ebench {nonce} end\n"));
    }
    Ok(())
}

/// The line of an id in a table for a person.
pub fn row(id: &str, measured: Result<Samples, Failure>) -> String {
    let figures = measured.and_then(|mut samples| {
        let figures = Figures::of(&mut samples.ticks);
        figures.map_err(|why| format!("{why}"))
    });
    match figures {
        Ok(figures) => format!("{}", Line(id, figures)),
        Err(why) => format!("{}", Line(id, why)),
    }
}

/// All samples, as counts of each value.
fn result(id: &str, mut samples: Samples) -> String {
    samples.ticks.sort_unstable();
    let mut line = format!("result {id} {} {}", samples.batch, samples.overhead);
    for same in samples.ticks.chunk_by(|one, other| one == other) {
        // A String takes it.
        let _ = write!(line, " {}*{}", same[0], same.len());
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Port;
    use core::ops::Range;

    struct Zeros([u8; 64]);

    struct Disks;

    impl Structure for Disks {
        fn measure(&mut self, samples: usize, row: &Row<'_>) -> Result<Samples, Failure> {
            match row.device {
                "disk" => row.measure(samples, &mut Zeros([0; 64])),
                _ => Err("absent".into()),
            }
        }
    }

    impl Port for Zeros {
        type Error = &'static str;
        fn read(&mut self, range: Range<usize>) -> Result<usize, &'static str> {
            Ok(range.len())
        }
        fn write(&mut self, _: Range<usize>) -> Result<usize, &'static str> {
            Err("read only")
        }
        fn wait(&mut self) -> Result<(), &'static str> {
            Ok(())
        }
        fn bytes(&mut self) -> &mut [u8] {
            &mut self.0
        }
    }

    #[test]
    fn each_id_gets_a_line() {
        let mut lines = String::new();
        let line = "n1 5 flash=1,2 digest.call.disk.2 write.call.disk.1 read.call.net.60 nonsense";
        all(line, &mut Disks, |text| lines.push_str(text)).expect("it is well formed");
        let digest = crate::row::digest(&[0; 2]);
        assert_eq!(
            lines,
            format!(
                "\x1ebench n1 result digest.call.disk.2 1 0 {digest}*1\n\
                 \x1ebench n1 failed write.call.disk.1 read only\n\
                 \x1ebench n1 failed read.call.net.60 absent\n\
                 \x1ebench n1 failed nonsense no such id\n\
                 \x1ebench n1 end\n"
            )
        );
        let mut table = String::new();
        let line = "table 5 digest.call.disk.2 write.call.disk.1";
        all(line, &mut Disks, |text| table.push_str(text)).expect("it is well formed");
        let rows: Vec<&str> = table.lines().collect();
        assert!(rows[0].contains(&format!(" {digest} ")), "{table}");
        assert!(
            rows[1].ends_with(" read only") && rows.len() == 2,
            "{table}"
        );
        for bad in ["", "n1", "n1 x"] {
            assert!(all(bad, &mut Disks, |_| ()).is_err());
        }
    }
}

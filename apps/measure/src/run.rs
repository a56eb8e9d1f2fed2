//! All rows of a command line, and the lines that tell the host tool of them.

use crate::clock::Samples;
use crate::row::{Row, Structure};
use alloc::format;
use alloc::string::String;
use core::fmt::Write;

/// Measures what a command line asks for: `NONCE SAMPLES ID…`. Words with `=` are for somebody else.
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
    for id in words {
        let measured = match Row::parse(id) {
            None => structure.other(samples, id),
            Some(row) => structure.measure(samples, &row),
        };
        let text = match measured {
            Ok(samples) => result(id, samples),
            Err(failure) => format!("failed {id} {failure}"),
        };
        print(&format!("\x1ebench {nonce} {text}\n"));
    }
    print(&format!("\x1ebench {nonce} end\n"));
    Ok(())
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
    use crate::Failure;
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
        for bad in ["", "n1", "n1 x"] {
            assert!(all(bad, &mut Disks, |_| ()).is_err());
        }
    }
}

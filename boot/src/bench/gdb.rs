//! The part of the GDB remote protocol that single-stepping needs (GDB manual, appendix E), over QEMU's stub.

use std::io::{BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

/// No answer takes longer.
const LIMIT: Duration = Duration::from_secs(20);

/// What a stopped guest shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registers {
    /// RAX.
    pub rax: u64,
    /// RIP.
    pub rip: u64,
}

/// A stopped guest.
pub struct Gdb {
    stream: BufReader<UnixStream>,
}

impl Gdb {
    /// Connects, which stops the guest. Interrupts arrive while it is stepped.
    ///
    /// # Errors
    /// Nobody answers at `socket`, or not as QEMU does.
    pub fn connect(socket: &Path) -> Result<Gdb> {
        let stream =
            UnixStream::connect(socket).context("cannot connect to QEMU's debugger port")?;
        stream.set_read_timeout(Some(LIMIT))?;
        let mut gdb = Gdb {
            stream: BufReader::new(stream),
        };
        // Enable stepping (1) without masking interrupts (2) and timers (4).
        gdb.send("Qqemu.sstep=1")?;
        let mut answer = gdb.receive()?;
        if is_stop(&answer) {
            // That the guest stopped is news, too.
            answer = gdb.receive()?;
        }
        ensure!(
            answer == "OK",
            "QEMU does not step with interrupts: {answer}"
        );
        Ok(gdb)
    }

    /// Registers of the guest.
    ///
    /// # Errors
    /// As [`Gdb::connect`].
    pub fn registers(&mut self) -> Result<Registers> {
        // RAX is the first of 17 words, RIP the last (QEMU, gdb-xml/i386-64bit.xml).
        let bytes = unhex(&self.ask("g")?)?;
        let word = |index: usize| -> Result<u64> {
            let bytes = bytes
                .get(8 * index..8 * index + 8)
                .context("too few registers")?;
            Ok(u64::from_le_bytes(bytes.try_into()?))
        };
        Ok(Registers {
            rax: word(0)?,
            rip: word(16)?,
        })
    }

    /// Executes one instruction, or one iteration of a repeated one.
    ///
    /// # Errors
    /// As [`Gdb::connect`].
    pub fn step(&mut self) -> Result<()> {
        let stop = self.ask("s")?;
        ensure!(is_stop(&stop), "no step, but {stop}");
        Ok(())
    }

    /// Up to `length` bytes of memory, fewer if a page ends.
    ///
    /// # Errors
    /// The first byte cannot be read.
    pub fn memory(&mut self, address: u64, length: u64) -> Result<Vec<u8>> {
        let in_page = 4096 - address % 4096;
        let mut bytes = unhex(&self.ask(&format!("m{address:x},{:x}", length.min(in_page)))?)?;
        if in_page < length
            && let Ok(more) =
                unhex(&self.ask(&format!("m{:x},{:x}", address + in_page, length - in_page))?)
        {
            bytes.extend(more);
        }
        Ok(bytes)
    }

    fn ask(&mut self, packet: &str) -> Result<String> {
        self.send(packet)?;
        self.receive()
    }

    fn send(&mut self, packet: &str) -> Result<()> {
        let sum = packet.bytes().fold(0u8, u8::wrapping_add);
        // In one piece, with the acknowledgement of the answer before: each piece is a turn of the emulator's.
        let text = format!("+${packet}#{sum:02x}");
        let sent = self.stream.get_mut().write_all(text.as_bytes());
        sent.context("QEMU's debugger port is closed")
    }

    fn receive(&mut self) -> Result<String> {
        let mut byte = [0];
        let mut answer: Option<String> = None;
        loop {
            self.stream
                .read_exact(&mut byte)
                .context("QEMU's debugger port is silent")?;
            match (byte[0], &mut answer) {
                (b'$', _) => answer = Some(String::new()),
                (b'#', Some(_)) => break,
                (byte, Some(answer)) => answer.push(byte.into()),
                // Acknowledgements of what was sent.
                (b'+', None) => {}
                (byte, None) => bail!("QEMU's debugger port sent {byte:#x} between packets"),
            }
        }
        let mut sum = [0; 2];
        self.stream.read_exact(&mut sum)?;
        Ok(answer.unwrap_or_default())
    }
}

/// Whether an answer says that the guest stopped.
fn is_stop(answer: &str) -> bool {
    answer.starts_with(['T', 'S'])
}

fn unhex(text: &str) -> Result<Vec<u8>> {
    ensure!(
        text.len().is_multiple_of(2) && text.is_ascii(),
        "not hexadecimal: {text}"
    );
    (0..text.len())
        .step_by(2)
        .map(|at| {
            u8::from_str_radix(&text[at..at + 2], 16)
                .with_context(|| format!("not hexadecimal: {text}"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stub that answers each packet with the next of `answers`.
    fn stub(
        answers: &'static [&'static str],
    ) -> (Gdb, std::thread::JoinHandle<(Vec<String>, UnixStream)>) {
        let (stream, mut other) = UnixStream::pair().expect("a pair of sockets");
        let thread = std::thread::spawn(move || {
            let mut asked = Vec::new();
            for answer in answers {
                let mut packet = Vec::new();
                let mut byte = [0];
                while packet.last() != Some(&b'#') {
                    other.read_exact(&mut byte).expect("a packet");
                    if byte[0] != b'+' {
                        packet.push(byte[0]);
                    }
                }
                other.read_exact(&mut [0; 2]).expect("a sum");
                asked.push(String::from_utf8_lossy(&packet).into_owned());
                write!(other, "+${answer}#00").expect("the answer");
            }
            (asked, other)
        });
        let gdb = Gdb {
            stream: BufReader::new(stream),
        };
        (gdb, thread)
    }

    #[test]
    fn packets_go_and_come() {
        let (mut gdb, thread) = stub(&["T05thread:01;", "0102", "E14", "aabb", "ccdd"]);
        gdb.step().expect("a step");
        assert_eq!(gdb.memory(0x1000, 2).expect("two bytes"), [1, 2]);
        assert!(gdb.memory(0x2000, 2).is_err());
        assert_eq!(
            gdb.memory(0x2ffe, 4).expect("over a page's end"),
            [0xaa, 0xbb, 0xcc, 0xdd]
        );
        assert_eq!(
            thread.join().expect("it ends").0,
            ["$s#", "$m1000,2#", "$m2000,2#", "$m2ffe,2#", "$m3000,2#"]
        );
    }
}

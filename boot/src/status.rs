//! How a run ends, and the exit status that says so. Scripts rely on the numbers.

use bootinfo::exit;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Everything asked for succeeded, or the person left.
    Success,
    /// A command failed.
    CommandFailed,
    /// Wrong usage, an error on the host, or a refusal to start by the loader or root.
    Refused,
    /// The kernel panicked, or the machine reset itself.
    KernelPanic,
    /// `--timeout` passed.
    Timeout,
    /// The tool got this signal.
    Interrupted(i32),
}

impl Status {
    /// The exit status of the process.
    pub fn code(self) -> u8 {
        match self {
            Status::Success => 0,
            Status::CommandFailed => 1,
            Status::Refused => 2,
            Status::KernelPanic => 3,
            Status::Timeout => 124,
            Status::Interrupted(signal) => 128u8.wrapping_add(signal as u8),
        }
    }

    /// What QEMU's exit status means; the second value is a sentence for the person, if there is more to say.
    /// `None` as `code` is a QEMU killed by a signal. `complaints` is what it wrote to its standard error.
    pub fn of_qemu(code: Option<i32>, complaints: &str) -> (Status, Option<String>) {
        let value = (0..=u8::MAX).find(|value| code == Some(exit::status(*value)));
        if let Some(end) = value.and_then(Status::of_guest) {
            return end;
        }
        let complaints = complaints.trim_end();
        match code {
            // Under -no-reboot a triple fault ends QEMU with 0. Postern itself never leaves that way.
            Some(0) => (
                Status::KernelPanic,
                Some("the machine reset itself (a triple fault?)".into()),
            ),
            _ if !complaints.is_empty() => (Status::Refused, Some(complaints.into())),
            Some(code) => (
                Status::Refused,
                Some(format!("QEMU ended with status {code}")),
            ),
            None => (Status::Refused, Some("QEMU was killed".into())),
        }
    }

    /// How a run in Bochs ended: the serial line's last line says it ([`exit::MARK`]). Bochs's own status says nothing.
    pub fn of_bochs(log: &[u8], complaints: &str) -> (Status, Option<String>) {
        let log = String::from_utf8_lossy(log);
        let value = log
            .lines()
            .last()
            .and_then(|line| line.strip_prefix(exit::MARK));
        if let Some(end) = value.and_then(|value| Status::of_guest(value.parse().ok()?)) {
            return end;
        }
        if complaints.contains(TRIPLE_FAULT) {
            let sentence = "the machine reset itself (a triple fault)";
            return (Status::KernelPanic, Some(sentence.into()));
        }
        let message = complaints
            .split_once(LAST_WORDS)
            .unwrap_or(("", complaints))
            .1;
        let message = message.trim_matches(|c: char| c == '=' || c.is_whitespace());
        (Status::Refused, Some(format!("Bochs ended: {message}")))
    }

    /// What the value means that the guest ended with; `None` if Postern never ends with it.
    fn of_guest(value: u8) -> Option<(Status, Option<String>)> {
        let (status, sentence) = match value {
            exit::SUCCESS => (Status::Success, None),
            exit::COMMAND_FAILED => (Status::CommandFailed, None),
            exit::KERNEL_PANIC => (Status::KernelPanic, Some("the kernel panicked")),
            exit::LOADER_REFUSED => (Status::Refused, Some("the loader refused to start")),
            exit::ROOT_FAILED => (Status::Refused, Some("root could not build the system")),
            _ => return None,
        };
        Some((status, sentence.map(String::from)))
    }
}

/// What Bochs says of a triple fault, and what it says before its last message.
const TRIPLE_FAULT: &str = "exception with no resolution";
const LAST_WORDS: &str = "Bochs is exiting with the following message:";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_end_has_its_status() {
        let code = |value| Status::of_qemu(Some(exit::status(value)), "").0.code();
        assert_eq!(code(exit::SUCCESS), 0);
        assert_eq!(code(exit::COMMAND_FAILED), 1);
        assert_eq!(code(exit::LOADER_REFUSED), 2);
        assert_eq!(code(exit::ROOT_FAILED), 2);
        assert_eq!(code(exit::KERNEL_PANIC), 3);
        assert_eq!(Status::of_qemu(Some(0), "").0, Status::KernelPanic);
        let complaint = (Status::Refused, Some("no such CPU".to_string()));
        assert_eq!(Status::of_qemu(Some(1), "no such CPU\n"), complaint);
        assert_eq!(Status::of_qemu(None, "").0, Status::Refused);
    }

    #[test]
    fn a_run_in_bochs_ends_with_the_last_line() {
        let code = |log: &str, complaints| Status::of_bochs(log.as_bytes(), complaints).0.code();
        assert_eq!(code("hello\r\n\x1epostern exit 16\r\n", ""), 0);
        assert_eq!(code("\x1epostern exit 32\r\n", ""), 3);
        let forged = "\x1epostern exit 16\r\nand on it goes\r\n";
        assert_eq!(code(forged, ""), 2);
        assert_eq!(code("\x1epostern exit 99\r\n", ""), 2);
        let triple = "[CPU0 ] exception(): 3rd (14) exception with no resolution";
        assert_eq!(code(forged, triple), 3);
        let off =
            format!("starting\n{LAST_WORDS}\n[UNMAP ] Shutdown port: shutdown requested\n====\n");
        let sentence = "Bochs ended: [UNMAP ] Shutdown port: shutdown requested";
        assert_eq!(Status::of_bochs(b"", &off).1.as_deref(), Some(sentence));
    }
}

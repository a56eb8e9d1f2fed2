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
    /// `None` as `code` is a QEMU killed by a signal.
    pub fn of_qemu(code: Option<i32>) -> (Status, Option<String>) {
        let is = |value: u8| code == Some(exit::status(value));
        if is(exit::SUCCESS) {
            (Status::Success, None)
        } else if is(exit::COMMAND_FAILED) {
            (Status::CommandFailed, None)
        } else if is(exit::KERNEL_PANIC) {
            (Status::KernelPanic, Some("the kernel panicked".into()))
        } else if is(exit::LOADER_REFUSED) {
            (Status::Refused, Some("the loader refused to start".into()))
        } else if is(exit::ROOT_FAILED) {
            (
                Status::Refused,
                Some("root could not build the system".into()),
            )
        } else {
            match code {
                // Under -no-reboot a triple fault ends QEMU with 0. Postern itself never leaves that way.
                Some(0) => (
                    Status::KernelPanic,
                    Some("the machine reset itself (a triple fault?)".into()),
                ),
                Some(code) => (
                    Status::Refused,
                    Some(format!("QEMU ended with status {code}")),
                ),
                None => (Status::Refused, Some("QEMU was killed".into())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_end_has_its_status() {
        let code = |value| Status::of_qemu(Some(exit::status(value))).0.code();
        assert_eq!(code(exit::SUCCESS), 0);
        assert_eq!(code(exit::COMMAND_FAILED), 1);
        assert_eq!(code(exit::LOADER_REFUSED), 2);
        assert_eq!(code(exit::ROOT_FAILED), 2);
        assert_eq!(code(exit::KERNEL_PANIC), 3);
        assert_eq!(Status::of_qemu(Some(0)).0, Status::KernelPanic);
        assert_eq!(Status::of_qemu(Some(1)).0, Status::Refused);
        assert_eq!(Status::of_qemu(None).0, Status::Refused);
    }
}

//! QEMU's monitor: a second line to the emulator, beside the serial one.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::qemu;

/// How long QEMU may take to answer.
const LIMIT: Duration = Duration::from_secs(2);

/// QEMU's machine protocol (QMP) on a socket in a temporary folder, which goes with the value.
pub struct Monitor {
    folder: tempfile::TempDir,
}

impl Monitor {
    /// Adds the monitor to QEMU's command line.
    ///
    /// # Errors
    /// There is no place for temporary files.
    pub fn new(command: &mut Command) -> Result<Monitor> {
        // A socket's path is short by nature (108 bytes), so it does not lie in the workspace.
        let folder = tempfile::Builder::new()
            .prefix("postern-")
            .tempdir()
            .context("cannot make a temporary folder")?;
        let monitor = Monitor { folder };
        let mut socket = OsString::from("socket,id=monitor,server=on,wait=off,path=");
        socket.push(qemu::quoted(&monitor.socket()));
        command.arg("-chardev").arg(socket);
        command.args(["-mon", "chardev=monitor,mode=control"]);
        Ok(monitor)
    }

    /// Sends the machine a non-maskable interrupt. Postern's kernel then reports where it is, and stops.
    ///
    /// # Errors
    /// QEMU does not answer.
    pub fn interrupt(&self) -> Result<()> {
        let talk = || {
            let mut stream = UnixStream::connect(self.socket())?;
            stream.set_read_timeout(Some(LIMIT))?;
            stream.set_write_timeout(Some(LIMIT))?;
            stream
                .write_all(b"{\"execute\":\"qmp_capabilities\"}\n{\"execute\":\"inject-nmi\"}\n")?;
            // QEMU drops what it has not read when the line is cut, so wait for its answers. It may have ended by then.
            let answers = BufReader::new(stream).lines().map_while(Result::ok);
            answers
                .filter(|line| line.contains("\"return\"") || line.contains("\"error\""))
                .take(2)
                .for_each(drop);
            std::io::Result::Ok(())
        };
        talk().context("QEMU's monitor does not answer")
    }

    /// The socket.
    fn socket(&self) -> PathBuf {
        self.folder.path().join("monitor")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn an_interrupt_is_asked_for_and_awaited() {
        let mut command = Command::new("qemu");
        let monitor = Monitor::new(&mut command).expect("a temporary folder");
        let listener = UnixListener::bind(monitor.socket()).expect("the folder is there");
        let qemu = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("somebody connects");
            let lines = BufReader::new(stream.try_clone().expect("a second handle")).lines();
            let asked: Vec<String> = lines.take(2).map_while(Result::ok).collect();
            let answers =
                b"{\"QMP\": {}}\n{\"return\": {}}\n{\"event\": \"STOP\"}\n{\"return\": {}}\n";
            stream.write_all(answers).expect("it listens");
            asked
        });
        monitor.interrupt().expect("it is answered");
        let asked = qemu.join().expect("it got both lines");
        assert!(asked[1].contains("inject-nmi"), "{asked:?}");
    }

    #[test]
    fn nobody_there() {
        let monitor = Monitor::new(&mut Command::new("qemu")).expect("a temporary folder");
        let error = format!("{:#}", monitor.interrupt().unwrap_err());
        assert!(error.contains("monitor does not answer"), "{error}");
    }
}

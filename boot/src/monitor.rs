//! QEMU's monitor: a second line to the emulator, beside the serial one.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::qemu;

/// How long QEMU may take to answer.
const LIMIT: Duration = Duration::from_secs(10);

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
        self.execute("inject-nmi", json!({})).map(drop)
    }

    /// Has QEMU do something (QEMU's QMP reference lists commands and arguments), and returns what it answers; nothing, if it
    /// ends by that.
    ///
    /// # Errors
    /// QEMU does not answer, or refuses.
    pub fn execute(&self, command: &str, arguments: Value) -> Result<Value> {
        let talk = || {
            let mut stream = UnixStream::connect(self.socket())?;
            stream.set_read_timeout(Some(LIMIT))?;
            stream.set_write_timeout(Some(LIMIT))?;
            let command = json!({"execute": command, "arguments": arguments});
            let text = format!("{}\n{command}\n", json!({"execute": "qmp_capabilities"}));
            stream.write_all(text.as_bytes())?;
            // QEMU drops what it has not read when the line is cut, so wait for its answers.
            let mut answers = 0;
            for line in BufReader::new(stream).lines() {
                let line = match line {
                    // The limit.
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(error),
                    // It has ended.
                    Err(_) => break,
                    Ok(line) => line,
                };
                let message: Value = serde_json::from_str(&line).unwrap_or_default();
                answers += u8::from(message.get("return").or(message.get("error")).is_some());
                if answers == 2 {
                    return Ok(message);
                }
            }
            Ok(Value::Null)
        };
        let answer = talk().context("QEMU's monitor does not answer")?;
        match answer.get("error") {
            Some(error) => bail!("QEMU refuses {command}: {error}"),
            None => Ok(answer.get("return").cloned().unwrap_or_default()),
        }
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

    /// Has a QEMU that answers so do something. Returns what it was asked, too.
    fn asked(
        answer: &'static str,
        ask: fn(&Monitor) -> Result<Value>,
    ) -> (Vec<String>, Result<Value>) {
        let mut command = Command::new("qemu");
        let monitor = Monitor::new(&mut command).expect("a temporary folder");
        let listener = UnixListener::bind(monitor.socket()).expect("the folder is there");
        let qemu = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("somebody connects");
            let lines = BufReader::new(stream.try_clone().expect("a second handle")).lines();
            let asked: Vec<String> = lines.take(2).map_while(Result::ok).collect();
            let answers = format!(
                "{{\"QMP\": {{}}}}\n{{\"return\": {{}}}}\n{{\"event\": \"STOP\"}}\n{answer}\n"
            );
            stream.write_all(answers.as_bytes()).expect("it listens");
            asked
        });
        let result = ask(&monitor);
        (qemu.join().expect("it got both lines"), result)
    }

    #[test]
    fn an_interrupt_is_asked_for_and_awaited() {
        let interrupt = |monitor: &Monitor| monitor.interrupt().map(|()| Value::Null);
        let (asked, result) = asked("{\"return\": {}}", interrupt);
        assert!(result.is_ok());
        assert!(asked[1].contains("inject-nmi"), "{asked:?}");
    }

    #[test]
    fn answers_and_refusals() {
        let ask = |monitor: &Monitor| monitor.execute("query", json!({"what": 1}));
        let (asked_for, result) = asked("{\"return\": {\"a\": 7}}", ask);
        assert_eq!(result.expect("it is an answer"), json!({"a": 7}));
        assert!(asked_for[1].contains("\"what\":1"), "{asked_for:?}");
        let (_, result) = asked("{\"error\": {\"desc\": \"no\"}}", ask);
        let error = format!("{:#}", result.unwrap_err());
        assert!(
            error.contains("refuses query") && error.contains("no"),
            "{error}"
        );
        // It ends before it answers.
        let (_, result) = asked("", ask);
        assert_eq!(result.expect("that is no error"), Value::Null);
    }

    #[test]
    fn nobody_there() {
        let monitor = Monitor::new(&mut Command::new("qemu")).expect("a temporary folder");
        let error = format!("{:#}", monitor.interrupt().unwrap_err());
        assert!(error.contains("monitor does not answer"), "{error}");
    }
}

//! A running emulator: bytes to and from its serial line, its monitor, and its end. It never outlives its owner.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::monitor::Monitor;

/// What happens to a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The guest printed this on its serial line.
    Output(Vec<u8>),
    /// The emulator has closed the serial line: it ends.
    Ended,
    /// The tool got this signal.
    Signal(i32),
    /// The person wants to leave.
    Leave,
}

/// A pseudo-terminal, for an emulator whose serial line is one.
pub struct Terminal {
    /// The name of the emulator's end.
    pub name: PathBuf,
    ours: File,
    theirs: File,
}

impl Terminal {
    /// Makes one, raw from the start.
    pub fn open() -> Result<Terminal> {
        use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&ours)?;
        unlockpt(&ours)?;
        let name = PathBuf::from(OsString::from_vec(ptsname(&ours, Vec::new())?.into_bytes()));
        let theirs = File::options().read(true).write(true).open(&name)?;
        make_raw(&theirs)?;
        Ok(Terminal {
            name,
            ours: ours.into(),
            theirs,
        })
    }
}

/// A running emulator.
pub struct Machine {
    child: Child,
    monitor: Option<Monitor>,
    input: Option<File>,
    events: Receiver<Event>,
    sender: Sender<Event>,
    complaints: Option<JoinHandle<String>>,
}

impl Machine {
    /// Starts an emulator whose serial line is its standard input and output.
    pub fn start(mut command: Command) -> Result<Machine> {
        let monitor = Monitor::new(&mut command)?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = spawn(command)?;
        let output = child.stdout.take().context("no standard output")?;
        let input = child.stdin.take().context("no standard input")?;
        let (input, output) = (OwnedFd::from(input), OwnedFd::from(output));
        Machine::follow(child, Some(monitor), input.into(), output.into())
    }

    /// Starts an emulator whose serial line is `terminal`; its standard output is not wanted.
    pub fn start_on(terminal: Terminal, mut command: Command) -> Result<Machine> {
        // It holds its end of the terminal from start to end, so that the end of its output is its own end.
        command.stdin(terminal.theirs).stdout(Stdio::null());
        let child = spawn(command)?;
        let output = terminal.ours.try_clone()?;
        Machine::follow(child, None, terminal.ours, output)
    }

    fn follow(
        mut child: Child,
        monitor: Option<Monitor>,
        input: File,
        output: File,
    ) -> Result<Machine> {
        let (sender, events) = channel();
        let complaints = child.stderr.take().context("no standard error")?;
        let complaints = std::thread::spawn(move || listen(complaints));
        let events_of_output = sender.clone();
        std::thread::spawn(move || forward(output, &events_of_output));
        Ok(Machine {
            child,
            monitor,
            input: Some(input),
            events,
            sender,
            complaints: Some(complaints),
        })
    }

    /// Where other threads report events of their own.
    pub fn reporter(&self) -> Sender<Event> {
        self.sender.clone()
    }

    /// The serial line's input, once, for a thread of its own.
    pub fn take_input(&mut self) -> Option<File> {
        self.input.take()
    }

    /// Types at the serial line.
    ///
    /// # Errors
    /// The input was taken, or the emulator has ended.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let input = self
            .input
            .as_mut()
            .context("the serial line's input was taken")?;
        input
            .write_all(bytes)
            .and_then(|()| input.flush())
            .context("the emulator takes no input any more")
    }

    /// QEMU's monitor.
    ///
    /// # Errors
    /// It is not QEMU.
    pub fn monitor(&self) -> Result<&Monitor> {
        self.monitor.as_ref().context("Bochs has no monitor")
    }

    /// Sends the machine a non-maskable interrupt. Postern's kernel then reports where it is, and stops.
    ///
    /// # Errors
    /// QEMU does not answer, or this is not QEMU.
    pub fn interrupt(&self) -> Result<()> {
        self.monitor()?.interrupt()
    }

    /// The next event; `None` if there was none until `deadline`.
    pub fn next(&self, deadline: Option<Instant>) -> Option<Event> {
        match deadline {
            // The machine holds a sender itself, so the channel never closes.
            None => self.events.recv().ok(),
            Some(deadline) => {
                match self
                    .events
                    .recv_timeout(deadline.saturating_duration_since(Instant::now()))
                {
                    Ok(event) => Some(event),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => Some(Event::Ended),
                }
            }
        }
    }

    /// Waits until the emulator has ended: its exit status (`None`: killed) and what it complained about.
    pub fn wait(&mut self) -> Result<(Option<i32>, String)> {
        self.input = None;
        let status = self.child.wait().context("cannot wait for the emulator")?;
        let complaints = self
            .complaints
            .take()
            .and_then(|thread| thread.join().ok())
            .unwrap_or_default();
        Ok((status.code(), complaints))
    }

    /// Switches the machine off.
    pub fn kill(&mut self) {
        // It fails only if the emulator has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Starts an emulator in a group of its own: Ctrl-C at the terminal is for the tool, which then ends the emulator.
fn spawn(mut command: Command) -> Result<Child> {
    command.stderr(Stdio::piped()).process_group(0);
    die_with_parent(&mut command);
    let program = command.get_program().to_string_lossy().into_owned();
    command
        .spawn()
        .with_context(|| format!("cannot start {program}"))
}

fn forward(mut output: impl Read, events: &Sender<Event>) {
    let mut buffer = [0; 4096];
    loop {
        match output.read(&mut buffer) {
            Ok(length @ 1..) => {
                if events
                    .send(Event::Output(buffer[..length].to_vec()))
                    .is_err()
                {
                    return;
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            _ => break,
        }
    }
    // Nobody may be left who wants to know.
    let _ = events.send(Event::Ended);
}

/// Collects what an emulator complains about.
fn listen(complaints: impl Read) -> String {
    let mut text = String::new();
    // What could be read before an error is all there is to show.
    for line in BufReader::new(complaints)
        .split(b'\n')
        .map_while(Result::ok)
    {
        let line = String::from_utf8_lossy(&line);
        if let Some(name) = screen(&line) {
            let name = PathBuf::from(name);
            std::thread::spawn(move || discard(&name));
        }
        text += &line;
        text.push('\n');
    }
    text
}

/// The pseudo-terminal of Bochs's screen (its display `term`), in the line in which it says so.
fn screen(line: &str) -> Option<&str> {
    let name = line.strip_prefix("Bochs connected to screen \"")?;
    Some(name.split_once('"')?.0)
}

/// Reads a screen that nobody looks at, to its end: Bochs waits for a reader when some thousand bytes are unread.
fn discard(name: &Path) -> Result<()> {
    let mut screen = File::options().read(true).write(true).open(name)?;
    make_raw(&screen)?;
    std::io::copy(&mut screen, &mut std::io::sink())?;
    Ok(())
}

/// No line of a terminal is kept until its end, or echoed.
fn make_raw(terminal: &File) -> Result<()> {
    use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
    let mut mode = tcgetattr(terminal)?;
    mode.make_raw();
    tcsetattr(terminal, OptionalActions::Now, &mode)?;
    Ok(())
}

/// Lets the kernel kill the command's process when the thread that starts it ends, however that happens.
#[allow(unsafe_code)]
fn die_with_parent(command: &mut Command) {
    let parent = rustix::process::getpid();
    let hook = move || {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
        // The parent may have died before the call above; then nobody will send the signal.
        if rustix::process::getppid() != Some(parent) {
            return Err(rustix::io::Errno::SRCH.into());
        }
        Ok(())
    };
    // SAFETY: between fork and exec only async-signal-safe functions may run, without touching memory that another
    // thread may have locked. The hook makes two system calls and nothing else; its errors are plain numbers.
    unsafe { command.pre_exec(hook) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bochs_says_where_its_screen_is() {
        let said = screen("Bochs connected to screen \"/dev/pts/3\"");
        assert_eq!(said, Some("/dev/pts/3"));
        assert_eq!(screen("Bochs connected to screen \"/dev"), None);
        assert_eq!(screen("bochs: no screen"), None);
    }

    fn shell(script: &str) -> Machine {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Machine::start(command).expect("sh starts")
    }

    #[test]
    fn bytes_go_both_ways_and_the_status_comes_last() {
        let mut machine = shell("read line; echo got $line; echo oops >&2; exit 33");
        machine.send(b"this\n").expect("it reads");
        assert_eq!(
            machine.next(None),
            Some(Event::Output(b"got this\n".to_vec()))
        );
        assert_eq!(machine.next(None), Some(Event::Ended));
        assert_eq!(
            machine.wait().expect("it ends"),
            (Some(33), "oops\n".to_string())
        );
    }

    #[test]
    fn a_terminal_carries_bytes_as_they_are() {
        let terminal = Terminal::open().expect("there are pseudo-terminals");
        let mut command = Command::new("sh");
        let script = format!(
            "read line; printf '\\n[%s]\\r' $line > {}",
            terminal.name.display()
        );
        command.args(["-c", &script]);
        let mut machine = Machine::start_on(terminal, command).expect("sh starts");
        machine.send(b"this\n").expect("it reads");
        let mut bytes = Vec::new();
        while let Some(Event::Output(more)) = machine.next(None) {
            bytes.extend(more);
        }
        assert_eq!(bytes, b"\n[this]\r");
        assert_eq!(machine.wait().expect("it ends").0, Some(0));
    }

    #[test]
    fn a_machine_can_be_left() {
        let mut machine = shell("exec sleep 1000");
        machine
            .reporter()
            .send(Event::Leave)
            .expect("the machine listens");
        assert_eq!(machine.next(None), Some(Event::Leave));
        assert_eq!(machine.next(Some(Instant::now())), None);
        machine.kill();
        assert_eq!(machine.wait().expect("it has ended").0, None);
    }
}

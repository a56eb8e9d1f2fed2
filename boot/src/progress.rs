//! Telling a person what is going on, on standard error: plain lines, and a bar where there is a terminal.

use std::io::{BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};

/// One line for the person.
pub fn note(text: &str) {
    eprintln!("postern: {text}");
}

/// A command with a title that a person waits for.
pub struct Step<'a> {
    /// What is being done, such as `building the kernel`.
    pub title: &'a str,
    /// The step is worth a line once the command prints this (the empty text: anything at all).
    pub busy: &'a str,
    /// How long it may take.
    pub limit: Option<Duration>,
}

impl Step<'_> {
    /// Runs `command` without input.
    ///
    /// # Errors
    /// It cannot be started, takes too long, or fails: then the error holds everything it printed.
    pub fn run(&self, command: &mut Command) -> Result<()> {
        let program = command.get_program().to_string_lossy().into_owned();
        let (reader, writer) = std::io::pipe()?;
        command
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer);
        let started = Instant::now();
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start {program}"))?;
        // The command keeps its ends of the pipe open otherwise, and the pipe would never end.
        command.stdout(Stdio::null()).stderr(Stdio::null());

        let (sender, lines) = channel();
        std::thread::spawn(move || {
            let mut line = Vec::new();
            for byte in BufReader::new(reader).bytes().map_while(Result::ok) {
                // A line that is to be overwritten ends with CR alone.
                if byte != b'\n' && byte != b'\r' {
                    line.push(byte);
                } else if !line.is_empty() {
                    // Nobody listens once the limit has passed.
                    let _ = sender.send(String::from_utf8_lossy(&line).into_owned());
                    line.clear();
                }
            }
            if !line.is_empty() {
                let _ = sender.send(String::from_utf8_lossy(&line).into_owned());
            }
        });

        let bar = self.bar();
        let (mut log, mut busy) = (String::new(), false);
        loop {
            let left = self.limit.map_or(Duration::MAX, |limit| {
                limit.saturating_sub(started.elapsed())
            });
            match lines.recv_timeout(left) {
                Ok(line) => {
                    if let Some((done, all)) = fraction(&line) {
                        bar.set_style(style("{bar:20} {percent:>3} % {elapsed} {wide_msg}"));
                        bar.set_length(all);
                        bar.set_position(done);
                        continue;
                    }
                    if !busy && line.contains(self.busy) {
                        busy = true;
                        if bar.is_hidden() {
                            note(self.title);
                        }
                    }
                    bar.set_message(format!("{}: {}", self.title, line.trim()));
                    log.push_str(&line);
                    log.push('\n');
                }
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    let _ = child.kill();
                    let _ = child.wait();
                    bar.finish_and_clear();
                    bail!(
                        "{}: given up after {} s",
                        self.title,
                        started.elapsed().as_secs()
                    );
                }
            }
        }
        let status = child.wait()?;
        bar.finish_and_clear();
        if !status.success() {
            bail!("{} failed ({status})\n{}", self.title, log.trim_end());
        }
        if busy && !bar.is_hidden() {
            note(&format!(
                "{} ({:.1} s)",
                self.title,
                started.elapsed().as_secs_f32()
            ));
        }
        Ok(())
    }

    /// Shown only on a terminal; a spinner until the command says how far it is.
    fn bar(&self) -> ProgressBar {
        let bar = ProgressBar::new_spinner().with_message(self.title.to_string());
        bar.set_style(style("{spinner} {elapsed} {wide_msg}"));
        bar.enable_steady_tick(Duration::from_millis(100));
        bar
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// How much of how much is done, if this line of output says nothing but that. Cargo, told to, writes
/// `    Building [==>   ] 3/12: core, alloc`, and apt `dlstatus:1:20.5:Retrieving` and then `pmstatus:qemu:45.3:Installing`.
fn fraction(line: &str) -> Option<(u64, u64)> {
    if let Some((_, rest)) = line.split_once("Building [") {
        let (done, all) = rest.split_once("] ")?.1.split_once('/')?;
        let all = all.split_once(':').map_or(all, |(all, _)| all);
        return Some((done.trim().parse().ok()?, all.trim().parse().ok()?));
    }
    let half = match line.split_once(':')? {
        ("dlstatus", rest) => (0, rest),
        ("pmstatus", rest) => (100, rest),
        _ => return None,
    };
    let percent: f32 = half.1.split(':').nth(1)?.parse().ok()?;
    Some((half.0 + percent.clamp(0.0, 100.0) as u64, 200))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Option<Duration>) -> Result<()> {
        Step {
            title: "testing",
            busy: "",
            limit,
        }
        .run(Command::new("sh").args(["-c", script]))
    }

    #[test]
    fn a_failure_shows_what_was_printed() {
        assert!(shell("echo fine", None).is_ok());
        let error = shell("echo out; echo err >&2; exit 7", None)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("out") && error.contains("err") && error.contains('7'),
            "{error}"
        );
    }

    #[test]
    fn the_limit_holds() {
        let error = shell("exec sleep 1000", Some(Duration::from_millis(50))).unwrap_err();
        assert!(error.to_string().contains("given up"), "{error}");
    }

    #[test]
    fn how_far_it_is() {
        assert_eq!(
            fraction("    Building [====>    ] 3/12: core, alloc(build.rs)"),
            Some((3, 12))
        );
        assert_eq!(
            fraction("dlstatus:1:20.5:Retrieving file 1 of 3"),
            Some((20, 200))
        );
        assert_eq!(
            fraction("pmstatus:qemu:45.4:Installing qemu"),
            Some((145, 200))
        );
        for other in [
            "   Compiling core v0.0.0",
            "error: a/b",
            "Building [x",
            "pmstatus:x",
        ] {
            assert_eq!(fraction(other), None, "{other}");
        }
    }
}

//! Telling a person what is going on, on standard error: plain lines, and a spinner where there is a terminal.

use std::io::{BufRead, BufReader};
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
            for line in BufReader::new(reader).split(b'\n').map_while(Result::ok) {
                if sender
                    .send(String::from_utf8_lossy(&line).trim_end().to_string())
                    .is_err()
                {
                    break;
                }
            }
        });

        let spinner = self.spinner();
        let (mut log, mut busy) = (String::new(), false);
        loop {
            let left = self.limit.map_or(Duration::MAX, |limit| {
                limit.saturating_sub(started.elapsed())
            });
            match lines.recv_timeout(left) {
                Ok(line) => {
                    if !busy && line.contains(self.busy) {
                        busy = true;
                        if spinner.is_hidden() {
                            note(self.title);
                        }
                    }
                    spinner.set_message(format!("{}: {}", self.title, line.trim()));
                    log.push_str(&line);
                    log.push('\n');
                }
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    let _ = child.kill();
                    let _ = child.wait();
                    spinner.finish_and_clear();
                    bail!(
                        "{}: given up after {} s",
                        self.title,
                        started.elapsed().as_secs()
                    );
                }
            }
        }
        let status = child.wait()?;
        spinner.finish_and_clear();
        if !status.success() {
            bail!("{} failed ({status})\n{}", self.title, log.trim_end());
        }
        if busy && !spinner.is_hidden() {
            note(&format!(
                "{} ({:.1} s)",
                self.title,
                started.elapsed().as_secs_f32()
            ));
        }
        Ok(())
    }

    /// Shown only on a terminal.
    fn spinner(&self) -> ProgressBar {
        let spinner = ProgressBar::new_spinner().with_message(self.title.to_string());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}") {
            spinner.set_style(style);
        }
        spinner.enable_steady_tick(Duration::from_millis(100));
        spinner
    }
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
}

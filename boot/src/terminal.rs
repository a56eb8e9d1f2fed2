//! The person's terminal: raw while the guest has it, and always put back.

use std::io::{IsTerminal, stdin};

use anyhow::{Context, Result};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

/// A terminal in raw mode; dropping it restores the mode from before.
pub struct Raw {
    before: Termios,
}

impl Raw {
    /// Makes standard input raw. `None` if it is not a terminal.
    pub fn enter() -> Result<Option<Raw>> {
        if !stdin().is_terminal() {
            return Ok(None);
        }
        let before = tcgetattr(stdin()).context("cannot read the terminal's mode")?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin(), OptionalActions::Drain, &raw).context("cannot make the terminal raw")?;
        Ok(Some(Raw { before }))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // There is nothing left to do if the terminal is gone.
        let _ = tcsetattr(stdin(), OptionalActions::Drain, &self.before);
    }
}

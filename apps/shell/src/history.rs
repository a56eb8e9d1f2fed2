//! Lines typed before.

use alloc::collections::VecDeque;
use alloc::string::String;

/// Most lines kept.
const MOST: usize = 100;

/// The lines, and the one that is looked at.
#[derive(Debug, Default)]
pub struct History {
    lines: VecDeque<String>,
    /// How far back, 0 = not in the history.
    back: usize,
    /// What was typed before looking back.
    typed: String,
}

impl History {
    /// Keeps a line, unless it is empty or the same as the last.
    pub fn add(&mut self, line: &str) {
        if line.trim().is_empty() || self.lines.back().is_some_and(|last| last == line) {
            return;
        }
        if self.lines.len() == MOST {
            self.lines.pop_front();
        }
        self.lines.push_back(line.into());
    }

    /// The line before, if there is one; `current` is what stands there now.
    pub fn older(&mut self, current: &str) -> Option<String> {
        let index = self.lines.len().checked_sub(self.back + 1)?;
        if self.back == 0 {
            self.typed = current.into();
        }
        self.back += 1;
        self.lines.get(index).cloned()
    }

    /// The line behind, at last the one that was being typed.
    pub fn newer(&mut self, _current: &str) -> Option<String> {
        self.back = self.back.checked_sub(1)?;
        match self.back {
            0 => Some(core::mem::take(&mut self.typed)),
            back => self.lines.get(self.lines.len() - back).cloned(),
        }
    }

    /// Looks at none of them any more.
    pub fn leave(&mut self) {
        self.back = 0;
        self.typed.clear();
    }

    /// All of them, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }
}

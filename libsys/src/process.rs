//! Programs that this one starts: it may, if its manifest entry has `children`.

use crate::lease::Lease;
use crate::proto::children::{END, SPAWN, SPAWN_MAX, WAIT, from_words};
pub use crate::proto::control::Ended;
use crate::proto::control::Status;
use crate::rt;
use crate::syscall::{self, Output, Words};
use alloc::string::String;
use alloc::vec::Vec;

/// A program to start.
#[derive(Debug, Clone)]
pub struct Command {
    name: String,
    binary: String,
    args: Vec<String>,
    env: Vec<String>,
    needs: Vec<String>,
}

impl Command {
    /// The program in the file `binary`. It holds what this program got from root, except `root.control`.
    pub fn new(binary: &str) -> Self {
        let needs = rt::info().endpoints.iter().map(|(name, _)| name.clone());
        Self {
            name: binary.into(),
            binary: binary.into(),
            args: Vec::new(),
            env: Vec::new(),
            needs: needs.filter(|name| name != "root.control").collect(),
        }
    }

    /// Its name for people.
    pub fn name(&mut self, name: &str) -> &mut Self {
        self.name = name.into();
        self
    }

    /// One more argument.
    pub fn arg(&mut self, argument: &str) -> &mut Self {
        self.args.push(argument.into());
        self
    }

    /// One more variable of its environment.
    pub fn env(&mut self, name: &str, value: &str) -> &mut Self {
        self.env.push([name, value].join("="));
        self
    }

    /// It may call `need`, too (which this program must be able to call).
    pub fn with(&mut self, need: &str) -> &mut Self {
        self.needs.push(need.into());
        self
    }

    /// It may call nobody but `needs` (and `root.memory`, which every program may).
    pub fn only(&mut self, needs: &[&str]) -> &mut Self {
        self.needs = needs.iter().map(|need| (*need).into()).collect();
        self
    }

    /// Starts it.
    ///
    /// # Errors
    /// `NotPermitted`: the manifest does not allow this program to, or not to pass on that need. `NoProgram`: not this binary.
    /// `TooMany`: as many run as may. `BadBuffer`: more than [`SPAWN_MAX`] bytes of text, or a zero byte in it. `NotStarted`: the
    /// kernel's log says why.
    pub fn spawn(&self) -> Result<Child, Status> {
        let mut text = Vec::new();
        let head = [&self.name, &self.binary];
        let strings = head
            .into_iter()
            .chain(&self.args)
            .chain(&self.env)
            .chain(&self.needs);
        for string in strings {
            if string.contains('\0') {
                return Err(Status::BadBuffer);
            }
            text.extend_from_slice(string.as_bytes());
            text.push(0);
        }
        if text.len() > SPAWN_MAX {
            return Err(Status::BadBuffer);
        }
        let counts = [&self.args, &self.env, &self.needs].map(|list| list.len() as u64);
        let words = [counts[0], counts[1], counts[2], 0];
        let reply = syscall::call_lending(rt::MEMORY, SPAWN, words, Lease::read(&text));
        Ok(Child(answered(reply)?[0] as u32))
    }
}

/// A program that this one has started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Child(u32);

impl Child {
    /// Its program id.
    pub fn id(self) -> u32 {
        self.0
    }

    /// Ends it. [`wait`] still tells about it.
    ///
    /// # Errors
    /// `NoProgram`: it has ended already.
    pub fn end(self) -> Result<(), Status> {
        answered(syscall::call(rt::MEMORY, END, [self.0.into(), 0, 0, 0])).map(drop)
    }
}

/// Waits until one of the children has ended: which, and how.
///
/// # Errors
/// `NoProgram`: there are none of which nobody knows that they have ended. `Busy`: another thread waits.
pub fn wait() -> Result<(Child, Ended), Status> {
    let [id, how @ ..] = answered(syscall::call(rt::MEMORY, WAIT, [0; 4]))?;
    Ok((Child(id as u32), from_words(how)))
}

fn answered(output: Output) -> Result<Words, Status> {
    let reply = output.check().map_err(|_| Status::BadOperation)?;
    match Status::from_label(reply.tag.label()) {
        None => Ok(reply.words),
        Some(status) => Err(status),
    }
}

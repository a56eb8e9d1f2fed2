//! Why a program could not be built, in one line.

use abi::Error;
use core::fmt;

/// Why a program could not be built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// The machine has no memory for its budget.
    NoMemory,
    /// The archive has no such file.
    NoFile,
    /// The file is not a program.
    BadElf(&'static str),
    /// The manifest asks for something impossible.
    BadManifest(&'static str),
    /// The kernel refused a step.
    Kernel(&'static str, Error),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMemory => write!(f, "the machine has too little memory for its budget"),
            Self::NoFile => write!(f, "its file is not in the archive"),
            Self::BadElf(why) => write!(f, "its file is no program: {why}"),
            Self::BadManifest(why) => write!(f, "its manifest entry is wrong: {why}"),
            Self::Kernel(step, Error::OutOfMemory) => {
                write!(f, "its memory budget is too small ({step})")
            }
            Self::Kernel(step, error) => write!(f, "the kernel refused to {step}: {error:?}"),
        }
    }
}

/// Says what was being done when the kernel refused.
pub trait Step<T> {
    /// `what` completes the sentence "the kernel refused to".
    fn step(self, what: &'static str) -> Result<T, Problem>;
}

impl<T> Step<T> for Result<T, Error> {
    fn step(self, what: &'static str) -> Result<T, Problem> {
        self.map_err(|error| Problem::Kernel(what, error))
    }
}

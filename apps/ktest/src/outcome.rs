//! How a test ends.

use abi::Error;
use alloc::format;
use alloc::string::{String, ToString};
use core::panic::Location;

/// Why a test failed.
#[derive(Debug)]
pub struct Failure(pub String);

/// What a test returns.
pub type Outcome = Result<(), Failure>;

impl From<Error> for Failure {
    #[track_caller]
    fn from(error: Error) -> Self {
        Failure(format!("{error:?} at {}", Location::caller()))
    }
}

/// Fails the test unless a condition holds.
#[macro_export]
macro_rules! check {
    ($condition:expr) => {
        if !$condition {
            return Err($crate::outcome::Failure(::alloc::format!(
                "{} ({}:{})",
                stringify!($condition),
                file!(),
                line!()
            )));
        }
    };
}

/// Fails the test unless two values are equal.
#[macro_export]
macro_rules! same {
    ($left:expr, $right:expr) => {
        match (&$left, &$right) {
            (left, right) => {
                if left != right {
                    return Err($crate::outcome::Failure(::alloc::format!(
                        "{} = {left:x?}, not {right:x?} ({}:{})",
                        stringify!($left),
                        file!(),
                        line!()
                    )));
                }
            }
        }
    };
}

/// Fails the test unless an operation fails with this error.
#[macro_export]
macro_rules! refused {
    ($operation:expr, $error:ident) => {
        $crate::same!($operation.map(|_| ()).err(), Some(::abi::Error::$error))
    };
}

/// The message of a failure.
pub fn describe(outcome: &Outcome) -> String {
    match outcome {
        Ok(()) => "ok".to_string(),
        Err(failure) => format!("FAILED: {}", failure.0),
    }
}

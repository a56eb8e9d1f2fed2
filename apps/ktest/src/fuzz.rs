//! Random system calls.
/// Stub.
pub fn run() {}

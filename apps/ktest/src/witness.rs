//! Programs beside the fuzzer.
/// Stub.
pub fn run() {}
/// Stub.
pub fn echo() {}

//! Server disk.
fn main() {}

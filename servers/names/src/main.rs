//! Server names.
fn main() {}

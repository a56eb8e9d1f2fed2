//! Server root.
fn main() {}

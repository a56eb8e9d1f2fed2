//! Server console.
fn main() {}

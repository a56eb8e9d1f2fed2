//! Server timer.
fn main() {}

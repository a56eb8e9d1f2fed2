//! App crossings.
fn main() {}

//! App shell.
fn main() {}

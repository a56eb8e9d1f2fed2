//! The kernel's core against its specification, on the host. `docs/kernel-tests.md` says what is proved and what is not.
//!
//! `POSTERN_LONG=1` runs the long versions, `POSTERN_SEED=n` repeats a run.

mod compare;
mod conditions;
mod errors;
mod explore;
mod fast;
mod generate;
mod inspect;
mod left_out;
mod model;
mod pair;
mod random;
mod scene;
mod snapshot;
mod world;

/// Whether the long versions run.
fn long() -> bool {
    std::env::var_os("POSTERN_LONG").is_some_and(|value| value == "1")
}

/// The seed of everything random: given, or the clock's.
fn seed() -> u64 {
    match std::env::var("POSTERN_SEED") {
        Ok(text) => text.parse().expect("POSTERN_SEED is a number"),
        Err(_) => {
            let now = std::time::SystemTime::UNIX_EPOCH.elapsed();
            now.expect("a clock").as_nanos() as u64 & 0xffff_ffff
        }
    }
}

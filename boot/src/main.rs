//! `cargo run`: see [`postern::cli`].
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    postern::cli::main()
}

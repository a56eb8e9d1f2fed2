//! `cargo bench`. All of it is in `postern::bench`.

fn main() -> std::process::ExitCode {
    postern::bench::main()
}

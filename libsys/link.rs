//! The build script of every user program: links it with `user.ld` when it is built for bare metal.
fn main() {
    println!("cargo:rerun-if-changed=../../libsys/user.ld");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none") {
        println!("cargo:rustc-link-arg-bins=-T../../libsys/user.ld");
        println!("cargo:rustc-link-arg-bins=--no-pie");
    }
}

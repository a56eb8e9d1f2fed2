//! The build script of every user program: links it with `user.ld` when it is built for bare metal.
fn main() {
    println!("cargo:rerun-if-changed=../../libsys/user.ld");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none") {
        // Absolute, because the linker runs in the workspace's root and this script in the program's folder.
        let folder = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
        println!("cargo:rustc-link-arg-bins=-T{folder}/../../libsys/user.ld");
        println!("cargo:rustc-link-arg-bins=--no-pie");
    }
}

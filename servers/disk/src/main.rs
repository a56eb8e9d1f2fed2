//! The disk server: one virtio block device as `disk:0`.
#![cfg_attr(target_os = "none", no_std, no_main)]

mod server;

libsys::entry!(start);

fn start() {
    server::run(|_| {})
}

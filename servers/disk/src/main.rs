//! The disk server: virtio block devices as `disk:0`, `disk:1` and so on, and their partitions as `disk:0p1`.
#![cfg_attr(target_os = "none", no_std, no_main)]

mod server;

libsys::entry!(start);

fn start() {
    server::run(|_| {})
}

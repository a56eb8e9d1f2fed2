//! The file server: the FAT volume on the disk that its argument names, as `file:/path`.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]
extern crate alloc;

mod medium;
mod server;

libsys::entry!(start);

fn start() {
    server::run(|_| {})
}

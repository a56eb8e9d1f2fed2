//! The flash server: `flash:0`, the chip's bytes but for its last blocks, and `flash:kv/NAME`, named values in these.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]
extern crate alloc;

mod server;

libsys::entry!(start);

fn start() {
    server::run(|_| {})
}

//! The network server: `net:`, `tcp:` and `udp:`.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]

libsys::entry!(start);

fn start() {
    net::server::run()
}

//! open: a name becomes a handle, if some program answers for it and this one may call that program.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]

use libsys::handle::Handle;
use libsys::println;

libsys::entry!(start);

fn start() {
    for name in ["disk:0", "disk:7", "blah:", "nothing:"] {
        match Handle::open(name) {
            Ok(handle) => println!("{name} is open: {:?}", handle.stat().map(|stat| stat.kind)),
            Err(error) => println!("{name}: {error}"),
        }
    }
}

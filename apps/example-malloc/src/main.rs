//! malloc: memory comes from `root.memory` when it is needed, and goes back there when it is not.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]
extern crate alloc;

use alloc::vec;
use libsys::proto::memory;
use libsys::{println, rt, syscall};

libsys::entry!(start);

fn start() {
    println!("a heap starts small");
    let before = used();
    let mut big = vec![0u8; 512 << 10];
    big.fill(7);
    let with = used();
    println!("{} bytes, the last is {}", big.len(), big[big.len() - 1]);
    println!("it took memory: {}", with >= before + (512 << 10));
    drop(big);
    println!(
        "it gave back what it took: {}",
        used() < before + (256 << 10)
    );
}

/// Bytes of this program's budget in use, as root counts them.
fn used() -> u64 {
    syscall::call(rt::MEMORY, memory::INFO, [0; 4]).words[0]
}

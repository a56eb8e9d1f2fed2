//! Creating threads: they share a counter behind a mutex, send through a channel, and are joined.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]

use libsys::println;
use libsys::sync::{Mutex, channel};
use libsys::thread::{scope, spawn};

libsys::entry!(start);

fn start() -> Result<(), &'static str> {
    let thread = spawn(|| 6 * 7).map_err(|_| "no thread")?;
    println!("a thread returned {}", thread.join());

    let counter = Mutex::new(0);
    let (sender, receiver) = channel(1);
    let started = scope(|scope| {
        for number in 1..=3 {
            let (counter, sender) = (&counter, sender.clone());
            // It borrows the counter: `scope` waits for it.
            scope.spawn(move || {
                for _ in 0..1000 {
                    let mut counter = counter.lock();
                    let old = *counter;
                    libsys::syscall::yield_now(); // the others try to get in between
                    *counter = old + 1;
                }
                let _ = sender.send(number);
            })?;
        }
        // The channel ends with its last sender.
        drop(sender);
        println!(
            "the threads sent numbers that add up to {}",
            receiver.sum::<i32>()
        );
        Ok::<_, abi::Error>(())
    });
    started.map_err(|_| "no thread")?;
    println!("they counted to {}", counter.into_inner());
    Ok(())
}

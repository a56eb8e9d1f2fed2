//! The first program: builds the system from the manifest, then serves memory and supervises.
#![cfg_attr(target_os = "none", no_std, no_main)]

use root::{power, serve, system::System};

libsys::entry_point!(start);

/// Root's heap: fixed, because what clients ask for must not make root grow. It holds the manifest, the state of its
/// programs, and one answer at a time.
#[cfg(target_os = "none")]
mod heap {
    use talc::{TalcLock, source::Claim};

    const SIZE: usize = 512 << 10;

    #[global_allocator]
    static HEAP: TalcLock<spin::Mutex<()>, Claim> = {
        static mut ARENA: [u8; SIZE] = [0; SIZE];
        // SAFETY: nothing else names the arena.
        TalcLock::new(unsafe { Claim::array(&raw mut ARENA) })
    };
}

#[cfg(target_os = "none")]
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    power::fail(format_args!("panicked: {info}"))
}

fn start() {
    match System::build() {
        Ok(system) => serve::serve(system),
        Err(why) => power::fail(format_args!("{why}")),
    }
}

//! The loader's bare-metal binary: `start.s` comes first and calls [`loader_main`].
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!(
        "the loader runs on a bare machine; `cargo run` in the workspace's root folder boots it"
    );
    std::process::exit(2);
}

#[cfg(target_os = "none")]
mod bare {
    use bootinfo::relay::Relay;
    use bootinfo::{Range, exit};
    use core::cell::UnsafeCell;
    use loader::machine::{self, Start, console::refuse};

    /// Bytes for the text that kernels leave to each other.
    const TEXT: usize = 32 << 10;

    /// That text.
    #[repr(C, align(4096))]
    struct Text(UnsafeCell<[u8; TEXT]>);
    // SAFETY: the loader does not touch it.
    unsafe impl Sync for Text {}
    static RELAYED: Text = Text(UnsafeCell::new([0; TEXT]));

    core::arch::global_asm!(
        include_str!("start.s"),
        exit_port = const exit::PORT,
        refused = const exit::LOADER_REFUSED,
        bochs_port = const exit::BOCHS_PORT,
        options(att_syntax)
    );

    unsafe extern "C" {
        /// First byte and end of the loader's memory (`link.ld`).
        static image_start: u8;
        static image_end: u8;
        /// Where a kernel goes that another one follows (`start.s`).
        fn resume() -> !;
    }

    /// Entered from `start.s`, in long mode with a stack.
    #[unsafe(no_mangle)]
    extern "C" fn loader_main(magic: u32, information: u32, stage: u32) -> ! {
        let start = &raw const image_start as u64;
        let size = &raw const image_end as u64 - start;
        let start = Start {
            magic,
            information,
            stage,
            image: Range { start, size },
            relay: Relay {
                resume: resume as *const () as u64,
                text: RELAYED.0.get() as u64,
                size: TEXT as u64,
            },
        };
        // SAFETY: `start.s` made the state that `start` wants.
        unsafe { machine::start(&start) }
    }

    #[panic_handler]
    fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
        let message = info.message();
        match info.location() {
            Some(place) => refuse(format_args!(
                "a bug at {place}: {message}; please report it"
            )),
            None => refuse(format_args!("a bug: {message}; please report it")),
        }
    }
}

//! Where unsafe code may be, and that it is nowhere else. Whoever adds to these lists says why.

use std::path::{Path, PathBuf};

use postern::paths;

/// Files and folders with unsafe code.
const ALLOWED: &[(&str, &str)] = &[
    (
        "microkernel/",
        "the kernel, which keeps to zones of its own",
    ),
    (
        "boot/info/src/lib.rs",
        "a macro for the stack and entry point of whatever the loader starts",
    ),
    ("boot/loader/", "it runs on the bare machine"),
    ("hypervisor-shim/src/hardware/", "the bare machine"),
    (
        "hypervisor-shim/src/main.rs",
        "what the loader left, and its stack",
    ),
    ("boot/src/machine.rs", "what happens between fork and exec"),
    ("libsys/src/", "system calls, the heap, memory that is lent"),
    (
        "servers/virtio/src/",
        "registers, DMA memory, and a device for tests",
    ),
    ("servers/disk/src/driver.rs", "DMA memory"),
    ("servers/disk/src/driver/watch.rs", "DMA memory"),
    ("servers/disk/src/ring.rs", "DMA memory"),
    (
        "servers/disk/src/device.rs",
        "memory that is the device's for a while",
    ),
    (
        "servers/disk/src/driver/tests.rs",
        "a test's device writes the driver's memory",
    ),
    (
        "servers/disk/src/ata/tests.rs",
        "a test's request moves memory of several pieces",
    ),
    ("servers/net/src/driver.rs", "DMA memory"),
    (
        "servers/console/src/uart.rs",
        "the traits of uart_16550 are unsafe",
    ),
    ("servers/root/src/pci.rs", "configuration space"),
    (
        "servers/root/src/window.rs",
        "memory that it maps and unmaps",
    ),
    ("servers/root/src/main.rs", "its heap is its own"),
    (
        "servers/disk-faulty/",
        "it executes an invalid instruction on request",
    ),
    ("apps/misbehave/", "it reads nothing on request"),
    ("apps/ktest/", "it calls the kernel as no program should"),
    ("apps/limits/", "it runs on the bare machine"),
    ("apps/hostile/", "it attacks what is below it"),
    (
        "apps/measure/src/clock.rs",
        "it reads the clock in every ring",
    ),
    ("apps/ring0/", "it runs on the bare machine"),
    ("apps/relay/", "it ends what runs on the bare machine"),
    ("apps/monolith/", "it runs on the bare machine"),
    ("apps/reader/", "system calls that lend memory"),
    ("apps/linux-init/src/kernel", "Linux's system calls"),
    ("apps/linux-init/src/bare.rs", "its stack, its heap, a port"),
    ("tests/tests/unsafe_code.rs", "it looks for it"),
];

/// The Rust files below a folder.
fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("it can be listed") {
        let path = entry.expect("an entry").path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            sources(&path, files);
        } else if name.ends_with(".rs") {
            files.push(path);
        }
    }
}

/// Whether a line of Rust, as `rustfmt` leaves it, begins something unsafe.
fn is_unsafe(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    [
        "unsafe {",
        "unsafe fn",
        "unsafe impl",
        "unsafe trait",
        "unsafe extern",
        "#[unsafe(",
    ]
    .iter()
    .any(|word| code.contains(word))
}

#[test]
fn unsafe_code_is_where_it_may_be_and_all_else_forbids_it() {
    let root = paths::root();
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut needed = vec![false; ALLOWED.len()];
    let mut complaints = Vec::new();
    for file in files {
        let name = file
            .strip_prefix(&root)
            .expect("it is below")
            .to_string_lossy()
            .into_owned();
        let text = std::fs::read_to_string(&file).expect("it can be read");
        let mut allowed = ALLOWED.iter().map(|(place, _)| name.starts_with(place));
        let place = allowed.position(|is_here| is_here);
        if text.lines().any(is_unsafe) {
            match place {
                Some(index) => needed[index] = true,
                None => complaints.push(format!("{name} has unsafe code")),
            }
        }
        // A crate's root forbids it, unless a part of the crate is on the list.
        let is_root = name.ends_with("src/main.rs") || name.ends_with("src/lib.rs");
        let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
        let has_place =
            |(place, _): &(&str, &str)| place.starts_with(folder) || folder.starts_with(place);
        if is_root && !text.contains("#![forbid(unsafe_code)]") && !ALLOWED.iter().any(has_place) {
            complaints.push(format!("{name} does not forbid unsafe code"));
        }
    }
    let idle = ALLOWED.iter().zip(needed).filter(|(_, needed)| !needed);
    complaints.extend(idle.map(|((place, _), _)| format!("{place} needs no place on the list")));
    assert!(complaints.is_empty(), "{complaints:#?}");
}

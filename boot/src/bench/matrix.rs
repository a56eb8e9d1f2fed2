//! The matrix: `read` and `write`, in each of three structures, of each device, in each size, on each way for the bytes.

use super::ids::{Id, Source};

/// Bytes of an operation.
const SIZES: [usize; 12] = [
    0,
    1,
    16,
    64,
    256,
    512,
    1 << 10,
    4 << 10,
    16 << 10,
    64 << 10,
    256 << 10,
    1 << 20,
];

/// Those of `--quick`: an answer in registers, the smallest frame, a page, and many.
const QUICK: [usize; 5] = [0, 1, 64, 4096, 65536];
/// And the largest, where the device moves it itself.
const LARGEST: usize = 1 << 20;

/// Bytes of a disk's sector: the device moves whole ones.
const SECTOR: usize = 512;

/// Largest size of which there are as many bytes on the machine's flash.
const FLASH: usize = 256 << 10;
/// Bytes of a block of the flash: more are written block by block.
const BLOCK: usize = 4096;

/// How a program asks.
struct Structure {
    /// In ids.
    name: &'static str,
    /// `None`: the device says it.
    source: Option<Source>,
    about: &'static str,
}

const STRUCTURES: [Structure; 3] = [
    Structure {
        name: "call",
        source: Some(Source::Call),
        about: "function call",
    },
    Structure {
        name: "trap",
        source: Some(Source::Trap),
        about: "system call of the monolith",
    },
    Structure {
        name: "ipc",
        source: None,
        about: "message",
    },
];

/// A way for the bytes: its suffix in ids, and what it is.
type Way = (&'static str, &'static str);

const COPY: Way = ("copy", "copied from or to a buffer of the driver");
const SHARED: Way = (
    "shared",
    "moved by the device from or to the caller's memory",
);
const REGISTERS: Way = ("regs", "in registers");

/// What is asked.
struct Device {
    /// In ids.
    name: &'static str,
    /// The system with its server.
    server: Source,
    /// Whether the emulator's device answers at a time of its own: flash and keyboard answer within the instruction that asks.
    hardware: bool,
    /// Whether it answers alike on every PC (the controller of a keyboard takes its time, on some).
    common: bool,
    /// Which sizes can be read and written.
    reads: fn(usize) -> bool,
    writes: fn(usize) -> bool,
    /// The ways for so many bytes that have rows of their own beside the default.
    ways: fn(usize) -> &'static [Way],
}

const DEVICES: [Device; 5] = [
    Device {
        name: "null",
        server: Source::Reads,
        hardware: false,
        common: true,
        reads: |_| true,
        writes: |size| size > 0,
        // Two registers hold so much.
        ways: |size| {
            if (1..=16).contains(&size) {
                &[COPY, REGISTERS]
            } else {
                &[]
            }
        },
    },
    Device {
        name: "disk",
        server: Source::Reads,
        hardware: true,
        common: false,
        reads: |size| size > 0,
        writes: whole_sectors,
        ways: |size| {
            if whole_sectors(size) {
                &[COPY, SHARED]
            } else {
                &[]
            }
        },
    },
    Device {
        name: "flash",
        server: Source::Reads,
        hardware: false,
        common: false,
        reads: |size| (1..=FLASH).contains(&size),
        writes: |size| (1..=BLOCK).contains(&size),
        ways: |_| &[],
    },
    // A key is one byte. It must be struck for a read to have it; so that is part of the read.
    Device {
        name: "keyboard",
        server: Source::Reads,
        hardware: false,
        common: false,
        reads: |size| size == 1,
        writes: |_| false,
        ways: |_| &[],
    },
    // One frame, whole: it has a header, and an end.
    Device {
        name: "net",
        server: Source::Frames,
        hardware: true,
        common: false,
        reads: is_frame,
        writes: is_frame,
        ways: |_| &[],
    },
];

/// Whether a frame with an IP packet can have so many bytes.
fn is_frame(size: usize) -> bool {
    (60..=1514).contains(&size)
}

/// Whether the device itself can move so many bytes.
fn whole_sectors(size: usize) -> bool {
    size > 0 && size.is_multiple_of(SECTOR)
}

/// All of it, in the order of the table.
pub fn ids() -> Vec<Id> {
    let mut ids = Vec::new();
    for device in &DEVICES {
        for (verb, allowed) in [("read", device.reads), ("write", device.writes)] {
            for structure in &STRUCTURES {
                for size in SIZES.into_iter().filter(|size| allowed(*size)) {
                    ids.push(id(verb, structure, device, size, None));
                    let ways = (device.ways)(size).iter();
                    // Nothing is written from registers, or from anywhere by `null`.
                    let ways = ways.filter(|_| verb == "read" || device.hardware);
                    ids.extend(ways.map(|way| id(verb, structure, device, size, Some(way))));
                }
            }
        }
    }
    ids
}

fn id(verb: &str, structure: &Structure, device: &Device, size: usize, way: Option<&Way>) -> Id {
    let (suffix, how) = match way {
        Some((suffix, how)) => (format!(".{suffix}"), format!(", {how}")),
        None => (String::new(), String::new()),
    };
    let name = format!("{verb}.{}.{}.{size}{suffix}", structure.name, device.name);
    let about = format!(
        "{verb} of {size} bytes of {} by {}{how}",
        device.name, structure.about
    );
    // There is one list of ids in a process.
    Id {
        name: name.leak(),
        source: structure.source.unwrap_or(device.server),
        unit: "ticks",
        device: device.hardware,
        quick: QUICK.contains(&size) || size == LARGEST && way == Some(&SHARED),
        on_any_pc: device.common,
        about: about.leak(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_structure_has_the_same_rows() {
        let ids = ids();
        let rows = |structure: &str| -> Vec<String> {
            let infix = format!(".{structure}.");
            let own = ids.iter().filter(|id| id.name.contains(&infix));
            own.map(|id| id.name.replacen(&infix, ".", 1)).collect()
        };
        assert_eq!(rows("call"), rows("trap"));
        assert_eq!(rows("call"), rows("ipc"));
        for name in [
            "read.call.null.0",
            "read.trap.disk.4096.copy",
            "read.ipc.null.16.regs",
            "write.ipc.disk.1048576.shared",
        ] {
            assert!(ids.iter().any(|id| id.name == name), "{name}");
        }
        for name in ["read.ipc.disk.0", "write.ipc.null.16.regs"] {
            assert!(!ids.iter().any(|id| id.name == name), "{name}");
        }
    }
}

//! Which programs make up a system, and who holds which capability.
//!
//! A person writes it as TOML (`boot/systems/*.toml`); the host tool checks it and packs it as postcard; root
//! builds the system from it and nothing else.
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;

use alloc::{string::String, vec::Vec};
use serde::{Deserialize, Serialize};

/// A whole system. Programs start in the order of the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Its name, for people.
    pub name: String,
    /// Cargo binary, and package of that name, to boot in the kernel's place; the kernel if empty.
    #[serde(default)]
    pub kernel: String,
    /// Cargo binary, and package of that name, to start in root's place; root if empty.
    #[serde(default)]
    pub root: String,
    /// Cargo features to build the kernel with. Such a kernel is built in a folder of its own.
    #[serde(rename = "kernel-features", default)]
    pub kernel_features: Vec<String>,
    /// Systems that boot before it, one after the other, each with words for its kernel: `NAME WORDS…`. What is their own
    /// (`kernel`, `root`) goes into this system's archive.
    #[serde(default)]
    pub before: Vec<String>,
    /// `[[program]]` tables.
    #[serde(rename = "program", default)]
    pub programs: Vec<Program>,
    /// `[[instance]]` tables: if there are any, the kernel is the hypervisor shim, and there are no programs.
    #[serde(rename = "instance", default)]
    pub instances: Vec<Instance>,
    /// `[[channel]]` tables: memory that two of the instances share, with a bell at each end.
    #[serde(rename = "channel", default)]
    pub channels: Vec<Channel>,
}

/// One kernel above the hypervisor shim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instance {
    /// The system that it runs.
    pub system: String,
    /// Its memory in bytes, a multiple of 2 MiB.
    pub memory: u64,
    /// Its share of the processor, 1 to 100, in proportion to the others'.
    pub share: u8,
    /// The devices of its system's programs are its own; else it has none but those that the shim emulates.
    #[serde(default)]
    pub hardware: bool,
    /// `[[instance.program]]` tables: programs besides those of its system.
    #[serde(rename = "program", default)]
    pub programs: Vec<Program>,
}

/// What two instances share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Channel {
    /// Their numbers.
    pub between: [u8; 2],
}

/// One program: an ELF file of the archive with its authority.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// Unique; also the name under which others ask for its endpoint in `needs`.
    pub name: String,
    /// ELF file in the archive and cargo binary; `name` if empty.
    #[serde(default)]
    pub binary: String,
    /// A program calls only programs of a higher rank (root has the highest): no cycles.
    pub rank: u8,
    /// Thread priority, 1 to 250. At least that of every program that calls it.
    pub priority: u8,
    /// Memory it may use, in bytes, everything included.
    pub memory: u64,
    /// Arguments.
    #[serde(default)]
    pub args: Vec<String>,
    /// Endpoints it may call: program names, facets of programs (`console.input`), `root.memory`, `root.control`.
    #[serde(default)]
    pub needs: Vec<String>,
    /// Names it answers for, such as `disk:` (`names` translates them to this program). It gets what stands behind them; if
    /// there are several, the whole name.
    #[serde(default)]
    pub exports: Vec<String>,
    /// Ways in for chosen programs, which may do there what others may not: facet `input` of `console` is `console.input`
    /// under `needs`.
    #[serde(default)]
    pub facets: Vec<String>,
    /// Hardware it owns.
    #[serde(default)]
    pub devices: Vec<Device>,
    /// Reply objects: how many callers it can park. Each program that may call it has an equal share.
    #[serde(default)]
    pub replies: u8,
    /// How many names each program that may call it can have open at a time.
    #[serde(default = "sessions")]
    pub sessions: u16,
    /// Bytes of its memory that are its own to make kernel objects of: a power of two, or 0. With them it gets
    /// capabilities to its own Space and first Thread.
    #[serde(default)]
    pub untyped: u64,
    /// Bytes, beside its memory, for a buffer that it shares with a server: a power of two, or 0. The kernel's books of the
    /// buffer come out of them, too.
    #[serde(default)]
    pub shared: u64,
    /// Start it anew when it dies.
    #[serde(default)]
    pub restart: bool,
    /// Programs that it may start itself, while it runs.
    #[serde(default)]
    pub children: Option<Children>,
}

/// Programs that a program may start: each holds at most what that program holds (but no hardware), answers for no names, and
/// ends when it ends. Its priority is one lower.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Children {
    /// How many at a time.
    pub count: u8,
    /// Memory that each may use, in bytes.
    pub memory: u64,
    /// `untyped` of each.
    #[serde(default)]
    pub untyped: u64,
    /// Which: ELF files in the archive and cargo binaries.
    pub binaries: Vec<String>,
}

const fn sessions() -> u16 {
    16
}

impl Program {
    /// The program, and the facet of it, that an entry of `needs` names.
    pub fn need(need: &str) -> (&str, Option<&str>) {
        match need.split_once('.') {
            Some((program, facet)) => (program, Some(facet)),
            None => (need, None),
        }
    }

    /// Whether it may call the program `server`.
    pub fn calls(&self, server: &str) -> bool {
        self.needs.iter().any(|need| Self::need(need).0 == server)
    }

    /// The entry of a child: `None` if it may start none.
    pub fn child(&self) -> Option<Self> {
        let children = self.children.as_ref()?;
        Some(Self {
            name: self.name.clone(),
            binary: String::new(),
            rank: self.rank,
            priority: self.priority.saturating_sub(1).max(1),
            memory: children.memory,
            args: Vec::new(),
            needs: self.needs.clone(),
            exports: Vec::new(),
            facets: Vec::new(),
            devices: Vec::new(),
            replies: 0,
            sessions: self.sessions,
            untyped: children.untyped,
            shared: 0,
            restart: false,
            children: None,
        })
    }

    /// How many callers of this entry there may be at a time: it and its children.
    pub fn instances(&self) -> usize {
        1 + self
            .children
            .as_ref()
            .map_or(0, |children| children.count.into())
    }

    /// The ELF file's name in the archive.
    pub fn file(&self) -> &str {
        if self.binary.is_empty() {
            &self.name
        } else {
            &self.binary
        }
    }
}

/// A piece of hardware. One owner each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Device {
    /// `{ pci = { vendor = 0x1af4, device = [0x1001, 0x1042], index = 0 } }`: the index-th function with these ids, with
    /// its memory BARs (but never the page of its MSI-X table) and one MSI-X interrupt. Absent is not an error: the program is told.
    Pci {
        /// PCI vendor id.
        vendor: u16,
        /// Any of these device ids.
        device: Vec<u16>,
        /// Which of the matching functions, in order of bus, device, function.
        #[serde(default)]
        index: u8,
    },
    /// `{ ports = { base = 0x3f8, count = 8 } }`: I/O ports.
    Ports {
        /// First port.
        base: u16,
        /// How many.
        count: u16,
    },
    /// `{ irq = { isa = 4 } }`: an ISA interrupt line.
    Irq {
        /// ISA line, 0 to 15.
        isa: u8,
    },
    /// `{ memory = { kind = "flash" } }`: the memory of a device that no bus lists. Where flash lies depends on the machine:
    /// the host tool fills it in. Absent is not an error: the program is told.
    Memory {
        /// Which device.
        kind: MemoryKind,
        /// Physical address, a multiple of 4096.
        #[serde(default)]
        base: u64,
        /// Bytes, a multiple of 4096; 0 = the machine has none.
        #[serde(default)]
        size: u64,
    },
    /// `{ channel = 0 }`: this instance's end of a `[[channel]]`, by number. Absent is not an error: the program is told.
    Channel(u8),
}

/// Devices that no bus lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MemoryKind {
    /// NOR flash beside the firmware's.
    Flash,
    /// The screen's text: 80 by 25 characters with their colours, at 0xb8000.
    Screen,
    /// Text of the kernels that ran before ([`Manifest::before`]): the loader says where (`bootinfo::relay`), and root fills it in.
    Relayed,
}

//! Everything that can be measured. `docs/benchmarks.md` says how to add to it.

use std::sync::LazyLock;

use super::{matrix, peer};

/// Where a figure comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// `apps/crossings` on the kernel (system `bench`).
    Crossings,
    /// `apps/limits` in the kernel's place (system `limits`).
    Limits,
    /// The OS as a library in the kernel's place (system `library-os`).
    Call,
    /// The monolith in the kernel's place (system `monolith`).
    Trap,
    /// The same program, reading through servers (system `reads`) with a disk that answers at once.
    Reads,
    /// The same, with the network's server alone (system `frames`).
    Frames,
    /// The same, with a FAT volume on the disk.
    Files,
    /// The boot of the default system.
    Boot,
    /// `apps/crossings`, single-stepped.
    Trace,
    /// The same program, on a kernel that measures itself (system `section`).
    Section,
    /// The kernel's ELF file.
    File,
    /// `apps/hostile` above the hypervisor shim, measuring what it costs to stop.
    Exits,
    /// What the shim counted when it went from one instance to another.
    Switches,
    /// `apps/crossings` on a kernel above the shim.
    Instance,
    /// The bridge between two instances.
    Channel,
    /// A Linux in the same run ([`super::peer`]).
    Linux,
}

impl Source {
    /// Whether it can be measured in time.
    pub fn has_time(self) -> bool {
        let counted = matches!(self, Source::File | Source::Trace | Source::Section);
        !counted && !self.is_above_shim()
    }
}

impl Source {
    /// Whether it needs a processor with virtualization.
    fn is_above_shim(self) -> bool {
        matches!(self, Exits | Switches | Instance | Channel)
    }
}

/// Something that can be measured.
#[derive(Debug, Clone, Copy)]
pub struct Id {
    /// Its name; other tools rely on it.
    pub name: &'static str,
    /// Where it comes from.
    pub source: Source,
    /// What one is: `ticks` of the clock, or something else that is counted.
    pub unit: &'static str,
    /// A device has a part in it, so that it may differ from run to run.
    pub device: bool,
    /// `--quick` measures it unasked.
    pub quick: bool,
    /// It needs no more than a PC has: no virtio, no flash, no debugger.
    pub on_any_pc: bool,
    /// For the person.
    pub about: &'static str,
}

impl Id {
    /// Whether it reads a disk and leaves the way of the bytes to the system, in one of the sizes that tell the most.
    fn reads_disk(&self) -> bool {
        let words: Vec<&str> = self.name.split('.').collect();
        matches!(
            words[..],
            ["read", _, "disk", "512" | "4096" | "65536" | "1048576"]
        )
    }

    /// Its name for a person, with the system's if it is another one's.
    pub fn shown(&self) -> String {
        match self.source {
            Source::Linux => format!("{}: {}", peer::LINUX, self.name),
            _ => self.name.into(),
        }
    }
}

const fn id(name: &'static str, source: Source, about: &'static str) -> Id {
    Id {
        name,
        source,
        unit: "ticks",
        device: false,
        quick: true,
        on_any_pc: matches!(source, Limits | Crossings | File),
        about,
    }
}

const fn traced(name: &'static str, unit: &'static str, about: &'static str) -> Id {
    Id {
        unit,
        ..id(name, Source::Trace, about)
    }
}

use Source::{Boot, Channel, Crossings, Exits, File, Files, Instance, Limits, Section, Switches};

/// All of it, in the order of the table.
pub static ALL: LazyLock<Vec<Id>> =
    LazyLock::new(|| SINGLE.iter().copied().chain(matrix::ids()).collect());

/// What is no row of the [`matrix`].
#[rustfmt::skip]
const SINGLE: &[Id] = &[
    id("limit.crossing", Limits, "SYSCALL and SYSRET, and nothing between"),
    id("limit.roundtrip.cross", Limits, "two spaces: save RIP and RSP, CR3, SYSRET, and back; no kernel can be shorter"),
    id("limit.roundtrip.same", Limits, "the same between two threads of one space"),
    id("limit.roundtrip.cross.8", Limits, "between two spaces, 4 words copied each way"),
    id("limit.roundtrip.cross.32", Limits, "the same with 28 words copied"),
    id("limit.roundtrip.cross.120", Limits, "the same with 116 words copied"),
    id("limit.fault", Limits, "UD2 in one space, resumed behind it by another: the exception, two CR3 writes, IRETQ"),
    id("limit.vector", Limits, "an interrupt's or exception's vector, CR3, SYSRET into the server's space; the way back is not in it"),
    id("limit.acknowledge", Limits, "SYSCALL, the end of an interrupt told to the local APIC, SYSRET"),
    id("limit.mint_delete", Limits, "two SYSCALLs: two words of a capability stored, one cleared"),
    id("limit.revoke.100", Limits, "a SYSCALL that clears 100 words"),
    id("limit.map_unmap", Limits, "two SYSCALLs: a page's entry stored; cleared, and INVLPG"),
    id("limit.thread", Limits, "a SYSCALL that stores RIP, RSP and space of a thread and switches to it; its only one goes back"),
    id("limit.copy.4096", Limits, "a copy of 4 KiB, by words"),
    id("trap.syscall", Limits, "a bare kernel: SYSCALL, one of eight functions by its number"),
    id("trap.int80", Limits, "the same through INT 0x80 and IRETQ"),
    id("trap.int_per_function", Limits, "the same through a vector of its own for each function"),
    id("trap.args.registers", Limits, "a bare kernel adds four arguments: in registers"),
    id("trap.args.known", Limits, "the same, from a structure at an address that both sides know"),
    id("trap.args.walked", Limits, "the same, from a structure that a pointer names, found through the page table"),
    id("trap.args.direct", Limits, "the same, read through the caller's own mapping, between STAC and CLAC"),
    id("switch.cr3", Limits, "a CR3 write, nothing else"),
    id("switch.cr3_pcid", Limits, "the same with tags, so that nothing is flushed"),
    id("tlb.warm", Limits, "a load from a page, of 32 in a row"),
    id("tlb.refill", Limits, "the same after a CR3 write, of which it has a 32nd part"),
    id("trap.null", Crossings, "the system call that does nothing"),
    id("ipc.roundtrip.same.0", Crossings, "call and reply between two threads of one space"),
    id("ipc.roundtrip.cross.0", Crossings, "call and reply between two spaces"),
    id("ipc.roundtrip.cross.4", Crossings, "the same with four words each way"),
    id("ipc.roundtrip.cross.8", Crossings, "the same with 8 words each way, 4 of them through memory"),
    id("ipc.roundtrip.cross.32", Crossings, "the same with 32 words each way"),
    id("ipc.roundtrip.cross.120", Crossings, "the same with 120 words each way"),
    id("ipc.roundtrip.traced", Crossings, "call and reply between two spaces while the kernel traces"),
    id("ipc.roundtrip.untraced", Crossings, "the same after it has traced: what a trace that is off costs is its difference to cross.0"),
    id("ipc.slowpath.cross.0", Crossings, "call and reply between two spaces on the general path"),
    id("ipc.call_with_cap", Crossings, "a call that passes a copy of a capability, and its reply"),
    id("ipc.deferred", Crossings, "call; the server parks it and looks for others; it answers from the Reply object"),
    id("ipc.roundtrip.cold", Crossings, "call and reply between two spaces after 6 MiB of other memory have been touched"),
    id("ipc.roundtrip.ready.100", Crossings, "call and reply between two spaces while 100 threads of a lower priority are ready"),
    id("ipc.chain.1", Crossings, "a request to a server, which answers at once"),
    id("ipc.chain.2", Crossings, "a request to a server that asks another one before it answers"),
    id("ipc.chain.3", Crossings, "the same with three servers in a row"),
    id("ipc.chain.4", Crossings, "the same with four"),
    id("ipc.chain.5", Crossings, "the same with five"),
    id("ipc.fanin.1", Crossings, "one client at a server that makes way before each answer"),
    id("ipc.fanin.4", Crossings, "4 clients queued at one server, for one request"),
    id("ipc.fanin.16", Crossings, "16 clients queued at one server, for one request"),
    id("ipc.fanin.64", Crossings, "64 clients queued at one server, for one request"),
    id("fault.roundtrip", Crossings, "UD2 in one space, handled in another, resumed"),
    traced("ipc.oneway.call.instructions", "instructions", "of it, the kernel's part from the client to the server, from a trace"),
    traced("ipc.oneway.call.memory", "accesses", "loads and stores in that part"),
    traced("ipc.oneway.call.expensive", "instructions", "expensive ones in that part"),
    traced("ipc.oneway.reply_recv.instructions", "instructions", "the kernel's part from the server to the client"),
    traced("ipc.oneway.reply_recv.memory", "accesses", "loads and stores in that part"),
    traced("ipc.oneway.reply_recv.expensive", "instructions", "expensive ones in that part"),
    traced("ipc.stage.call.entry", "instructions", "of the kernel's part from the client to the server: from SYSCALL until the kernel looks at the capability"),
    traced("ipc.stage.call.lookup", "instructions", "of the kernel's part from the client to the server: until the object has been found"),
    traced("ipc.stage.call.rendezvous", "instructions", "of the kernel's part from the client to the server: checks, and who waits for whom, until another thread is the current one"),
    traced("ipc.stage.call.switch", "instructions", "of the kernel's part from the client to the server: until the partner's stack: its space"),
    traced("ipc.stage.call.exit", "instructions", "of the kernel's part from the client to the server: its other registers, and SYSRET"),
    traced("ipc.stage.reply_recv.entry", "instructions", "of the kernel's part from the server to the client: from SYSCALL until the kernel looks at the capability"),
    traced("ipc.stage.reply_recv.lookup", "instructions", "of the kernel's part from the server to the client: until the object has been found"),
    traced("ipc.stage.reply_recv.rendezvous", "instructions", "of the kernel's part from the server to the client: checks, and who waits for whom, until another thread is the current one"),
    traced("ipc.stage.reply_recv.switch", "instructions", "of the kernel's part from the server to the client: until the partner's stack: its space"),
    traced("ipc.stage.reply_recv.exit", "instructions", "of the kernel's part from the server to the client: its other registers, and SYSRET"),
    traced("ipc.loop.client", "instructions", "the client's loop"),
    traced("ipc.loop.server", "instructions", "the server's loop"),
    traced("irq.to_server", "instructions", "first of an interrupt's vector to the first of the server in another space"),
    traced("fault.to_handler", "instructions", "first of an exception's vector to the first of the handler in another space"),
    id("irq.acknowledge", Crossings, "ACK of a delivered interrupt of the serial port"),
    id("cap.mint_delete", Crossings, "a badged copy of a capability, and its end"),
    id("cap.revoke.100", Crossings, "one REVOKE of 100 copies"),
    id("space.map_unmap", Crossings, "a page into a space, and out of it"),
    id("thread.life", Crossings, "retype, configure, registers, priority, start, one call, suspend, delete"),
    id("read.ipc.file.4096", Files, "`Handle::read` of 4096 bytes of a file that the file system has in its cache"),
    id("vm.exit.vmcall", Exits, "a guest calls the hypervisor shim, which answers that it is there"),
    id("vm.exit.cpuid", Exits, "a guest executes CPUID, which the shim answers"),
    id("vm.exit.ept_violation", Exits, "a guest touches a page of its memory for the first time: a nested page fault, and the shim maps it"),
    id("vm.switch", Switches, "from the last instruction of an instance to the next of another: all of its state"),
    id("vm.ipc.roundtrip.cross.0", Instance, "call and reply between two spaces of an instance: as many as on the bare machine"),
    Id { device: true, ..id("vm.channel.roundtrip", Channel, "a message without bytes to another instance's bridge and back: two bells, turns, and what both bridges do") },
    Id { unit: "instructions", ..id("kernel.longest_section", Section, "most that the kernel ran without accepting an interrupt, every long operation at its worst") },
    Id { device: true, ..id("boot.prompt", Boot, "reset to the shell's first prompt, waits for devices included") },
    Id { unit: "bytes", ..id("kernel.text", File, "size of the kernel's code") },
];

/// The id of that name.
pub fn find(name: &str) -> Option<&'static Id> {
    ALL.iter().find(|id| id.name == name)
}

/// What the image of the suite measures above the kernel on any PC, without a host tool at the other end; and reads of a disk, if it
/// has one. (Nothing writes it.)
pub fn for_a_person() -> impl Iterator<Item = &'static str> {
    measured_by(|source| matches!(source, Crossings | Source::Reads))
}

/// The same for what boots in the kernel's place: of the systems that are told what to measure.
pub fn for_a_person_in(system: &str) -> impl Iterator<Item = &'static str> {
    let own = match system {
        "library-os" => Some(Source::Call),
        "monolith" => Some(Source::Trap),
        _ => None,
    };
    measured_by(move |source| Some(source) == own)
}

/// Ids of these sources that need no more than a PC, or its disk.
fn measured_by(is_own: impl Fn(Source) -> bool) -> impl Iterator<Item = &'static str> {
    let is_wanted = move |id: &&Id| is_own(id.source) && (id.on_any_pc || id.reads_disk());
    ALL.iter().filter(is_wanted).map(|id| id.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        for (index, id) in ALL.iter().enumerate() {
            assert!(
                ALL[..index].iter().all(|other| other.name != id.name),
                "{}",
                id.name
            );
        }
    }
}

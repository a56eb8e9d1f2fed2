//! What a manifest must fulfil. Each complaint names the program.

use bootinfo::shim;
use manifest::{Device, Manifest, Program};

use crate::instances;

/// Names of root's own endpoints.
pub const ROOT_ENDPOINTS: [&str; 2] = ["root.memory", "root.control"];

/// Highest priority a program may have; root's threads are above.
const HIGHEST_PRIORITY: u8 = 250;
/// Most facets: their numbers and those of sessions share a space.
const MOST_FACETS: usize = 255;
/// Most sessions of one server (`libsys::session`).
const MOST_SESSIONS: usize = 4096;
/// Page size: budgets are multiples of it.
const PAGE: u64 = 4096;

/// What a program may have for a shared buffer, in bytes.
const SHARED: std::ops::RangeInclusive<u64> = 16 << 10..=16 << 20;

/// Everything that is wrong, one sentence each; empty if nothing is.
pub fn complaints(manifest: &Manifest) -> Vec<String> {
    let mut complaints = Vec::new();
    complaints.extend(instances::complaints(manifest));
    if manifest.programs.is_empty() && manifest.kernel.is_empty() && manifest.instances.is_empty() {
        complaints.push("there is no program".to_string());
    }
    for (index, program) in manifest.programs.iter().enumerate() {
        let earlier = &manifest.programs[..index];
        let own = by_itself(program)
            .into_iter()
            .chain(calls(program, manifest))
            .chain(shares(program, manifest))
            .chain(against(program, earlier));
        complaints.extend(own.map(|complaint| format!("program `{}`: {complaint}", program.name)));
    }
    complaints
}

/// What needs no other program to be seen.
fn by_itself(program: &Program) -> Vec<String> {
    let mut complaints = Vec::new();
    // An empty `binary` stands for the name.
    let binary = Some(program.binary.as_str()).filter(|binary| !binary.is_empty());
    let children = program.children.iter();
    let binaries = children.flat_map(|children| children.binaries.iter().map(String::as_str));
    let names = [program.name.as_str()]
        .into_iter()
        .chain(binary)
        .chain(binaries);
    for name in names {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || name.len() > 32 || !name.chars().all(plain) {
            complaints.push(format!(
                "`{name}` is not a name of at most 32 lower-case letters, digits and `-`"
            ));
        } else if ["root", "kernel", "manifest", "instances"].contains(&name) {
            complaints.push(format!("the name `{name}` is taken by the system itself"));
        }
    }
    if program.priority == 0 || program.priority > HIGHEST_PRIORITY {
        complaints.push(format!(
            "priority {} is not 1 to {HIGHEST_PRIORITY}",
            program.priority
        ));
    }
    complaints.extend(memory("", program.memory, program.untyped));
    if let Some(children) = &program.children {
        complaints.extend(memory("children: ", children.memory, children.untyped));
        if children.count == 0 || children.binaries.is_empty() {
            complaints.push("children: there can be none".to_string());
        }
        if program.priority == 1 {
            complaints.push("children: their priority would be 0".to_string());
        }
    }
    if program.shared != 0
        && !(program.shared.is_power_of_two() && SHARED.contains(&program.shared))
    {
        complaints.push(format!(
            "shared {:#x} is not a power of two from {:#x} to {:#x}",
            program.shared,
            SHARED.start(),
            SHARED.end()
        ));
    }
    if !program.needs.iter().any(|need| need == ROOT_ENDPOINTS[0]) {
        complaints.push("needs lacks `root.memory`, which every program must have".to_string());
    }
    for (index, need) in program.needs.iter().enumerate() {
        if program.needs[..index].contains(need) {
            complaints.push(format!("needs names `{need}` twice"));
        }
    }
    for export in &program.exports {
        let stem = export.strip_suffix(':').unwrap_or_default();
        if stem.is_empty() || stem.contains(|c: char| !c.is_ascii_alphanumeric() && c != '-') {
            complaints.push(format!(
                "exports `{export}`, which is not a name with `:` at the end, such as `disk:`"
            ));
        }
    }
    for (index, facet) in program.facets.iter().enumerate() {
        let plain = !facet.is_empty() && facet.chars().all(|c| c.is_ascii_lowercase());
        if !plain || program.facets[..index].contains(facet) || index == MOST_FACETS {
            complaints.push(format!("`{facet}` cannot be a facet"));
        }
    }
    complaints.extend(program.devices.iter().filter_map(impossible));
    complaints
}

/// Sizes that cannot be.
fn memory(whose: &str, memory: u64, untyped: u64) -> Vec<String> {
    let mut complaints = Vec::new();
    if memory == 0 || !memory.is_multiple_of(PAGE) {
        complaints.push(format!(
            "{whose}memory {memory:#x} is not a multiple of {PAGE} above 0"
        ));
    }
    let whole = untyped.is_power_of_two() && untyped >= PAGE;
    if untyped != 0 && !(whole && untyped <= memory / 2) {
        complaints.push(format!(
            "{whose}untyped {untyped:#x} is not a power of two from {PAGE} to half its memory"
        ));
    }
    complaints
}

/// Rules between a program and those it calls.
fn calls(program: &Program, manifest: &Manifest) -> Vec<String> {
    let mut complaints = Vec::new();
    for need in program
        .needs
        .iter()
        .filter(|need| !ROOT_ENDPOINTS.contains(&need.as_str()))
    {
        let (name, facet) = Program::need(need);
        let Some(server) = manifest.programs.iter().find(|other| other.name == name) else {
            complaints.push(format!(
                "needs `{need}`, which is no program of this system"
            ));
            continue;
        };
        if let Some(facet) = facet
            && !server.facets.iter().any(|known| known == facet)
        {
            complaints.push(format!("needs `{need}`, but `{name}` has no such facet"));
        }
        if server.rank <= program.rank {
            let (own, theirs) = (program.rank, server.rank);
            complaints.push(format!(
                "rank {own} calls `{need}` of rank {theirs}; a program calls only higher ranks"
            ));
        }
        if server.priority < program.priority {
            let (own, theirs) = (program.priority, server.priority);
            complaints.push(format!(
                "priority {own} is above priority {theirs} of `{need}`, which it calls"
            ));
        }
    }
    complaints
}

/// Whether each client can have its share.
fn shares(program: &Program, manifest: &Manifest) -> Vec<String> {
    let clients = manifest.programs.iter().filter(|p| p.calls(&program.name));
    let clients: usize = clients.map(Program::instances).sum();
    let replies = usize::from(program.replies);
    let sessions = usize::from(program.sessions);
    let mut complaints = Vec::new();
    if 0 < replies && replies < clients {
        complaints.push(format!(
            "replies {replies} are fewer than the {clients} programs that may call it"
        ));
    }
    if sessions * clients > MOST_SESSIONS {
        complaints.push(format!(
            "{sessions} sessions for each of the {clients} programs that may call it are more than {MOST_SESSIONS}"
        ));
    }
    complaints
}

/// What a program may not share with an earlier one (nor have twice itself).
fn against(program: &Program, earlier: &[Program]) -> Vec<String> {
    let mut complaints = Vec::new();
    for other in earlier {
        if other.name == program.name {
            complaints.push("there are two programs of this name".to_string());
        }
    }
    for (index, export) in program.exports.iter().enumerate() {
        let owner = earlier.iter().find(|other| other.exports.contains(export));
        let owner = owner.map(|other| other.name.as_str());
        if let Some(owner) = owner.or(program.exports[..index]
            .contains(export)
            .then_some(&program.name))
        {
            complaints.push(format!(
                "exports `{export}`, which `{owner}` exports already"
            ));
        }
    }
    for (index, device) in program.devices.iter().enumerate() {
        let own = program.devices[..index]
            .iter()
            .map(|taken| (taken, &program.name));
        let theirs = earlier
            .iter()
            .flat_map(|other| other.devices.iter().map(move |taken| (taken, &other.name)));
        for (_, owner) in own
            .chain(theirs)
            .filter(|(taken, _)| overlap(device, taken))
        {
            complaints.push(format!("{} belongs to `{owner}` already", describe(device)));
        }
    }
    complaints
}

/// A device that cannot be.
fn impossible(device: &Device) -> Option<String> {
    let wrong = match device {
        Device::Pci { device, .. } => device.is_empty(),
        Device::Ports { base, count } => {
            *count == 0 || u32::from(*base) + u32::from(*count) > 0x1_0000
        }
        Device::Irq { isa } => *isa > 15,
        Device::Channel(number) => usize::from(*number) >= shim::CHANNELS,
        Device::Memory { base, size, .. } => {
            !base.is_multiple_of(PAGE)
                || !size.is_multiple_of(PAGE)
                || base.checked_add(*size).is_none()
        }
    };
    wrong.then(|| format!("there can be no {}", describe(device)))
}

/// Whether two owners would meet.
fn overlap(one: &Device, other: &Device) -> bool {
    match (one, other) {
        (
            Device::Pci {
                vendor,
                device,
                index,
            },
            Device::Pci {
                vendor: vendor2,
                device: device2,
                index: index2,
            },
        ) => vendor == vendor2 && index == index2 && device.iter().any(|id| device2.contains(id)),
        (
            Device::Ports { base, count },
            Device::Ports {
                base: base2,
                count: count2,
            },
        ) => {
            let end = |base: u16, count: u16| u32::from(base) + u32::from(count);
            u32::from(*base) < end(*base2, *count2) && u32::from(*base2) < end(*base, *count)
        }
        (Device::Irq { isa }, Device::Irq { isa: isa2 }) => isa == isa2,
        (Device::Memory { kind, .. }, Device::Memory { kind: kind2, .. }) => kind == kind2,
        (Device::Channel(number), Device::Channel(number2)) => number == number2,
        _ => false,
    }
}

fn describe(device: &Device) -> String {
    match device {
        Device::Pci {
            vendor,
            device,
            index,
        } => format!("PCI device {vendor:04x}:{device:04x?} number {index}"),
        Device::Ports { base, count } => format!("port range {base:#x}, {count} long"),
        Device::Irq { isa } => format!("interrupt line {isa}"),
        Device::Channel(number) => format!("end of channel {number}"),
        Device::Memory { kind, base, size } => {
            format!("{kind:?} memory at {base:#x}, {size:#x} long").to_lowercase()
        }
    }
}

#[cfg(test)]
mod tests;

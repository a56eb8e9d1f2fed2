//! What a manifest must fulfil. Each complaint names the program.

use manifest::{Device, Manifest, Program};

/// Names of root's own endpoints.
pub const ROOT_ENDPOINTS: [&str; 2] = ["root.memory", "root.control"];

/// Highest priority a program may have; root's threads are above.
const HIGHEST_PRIORITY: u8 = 250;
/// Most facets: their numbers and those of sessions share a space.
const MOST_FACETS: usize = 255;
/// Page size: budgets are multiples of it.
const PAGE: u64 = 4096;

/// Everything that is wrong, one sentence each; empty if nothing is.
pub fn complaints(manifest: &Manifest) -> Vec<String> {
    let mut complaints = Vec::new();
    if manifest.programs.is_empty() && manifest.kernel.is_empty() {
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
    let names = [
        Some(program.name.as_str()),
        Some(program.binary.as_str()).filter(|binary| !binary.is_empty()),
    ];
    for name in names.into_iter().flatten() {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || name.len() > 32 || !name.chars().all(plain) {
            complaints.push(format!(
                "`{name}` is not a name of at most 32 lower-case letters, digits and `-`"
            ));
        } else if ["root", "kernel", "manifest"].contains(&name) {
            complaints.push(format!("the name `{name}` is taken by the system itself"));
        }
    }
    if program.priority == 0 || program.priority > HIGHEST_PRIORITY {
        complaints.push(format!(
            "priority {} is not 1 to {HIGHEST_PRIORITY}",
            program.priority
        ));
    }
    if program.memory == 0 || !program.memory.is_multiple_of(PAGE) {
        complaints.push(format!(
            "memory {:#x} is not a multiple of {PAGE} above 0",
            program.memory
        ));
    }
    let whole = program.untyped.is_power_of_two() && program.untyped >= PAGE;
    if program.untyped != 0 && !(whole && program.untyped <= program.memory / 2) {
        complaints.push(format!(
            "untyped {:#x} is not a power of two from {PAGE} to half its memory",
            program.untyped
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
fn shares(program: &Program, manifest: &Manifest) -> Option<String> {
    let clients = manifest.programs.iter().filter(|p| p.calls(&program.name));
    let (clients, replies) = (clients.count(), usize::from(program.replies));
    (0 < replies && replies < clients).then(|| {
        format!("replies {replies} are fewer than the {clients} programs that may call it")
    })
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
        Device::Memory { kind, base, size } => {
            format!("{kind:?} memory at {base:#x}, {size:#x} long").to_lowercase()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server and its client, both as they should be.
    fn good() -> Manifest {
        toml::from_str(
            r#"
            name = "test"
            [[program]]
            name = "server"
            rank = 20
            priority = 100
            memory = 0x10000
            needs = ["root.memory"]
            exports = ["thing:"]
            devices = [{ ports = { base = 0x3f8, count = 8 } }, { irq = { isa = 4 } },
                       { pci = { vendor = 0x1af4, device = [0x1001, 0x1042] } }]
            [[program]]
            name = "client"
            rank = 10
            priority = 50
            memory = 0x1000
            needs = ["root.memory", "root.control", "server"]
            "#,
        )
        .expect("the manifest of this test is TOML")
    }

    /// Exactly one complaint, with these words in it.
    #[track_caller]
    fn wrong(words: &str, change: impl FnOnce(&mut Manifest)) {
        let mut manifest = good();
        change(&mut manifest);
        let found = complaints(&manifest);
        assert!(
            found.len() == 1 && found[0].contains(words),
            "wanted `{words}`, got {found:?}"
        );
    }

    #[test]
    fn a_good_manifest_passes() {
        assert_eq!(complaints(&good()), Vec::<String>::new());
    }

    #[test]
    fn each_rule_is_kept() {
        wrong("no program of this system", |m| {
            m.programs[1].needs.push("nobody".into())
        });
        wrong("twice", |m| m.programs[1].needs.push("server".into()));
        wrong("needs lacks `root.memory`", |m| m.programs[0].needs.clear());
        wrong("only higher ranks", |m| m.programs[0].rank = 10);
        wrong("above priority 49", |m| m.programs[0].priority = 49);
        wrong("priority 0 is not", |m| m.programs[1].priority = 0);
        wrong("priority 251 is not", |m| m.programs[0].priority = 251);
        wrong("memory 0x0 ", |m| m.programs[0].memory = 0);
        wrong("memory 0x1001 ", |m| m.programs[0].memory = 0x1001);
        for untyped in [0x800, 0x1800, 0x10000] {
            wrong(&format!("untyped {untyped:#x} is not"), |m| {
                m.programs[0].untyped = untyped
            });
        }
        wrong("`thing:`, which `server` exports already", |m| {
            m.programs[1].exports.push("thing:".into())
        });
        wrong("`thing:`, which `server` exports already", |m| {
            m.programs[0].exports.push("thing:".into())
        });
        wrong("not a name with `:`", |m| {
            m.programs[0].exports.push("other".into())
        });
        wrong("two programs of this name", |m| {
            m.programs[1].needs.pop();
            m.programs[1].name = "server".into();
        });
        wrong("taken by the system", |m| {
            m.programs[1].binary = "kernel".into()
        });
        wrong("lower-case", |m| m.programs[1].name = "Client".into());
        wrong("`server` has no such facet", |m| {
            m.programs[1].needs[2] = "server.back-door".into()
        });
        wrong("`In` cannot be a facet", |m| {
            m.programs[0].facets = vec!["In".into()]
        });
        wrong("`in` cannot be a facet", |m| {
            m.programs[0].facets = vec!["in".into(), "in".into()]
        });
        wrong("replies 1 are fewer than the 2 programs", |m| {
            m.programs[0].replies = 1;
            let mut second = m.programs[1].clone();
            second.name = "second".into();
            m.programs.push(second);
        });
    }

    #[test]
    fn a_cycle_of_calls_is_refused() {
        let mut manifest = good();
        let mut third = manifest.programs[1].clone();
        third.name = "third".into();
        third.needs = vec!["root.memory".into(), "client".into()];
        (third.rank, third.priority) = (5, 40);
        manifest.programs.push(third);
        assert_eq!(complaints(&manifest), Vec::<String>::new());
        // server -> third -> client -> server: whatever the ranks, one call goes down.
        for ranks in [[20, 10, 5], [5, 10, 20], [10, 10, 10], [30, 10, 20]] {
            let mut cycle = manifest.clone();
            cycle.programs[0].needs.push("third".into());
            for (program, rank) in cycle.programs.iter_mut().zip(ranks) {
                (program.rank, program.priority) = (rank, 50);
            }
            let found = complaints(&cycle);
            assert!(
                found.iter().any(|c| c.contains("only higher ranks")),
                "{found:?}"
            );
        }
    }

    #[test]
    fn a_facet_is_a_way_in() {
        let mut manifest = good();
        manifest.programs[0].facets = vec!["in".into()];
        manifest.programs[1].needs.push("server.in".into());
        assert_eq!(complaints(&manifest), Vec::<String>::new());
        assert!(manifest.programs[1].calls("server") && !manifest.programs[0].calls("server"));
    }

    #[test]
    fn a_device_has_one_owner() {
        let give = |device| move |m: &mut Manifest| m.programs[1].devices.push(device);
        wrong(
            "port range 0x3ff",
            give(Device::Ports {
                base: 0x3ff,
                count: 2,
            }),
        );
        wrong("line 4 belongs to `server`", give(Device::Irq { isa: 4 }));
        wrong(
            "belongs to `server`",
            give(Device::Pci {
                vendor: 0x1af4,
                device: vec![0x1042],
                index: 0,
            }),
        );
        wrong("can be no interrupt line 16", give(Device::Irq { isa: 16 }));
        wrong(
            "can be no port range",
            give(Device::Ports {
                base: 0xffff,
                count: 2,
            }),
        );
        let mut manifest = good();
        give(Device::Pci {
            vendor: 0x1af4,
            device: vec![0x1042],
            index: 1,
        })(&mut manifest);
        give(Device::Ports {
            base: 0x400,
            count: 1,
        })(&mut manifest);
        assert_eq!(complaints(&manifest), Vec::<String>::new());
    }
}

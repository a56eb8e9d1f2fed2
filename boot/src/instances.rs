//! Several systems on one machine, above the hypervisor shim: what its archive lists, and its one serial line told apart.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};

use anyhow::{Context, Result, ensure};
use bootinfo::{archive, shim};
use manifest::{Device, Manifest};

use crate::system::System;

/// The shim's cargo package and binary.
pub const PACKAGE: &str = "hypervisor-shim";

/// Large pages: partitions are made of them.
const LARGE: u64 = 2 << 20;
/// What an instance needs at least to load a system.
const SMALLEST: u64 = 16 << 20;

/// Everything that is wrong with the instances of a manifest.
pub fn complaints(manifest: &Manifest) -> Vec<String> {
    let mut complaints = Vec::new();
    if manifest.instances.is_empty() {
        return complaints;
    }
    if !manifest.programs.is_empty() || !manifest.kernel.is_empty() {
        complaints.push("a system of instances has no kernel and no programs of its own".into());
    }
    let count = manifest.instances.len();
    if count > shim::INSTANCES {
        let most = shim::INSTANCES;
        complaints.push(format!("{count} instances are more than {most}"));
    }
    for (number, instance) in manifest.instances.iter().enumerate() {
        if instance.memory < SMALLEST || !instance.memory.is_multiple_of(LARGE) {
            complaints.push(format!(
                "instance {number}: memory {:#x} is not a multiple of {LARGE:#x} from {SMALLEST:#x} on",
                instance.memory
            ));
        }
        if !(1..=100).contains(&instance.share) {
            let share = instance.share;
            complaints.push(format!("instance {number}: share {share} is not 1 to 100"));
        }
    }
    let channels = manifest.channels.len();
    if channels > shim::CHANNELS {
        let most = shim::CHANNELS;
        complaints.push(format!("{channels} channels are more than {most}"));
    }
    for (number, channel) in manifest.channels.iter().enumerate() {
        let [one, other] = channel.between;
        if one == other || usize::from(one.max(other)) >= count {
            complaints.push(format!(
                "channel {number}: {one} and {other} are not two instances"
            ));
        }
    }
    complaints
}

/// The files of the shim's archive but for the shim: the list of instances, and their archives.
pub fn files(system: &System, archives: &[&[u8]]) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    let names: Vec<String> = archives
        .iter()
        .map(|bytes| {
            // The same system twice is one file.
            let first = archives.iter().position(|other| other == bytes);
            format!("instance-{}", first.unwrap_or_default())
        })
        .collect();
    let mut list = shim::Instances {
        primary: system.primary,
        instances: heapless::Vec::new(),
        channels: system.manifest.channels.iter().map(|c| c.between).collect(),
    };
    let manifests = system.manifest.instances.iter().zip(&system.instances);
    for ((instance, inner), name) in manifests.zip(&names) {
        let entry = shim::Instance {
            archive: name,
            memory: instance.memory,
            share: instance.share,
            devices: match instance.hardware {
                true => devices(&inner.manifest)?,
                false => heapless::Vec::new(),
            },
        };
        let pushed = list.instances.push(entry);
        ensure!(pushed.is_ok(), "too many instances");
    }
    let list = postcard::to_allocvec(&list).context("cannot encode the list of instances")?;
    files.insert(archive::INSTANCES.to_string(), list);
    for (name, bytes) in names.iter().zip(archives) {
        files.insert(name.clone(), bytes.to_vec());
    }
    Ok(files)
}

/// The devices of a system's programs, less what the shim makes for everybody.
fn devices<const N: usize>(manifest: &Manifest) -> Result<heapless::Vec<shim::Device, N>> {
    let all = manifest.programs.iter().flat_map(|p| &p.devices);
    let devices = all.filter_map(|device| match device {
        Device::Ports { base: 0x3f8, .. } | Device::Ports { base: 0x70, .. } => None,
        Device::Irq { isa: 4 } | Device::Channel(_) => None,
        Device::Pci {
            vendor,
            device,
            index,
        } => Some(shim::Device::Pci {
            vendor: *vendor,
            device: device.iter().copied().take(4).collect(),
            index: *index,
        }),
        Device::Ports { base, count } => Some(shim::Device::Ports {
            base: *base,
            count: *count,
        }),
        Device::Irq { isa } => Some(shim::Device::Irq { isa: *isa }),
        Device::Memory { base, size, .. } => Some(shim::Device::Memory {
            base: *base,
            size: *size,
        }),
    });
    let devices: Vec<_> = devices.collect();
    let count = devices.len();
    ensure!(
        count <= N,
        "{}: {count} devices are more than {N}",
        manifest.name
    );
    Ok(devices.into_iter().collect())
}

/// Tells the sources of the shim's serial line apart.
#[derive(Debug, Default)]
pub struct Demultiplexer {
    source: u8,
    switching: bool,
}

impl Demultiplexer {
    /// Of a line that is `source`'s until it says something else: without a shim it is one system's.
    pub fn new(source: u8) -> Demultiplexer {
        Demultiplexer {
            source,
            switching: false,
        }
    }
}

impl Demultiplexer {
    /// The next bytes of the line; `each` gets every byte with its source: an instance's number, or [`shim::SHIM`].
    pub fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(u8, u8)) {
        for &byte in bytes {
            if std::mem::take(&mut self.switching) {
                match byte {
                    shim::SWITCH => each(self.source, byte),
                    shim::SHIM => self.source = byte,
                    digit => self.source = digit.wrapping_sub(b'0'),
                }
            } else if byte == shim::SWITCH {
                self.switching = true;
            } else {
                each(self.source, byte);
            }
        }
    }
}

impl Demultiplexer {
    /// What the instance says that commands are typed into; everything, of a system without instances.
    pub fn only(&mut self, system: &System, bytes: &[u8]) -> Vec<u8> {
        if system.instances.is_empty() {
            return bytes.to_vec();
        }
        let mut own = Vec::new();
        self.feed(bytes, |source, byte| {
            own.extend((source == system.primary).then_some(byte));
        });
        own
    }
}

/// The instance that a person types into. The view of the line finds out which there are.
#[derive(Debug, Default)]
pub struct Target {
    number: AtomicU8,
    /// Bit n: instance n has printed something.
    known: AtomicU8,
    /// The line is shared, so that a byte switches it.
    shared: AtomicBool,
}

impl Target {
    fn new(number: u8) -> Target {
        Target {
            number: number.into(),
            ..Target::default()
        }
    }

    /// What to type for `keys` to arrive.
    pub fn quote(&self, keys: Vec<u8>) -> Vec<u8> {
        if !self.shared.load(Relaxed) {
            return keys;
        }
        let twice = |byte: u8| if byte == shim::SWITCH { 2 } else { 1 };
        let quoted = keys
            .into_iter()
            .flat_map(|byte| std::iter::repeat_n(byte, twice(byte)));
        quoted.collect()
    }

    /// Goes on to the next instance that has printed something, and says so. Returns what to type; nothing if there is
    /// no other.
    pub fn next(&self) -> Vec<u8> {
        let (now, known) = (self.number.load(Relaxed), self.known.load(Relaxed));
        let others = (1..8).map(|step| (now + step) % 8);
        match others.clone().find(|number| known & 1 << number != 0) {
            Some(next) => {
                self.number.store(next, Relaxed);
                eprint!("\r\n--- instance {next}\r\n");
                vec![shim::SWITCH, b'0' + next]
            }
            None => {
                eprint!("\r\n--- there is no other instance\r\n");
                Vec::new()
            }
        }
    }
}

/// What a person sees of the line: one instance and what the shim says, or all of them, each line with its source.
#[derive(Debug, Default)]
pub struct View {
    line: Demultiplexer,
    /// Only the one that is typed into.
    only: bool,
    target: Arc<Target>,
    /// Whose line is unfinished.
    unfinished: Option<u8>,
}

impl View {
    /// Of one instance, or of all.
    pub fn new(only: Option<u8>) -> View {
        let number = only.unwrap_or(0);
        View {
            line: Demultiplexer::new(number),
            only: only.is_some(),
            target: Arc::new(Target::new(number)),
            unfinished: None,
        }
    }

    /// The instance that is typed into.
    pub fn target(&self) -> Arc<Target> {
        Arc::clone(&self.target)
    }

    /// The next bytes of the line, as they are shown.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut shown = Vec::new();
        let (target, unfinished) = (&self.target, &mut self.unfinished);
        let only = self.only.then(|| target.number.load(Relaxed));
        target
            .shared
            .fetch_or(bytes.contains(&shim::SWITCH), Relaxed);
        self.line.feed(bytes, |source, byte| {
            if source < 8 {
                target.known.fetch_or(1 << source, Relaxed);
            }
            let tagged = only != Some(source);
            if tagged && only.is_some() && source != shim::SHIM {
                return;
            }
            if *unfinished != Some(source) {
                if unfinished.is_some() {
                    shown.extend(b"\r\n");
                }
                if tagged && source != shim::SHIM {
                    shown.extend(format!("{source}| ").bytes());
                }
            }
            shown.push(byte);
            *unfinished = (byte != b'\n').then_some(source);
        });
        shown
    }
}

/// A whole log, each line with its source.
pub fn tagged(log: &str) -> String {
    let shown = View::default().feed(log.as_bytes());
    String::from_utf8_lossy(&shown).replace("\r\n", "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &[u8] = b"\x100zero\r\n\x101one\x100more\n\x10sshim\n\x101\x10\x10rest\n";

    #[test]
    fn sources_are_told_apart_wherever_the_line_is_cut() {
        for cut in 0..LINE.len() {
            let mut line = Demultiplexer::default();
            let mut found = BTreeMap::<u8, Vec<u8>>::new();
            let (first, second) = LINE.split_at(cut);
            for part in [first, second] {
                line.feed(part, |source, byte| {
                    found.entry(source).or_default().push(byte);
                });
            }
            assert_eq!(found[&0], b"zero\r\nmore\n");
            assert_eq!(found[&1], b"one\x10rest\n");
            assert_eq!(found[&shim::SHIM], b"shim\n");
        }
    }

    #[test]
    fn a_person_sees_one_or_all() {
        let mut all = View::default();
        let shown = String::from_utf8(all.feed(LINE)).expect("text");
        assert_eq!(shown, "0| zero\r\n1| one\r\n0| more\nshim\n1| \x10rest\n");
        let mut one = View::new(Some(1));
        let shown = String::from_utf8(one.feed(LINE)).expect("text");
        assert_eq!(shown, "one\r\nshim\n\x10rest\n");
    }

    #[test]
    fn the_next_instance_is_one_that_is_there() {
        let mut view = View::new(Some(0));
        let target = view.target();
        // A system alone on the bare machine: nothing is special.
        view.feed(b"alone\r\n");
        assert_eq!(target.quote(vec![shim::SWITCH]), [shim::SWITCH]);
        assert_eq!(target.next(), b"");
        view.feed(LINE);
        assert_eq!(target.quote(b"a\x10b".to_vec()), b"a\x10\x10b");
        assert_eq!(target.next(), b"\x101");
        // It is the one that is seen now.
        assert_eq!(view.feed(b"\x100zero\n\x101one\n"), b"one\n");
        assert_eq!(target.next(), b"\x100");
        assert_eq!(view.feed(b"\x101one\n\x100zero\n"), b"zero\n");
    }

    #[test]
    fn bad_instances_are_refused() {
        let manifest = |instance: &str| -> Manifest {
            toml::from_str(&format!("name = 'x'\n{instance}")).expect("it is TOML")
        };
        let good = "[[instance]]\nsystem = 'default'\nmemory = 0x4000000\nshare = 1\n";
        assert!(complaints(&manifest(good)).is_empty());
        for (text, words) in [
            (good.replace("0x4000000", "0x4001000"), "memory"),
            (good.replace("0x4000000", "0x200000"), "memory"),
            (good.replace("share = 1", "share = 0"), "share 0"),
            (good.repeat(5), "5 instances"),
            (
                format!("{good}[[channel]]\nbetween = [0, 1]\n"),
                "not two instances",
            ),
            (
                format!("{good}{good}[[channel]]\nbetween = [1, 1]\n"),
                "not two instances",
            ),
            (
                format!(
                    "{good}{good}{}",
                    "[[channel]]\nbetween = [1, 0]\n".repeat(5)
                ),
                "5 channels",
            ),
            (format!("kernel = 'limits'\n{good}"), "no kernel"),
        ] {
            let found = complaints(&manifest(&text));
            assert!(found.len() == 1 && found[0].contains(words), "{found:?}");
        }
    }
}

//! KVM or emulation. KVM is taken only where it really is faster.

use std::fs::OpenOptions;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bootinfo::exit;

use crate::paths;

/// What `--accel` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Accelerator {
    /// KVM where it works and is fast, else emulation
    #[default]
    Auto,
    /// QEMU's emulation
    Tcg,
    /// The processor itself, through /dev/kvm
    Kvm,
}

/// How long the probe may take. A processor needs milliseconds, and QEMU's start some tenths of a second.
const LIMIT: Duration = Duration::from_secs(3);
/// Rounds of the probe's loop of two instructions.
const ROUNDS: u32 = 20_000_000;

impl Accelerator {
    /// [`Accelerator::Tcg`] or [`Accelerator::Kvm`].
    ///
    /// # Errors
    /// KVM was asked for and cannot be opened.
    pub fn choose(self) -> Result<Accelerator> {
        let open = || OpenOptions::new().read(true).write(true).open("/dev/kvm");
        match self {
            Accelerator::Tcg => Ok(Accelerator::Tcg),
            Accelerator::Kvm => match open() {
                Ok(_) => Ok(Accelerator::Kvm),
                Err(error) => bail!("--accel kvm: cannot open /dev/kvm: {error}"),
            },
            Accelerator::Auto => {
                let usable = open().is_ok() && remembered()?;
                Ok(if usable {
                    Accelerator::Kvm
                } else {
                    Accelerator::Tcg
                })
            }
        }
    }
}

/// The probe's answer, asked once per boot of the host.
fn remembered() -> Result<bool> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let file = paths::state()?.join("kvm-probe");
    let answer = |fast: bool| format!("{} {}\n", boot.trim(), if fast { "fast" } else { "slow" });
    let known = std::fs::read_to_string(&file).unwrap_or_default();
    if [true, false].map(answer).contains(&known) {
        return Ok(known == answer(true));
    }
    let fast = probe()?;
    paths::write(&file, answer(fast).as_bytes())?;
    Ok(fast)
}

/// Runs a short loop in ring 0 under KVM. Where there is no hardware virtualization, /dev/kvm may exist all the same
/// and interpret ring 0 instruction by instruction, far slower than QEMU's own emulation.
fn probe() -> Result<bool> {
    let mut file = tempfile::NamedTempFile::new()?;
    std::io::Write::write_all(&mut file, &kernel())?;
    let mut command = Command::new("qemu-system-x86_64");
    command.args([
        "-accel",
        "kvm",
        "-nodefaults",
        "-display",
        "none",
        "-no-reboot",
        "-m",
        "16M",
    ]);
    command
        .args(["-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-kernel"])
        .arg(file.path());
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let started = Instant::now();
    let mut child = command.spawn().context("cannot start QEMU")?;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.code() == Some(exit::status(exit::SUCCESS)));
        }
        if started.elapsed() > LIMIT {
            child.kill()?;
            child.wait()?;
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A multiboot kernel (specification 0.6.96, 3.1) that counts down and leaves: 32-bit, ring 0, no paging.
fn kernel() -> Vec<u8> {
    const LOAD: u32 = 0x10_0000;
    const MAGIC: u32 = 0x1bad_b002;
    const HAS_ADDRESSES: u32 = 1 << 16;
    let checksum = 0u32.wrapping_sub(MAGIC).wrapping_sub(HAS_ADDRESSES);
    // Header address, load address, load end, bss end, entry.
    let header = [
        MAGIC,
        HAS_ADDRESSES,
        checksum,
        LOAD,
        LOAD,
        LOAD + 4096,
        LOAD + 4096,
        LOAD + 32,
    ];
    let mut kernel: Vec<u8> = header.iter().flat_map(|word| word.to_le_bytes()).collect();
    kernel.push(0xb9); // mov ecx, ROUNDS
    kernel.extend(ROUNDS.to_le_bytes());
    kernel.extend([0x49, 0x75, 0xfd]); // dec ecx; jnz back to it
    kernel.extend([0xb8, exit::SUCCESS, 0, 0, 0]); // mov eax, SUCCESS
    kernel.extend([0x66, 0xba]); // mov dx, PORT
    kernel.extend(exit::PORT.to_le_bytes());
    kernel.extend([0xef, 0xf4, 0xeb, 0xfd]); // out dx, eax; hlt; jmp back to it
    kernel.resize(4096, 0);
    kernel
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probe_is_a_multiboot_kernel() {
        let kernel = kernel();
        let word = |index: usize| {
            u32::from_le_bytes(
                kernel[4 * index..4 * index + 4]
                    .try_into()
                    .expect("four bytes"),
            )
        };
        assert_eq!(word(0).wrapping_add(word(1)).wrapping_add(word(2)), 0);
        assert_eq!(kernel[(word(7) - word(4)) as usize], 0xb9);
    }

    #[test]
    fn emulation_needs_no_probe() {
        assert_eq!(
            Accelerator::Tcg.choose().expect("it always works"),
            Accelerator::Tcg
        );
    }
}

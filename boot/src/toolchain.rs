//! Finding, or getting, a compiler for bare metal.
//!
//! The order: the active rustup toolchain with the target installed; `rustup target add`; a toolchain with library
//! sources that builds core and alloc itself (the active one, or Debian's); Debian's, installed as packages.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::progress::Step;
use crate::{install, paths};

/// What guest code is compiled for: no operating system, soft float.
pub const TARGET: &str = "x86_64-unknown-none";
/// The cargo profile of guest code.
pub const PROFILE: &str = "guest";

/// Debian's matched set of compiler, cargo and library sources; its `rust-lld` comes with it.
pub const PACKAGES: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];
/// What lints with that set.
pub const LINT_PACKAGE: &str = "rust-web-clippy";

/// The oldest `1.x` that compiles edition 2024.
const OLDEST: u32 = 85;

/// A compiler that makes guest programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toolchain {
    /// `rustc`, a program name or path.
    pub rustc: PathBuf,
    /// The matching `cargo`.
    pub cargo: PathBuf,
    /// Set if core and alloc are to be built from source: the linker to use.
    pub from_source: Option<PathBuf>,
}

/// What there is on this machine.
#[derive(Debug, Clone, Default)]
struct Found {
    /// The active toolchain has the target.
    prebuilt: Option<Toolchain>,
    /// `rustup` exists and has not refused before.
    rustup: bool,
    /// A toolchain with library sources.
    sources: Option<Toolchain>,
}

/// What to do about it.
#[derive(Debug, PartialEq, Eq)]
enum Plan {
    Use(Toolchain),
    AddTarget,
    InstallPackages,
}

impl Found {
    fn plan(&self) -> Plan {
        match (&self.prebuilt, self.rustup, &self.sources) {
            (Some(toolchain), _, _) => Plan::Use(toolchain.clone()),
            (None, true, _) => Plan::AddTarget,
            (None, false, Some(toolchain)) => Plan::Use(toolchain.clone()),
            (None, false, None) => Plan::InstallPackages,
        }
    }
}

/// What is installed already, or `None`. Changes nothing.
pub fn installed() -> Option<Toolchain> {
    let found = look(false);
    found.prebuilt.or(found.sources)
}

/// The toolchain to use, after installing one if there is none.
pub fn ensure() -> Result<Toolchain> {
    // A rustup that cannot fetch the target is asked once, not at every run.
    let refused = paths::state()?.join("rustup-target-add-failed");
    let mut found = look(!refused.exists());
    if found.plan() == Plan::AddTarget {
        let title = format!("adding the target {TARGET} (rustup target add)");
        let step = Step {
            title: &title,
            busy: "",
            limit: Some(Duration::from_secs(120)),
        };
        match step.run(clean(
            Command::new("rustup").args(["target", "add", TARGET]),
        )) {
            Ok(()) => found = look(false),
            Err(error) => {
                crate::progress::note(
                    "rustup cannot add the target; looking for library sources instead",
                );
                paths::write(&refused, format!("{error}\n").as_bytes())?;
                found.rustup = false;
            }
        }
    }
    if let Plan::Use(toolchain) = found.plan() {
        return Ok(toolchain);
    }
    install::packages("a compiler for bare metal", &PACKAGES)?;
    look(false)
        .sources
        .context("Debian's compiler was installed, but does not work")
}

fn look(rustup: bool) -> Found {
    let active = active_cargo();
    let sysroot = sysroot(Path::new("rustc"));
    let prebuilt = sysroot
        .filter(|sysroot| {
            sysroot
                .join("lib/rustlib")
                .join(TARGET)
                .join("lib")
                .is_dir()
        })
        .map(|_| Toolchain {
            rustc: "rustc".into(),
            cargo: active.clone(),
            from_source: None,
        });
    Found {
        prebuilt,
        rustup: rustup && paths::program("rustup").is_some(),
        sources: with_sources("rustc".into(), active)
            .or_else(|| with_sources("/usr/bin/rustc".into(), "/usr/bin/cargo".into())),
    }
}

/// `cargo` by its name, so that rustup's proxy chooses the toolchain as it did for the outer build.
fn active_cargo() -> PathBuf {
    "cargo".into()
}

/// A toolchain that can build core and alloc, if this is one.
fn with_sources(rustc: PathBuf, cargo: PathBuf) -> Option<Toolchain> {
    let sysroot = sysroot(&rustc)?;
    let library = sysroot.join("lib/rustlib/src/rust/library");
    let usable = library.join("Cargo.lock").is_file()
        && library.join("core").is_dir()
        && minor(&rustc)? >= OLDEST;
    let works = usable && answer(Command::new(&cargo).arg("--version")).is_some();
    let linker = linker(&sysroot)?;
    works.then_some(Toolchain {
        rustc,
        cargo,
        from_source: Some(linker),
    })
}

/// LLVM's linker: of this toolchain, of the active one, or of the system.
fn linker(own: &Path) -> Option<PathBuf> {
    let within = |sysroot: &Path| sysroot.join("lib/rustlib/x86_64-unknown-linux-gnu/bin/rust-lld");
    let active = sysroot(Path::new("rustc"));
    [
        Some(within(own)),
        Some("/usr/bin/rust-lld".into()),
        active.as_deref().map(within),
    ]
    .into_iter()
    .flatten()
    .find(|file| file.is_file())
    .or_else(|| ["rust-lld", "ld.lld"].into_iter().find_map(paths::program))
}

fn sysroot(rustc: &Path) -> Option<PathBuf> {
    answer(Command::new(rustc).args(["--print", "sysroot"])).map(PathBuf::from)
}

/// 96 for `rustc 1.96.0 (...)`.
fn minor(rustc: &Path) -> Option<u32> {
    parse_minor(&answer(Command::new(rustc).arg("--version"))?)
}

fn parse_minor(version: &str) -> Option<u32> {
    version
        .strip_prefix("rustc 1.")?
        .split('.')
        .next()?
        .parse()
        .ok()
}

/// The trimmed output of a command that succeeds.
fn answer(command: &mut Command) -> Option<String> {
    let output = clean(command)
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_string())
}

impl Toolchain {
    /// What the compiler calls itself.
    pub fn version(&self) -> String {
        answer(Command::new(&self.rustc).arg("--version")).unwrap_or_else(|| "rustc".into())
    }

    /// For people: version and kind.
    pub fn describe(&self) -> String {
        let version = self.version();
        match &self.from_source {
            None => format!("{version}, target {TARGET} installed"),
            Some(linker) => format!(
                "{version} with library sources, linker {}",
                linker.display()
            ),
        }
    }

    /// `cargo SUBCOMMAND` for bare metal, in the workspace's root, with an environment of its own; `target` is where it puts
    /// its files ([`paths::bare_target`]).
    pub fn cargo(&self, subcommand: &str, target: &Path, frames: Frames) -> Command {
        let mut command = Command::new(&self.cargo);
        clean(&mut command);
        command.current_dir(paths::root()).arg(subcommand).args([
            "--target",
            TARGET,
            "--profile",
            PROFILE,
            "--target-dir",
        ]);
        command
            .arg(target)
            .env("CARGO_ENCODED_RUSTFLAGS", flags(frames))
            // Cargo says how far it is, although nobody but `progress` sees it.
            .env("CARGO_TERM_PROGRESS_WHEN", "always")
            .env("CARGO_TERM_PROGRESS_WIDTH", "80");
        if let Some(linker) = &self.from_source {
            // Library sources need not be stable to be compiled: this is how the toolchain itself builds them.
            command
                .env("RUSTC", &self.rustc)
                .env("RUSTC_BOOTSTRAP", "1");
            command
                .env("CARGO_TARGET_X86_64_UNKNOWN_NONE_LINKER", linker)
                .env_remove("RUSTUP_TOOLCHAIN");
            command.args(["-Zbuild-std=core,alloc,compiler_builtins"]);
            command.args(["-Zbuild-std-features=compiler-builtins-mem"]);
        }
        command
    }
}

/// How a program's backtrace is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frames {
    /// Along frame pointers, by whoever handles its fault.
    Pointers,
    /// From its stack and its debug information, on the host ([`crate::unwind`]): its functions are shorter.
    DebugInfo,
}

/// The same for all programs of a kind, so that core is built once; and no path of this machine in what is built.
fn flags(frames: Frames) -> OsString {
    let cargo_home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let cargo_home = cargo_home
        .or_else(|| std::env::home_dir().map(|home| home.join(".cargo")))
        .unwrap_or_default();
    let mut flags = OsString::from("-Crelocation-model=static");
    if frames == Frames::Pointers {
        flags.push("\x1f-Cforce-frame-pointers=yes");
    }
    for (from, to) in [(paths::root(), "/postern"), (cargo_home, "/cargo")] {
        flags.push("\x1f--remap-path-prefix=");
        flags.push(from);
        flags.push("=");
        flags.push(to);
    }
    flags
}

/// Removes from a command's environment what an outer cargo sets for its children.
pub fn clean(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        if inherited_from_cargo(&name.to_string_lossy()) {
            command.env_remove(name);
        }
    }
    command
}

/// Whether a variable speaks about the outer build. How to reach a registry, and how many jobs to run, is for the
/// inner build as well; so is which toolchain rustup has chosen.
fn inherited_from_cargo(name: &str) -> bool {
    const KEEP: [&str; 7] = [
        "CARGO_HOME",
        "CARGO_HTTP_",
        "CARGO_NET_",
        "CARGO_REGISTRIES_",
        "CARGO_REGISTRY_",
        "CARGO_BUILD_JOBS",
        "CARGO_TERM_",
    ];
    let cargos = name == "CARGO"
        || name.starts_with("CARGO_")
        || name.starts_with("RUSTC")
        || name == "RUSTFLAGS";
    (cargos && !KEEP.iter().any(|keep| name.starts_with(keep)))
        || name == "LD_LIBRARY_PATH"
        || name == "RUSTDOCFLAGS"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toolchain(name: &str, linker: Option<&str>) -> Toolchain {
        Toolchain {
            rustc: name.into(),
            cargo: "cargo".into(),
            from_source: linker.map(PathBuf::from),
        }
    }

    #[test]
    fn the_order_of_choice() {
        let prebuilt = toolchain("active", None);
        let sources = toolchain("debian", Some("rust-lld"));
        let all = Found {
            prebuilt: Some(prebuilt.clone()),
            rustup: true,
            sources: Some(sources.clone()),
        };
        assert_eq!(all.plan(), Plan::Use(prebuilt));
        let no_target = Found {
            prebuilt: None,
            ..all
        };
        assert_eq!(no_target.plan(), Plan::AddTarget);
        let no_rustup = Found {
            rustup: false,
            ..no_target
        };
        assert_eq!(no_rustup.plan(), Plan::Use(sources));
        assert_eq!(Found::default().plan(), Plan::InstallPackages);
        assert_eq!(
            Found {
                rustup: true,
                ..Found::default()
            }
            .plan(),
            Plan::AddTarget
        );
    }

    #[test]
    fn versions() {
        assert_eq!(parse_minor("rustc 1.96.0 (ac68faa20 2026-05-25)"), Some(96));
        assert_eq!(parse_minor("rustc 1.63.0"), Some(63));
        assert_eq!(parse_minor("something else"), None);
    }

    #[test]
    fn the_outer_build_stays_outside() {
        for outer in [
            "CARGO",
            "CARGO_PKG_NAME",
            "CARGO_ENCODED_RUSTFLAGS",
            "RUSTFLAGS",
            "RUSTC_WRAPPER",
            "CARGO_TARGET_DIR",
        ] {
            assert!(inherited_from_cargo(outer), "{outer}");
        }
        for shared in [
            "CARGO_HOME",
            "CARGO_NET_OFFLINE",
            "CARGO_REGISTRIES_X_INDEX",
            "CARGO_BUILD_JOBS",
            "PATH",
            "RUSTUP_HOME",
        ] {
            assert!(!inherited_from_cargo(shared), "{shared}");
        }
    }
}

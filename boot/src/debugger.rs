//! `run --gdb`: QEMU waits for a debugger, and gdb finds symbols, breakpoints and printers made for this run.

use std::ffi::OsString;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bootinfo::archive;
use manifest::Manifest;
use tempfile::TempDir;

use crate::progress::note;
use crate::symbols::Symbols;
use crate::{install, paths};

/// The debugger's program name, and the Debian package it is in.
pub const PROGRAM: &str = "gdb";

/// How long QEMU may take until it waits for a debugger.
const LIMIT: Duration = Duration::from_secs(10);

/// The part of the script that is the same in every run.
const SCRIPT: &str = include_str!("debugger/postern.py");

/// A run's meeting place with a debugger. Its files go with this value.
#[derive(Debug)]
pub struct Debugger {
    folder: TempDir,
}

impl Debugger {
    /// Writes the script for gdb, after finding or installing gdb.
    ///
    /// # Errors
    /// There is no gdb, or a file cannot be written.
    pub fn prepare(manifest: &Manifest, symbols: &Symbols) -> Result<Debugger> {
        if paths::program(PROGRAM).is_none() {
            install::packages("the debugger", &[PROGRAM])?;
        }
        // A socket's path is short by nature, so it does not lie in the workspace.
        let folder = tempfile::Builder::new()
            .prefix("postern-gdb-")
            .tempdir()
            .context("cannot make a folder for the debugger")?;
        let debugger = Debugger { folder };
        let script = debugger.script();
        std::fs::write(&script, debugger.text(manifest, symbols))
            .with_context(|| format!("cannot write {}", script.display()))?;
        Ok(debugger)
    }

    /// The script.
    pub fn script(&self) -> PathBuf {
        self.folder.path().join("postern.py")
    }

    /// What QEMU is told: wait there, before the first instruction.
    pub fn arguments(&self) -> Vec<OsString> {
        let mut socket = OsString::from("unix:");
        socket.push(self.socket());
        socket.push(",server=on,wait=off");
        vec!["-gdb".into(), socket, "-S".into()]
    }

    /// Waits until QEMU, which has been started, can be reached, and says what to type.
    ///
    /// # Errors
    /// QEMU does not come up.
    pub fn invite(&self) -> Result<()> {
        let deadline = Instant::now() + LIMIT;
        while !self.socket().exists() {
            ensure!(
                Instant::now() < deadline,
                "QEMU does not wait for a debugger"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        let script = self.script();
        note(&format!(
            "the machine waits for a debugger: gdb -x {}",
            script.display()
        ));
        Ok(())
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    fn text(&self, manifest: &Manifest, symbols: &Symbols) -> String {
        let quoted = |path: PathBuf| format!("{:?}", path.display().to_string());
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = writeln!(text, "WORKSPACE = {}", quoted(paths::root()));
        let _ = writeln!(text, "KERNEL = {}", quoted(symbols.file(archive::KERNEL)));
        let _ = writeln!(text, "SOCKET = {}", quoted(self.socket()));
        let _ = writeln!(text, "PROGRAMS = {{");
        for program in &manifest.programs {
            let file = quoted(symbols.file(program.file()));
            let _ = writeln!(text, "    {:?}: {file},", program.name);
        }
        let _ = writeln!(text, "}}\nFILES = dict(PROGRAMS)");
        let children = manifest.programs.iter().flat_map(|p| &p.children);
        let binaries = children.flat_map(|children| &children.binaries);
        for name in binaries.map(String::as_str).chain([archive::ROOT]) {
            let file = quoted(symbols.file(name));
            let _ = writeln!(text, "FILES.setdefault({name:?}, {file})");
        }
        text + SCRIPT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_knows_every_program() {
        let system = crate::system::System::load("default").expect("it is there");
        let symbols = Symbols::new("folder".into(), Vec::new());
        let debugger = Debugger {
            folder: tempfile::tempdir().expect("a folder"),
        };
        let text = debugger.text(&system.manifest, &symbols);
        assert!(text.contains("KERNEL = \"folder/kernel\"\n"), "{text}");
        // Two programs of one file.
        assert!(text.contains("    \"zero\": \"folder/null\",\n"), "{text}");
        for file in ["root", "example-read"] {
            let line = format!("FILES.setdefault({file:?}, \"folder/{file}\")\n");
            assert!(text.contains(&line), "{text}");
        }
    }
}

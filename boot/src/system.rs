//! A system: a manifest, checked, and completed with what only the host tool knows.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use manifest::{Manifest, Program};

use crate::bench::ids;
use crate::{check, paths};

/// The program that types commands: it gets those of `--exec`.
const SHELL: &str = "shell";
/// The argument of a program that says how long its devices may take.
const PATIENCE: &str = "--patience";
/// The program that translates names: it gets the list of all exports.
const NAMES: &str = "names";
/// The program that measures and, if its first argument says so, prints a table: it gets the list of what it can measure.
const MEASURE: &str = "crossings";
const TABLE: &str = "table";

/// A manifest and where it came from.
#[derive(Debug, Clone)]
pub struct System {
    /// The manifest's file.
    pub file: PathBuf,
    /// What it says.
    pub manifest: Manifest,
    /// The systems of its instances.
    pub instances: Vec<System>,
    /// The instance that `--exec` types into, and with which the machine ends.
    pub primary: u8,
}

impl System {
    /// Reads `boot/systems/NAME.toml`, or the file at a path (something with `/` or `.toml` in it), and checks it.
    ///
    /// # Errors
    /// There is no such file, it is not a manifest, or it breaks a rule of [`check`]; the error names the file.
    pub fn load(name: &str) -> Result<System> {
        let is_path = name.contains('/') || name.ends_with(".toml");
        let file = if is_path {
            PathBuf::from(name)
        } else {
            paths::systems().join(format!("{name}.toml"))
        };
        if !is_path && !file.exists() {
            bail!(
                "there is no system `{name}`; there are: {}",
                known().join(", ")
            );
        }
        let text = std::fs::read_to_string(&file)
            .with_context(|| format!("cannot read {}", file.display()))?;
        let manifest: Manifest = toml::from_str(&text)
            .with_context(|| format!("{} is not a manifest", file.display()))?;
        let mut system = System {
            file,
            manifest,
            instances: Vec::new(),
            primary: 0,
        };
        system.check()?;
        for instance in &system.manifest.instances {
            let mut inner = System::load(&instance.system)?;
            inner.manifest.programs.extend(instance.programs.clone());
            inner.check()?;
            ensure!(
                inner.instances.is_empty(),
                "{}: the instance `{}` has instances itself",
                system.file.display(),
                instance.system
            );
            system.instances.push(inner);
        }
        Ok(system)
    }

    /// Which instance the person wants, of a system that has some.
    ///
    /// # Errors
    /// There is no such instance.
    pub fn choose(&mut self, instance: Option<u8>) -> Result<()> {
        self.primary = instance.unwrap_or(0);
        let count = self.instances.len();
        ensure!(
            instance.is_none_or(|number| usize::from(number) < count),
            "--vm: the system {} has {count} instances",
            self.manifest.name
        );
        Ok(())
    }

    /// The manifest with all programs that get hardware.
    pub fn hardware(&self) -> Manifest {
        let mut manifest = self.manifest.clone();
        let inner = self.instances.iter().zip(&self.manifest.instances);
        let own = inner.filter(|(_, instance)| instance.hardware);
        let programs = own.flat_map(|(system, _)| system.manifest.programs.iter().cloned());
        manifest.programs.extend(programs);
        manifest
    }

    /// Applies the rules of [`check`], after a change of the manifest.
    ///
    /// # Errors
    /// All that is wrong, naming the file and the programs.
    pub fn check(&self) -> Result<()> {
        let complaints = check::complaints(&self.manifest);
        ensure!(
            complaints.is_empty(),
            "{}:\n  {}",
            self.file.display(),
            complaints.join("\n  ")
        );
        Ok(())
    }

    /// The program of that name, to be changed by tests and benchmarks.
    pub fn program(&mut self, name: &str) -> Option<&mut Program> {
        self.manifest
            .programs
            .iter_mut()
            .find(|program| program.name == name)
    }

    /// Makes the shell run `commands`, between marks that contain `nonce`, and then power off.
    ///
    /// # Errors
    /// The system has no shell.
    pub fn execute(&mut self, nonce: &str, commands: &[String]) -> Result<()> {
        if let Some(instance) = self.instances.get_mut(usize::from(self.primary)) {
            return instance.execute(nonce, commands);
        }
        let file = self.file.display().to_string();
        let shell = self
            .program(SHELL)
            .with_context(|| format!("{file}: --exec needs a program `{SHELL}`"))?;
        shell.args = vec!["--nonce".into(), nonce.into()];
        for command in commands {
            shell.args.extend(["--exec".into(), command.clone()]);
        }
        Ok(())
    }

    /// Makes the shell tell the host tool what `trace` finds.
    pub fn tell_traces(&mut self) {
        if let Some(instance) = self.instances.get_mut(usize::from(self.primary)) {
            return instance.tell_traces();
        }
        if let Some(shell) = self.program(SHELL) {
            shell.args.push("--traces".into());
        }
    }

    /// Lets every program wait for its devices as long as they take (none has `--patience SECONDS`): the clock of counted
    /// instructions leaps while the machine waits, so that no time that it measures tells anything about a device.
    pub fn wait_for_devices(&mut self) {
        let programs = self.manifest.programs.iter_mut();
        for args in programs.map(|program| &mut program.args) {
            if let Some(at) = args.iter().position(|word| word == PATIENCE) {
                args.drain(at..args.len().min(at + 2));
            }
        }
        let instances = self.instances.iter_mut();
        instances.for_each(System::wait_for_devices);
    }

    /// The manifest as root gets it: `names` knows who answers for what, as `PREFIX=PROGRAM`.
    pub fn completed(&self) -> Manifest {
        let mut manifest = self.manifest.clone();
        let exports = manifest.programs.iter().flat_map(|program| {
            program
                .exports
                .iter()
                .map(|prefix| format!("{prefix}={}", program.name))
        });
        let exports: Vec<String> = exports.collect();
        for names in manifest
            .programs
            .iter_mut()
            .filter(|program| program.name == NAMES)
        {
            names.args.clone_from(&exports);
        }
        let programs = manifest.programs.iter_mut();
        let measuring = |program: &&mut Program| {
            let first = program.args.first();
            program.file() == MEASURE && first.is_some_and(|word| word == TABLE)
        };
        for program in programs.filter(measuring) {
            program.args.extend(ids::for_a_person().map(String::from));
        }
        manifest
    }

    /// The cargo packages, each with a binary of its own name, that make up this system besides kernel and root.
    pub fn packages(&self) -> Vec<String> {
        let mut packages: Vec<_> = self
            .manifest
            .programs
            .iter()
            .flat_map(|program| {
                let children = program.children.iter();
                let binaries = children.flat_map(|children| children.binaries.clone());
                binaries.chain([program.file().to_string()])
            })
            .collect();
        packages.sort();
        packages.dedup();
        packages
    }
}

/// The systems that come with Postern.
pub fn known() -> Vec<String> {
    let files = std::fs::read_dir(paths::systems())
        .into_iter()
        .flatten()
        .flatten();
    let toml = |path: &Path| {
        path.extension()
            .is_some_and(|extension| extension == "toml")
    };
    let mut names: Vec<_> = files
        .map(|file| file.path())
        .filter(|path| toml(path))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_string()))
        .collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_system_that_comes_with_postern_is_sound() {
        for name in known() {
            let system = System::load(&name).expect("a manifest in boot/systems passes its checks");
            assert_eq!(
                system.manifest.name, name,
                "a manifest's name is its file's"
            );
        }
        assert!(known().contains(&"default".to_string()));
    }

    #[test]
    fn names_learns_all_exports() {
        let system = System::load("default").expect("it is there");
        let manifest = system.completed();
        let names = manifest
            .programs
            .iter()
            .find(|program| program.name == NAMES)
            .expect("it has names");
        let exports = manifest
            .programs
            .iter()
            .flat_map(|program| &program.exports);
        assert_eq!(names.args.len(), exports.count());
        for entry in ["console:=console", "disk:=disk", "zero:=zero", "udp:=net"] {
            assert!(names.args.iter().any(|known| known == entry), "{entry}");
        }
    }

    #[test]
    fn commands_reach_the_shell() {
        let mut system = System::load("default").expect("it is there");
        system
            .execute("abc", &["help".into(), "read disk:0".into()])
            .expect("it has a shell");
        let shell = system.program(SHELL).expect("it has a shell");
        assert_eq!(
            shell.args,
            ["--nonce", "abc", "--exec", "help", "--exec", "read disk:0"]
        );
    }

    #[test]
    fn there_is_no_patience_where_time_leaps() {
        let mut system = System::load("default").expect("it is there");
        let disk = system.program("disk").expect("it has disks");
        assert_eq!(disk.args, [PATIENCE, "10"]);
        disk.args.push("more".into());
        system.wait_for_devices();
        assert_eq!(system.program("disk").expect("it stays").args, ["more"]);
    }

    #[test]
    fn mistakes_name_the_file() {
        let unknown = System::load("nonsense").unwrap_err().to_string();
        assert!(
            unknown.contains("`nonsense`") && unknown.contains("default"),
            "{unknown}"
        );
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("bad.toml");
        let load = |text: &str| {
            std::fs::write(&file, text).expect("it can be written");
            format!(
                "{:#}",
                System::load(&file.display().to_string()).unwrap_err()
            )
        };
        let typo = load("name = \"bad\"\nprogramme = []\n");
        assert!(
            typo.contains("bad.toml") && typo.contains("programme"),
            "{typo}"
        );
        let program = "[[program]]\nname = \"x\"\nrank = 1\npriority = 0\nmemory = 4096\nneeds = [\"root.memory\"]\n";
        let broken = load(&format!("name = \"bad\"\n{program}"));
        assert!(
            broken.contains("bad.toml") && broken.contains("program `x`"),
            "{broken}"
        );
    }
}

//! `new`: a program of one's own, from a template to the manifest. Either all of it is done, or nothing.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::Subcommand;
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, Value, value};

use crate::status::Status;
use crate::system;
use crate::{check, paths};

/// The server that is copied: the one of `docs/writing-a-server.md`.
const SERVER: &str = include_str!("../../servers/example/src/main.rs");
/// Its package's description.
const PACKAGE: &str = include_str!("../../servers/example/Cargo.toml");
/// The app that is copied.
const APP: &str = include_str!("create/app.rs");

/// What is made.
#[derive(Debug, Clone, Subcommand)]
pub enum Options {
    /// A program that answers for the names that begin with NAME: in servers/NAME
    Server(Named),
    /// A program that runs when the system starts: in apps/NAME
    App(Named),
}

/// What it is called, and where it belongs.
#[derive(Debug, Clone, clap::Args)]
pub struct Named {
    /// Lower-case letters, digits and `-`
    name: String,
    /// System that it becomes a part of: boot/systems/SYSTEM.toml
    #[arg(long, value_name = "SYSTEM", default_value = "default")]
    system: String,
}

/// A program that is to be made.
struct Program<'a> {
    name: &'a str,
    /// Folder of the workspace.
    folder: &'static str,
    main: String,
    entry: Table,
    /// Who may call it.
    client: Option<&'static str>,
}

/// Makes a program, and says how to try it.
///
/// # Errors
/// The name is none or is taken, or something cannot be written. Nothing has changed then.
pub fn create(options: &Options) -> Result<Status> {
    let named = match options {
        Options::Server(named) | Options::App(named) => named,
    };
    let program = match options {
        Options::Server(_) => server(&named.name)?,
        Options::App(_) => app(&named.name)?,
    };
    let root = paths::root();
    let manifest = add(&root, &program, &named.system)?;
    let name = program.name;
    println!(
        "{}/{name}/src/main.rs is yours; {manifest} knows it. Try",
        program.folder
    );
    match options {
        Options::Server(_) => println!("  cargo run -- run --exec 'read {name}:'"),
        Options::App(_) => println!("  cargo run"),
    }
    Ok(Status::Success)
}

fn server(name: &str) -> Result<Program<'_>> {
    let main = SERVER
        .replace("blah:", &format!("{name}:"))
        .replace("Blah", &type_name(name)?)
        .replace(": a whole server, to be copied", "");
    let mut entry = entry(name, 150, 60, &["root.memory"]);
    let exports = Value::from_iter([format!("{name}:")]);
    entry["exports"] = Item::Value(exports);
    entry["restart"] = value(true);
    Ok(Program {
        name,
        folder: "servers",
        main,
        entry,
        client: Some("shell"),
    })
}

fn app(name: &str) -> Result<Program<'_>> {
    type_name(name)?;
    Ok(Program {
        name,
        folder: "apps",
        main: APP.into(),
        entry: entry(name, 20, 60, &["root.memory", "console"]),
        client: None,
    })
}

/// An entry of a manifest.
fn entry(name: &str, rank: i64, priority: i64, needs: &[&str]) -> Table {
    let mut entry = Table::new();
    entry["name"] = value(name);
    entry["rank"] = value(rank);
    entry["priority"] = value(priority);
    entry["memory"] = Item::Value("0x40000".parse().unwrap_or(Value::from(0x40000)));
    entry["needs"] = Item::Value(Value::from_iter(needs.iter().copied()));
    entry.decor_mut().set_prefix("\n");
    entry
}

/// `my-server` as a type: `MyServer`.
fn type_name(name: &str) -> Result<String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let good = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.len() <= 32
        && !name.ends_with('-')
        && !name.contains("--")
        && name.chars().all(plain);
    ensure!(
        good,
        "`{name}` is not a name: at most 32 lower-case letters, digits and single `-`, a letter first"
    );
    let words = name.split('-').map(|word| {
        let (first, rest) = word.split_at(1);
        first.to_uppercase() + rest
    });
    Ok(words.collect())
}

/// Adds a program to the workspace at `root` and to a manifest, whose name is returned.
fn add(root: &Path, program: &Program<'_>, system: &str) -> Result<String> {
    let name = program.name;
    let folder = root.join(program.folder).join(name);
    taken(root, name)?;
    let shown = format!("boot/systems/{system}.toml");
    let file = root.join(&shown);
    if !file.is_file() {
        bail!(
            "there is no system `{system}`; there are: {}",
            system::known().join(", ")
        );
    }
    let manifest = extended(&file, program)?;

    // From here on only the disk can say no. The folder appears whole, and goes again without its entry in the manifest.
    let new =
        made(&folder, program).with_context(|| format!("cannot make {}", folder.display()))?;
    if let Err(error) = fs::rename(new.path(), &folder) {
        bail!("cannot make {}: {error}", folder.display());
    }
    // The folder has another name now: there is nothing left to remove.
    let _ = new.keep();
    if let Err(error) = paths::write(&file, manifest.as_bytes()) {
        let _ = fs::remove_dir_all(&folder);
        return Err(error);
    }
    Ok(shown)
}

/// Refuses a name that somebody has: cargo and the archive of a system know programs by their names alone.
fn taken(root: &Path, name: &str) -> Result<()> {
    for folder in ["servers", "apps"] {
        ensure!(
            !root.join(folder).join(name).exists(),
            "{folder}/{name} is there already"
        );
    }
    let reserved = ["alloc", "core", "proc-macro", "std", "test"];
    let lock = fs::read_to_string(root.join("Cargo.lock")).context("cannot read Cargo.lock")?;
    let package = format!("name = \"{name}\"");
    ensure!(
        !reserved.contains(&name) && !lock.lines().any(|line| line == package),
        "there is a package `{name}` already"
    );
    Ok(())
}

/// The manifest in `file` with a program more, checked as `run` checks it.
fn extended(file: &Path, program: &Program<'_>) -> Result<String> {
    let describe = || format!("{} is not a manifest", file.display());
    let text = fs::read_to_string(file).with_context(describe)?;
    let mut document: DocumentMut = text.parse().with_context(describe)?;
    let programs = document
        .get_mut("program")
        .and_then(Item::as_array_of_tables_mut)
        .with_context(describe)?;
    if let Some(client) = program.client {
        allow(programs, client, program.name)
            .with_context(|| format!("{}: no `{client}` could call it", file.display()))?;
    }
    programs.push(program.entry.clone());
    let text = document.to_string();
    let manifest = toml::from_str(&text).with_context(describe)?;
    let complaints = check::complaints(&manifest);
    ensure!(complaints.is_empty(), "{}", complaints.join("\n  "));
    Ok(text)
}

/// Lets the program `client` call the program `name`.
fn allow(programs: &mut ArrayOfTables, client: &str, name: &str) -> Option<()> {
    let named = |table: &&mut Table| table["name"].as_str() == Some(client);
    let client = programs.iter_mut().find(named)?;
    let needs = client.get_mut("needs")?.as_array_mut()?;
    let last = needs.iter().last()?.decor().clone();
    needs.push(name);
    // Where the entries stand under each other, it stands there, too.
    if let Some(new) = needs.iter_mut().last() {
        new.decor_mut()
            .set_prefix(last.prefix().cloned().unwrap_or_default());
    }
    Some(())
}

/// A program's folder, beside its place.
fn made(folder: &Path, program: &Program<'_>) -> Result<tempfile::TempDir> {
    let parent = folder.parent().context("it has no place")?;
    let new = tempfile::Builder::new()
        .prefix(".new-")
        .tempdir_in(parent)?;
    let sources: PathBuf = new.path().join("src");
    fs::create_dir(&sources)?;
    let package = PACKAGE.replace("\"example\"", &format!("\"{}\"", program.name));
    fs::write(new.path().join("Cargo.toml"), package)?;
    fs::write(sources.join("main.rs"), &program.main)?;
    // A temporary folder is nobody else's; this one is not to stay so.
    fs::set_permissions(new.path(), fs::metadata(parent)?.permissions())?;
    Ok(new)
}

#[cfg(test)]
mod tests;

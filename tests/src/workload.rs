//! What a file system is asked to do while its power may fail, and what must come of it.

use std::collections::BTreeMap;

use fs::volume::Volume;
use libsys::proto::io::IoError;

use crate::medium::Bus;

/// Paths, and the content of those that are files.
pub type Tree = BTreeMap<String, Option<Vec<u8>>>;

#[derive(Debug, Clone)]
/// Something to do; the names are paths.
pub enum Step {
    /// Makes a directory.
    MakeDirectory(&'static str),
    /// Makes a file, or empties it.
    Create(String),
    /// Writes to a file: offset (`None`: at the end), bytes.
    Write(String, Option<usize>, usize),
    /// Shortens a file.
    SetSize(&'static str, usize),
    /// Renames, from and to.
    Rename(&'static str, &'static str),
    /// Removes.
    Remove(String),
    /// Waits for the medium.
    Sync,
}

/// Bytes that say where they belong.
fn bytes(step: usize, length: usize) -> Vec<u8> {
    (0..length).map(|i| (i / 7 + step * 31) as u8).collect()
}

/// The steps.
pub fn workload() -> Vec<Step> {
    use Step::*;
    const LONG: &str = "a/A long name of a file.text";
    let file = |name: &str, length| [Create(name.into()), Write(name.into(), Some(0), length)];
    let many = |i: usize| format!("many/Number {i} of them.txt");
    let mut steps = vec![MakeDirectory("a")];
    steps.extend(file("a/one", 1300));
    steps.extend(file(LONG, 3000));
    steps.push(Sync);
    steps.push(Write("a/one".into(), None, 900));
    steps.push(Write("a/one".into(), None, 10));
    steps.push(Rename("a/one", "a/A new name for the first one"));
    steps.push(MakeDirectory("a/inner"));
    steps.push(Rename("a/A new name for the first one", "a/inner/one"));
    steps.push(MakeDirectory("other"));
    steps.push(Rename("a/inner", "other/moved directory"));
    steps.push(Sync);
    steps.extend(file("other/next", 1700));
    steps.push(Rename("other/next", "other/moved directory/one"));
    steps.push(Write(LONG.into(), Some(700), 1000));
    steps.push(SetSize("other/moved directory/one", 600));
    steps.push(Write("other/moved directory/one".into(), None, 2000));
    steps.push(Sync);
    steps.push(MakeDirectory("many"));
    for i in 0..9 {
        steps.extend(file(&many(i), 100 * i + 1));
    }
    steps.push(SetSize("a/A long name of a file.text", 0));
    steps.extend((0..9).step_by(2).map(|i| Remove(many(i))));
    steps.push(Rename(
        "many/Number 1 of them.txt",
        "many/number 3 OF them.txt",
    ));
    steps.push(Remove(LONG.into()));
    steps.push(Remove("a".into()));
    steps.push(Sync);
    steps
}

/// Does a step on the model; the real one then does the same.
pub fn expect(tree: &mut Tree, step: &Step, number: usize) {
    let key = |tree: &Tree, name: &str| {
        let found = tree.keys().find(|known| known.eq_ignore_ascii_case(name));
        found.cloned().unwrap_or(name.into())
    };
    match step {
        Step::MakeDirectory(name) => drop(tree.insert((*name).into(), None)),
        Step::Create(name) => drop(tree.insert(name.clone(), Some(Vec::new()))),
        Step::Write(name, offset, length) => {
            let Some(Some(content)) = tree.get_mut(name) else {
                panic!("{name} is no file")
            };
            let offset = offset.unwrap_or(content.len());
            content.resize(content.len().max(offset + length), 0);
            content[offset..offset + length].copy_from_slice(&bytes(number, *length));
        }
        Step::SetSize(name, size) => {
            if let Some(Some(content)) = tree.get_mut(*name) {
                content.truncate(*size);
            }
        }
        Step::Rename(from, to) => {
            let old = key(tree, to);
            tree.remove(&old);
            // A replaced file leaves its name as it was written.
            let new = if old.eq_ignore_ascii_case(to) {
                old
            } else {
                (*to).into()
            };
            let moved: Vec<_> = tree
                .keys()
                .filter(|name| under(name, from))
                .cloned()
                .collect();
            for name in moved {
                let content = tree.remove(&name).expect("it was just there");
                tree.insert(format!("{new}{}", &name[from.len()..]), content);
            }
        }
        Step::Remove(name) => drop(tree.remove(name)),
        Step::Sync => {}
    }
}

/// Whether a path is this directory or lies in it.
pub fn under(name: &str, directory: &str) -> bool {
    name.strip_prefix(directory)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Does a step on a volume.
pub fn act(volume: &mut Volume<Bus>, step: &Step, number: usize) -> Result<(), IoError> {
    match step {
        Step::MakeDirectory(name) => volume.make_directory(name),
        Step::Create(name) => {
            let open = volume.open(name, true, true)?;
            volume.close(open)
        }
        Step::Write(name, offset, length) => {
            let mut open = volume.open(name, false, false)?;
            let offset = offset.map(|offset| offset as u64);
            let count = volume.write(&mut open, offset, &bytes(number, *length))?;
            assert_eq!(count, *length);
            volume.close(open)
        }
        Step::SetSize(name, size) => {
            let mut open = volume.open(name, false, false)?;
            volume.set_size(&mut open, *size as u64)?;
            volume.close(open)
        }
        Step::Rename(from, to) => volume.rename(from, to),
        Step::Remove(name) => volume.remove(name),
        Step::Sync => volume.sync(),
    }
}

/// All that is on a volume.
pub fn content(volume: &mut Volume<Bus>) -> Tree {
    let mut tree = Tree::new();
    let mut directories = vec![String::new()];
    while let Some(directory) = directories.pop() {
        let open = volume.open(&directory, false, false).expect("it opens");
        let (entries, next) = volume.list(&open, 0, 1000).expect("it can be listed");
        assert_eq!(next, None);
        volume.close(open).expect("it closes");
        for entry in entries {
            let path = format!("{directory}/{}", entry.name);
            let path = path.trim_start_matches('/').to_string();
            if entry.directory {
                directories.push(path.clone());
                tree.insert(path, None);
                continue;
            }
            let mut open = volume.open(&path, false, false).expect("it opens");
            let mut bytes = Vec::new();
            let read = volume.read(&mut open, 0, usize::MAX, |at, piece| {
                assert_eq!(at, bytes.len());
                bytes.extend_from_slice(piece);
                Ok(())
            });
            read.expect("it can be read");
            volume.close(open).expect("it closes");
            assert_eq!(bytes.len() as u64, entry.size);
            tree.insert(path, Some(bytes));
        }
    }
    tree
}

//! Copies of the workspace.

use std::fs;
use std::path::Path;

/// Makes `to` what `from` is, but for what cargo and git keep there. What is the same stays untouched, so that little is built.
///
/// # Panics
/// A file cannot be read or written.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    let names = |folder: &Path| {
        let entries = fs::read_dir(folder).expect("it can be read");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        let own = |name: &std::ffi::OsString| name != "target" && name != ".git";
        names.filter(own).collect::<Vec<_>>()
    };
    for name in names(to) {
        let old = to.join(&name);
        match (from.join(&name).exists(), old.is_dir()) {
            (true, _) => {}
            (false, true) => fs::remove_dir_all(old).expect("it can be removed"),
            (false, false) => fs::remove_file(old).expect("it can be removed"),
        }
    }
    for name in names(from) {
        let (old, new) = (from.join(&name), to.join(&name));
        if old.is_dir() {
            copy(&old, &new);
        } else if fs::read(&old).ok() != fs::read(&new).ok() {
            fs::copy(&old, &new).expect("it can be copied");
        }
    }
}

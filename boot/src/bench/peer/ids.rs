//! What is measured of Linux, and which rows of Postern stand beside it.

use std::sync::LazyLock;

use super::super::ids::{self, Id, Source};

/// What Postern has no row of the same name for, or another meaning: id, what it is, and the row that does the same job.
#[rustfmt::skip]
const OWN: &[(&str, &str, Option<&str>)] = &[
    ("trap.null", "getppid, which does nothing but to look up a number", Some("trap.null")),
    ("trap.invalid", "a system call that does not exist: ENOSYS", Some("trap.null")),
    ("ipc.roundtrip.pipe", "a byte to another process through a pipe, and one back", Some("ipc.roundtrip.cross.0")),
    ("ipc.roundtrip.socket", "the same through a pair of Unix sockets", Some("ipc.roundtrip.cross.0")),
    ("ipc.roundtrip.futex", "the same through two words in shared memory and futex", Some("ipc.roundtrip.cross.0")),
    ("ipc.roundtrip.eventfd", "the same through two eventfds", Some("ipc.roundtrip.cross.0")),
    ("fault.roundtrip", "UD2, SIGILL's handler in the same process, resumed", Some("fault.roundtrip")),
    ("fault.page.write", "the first write to a page of anonymous memory", None),
    ("fault.page.read", "the first read of one, which gets the page of zeros", None),
    ("read.trap.file.512", "pread of 512 bytes that are in the page cache", None),
    ("read.trap.file.4096", "the same of 4096 bytes", Some("read.ipc.file.4096")),
    ("read.trap.file.65536", "the same of 65536 bytes", None),
    ("read.trap.file.1048576", "the same of 1048576 bytes", None),
];

/// All of it, in the order of the table.
pub static LINUX: LazyLock<Vec<Id>> = LazyLock::new(|| {
    let own = OWN.iter().map(|(name, about, _)| Id {
        name,
        source: Source::Linux,
        unit: "ticks",
        device: false,
        quick: true,
        on_any_pc: false,
        about,
    });
    let rows = ids::ALL.iter().filter(|id| is_row(id.name)).map(|id| Id {
        source: Source::Linux,
        about: match id.device {
            false => "the same of /dev/zero or /dev/null",
            true => "the same of /dev/vda with O_DIRECT",
        },
        ..*id
    });
    own.chain(rows).collect()
});

/// Whether Linux has a row of the matrix: what the monolith does by a trap, on the way that is best for the size. A disk is read past
/// the page cache in whole sectors only.
fn is_row(id: &str) -> bool {
    let words: Vec<&str> = id.split('.').collect();
    match words.as_slice() {
        ["read" | "write", "trap", "null", _] => true,
        ["read" | "write", "trap", "disk", size] => size
            .parse()
            .is_ok_and(|size: usize| size.is_multiple_of(512)),
        _ => false,
    }
}

/// Postern's rows that do the same job: a row of the matrix by trap, as Linux does it, and by message, as Postern does.
pub fn beside(id: &str) -> Vec<&'static str> {
    let own = OWN.iter().find(|own| own.0 == id);
    let names: Vec<String> = match own {
        Some((.., row)) => row.iter().map(|row| row.to_string()).collect(),
        None => vec![id.into(), id.replacen(".trap.", ".ipc.", 1)],
    };
    let found = names.iter().filter_map(|name| ids::find(name));
    found.map(|id| id.name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_beside_a_row_exists_and_names_are_unique() {
        for (index, id) in LINUX.iter().enumerate() {
            let earlier = &LINUX[..index];
            assert!(
                earlier.iter().all(|other| other.name != id.name),
                "{}",
                id.name
            );
            let own = OWN.iter().find(|own| own.0 == id.name);
            let rows = beside(id.name);
            match own {
                Some((.., row)) => assert_eq!(rows.len(), usize::from(row.is_some())),
                None => assert_eq!(rows.len(), 2, "{}", id.name),
            }
        }
        assert_eq!(
            beside("read.trap.disk.4096"),
            ["read.trap.disk.4096", "read.ipc.disk.4096"]
        );
        assert!(LINUX.iter().all(|id| !id.name.contains("disk.1.")));
    }
}

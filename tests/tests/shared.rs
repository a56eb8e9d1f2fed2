//! Memory that a program shares with a device: what dies, dies alone, and nothing is lost.

use std::io::Write;

use postern::qemu::{Machine, Options};
use postern::status::Status;
use postern::system::System;
use serde_json::json;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use tests::session::{PROMPT, Session};
use tests::{default_system, hex, probing};

/// What the sharer says when it has looked at everything and reads on: at first, and after each death.
const WELL: &str = "shared: nothing wrong\n";

/// The disk that is made for the run.
const DISK: &str = "disk:0";

fn with_sharer(disk: &str) -> System {
    let mut system = default_system();
    let arguments = format!("shared {disk}");
    let mut sharer = probing("sharer", 40, &arguments, &["console", "names", "disk"]);
    (sharer.shared, sharer.restart) = (0x40000, true);
    system.manifest.programs.push(sharer);
    system
}

/// While the sharer reads on.
#[test]
fn client_and_server_die_at_any_moment() {
    die_at_any_moment(&Options::default());
}

/// An ATA disk's driver moves the bytes itself, into the same memory.
#[test]
fn memory_is_shared_with_an_ata_disk() {
    die_at_any_moment(&Options {
        ata: true,
        machine: Machine::Pc,
        ..Options::default()
    });
}

fn die_at_any_moment(options: &Options) {
    let mut session = Session::boot(options, &with_sharer(DISK));
    session.expect(WELL);
    let before = used(&mut session);
    for victim in ["sharer", "disk", "sharer", "disk"] {
        session.send(&format!("kill {victim}\r"));
        let said = session.expect(WELL);
        assert!(!said.contains("faulted") && !said.contains("panicked"));
        let read = session.command("read disk:0 --size 16");
        assert!(read.contains("|Hello from secto|\n"), "{read}");
    }
    assert_eq!(used(&mut session), before);
    session.send("poweroff\r");
    assert_eq!(session.finish().0, Status::Success);
}

/// `disk:1`, which keeps what it is asked for beyond a limit: QEMU's throttle, which lets everything through when the device is
/// reset. A request that need not wait is paid for by the next.
struct Keeper {
    file: NamedTempFile,
    bytes: Vec<u8>,
}

impl Keeper {
    fn new() -> Self {
        let mut bytes: Vec<u8> = (0..1 << 20).map(|i| (i / 512 + i % 512) as u8).collect();
        bytes[..19].copy_from_slice(b"Hello from sector 0");
        let mut file = NamedTempFile::new().expect("a temporary file");
        file.write_all(&bytes).expect("it can be written");
        Self { file, bytes }
    }

    /// A machine that has it, with these limits (as QEMU's `throttle-group` has them), whose disk server loses its patience
    /// after so many seconds.
    fn boot(&self, mut system: System, patience: &str, limits: &str) -> Session {
        let disk = system.program("disk").expect("it is there");
        disk.args = ["--patience", patience].map(String::from).into();
        let path = self.file.path().display();
        let group = format!("throttle-group,id=group,{limits}");
        let drive = format!(
            "driver=throttle,node-name=kept,throttle-group=group,file.driver=file,file.filename={path}"
        );
        let device = "virtio-blk-pci,drive=kept,disable-legacy=on";
        let more = ["-object", &group, "-blockdev", &drive, "-device", device];
        Session::boot_with(&Options::default(), &system, &more)
    }

    /// What is kept already stays.
    fn limit(session: &Session, bytes_per_second: u64) {
        let limits = json!({"bps-total": bytes_per_second, "bps-total-max": 0});
        let wish = json!({"path": "/objects/group", "property": "limits", "value": limits});
        let set = session.monitor().execute("qom-set", wish);
        set.expect("the limit can be changed");
    }

    /// Reads a part of it, and compares.
    fn read(&self, session: &mut Session, offset: usize) {
        let printed = session.command(&format!(
            "read disk:1 --offset {offset} --size 1024 --sha256"
        ));
        let digest = hex(&Sha256::digest(&self.bytes[offset..offset + 1024]));
        assert_eq!(printed, format!("{digest}  disk:1\n"));
    }
}

/// What root says of a disk that keeps a request for a second.
const LATE: &str = "disk: 1: no answer for 1 s, so the disk is reset";

/// The request ends with an error that has a name. A device that is merely busy all the time is none of them, and whoever
/// works with it goes on.
#[test]
fn a_device_that_keeps_a_request_is_reset() {
    let keeper = Keeper::new();
    let mut session = keeper.boot(with_sharer(DISK), "1", "x-bps-total=0");
    session.expect(WELL);
    keeper.read(&mut session, 0);
    Keeper::limit(&session, 1);
    keeper.read(&mut session, 4096);
    session.send("read disk:1 --offset 8192 --size 1024\r");
    let text = session.expect("read: disk:1: the server died during the request");
    assert!(!text.contains(WELL), "it was busy, not late");
    session.expect(WELL);
    Keeper::limit(&session, 0);
    session.send("\r");
    session.expect(PROMPT);
    keeper.read(&mut session, 8192);
    let log = session.command("dmesg");
    assert_eq!(log.matches(LATE).count(), 1, "{log}");
    let read = session.command("read disk:0 --size 16");
    assert!(read.contains("|Hello from secto|\n"), "{read}");
    session.send("poweroff\r");
    assert_eq!(session.finish().0, Status::Success);
}

/// A client dies while the device has its memory. Nobody gets that memory, not even the client that is started anew, before
/// the device was reset; then all is well.
#[test]
fn memory_that_a_device_keeps_is_nobodys() {
    let keeper = Keeper::new();
    let mut system = with_sharer("disk:1");
    // Before the shell: what it says is followed by its next request before anybody can kill it.
    system.program("sharer").expect("it was added").priority = 60;
    // QEMU's own look at sector 0 passes, and so does the first read; the second one, into shared memory, is kept.
    let limits = "x-bps-total=1,x-bps-total-max=2000";
    let mut session = keeper.boot(system, "3", limits);
    session.expect("shared: reads without a copy\n");
    session.send("kill sharer\r");
    session.expect("kill sharer\n");
    session.expect(PROMPT);
    Keeper::limit(&session, 0);
    session.expect(WELL);
    session.send("\r");
    session.expect(PROMPT);
    let log = session.command("dmesg");
    let (before, after) = log.split_once("no answer for 3 s").expect("it was reset");
    let refused =
        |log: &str| log.contains("program sharer panicked") && log.contains("\nout of memory\n");
    assert!(refused(before) && !after.contains("no answer"), "{log}");
    keeper.read(&mut session, 8192);
    session.send("poweroff\r");
    assert_eq!(session.finish().0, Status::Success);
}

/// Memory that is free, what the sharer has, and what root has.
fn used(session: &mut Session) -> Vec<String> {
    let printed = session.command("mem");
    let rows = printed.lines();
    let rows = rows.filter(|row| {
        row.contains("free") || row.starts_with("sharer ") || row.starts_with("root ")
    });
    let rows: Vec<String> = rows.map(String::from).collect();
    assert_eq!(rows.len(), 3, "{printed}");
    rows
}

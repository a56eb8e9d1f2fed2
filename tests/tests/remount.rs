//! A volume that is mounted anew after an error of its disk, on the host: what was open goes on with the right file, or says
//! that it is lost; never with another file.

use fs::mount::{Mount, Session};
use fs::volume::Volume;
use libsys::proto::io::IoError;
use tests::medium::{Bus, Host};

/// A mounted volume, and the way to its disk.
fn mounted() -> (Mount<Bus>, Bus) {
    let bus = Bus::to(Host::new(16, 8 << 20).medium());
    let way = bus.clone();
    (Mount::new(move || Volume::mount(way.clone())), bus)
}

fn file(mount: &mut Mount<Bus>, path: &str, content: &[u8]) -> Session {
    let mut session = mount.open(path, true, false).expect("it is made");
    let (volume, open) = mount.of(&mut session).expect("it is open");
    let written = volume.write(open, Some(0), content);
    assert_eq!(written, Ok(content.len()));
    session
}

fn content(mount: &mut Mount<Bus>, session: &mut Session) -> Result<Vec<u8>, IoError> {
    let (volume, open) = mount.of(session)?;
    let mut bytes = Vec::new();
    volume.read(open, 0, 100, |_, piece| {
        bytes.extend_from_slice(piece);
        Ok(())
    })?;
    Ok(bytes)
}

/// The disk fails once, under somebody else's write.
fn fail(mount: &mut Mount<Bus>, bus: &Bus) {
    let mut other = mount.open("other", true, false).expect("it is made");
    let (volume, open) = mount.of(&mut other).expect("it is open");
    let writes = bus.0.borrow().writes;
    bus.0.borrow_mut().power = writes;
    let written = volume.write(open, None, b"lost");
    assert_eq!(mount.judge(written), Err(IoError::DeviceError));
    bus.0.borrow_mut().power = u64::MAX;
    mount.close(other);
}

#[test]
fn what_was_not_renamed_goes_on() {
    let (mut mount, bus) = mounted();
    let mut session = file(&mut mount, "a", b"right");
    for _ in 0..3 {
        fail(&mut mount, &bus);
        assert_eq!(content(&mut mount, &mut session), Ok(b"right".to_vec()));
    }
}

#[test]
fn another_file_of_the_old_name_is_not_taken_for_it() {
    let (mut mount, bus) = mounted();
    let mut session = file(&mut mount, "a", b"right");
    let volume = mount.to_rename().expect("it is mounted");
    volume.rename("a", "b").expect("it is renamed");
    let wrong = file(&mut mount, "a", b"wrong");
    assert_eq!(content(&mut mount, &mut session), Ok(b"right".to_vec()));
    fail(&mut mount, &bus);
    assert_eq!(content(&mut mount, &mut session), Err(IoError::Stale));
    mount.close(session);
    mount.close(wrong);
    let mut again = mount.open("b", false, false).expect("it is there");
    assert_eq!(content(&mut mount, &mut again), Ok(b"right".to_vec()));
}

#[test]
fn a_rename_that_fails_may_have_happened() {
    let (mut mount, bus) = mounted();
    let mut session = file(&mut mount, "a", b"right");
    let writes = bus.0.borrow().writes;
    bus.0.borrow_mut().power = writes + 2;
    let renamed = mount.to_rename().expect("it is mounted").rename("a", "b");
    assert_eq!(mount.judge(renamed), Err(IoError::DeviceError));
    bus.0.borrow_mut().power = u64::MAX;
    assert_eq!(content(&mut mount, &mut session), Err(IoError::Stale));
}

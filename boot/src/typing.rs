//! A person's keys, on their way from standard input to the guest's serial line.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

use crate::escape::{Escape, HELP, Key};
use crate::instances::Target;
use crate::machine::Event;

/// Most reads of the keyboard that wait for the guest. A person does not type so much; a pipe then waits, too.
const TYPED_AHEAD: usize = 1024;

/// What the person wants.
enum Typed {
    /// These bytes at the guest.
    Keys(Vec<u8>),
    /// To type into the next instance.
    Next,
}

/// From now on what is typed goes to `guest`, once it is told, by what is returned, that the guest is alive. `escapes`: some keys
/// are for the host tool; `target` knows the instances that share the line, if any do; `reporter` hears of leaving.
pub fn start(
    guest: impl Write + Send + 'static,
    escapes: bool,
    target: Arc<Target>,
    reporter: Sender<Event>,
) -> Sender<()> {
    let (keyboard, typed) = sync_channel(TYPED_AHEAD);
    let (alive, first_sign) = channel();
    std::thread::spawn(move || read_keys(&keyboard, escapes, &reporter));
    std::thread::spawn(move || type_in(guest, &typed, &target, &first_sign));
    alive
}

/// Reads standard input until it ends, which is not the run's end: the guest decides.
fn read_keys(guest: &SyncSender<Typed>, escapes: bool, reporter: &Sender<Event>) {
    let mut escape = Escape::default();
    let mut buffer = [0; 512];
    let mut stdin = std::io::stdin();
    while let Ok(length @ 1..) = stdin.read(&mut buffer) {
        let mut keys = Vec::new();
        for byte in &buffer[..length] {
            match if escapes {
                escape.feed(*byte)
            } else {
                Key::Send(*byte)
            } {
                Key::Send(byte) => keys.push(byte),
                Key::Nothing => {}
                Key::Help => eprint!("{HELP}"),
                Key::Next => {
                    let before = Typed::Keys(std::mem::take(&mut keys));
                    if guest.send(before).is_err() || guest.send(Typed::Next).is_err() {
                        return;
                    }
                }
                Key::Leave => {
                    // If nobody listens any more, the run has ended by itself.
                    let _ = reporter.send(Event::Leave);
                    return;
                }
            }
        }
        if guest.send(Typed::Keys(keys)).is_err() {
            return;
        }
    }
}

/// Types at the serial line, from the guest's first sign of life on: a chip that is still to be set up forgets what it got.
/// A thread of its own, because a guest that hangs takes no input, and must not keep the person from leaving.
fn type_in(
    mut guest: impl Write,
    typed: &Receiver<Typed>,
    target: &Target,
    first_sign: &Receiver<()>,
) {
    if first_sign.recv().is_err() {
        return;
    }
    for what in typed {
        let bytes = match what {
            Typed::Keys(keys) => target.quote(keys),
            Typed::Next => target.next(),
        };
        if guest
            .write_all(&bytes)
            .and_then(|()| guest.flush())
            .is_err()
        {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What reaches a guest that shows a sign of life, or does not, when `early` was typed.
    fn typed_at(alive: bool) -> String {
        let (keyboard, typed) = channel();
        let (sign, first_sign) = channel();
        let (mut reader, writer) = std::io::pipe().expect("a pipe");
        let early = Typed::Keys(b"early".to_vec());
        keyboard.send(early).expect("it is received");
        drop(keyboard);
        if alive {
            sign.send(()).expect("it is received");
        }
        drop(sign);
        type_in(writer, &typed, &Target::default(), &first_sign);
        let mut text = String::new();
        reader.read_to_string(&mut text).expect("it is text");
        text
    }

    #[test]
    fn typing_waits_for_the_guest() {
        assert_eq!(typed_at(true), "early");
        assert_eq!(typed_at(false), "");
    }
}

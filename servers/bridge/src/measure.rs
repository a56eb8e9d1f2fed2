//! What a round trip through the channel takes: a message without bytes to the other instance's bridge and back.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;

use bridge::end::{Bell, Role};
use bridge::export::ECHO;
use bridge::link::{Link, Message, Trouble};
use bridge::memory::{DATA, Memory};
use libsys::rt;
use libsys::syscall;
use libsys::time::Instant;

use crate::End;

/// Nobody asks for anything.
struct Nothing;

impl<M: Memory> Role<M> for Nothing {
    fn work(&mut self, _link: &mut Link<M>, _bell: &impl Bell) -> Result<(), Trouble> {
        Ok(())
    }

    fn lose(&mut self) {}
}

/// Says what `count` round trips took, as `TICKS*COUNT`.
pub fn run(end: &mut End, count: u32) {
    let mut bytes = [0; DATA];
    let mut samples = BTreeMap::<u64, u32>::new();
    end.attend(&mut Nothing);
    while !end.link.is_up() {
        let _ = syscall::recv(rt::ENDPOINT);
        end.attend(&mut Nothing);
    }
    let message = Message {
        label: ECHO,
        ..Message::default()
    };
    for _ in 0..count {
        let start = Instant::now();
        if end.link.send(&message, &[]).is_err() {
            return rt::say(format_args!("measure: the other end is gone"));
        }
        end.bell.ring();
        while end.link.receive(&mut bytes) == Ok(None) {
            let _ = syscall::recv(rt::ENDPOINT);
        }
        *samples.entry(Instant::now().0 - start.0).or_default() += 1;
    }
    let all: String = samples
        .iter()
        .map(|(ticks, count)| format!(" {ticks}*{count}"))
        .collect();
    rt::say(format_args!("result vm.channel.roundtrip 1{all}"));
}

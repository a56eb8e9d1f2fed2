//! Programs that a program starts itself ([`libsys::proto::children`]): entries of [`System::programs`] that are built when they
//! are wanted.

use crate::death::{bury, tear_down};
use crate::program::{Program, State};
use crate::slots::{OWN_MEMORY, TABLE};
use crate::system::System;
use abi::object::untyped;
use abi::{Error, Kind};
use alloc::string::String;
use alloc::vec::Vec;
use libsys::object::Reply;
use libsys::proto::children::{SPAWN_MAX, to_words};
use libsys::proto::control::{Ended, Status};
use libsys::syscall::{self, Answer, CALLER, Output, Words};

/// Longest name for people, in bytes.
const LONGEST_NAME: usize = 32;

/// Starts a child of the program at `parent`. Returns its id.
pub fn spawn(system: &mut System, parent: usize, message: &Output) -> Result<u32, Status> {
    let text = lent(message.lease.length())?;
    let wish = Wish::read(&text, message.words).ok_or(Status::BadBuffer)?;
    let manifest = &system.programs[parent].manifest;
    let children = manifest.children.as_ref().ok_or(Status::NotPermitted)?;
    if !children.binaries.iter().any(|binary| binary == wish.binary) {
        return Err(Status::NoProgram);
    }
    let is_held = |need: &&str| manifest.needs.iter().any(|held| held == need);
    if !wish.needs.iter().all(is_held) {
        return Err(Status::NotPermitted);
    }
    let mut entry = manifest.child().ok_or(Status::NotPermitted)?;
    let owned = |words: &[&str]| words.iter().map(|word| String::from(*word)).collect();
    (entry.name, entry.binary) = (wish.name.into(), wish.binary.into());
    (entry.args, entry.needs) = (owned(&wish.args), owned(&wish.needs));
    let free = system
        .programs
        .iter()
        .position(|program| program.parent == Some(parent) && program.state == State::Absent);
    let index = free.ok_or(Status::TooMany)?;
    let program = &mut system.programs[index];
    program.manifest = entry;
    let pair = |(name, value): &(&str, &str)| (String::from(*name), String::from(*value));
    program.env = wish.env.iter().map(pair).collect();
    match system.start(index) {
        true => Ok(system.programs[index].id),
        false => Err(Status::NotStarted),
    }
}

/// The program at `parent` waits for the end of a child: the words to answer with, or `None` if it was parked.
pub fn wait(system: &mut System, parent: usize) -> Result<Option<Words>, Status> {
    if let Some(words) = take_ended(system, parent) {
        return Ok(Some(words));
    }
    let mut programs = system.programs.iter();
    if !programs.any(|program| program.parent == Some(parent) && program.state == State::Running) {
        return Err(Status::NoProgram);
    }
    let waiter = system.programs[parent].slots.waiter();
    Reply(waiter).defer().map_err(|_| Status::Busy)?;
    Ok(None)
}

/// Ends the child with this id.
pub fn end(system: &mut System, parent: usize, id: u64) -> Result<(), Status> {
    let child = u32::try_from(id).ok().and_then(|id| system.find(id));
    let child = child.filter(|child| system.programs[*child].parent == Some(parent));
    bury(system, child.ok_or(Status::NoProgram)?, Ended::Killed);
    Ok(())
}

/// A child of the program at `parent` has ended: says so, if that program waits.
pub fn tell_parent(system: &mut System, parent: usize) {
    let waiter = system.programs[parent].slots.waiter();
    // Nobody waits: the next `wait` finds it.
    if Reply(waiter).lease_info(0) == Err(Error::NoCaller) {
        return;
    }
    if let Some(words) = take_ended(system, parent) {
        syscall::reply_via(waiter, Answer::new(0, words));
    }
}

/// Ends the children of a program that is no more, and forgets those that have ended.
pub fn bury_all(system: &mut System, parent: usize) {
    for index in 0..system.programs.len() {
        if system.programs[index].parent != Some(parent) {
            continue;
        }
        if system.programs[index].state == State::Running {
            tear_down(&mut system.programs[index], State::Absent);
            system.tell_servers(index);
        }
        system.programs[index].state = State::Absent;
    }
}

/// A child that has ended and of which nobody knows it yet: its id and how. Its place is free then.
fn take_ended(system: &mut System, parent: usize) -> Option<Words> {
    system.programs.iter_mut().find_map(|program| {
        let State::Ended(ended) = program.state else {
            return None;
        };
        if program.parent != Some(parent) {
            return None;
        }
        program.state = State::Absent;
        let [kind, first, second] = to_words(ended);
        Some([program.id.into(), kind, first, second])
    })
}

/// The programs of the manifest, and behind them places for those that they may start.
pub fn all_programs(entries: Vec<manifest::Program>) -> Vec<Program> {
    let places = entries.iter().enumerate().flat_map(|(parent, entry)| {
        let child = entry.child().map(|child| (child, Some(parent)));
        core::iter::repeat_n(child, entry.instances() - 1).flatten()
    });
    let places: Vec<_> = places.collect();
    let all = entries.into_iter().map(|entry| (entry, None)).chain(places);
    all.enumerate()
        .map(|(index, (entry, parent))| Program {
            parent,
            ..Program::new(entry, index)
        })
        .collect()
}

/// Makes the Reply objects in which programs with children wait.
pub fn make_waiters(programs: &[Program]) -> Result<(), Error> {
    let parents = programs.iter().filter(|p| p.manifest.children.is_some());
    for slot in parents.map(|program| program.slots.waiter()) {
        OWN_MEMORY.retype(Kind::Reply, 0, 1, TABLE, slot, untyped::ALL)?;
    }
    Ok(())
}

/// What the caller lends.
fn lent(length: u64) -> Result<Vec<u8>, Status> {
    let length = usize::try_from(length).ok();
    let length = length.filter(|length| *length <= SPAWN_MAX);
    let mut text = alloc::vec![0; length.ok_or(Status::BadBuffer)?];
    let read = Reply(CALLER).lease_read(0, 0, &mut text);
    read.map(|()| text).map_err(|_| Status::BadBuffer)
}

/// What a program wants to start.
#[derive(Debug, PartialEq, Eq)]
struct Wish<'a> {
    name: &'a str,
    binary: &'a str,
    args: Vec<&'a str>,
    env: Vec<(&'a str, &'a str)>,
    needs: Vec<&'a str>,
}

impl<'a> Wish<'a> {
    /// Reads it from the text and counts of a SPAWN.
    fn read(text: &'a [u8], [args, env, needs, _]: Words) -> Option<Self> {
        let text = str::from_utf8(text).ok()?.strip_suffix('\0')?;
        let mut strings = text.split('\0');
        let (name, binary) = (strings.next()?, strings.next()?);
        if name.is_empty() || name.len() > LONGEST_NAME || name.contains(char::is_control) {
            return None;
        }
        let mut take = |count: u64| -> Option<Vec<&'a str>> {
            let taken: Vec<_> = strings
                .by_ref()
                .take(usize::try_from(count).ok()?)
                .collect();
            (taken.len() as u64 == count).then_some(taken)
        };
        let (args, env, needs) = (take(args)?, take(env)?, take(needs)?);
        let env = env.iter().map(|pair| pair.split_once('='));
        let env = env.collect::<Option<_>>()?;
        strings.next().is_none().then_some(Self {
            name,
            binary,
            args,
            env,
            needs,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes() {
        let wish = Wish::read(b"n\0b\0one\0\0K=V=W\0disk\0", [2, 1, 1, 0]).unwrap();
        assert_eq!((wish.name, wish.binary), ("n", "b"));
        assert_eq!(
            (wish.args, wish.env, wish.needs),
            ([("one"), ""].into(), [("K", "V=W")].into(), ["disk"].into())
        );
        for (text, counts) in [
            (&b""[..], [0; 4]),
            (b"\0", [0; 4]),
            (b"\0b\0", [0; 4]),
            (b"n\0", [0; 4]),
            (b"n\0b", [0; 4]),
            (b"n\0b\0x\0", [0; 4]),
            (b"n\0b\0x\0", [2, 0, 0, 0]),
            (b"n\0b\0x\0", [0, 1, 0, 0]),
            (b"n\0b\0x\0", [u64::MAX, 0, 0, 0]),
            (b"n\x1b\0b\0", [0; 4]),
            (b"n\xff\0b\0", [0; 4]),
            (b"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn\0b\0", [0; 4]),
        ] {
            assert_eq!(Wish::read(text, counts), None, "{text:?} {counts:?}");
        }
        assert!(Wish::read(b"n\0b\0", [0; 4]).is_some());
    }
}

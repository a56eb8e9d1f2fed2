//! Works on every device while its server dies again and again: what was answered must be true, and everything goes on.

use crate::gateway;
use crate::killer::{VICTIMS, programs};
use crate::rows::fill;
use alloc::format;
use alloc::string::String;
use core::time::Duration;
use libsys::handle::{Handle, IoError};
use libsys::proto::io::CREATE;
use libsys::{println, rt, syscall, time};

/// Rounds after the last kill.
const AFTER: u32 = 20;
/// How often it looks whether the killer has ended, in rounds.
const LOOK: u32 = 10;
/// What keeps what is written: name, where, and bytes from one piece to the next. On raw flash a killed write may take its
/// block with it.
const STORES: [(&str, u64, u64); 3] = [
    ("disk:0", 0xc0000, 512),
    ("file:/load", 0, 512),
    ("flash:0", 0, 4096),
];
/// Bytes of a piece, and how many there are.
const PIECE: usize = 512;
const PIECES: u32 = 8;

/// Scan codes (set 1) of keys, and what they type.
const KEYS: [(u8, u8); 4] = [(0x1e, b'a'), (0x1f, b's'), (0x20, b'd'), (0x21, b'f')];

/// How often a server died under a request that it had not taken, and that it had.
#[derive(Default)]
struct Deaths {
    before: u32,
    during: u32,
}

impl Deaths {
    /// Does something until no server dies of it.
    fn until_done<T>(&mut self, mut work: impl FnMut() -> Result<T, IoError>) -> Result<T, String> {
        loop {
            match work() {
                Err(IoError::ServerDied { delivered: false }) => self.before += 1,
                Err(IoError::ServerDied { delivered: true }) => self.during += 1,
                other => return other.map_err(|error| format!("{error}")),
            }
            syscall::yield_now();
        }
    }
}

/// Goes on until the killer has ended, and then for a while.
///
/// # Errors
/// What was wrong.
pub fn run() -> Result<(), String> {
    let mut deaths = Deaths::default();
    let (mut rounds, mut end) = (0, None);
    while end.is_none_or(|end| rounds < end) {
        round(rounds, &mut deaths)?;
        rounds += 1;
        if end.is_none() && rounds % LOOK == 0 && killer_has_ended()? {
            end = Some(rounds + AFTER);
        }
    }
    let programs = programs()?;
    let restarts = programs.iter().map(|program| program.restarts);
    println!(
        "load: {} restarts, died {} times before and {} times during a request, nothing wrong",
        restarts.sum::<u32>(),
        deaths.before,
        deaths.during
    );
    Ok(())
}

fn killer_has_ended() -> Result<bool, String> {
    let programs = programs()?;
    for program in &programs {
        let is_victim = VICTIMS.contains(&program.name.as_str());
        if is_victim && program.ended.is_some() {
            return Err(format!("{} stays down", program.name));
        }
    }
    let killer = programs.iter().find(|program| program.name == "killer");
    Ok(killer.is_none_or(|killer| killer.ended.is_some()))
}

fn round(number: u32, deaths: &mut Deaths) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("round {number}: {what}"));
    let piece = number % PIECES;
    let value = format!("flash:kv/load{piece}");
    let places = STORES.map(|(name, at, stride)| (name, at + u64::from(piece) * stride));
    for (name, place) in places.into_iter().chain([(value.as_str(), 0)]) {
        // What was answered before is there, whoever died meanwhile.
        let mut bytes = [0; PIECE];
        if number >= PIECES {
            deaths.until_done(|| read_whole(name, place, &mut bytes))?;
            if bytes != content(number - PIECES) {
                return wrong(&format!("{name} has lost an answered write"));
            }
        }
        let new = content(number);
        let write = || Handle::open_with(name, CREATE)?.write_at(place, &new);
        if deaths.until_done(write)? != PIECE {
            return wrong(&format!("{name} takes a part"));
        }
        deaths.until_done(|| read_whole(name, place, &mut bytes))?;
        if bytes != new {
            return wrong(&format!("{name} reads other bytes than were written"));
        }
    }
    deaths.until_done(gateway::answers)?;
    let (code, key) = KEYS[number as usize % KEYS.len()];
    let has_keys = rt::info().args.iter().any(|argument| argument == "--keys");
    if has_keys && deaths.until_done(|| strike(code))? != key {
        return wrong("keyboard: types something else");
    }
    let new = content(number);
    if let Some(port) = rt::number("--echo")
        && deaths.until_done(|| echo(port, &new))? != new
    {
        return wrong("tcp: brings other bytes back than were sent");
    }
    let mut zeros = [1; 100];
    deaths.until_done(|| read_whole("zero:", 0, &mut zeros))?;
    if zeros != [0; 100] {
        return wrong("zero: has other bytes");
    }
    let null = || {
        let handle = Handle::open("null:")?;
        Ok((handle.write(&new)?, handle.read(&mut [0; 9])?))
    };
    if deaths.until_done(null)? != (PIECE, 0) {
        return wrong("null: gives or refuses bytes");
    }
    let mut text = [0; 4];
    deaths.until_done(|| read_whole("blah:", 0, &mut text))?;
    if text != *b"blah" {
        return wrong("blah: says something else");
    }
    deaths.until_done(|| time::sleep(Duration::from_micros(200)))?;
    let date = deaths.until_done(time::unix_time)?;
    if date == 0 {
        return wrong("it is 1970");
    }
    Ok(())
}

/// Strikes a key, and returns what it types. Nobody else has the keyboard meanwhile.
fn strike(code: u8) -> Result<u8, IoError> {
    let keyboard = Handle::open("keyboard:")?;
    // What was struck when the server died.
    while keyboard.try_read(&mut [0; 8]).is_ok() {}
    keyboard.write(&[code])?;
    let mut key = [0];
    keyboard.read(&mut key)?;
    Ok(key[0])
}

/// Sends bytes to a port of the host that sends them back, by a connection of its own.
fn echo(port: u64, bytes: &[u8; PIECE]) -> Result<[u8; PIECE], IoError> {
    let connection = Handle::open(&format!("tcp:10.0.2.2:{port}"))?;
    let mut sent = 0;
    while sent < bytes.len() {
        sent += connection.write(&bytes[sent..])?;
    }
    let mut back = [0; PIECE];
    fill(&connection, 0, &mut back)?;
    Ok(back)
}

/// Fills `bytes` from `offset` on.
fn read_whole(name: &str, offset: u64, bytes: &mut [u8]) -> Result<(), IoError> {
    let handle = Handle::open(name)?;
    let mut done = 0;
    while done < bytes.len() {
        match handle.read_at(offset + done as u64, &mut bytes[done..])? {
            0 => return Err(IoError::BeyondEnd),
            count => done += count,
        }
    }
    Ok(())
}

/// What round `number` writes.
fn content(number: u32) -> [u8; PIECE] {
    let mut bytes = [0; PIECE];
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = (number as usize * 7 + i * 3) as u8 ^ (i >> 8) as u8;
    }
    bytes
}

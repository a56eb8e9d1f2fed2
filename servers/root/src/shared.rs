//! Buffers that a program shares with a server, whose device writes straight into them ([`libsys::proto::memory`]).
//!
//! The memory is the client's (`shared` in the manifest) but not of its budget: when the client dies, its budget is taken back
//! at once, and this memory when the server says that no device writes to it any more, or when the server is torn down, whose
//! devices are silenced first. Nobody else is touched by it.

use crate::program::{Program, State};
use crate::slots::{SCRATCH, TABLE, clear_scratch, scratch};
use abi::object::{frame, untyped};
use abi::{Error, Kind, PAGE, Rights};
use libsys::object::{Frame, Reply};
use libsys::proto::memory::{ATTACH, DETACH, SHARE, Status, UNSHARE};
use libsys::proto::program::{SHARED, SHARED_SIZE};
use libsys::syscall::{CALLER, Slot, Words};

/// Pages made at once: the second half of the scratch slots is for the server's copies.
const BATCH: u32 = crate::slots::BATCH / 2;
/// Bytes that one last-level page table maps.
const TABLE_SPAN: u64 = 2 << 20;
/// Longest name of a program.
const LONGEST_NAME: usize = 64;
const WRITABLE: Rights = frame::READ | frame::WRITE;

/// A program's shared buffer.
pub struct Buffer {
    id: u64,
    /// The instance that made it, as long as it has a use for it.
    owner: Option<u32>,
    /// Who shares it, by place in the manifest; and the instance, as long as it lives.
    server: usize,
    partner: Option<u32>,
    /// How often the partner has attached it and not detached.
    users: u32,
    physical: u64,
    bytes: u64,
}

/// Where the buffer of the program at `index` is mapped.
fn address(index: usize) -> u64 {
    SHARED + index as u64 * SHARED_SIZE
}

/// Whether a program is one to share a buffer with: it has a device that writes memory.
fn is_partner(program: &Program) -> bool {
    let is_pci = |device: &manifest::Device| matches!(device, manifest::Device::Pci { .. });
    program.manifest.devices.iter().any(is_pci)
}

/// Address space for buffers in the program at `index`: its own, and those of all who may share one with it.
pub fn address_space(programs: &[Program], index: usize) -> u64 {
    let program = &programs[index];
    let name = program.name();
    let programs = programs
        .iter()
        .filter(|other| other.name() == name || is_partner(program) && other.manifest.calls(name));
    let bytes = programs.map(|p| p.manifest.shared.next_multiple_of(TABLE_SPAN));
    bytes.sum()
}

/// Answers a request of the program at `index`, if it is one about buffers.
pub fn answer(
    programs: &mut [Program],
    index: usize,
    label: u32,
    words: Words,
) -> Option<Result<Words, Status>> {
    Some(match label {
        SHARE => share(programs, index, words[0]),
        UNSHARE => {
            unshare(programs, index);
            Ok([0; 4])
        }
        ATTACH => attach(programs, index, words[0], words[1]),
        DETACH => {
            detach(programs, index, words[0]);
            Ok([0; 4])
        }
        _ => return None,
    })
}

fn share(programs: &mut [Program], index: usize, bytes: u64) -> Result<Words, Status> {
    let server = partner(programs, index).ok_or(Status::BadRange)?;
    if bytes == 0 || !bytes.is_multiple_of(PAGE) {
        return Err(Status::BadRange);
    }
    let limit = programs[index].manifest.shared;
    if programs[index].shared.is_some() || bytes > limit {
        return Err(Status::OutOfMemory);
    }
    match make(&programs[index], &programs[server], address(index), bytes) {
        Ok(physical) => {
            let id = u64::from(programs[index].id) << 32 | programs[index].buffers_made as u64;
            programs[index].buffers_made += 1;
            programs[index].shared = Some(Buffer {
                id,
                owner: Some(programs[index].id),
                server,
                partner: Some(programs[server].id),
                users: 0,
                physical,
                bytes,
            });
            Ok([address(index), id, 0, 0])
        }
        Err(_) => {
            clear_scratch(2 * BATCH);
            free(&mut programs[index]);
            Err(Status::OutOfMemory)
        }
    }
}

/// The running program that the caller's lease names, and that it may call.
fn partner(programs: &[Program], index: usize) -> Option<usize> {
    let mut name = [0; LONGEST_NAME];
    let length = Reply(CALLER).lease_info(0).ok()?.length() as usize;
    let name = name.get_mut(..length)?;
    Reply(CALLER).lease_read(0, 0, name).ok()?;
    let name = str::from_utf8(name).ok()?;
    let (name, _) = manifest::Program::need(name);
    let server = programs
        .iter()
        .position(|p| p.name() == name && p.state == State::Running && is_partner(p))?;
    programs[index].manifest.calls(name).then_some(server)
}

/// Makes the frames and maps them into both. Returns the physical address of the first. What a failed attempt has made goes
/// with the pool.
fn make(owner: &Program, server: &Program, address: u64, bytes: u64) -> Result<u64, Error> {
    let (pool, table) = (owner.slots.pool(), owner.slots.shared());
    let pages = bytes / PAGE;
    let bits = (2 * pages + 1).next_power_of_two().trailing_zeros().max(4) as u8;
    pool.retype(Kind::CapTable, bits, 1, TABLE, table.0, untyped::ALL)?;
    let (mut first, mut place) = (None, 1);
    for done in (0..pages).step_by(BATCH as usize) {
        let count = (pages - done).min(BATCH as u64) as u32;
        // One Untyped gives out its memory in order: they are contiguous.
        pool.retype(Kind::Frame, 12, count as u16, TABLE, SCRATCH, untyped::ALL)?;
        if first.is_none() {
            first = Some(Frame(SCRATCH).physical()?);
        }
        for i in 0..count {
            let (own, theirs) = (scratch(i), scratch(BATCH + i));
            let address = address + (done + u64::from(i)) * PAGE;
            TABLE.derive(theirs, own, WRITABLE, 0)?;
            owner.map(own, address, WRITABLE)?;
            server.map(theirs, address, WRITABLE)?;
            for slot in [own, theirs] {
                table.move_from(Slot(place), slot)?;
                place += 1;
            }
        }
    }
    first.ok_or(Error::InvalidArgument)
}

/// Takes a buffer's memory back, and its mappings with it.
fn free(program: &mut Program) {
    program.shared = None;
    if let Err(error) = TABLE.revoke(program.slots.pool().0) {
        crate::log!("program {} keeps a buffer: {error:?}", program.name());
    }
}

/// Takes a program's buffer back, if nobody needs it any more.
fn settle(program: &mut Program) {
    let unused = |buffer: &Buffer| buffer.owner.is_none() && buffer.users == 0;
    if program.shared.as_ref().is_some_and(unused) {
        free(program);
    }
}

fn unshare(programs: &mut [Program], index: usize) {
    if let Some(buffer) = &mut programs[index].shared {
        buffer.owner = None;
    }
    settle(&mut programs[index]);
}

/// The program whose buffer this is, if the caller is the one that it is shared with.
fn owner_of(programs: &mut [Program], caller: usize, id: u64) -> Option<(usize, &mut Buffer)> {
    let instance = programs[caller].id;
    programs
        .iter_mut()
        .enumerate()
        .find_map(|(index, program)| {
            let buffer = program.shared.as_mut()?;
            let shared = buffer.id == id && buffer.partner == Some(instance);
            shared.then_some((index, buffer))
        })
}

fn attach(programs: &mut [Program], caller: usize, id: u64, client: u64) -> Result<Words, Status> {
    let (index, buffer) = owner_of(programs, caller, id).ok_or(Status::BadRange)?;
    if buffer.owner.map(u64::from) != Some(client) {
        return Err(Status::BadRange);
    }
    buffer.users = buffer.users.checked_add(1).ok_or(Status::OutOfMemory)?;
    Ok([address(index), buffer.physical, buffer.bytes, 0])
}

fn detach(programs: &mut [Program], caller: usize, id: u64) {
    if let Some((index, buffer)) = owner_of(programs, caller, id) {
        buffer.users = buffer.users.saturating_sub(1);
        settle(&mut programs[index]);
    }
}

/// The program at `index` was torn down: it has no use for a buffer any more, and its devices write to none.
pub fn forget(programs: &mut [Program], index: usize) {
    unshare(programs, index);
    for program in programs {
        match &mut program.shared {
            Some(buffer) if buffer.server == index => (buffer.partner, buffer.users) = (None, 0),
            _ => continue,
        }
        settle(program);
    }
}

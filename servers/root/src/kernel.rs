//! Operations of kernel objects, given names. Slots are root's own; every call loops while the kernel says `Again`.

use abi::object::{captable, endpoint, frame, ioports, irq, space, system, thread, untyped};
use abi::tag::{Flags, Op, Tag};
use abi::{Error, Kind};
use libsys::syscall::{Input, Slot, Words, enter};

type Done = Result<(), Error>;

/// Asks the object at `target` to do `label`.
pub fn invoke(target: u32, label: u32, words: Words) -> Result<Words, Error> {
    loop {
        let tag = Tag::new(Op::Call, label, 0, Flags::empty());
        match enter(Input::new(tag, Slot(target), words)).check() {
            Ok(output) => return Ok(output.words),
            Err(Error::Again) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Makes `count` (1 to 64) objects from an Untyped into slots of `table`. `bits` as in [`untyped::RETYPE`].
pub fn retype(source: u32, kind: Kind, bits: u8, count: u32, table: u32, first: u32) -> Done {
    let word = untyped::retype_word(kind, bits, count as u16);
    invoke(source, untyped::RETYPE, [word, table as u64, first as u64, untyped::ALL as u64]).map(drop)
}

/// Bytes free and size of an Untyped.
pub fn untyped_info(slot: u32) -> Result<(u64, u64), Error> {
    invoke(slot, untyped::INFO, [0; 4]).map(|w| (w[0], w[1]))
}

/// Copies the capability `source` into slot `to` of `table` with fewer rights; `badge` 0 keeps the badge.
pub fn derive(table: u32, to: u32, source: u32, rights: u8, badge: u64) -> Done {
    invoke(table, captable::DERIVE, [to as u64, source as u64, rights as u64, badge]).map(drop)
}

/// Moves the capability `source` into slot `to` of `table`.
pub fn move_to(table: u32, to: u32, source: u32) -> Done {
    invoke(table, captable::MOVE, [to as u64, source as u64, 0, 0]).map(drop)
}

/// Deletes slot `slot` of `table` and all derived from it.
pub fn delete(table: u32, slot: u32) -> Done {
    invoke(table, captable::DELETE, [slot as u64, 0, 0, 0]).map(drop)
}

/// Deletes all derived from slot `slot` of `table`.
pub fn revoke(table: u32, slot: u32) -> Done {
    invoke(table, captable::REVOKE, [slot as u64, 0, 0, 0]).map(drop)
}

/// Maps a frame. `rights` of [`frame`], `cache` of [`space`].
pub fn map(space_slot: u32, frame_slot: u32, address: u64, rights: u8, cache: u64) -> Done {
    invoke(space_slot, space::MAP, [frame_slot as u64, address, rights as u64 | cache << 8, 0]).map(drop)
}

/// Unmaps a frame.
pub fn unmap(space_slot: u32, frame_slot: u32) -> Done {
    invoke(space_slot, space::UNMAP, [frame_slot as u64, 0, 0, 0]).map(drop)
}

/// Physical address of a frame.
pub fn physical(frame_slot: u32) -> Result<u64, Error> {
    invoke(frame_slot, frame::PHYSICAL, [0; 4]).map(|w| w[0])
}

/// Gives a thread its table, space, fault endpoint and message buffer.
pub fn configure(thread_slot: u32, table: u32, space: u32, fault: u32, buffer: u64) -> Done {
    invoke(thread_slot, thread::CONFIGURE, [table as u64, space as u64, fault as u64, buffer]).map(drop)
}

/// Sets a thread's priority, which is its ceiling too.
pub fn set_priority(thread_slot: u32, priority: u8) -> Done {
    invoke(thread_slot, thread::PRIORITY, [priority as u64, priority as u64, 0, 0]).map(drop)
}

/// An operation of a thread without arguments: START, SUSPEND, WRITE_REGISTERS.
pub fn thread_do(thread_slot: u32, label: u32) -> Done {
    invoke(thread_slot, label, [0; 4]).map(drop)
}

/// State ([`thread::State`]) and paid time of a thread.
pub fn thread_info(thread_slot: u32) -> Result<(u8, u64), Error> {
    invoke(thread_slot, thread::INFO, [0; 4]).map(|w| (w[0] as u8, w[1]))
}

/// Gives an Irq its source: a global system interrupt, or [`system::MSI`].
pub fn irq_attach(irq_slot: u32, source: u64, trigger: u64) -> Done {
    system_do(system::IRQ_ATTACH, [irq_slot as u64, source, trigger, 0]).map(drop)
}

/// Address and data that make a device fire this Irq.
pub fn irq_message(irq_slot: u32) -> Result<(u64, u32), Error> {
    invoke(irq_slot, irq::INFO, [0; 4]).map(|w| (w[0], w[1] as u32))
}

/// Makes a frame of device memory: one page.
pub fn device_frame(address: u64, slot: u32) -> Done {
    system_do(system::DEVICE_FRAME, [address, 12, slot as u64, 0]).map(drop)
}

/// Makes an IoPorts capability.
pub fn io_ports(base: u16, count: u16, slot: u32) -> Done {
    system_do(system::IO_PORTS, [base as u64, count as u64, slot as u64, 0]).map(drop)
}

/// Reads a port, `width` in bytes.
pub fn port_in(slot: u32, port: u16, width: u8) -> Result<u32, Error> {
    invoke(slot, ioports::IN, [port as u64, width as u64, 0, 0]).map(|w| w[0] as u32)
}

/// Writes a port, `width` in bytes.
pub fn port_out(slot: u32, port: u16, width: u8, value: u32) -> Done {
    invoke(slot, ioports::OUT, [port as u64, width as u64, value as u64, 0]).map(drop)
}

/// An operation of System.
pub fn system_do(label: u32, words: Words) -> Result<Words, Error> {
    invoke(abi::root::SYSTEM, label, words)
}

/// Rights of the endpoint capability a client gets: call, and pass capabilities along.
pub const CLIENT: u8 = endpoint::CALL | endpoint::GRANT;

//! Objects of devices and of the machine.

use crate::syscall::{self, Slot, invoke};
use abi::Error;
use abi::object::{ioports, irq, system};

/// An interrupt.
#[derive(Debug, Clone, Copy)]
pub struct Irq(pub Slot);

impl Irq {
    /// Delivers it to `endpoint` (RECV) under `badge`.
    pub fn bind(self, endpoint: Slot, badge: u64) -> Result<(), Error> {
        invoke(self.0, irq::BIND, [endpoint.0 as u64, badge, 0, 0]).map(drop)
    }

    /// Acknowledges it, as replying to it does.
    pub fn acknowledge(self) -> Result<(), Error> {
        invoke(self.0, irq::ACK, [0; 4]).map(drop)
    }

    /// Fires it.
    pub fn raise(self) -> Result<(), Error> {
        invoke(self.0, irq::RAISE, [0; 4]).map(drop)
    }

    /// MSI address and data, 0 if it is not an MSI.
    pub fn info(self) -> Result<(u64, u32), Error> {
        invoke(self.0, irq::INFO, [0; 4]).map(|w| (w[0], w[1] as u32))
    }
}

/// A range of I/O ports, accessed by width: 1, 2 or 4 bytes.
#[derive(Debug, Clone, Copy)]
pub struct IoPorts(pub Slot);

impl IoPorts {
    /// Reads `port` (absolute).
    pub fn read(self, port: u16, width: u8) -> Result<u32, Error> {
        invoke(self.0, ioports::IN, [port as u64, width as u64, 0, 0]).map(|w| w[0] as u32)
    }

    /// Writes `port` (absolute).
    pub fn write(self, port: u16, width: u8, value: u32) -> Result<(), Error> {
        invoke(
            self.0,
            ioports::OUT,
            [port as u64, width as u64, value as u64, 0],
        )
        .map(drop)
    }

    /// Fills `bytes` (at most [`ioports::BLOCK`]) from one port, byte by byte.
    pub fn read_block(self, port: u16, bytes: &mut [u8]) -> Result<(), Error> {
        self.fill(port, 1, bytes)
    }

    /// The same, four bytes at a time.
    pub fn read_words(self, port: u16, bytes: &mut [u8]) -> Result<(), Error> {
        self.fill(port, 4, bytes)
    }

    fn fill(self, port: u16, width: usize, bytes: &mut [u8]) -> Result<(), Error> {
        let count = bytes.len() / width;
        invoke(
            self.0,
            ioports::IN_BLOCK,
            [port as u64, width as u64, count as u64, 0],
        )?;
        syscall::block(bytes);
        Ok(())
    }

    /// Writes `bytes` (at most [`ioports::BLOCK`]) to one port, byte by byte.
    pub fn write_block(self, port: u16, bytes: &[u8]) -> Result<(), Error> {
        self.empty(port, 1, bytes)
    }

    /// The same, four bytes at a time.
    pub fn write_words(self, port: u16, bytes: &[u8]) -> Result<(), Error> {
        self.empty(port, 4, bytes)
    }

    fn empty(self, port: u16, width: usize, bytes: &[u8]) -> Result<(), Error> {
        let count = bytes.len() / width;
        syscall::set_block(bytes);
        invoke(
            self.0,
            ioports::OUT_BLOCK,
            [port as u64, width as u64, count as u64, 0],
        )
        .map(drop)
    }
}

/// The machine. Only root holds it.
#[derive(Debug, Clone, Copy)]
pub struct System(pub Slot);

impl System {
    /// Gives an Irq its source: a global system interrupt or [`system::MSI`], with the trigger bits of [`system`].
    pub fn irq_attach(self, irq: Irq, source: u64, trigger: u64) -> Result<(), Error> {
        invoke(
            self.0,
            system::IRQ_ATTACH,
            [irq.0.0 as u64, source, trigger, 0],
        )
        .map(drop)
    }

    /// Makes a Frame of device registers in `slot`; `size_bits` is 12 or 21.
    pub fn device_frame(self, physical: u64, size_bits: u8, slot: Slot) -> Result<(), Error> {
        invoke(
            self.0,
            system::DEVICE_FRAME,
            [physical, size_bits as u64, slot.0 as u64, 0],
        )
        .map(drop)
    }

    /// Makes an IoPorts in `slot`.
    pub fn io_ports(self, base: u16, count: u16, slot: Slot) -> Result<(), Error> {
        invoke(
            self.0,
            system::IO_PORTS,
            [base as u64, count as u64, slot.0 as u64, 0],
        )
        .map(drop)
    }

    /// Up to 512 bytes of the kernel's log from `position` on: the bytes' count and the position of the first.
    pub fn log(self, position: u64, bytes: &mut [u8; 512]) -> Result<(usize, u64), Error> {
        let w = invoke(self.0, system::LOG, [position, 0, 0, 0])?;
        let count = (w[0] as usize).min(bytes.len());
        syscall::block(&mut bytes[..count]);
        Ok((count, w[1]))
    }

    /// Appends up to [`system::LOG_BLOCK`] bytes to the kernel's log.
    pub fn log_write(self, bytes: &[u8]) -> Result<(), Error> {
        syscall::set_block(bytes);
        invoke(self.0, system::LOG_WRITE, [bytes.len() as u64, 0, 0, 0]).map(drop)
    }

    /// Keeps the kernel's log off the serial line from now on.
    pub fn log_quiet(self) -> Result<(), Error> {
        invoke(self.0, system::LOG_QUIET, [0; 4]).map(drop)
    }

    /// TSC ticks per second, TSC at boot, ticks spent idle.
    pub fn info(self) -> Result<(u64, u64, u64), Error> {
        invoke(self.0, system::INFO, [0; 4]).map(|w| (w[0], w[1], w[2]))
    }

    /// Most TSC ticks between a kernel entry and its exit so far; 0 unless the kernel was built to measure it.
    pub fn longest_section(self) -> Result<u64, Error> {
        invoke(self.0, system::INFO, [0; 4]).map(|w| w[3])
    }
}

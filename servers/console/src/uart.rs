//! The 16550: registers through an IoPorts capability, by the `uart_16550` crate.

use alloc::vec::Vec;
use libsys::object::IoPorts;
use libsys::syscall::Slot;
use uart_16550::backend::Backend;
use uart_16550::spec::FIFO_SIZE;
use uart_16550::spec::registers::{FCR, FifoTriggerLevel, IER, LSR, offsets};
use uart_16550::{BaudRate, Config, Uart16550};

/// Most reads of the status while waiting for the last characters to leave: 16 of them take 1.4 ms at 115,200 baud.
const PATIENCE: usize = 100_000;

struct Ports {
    ports: IoPorts,
    base: u16,
    /// While the chip is set up: input that arrived before. The crate would throw it away.
    early: Option<Vec<u8>>,
}

impl Backend for Ports {
    unsafe fn read(&mut self, register: u8) -> u8 {
        // A port that cannot be read looks like one where nothing answers.
        let value = self
            .ports
            .read(self.base + u16::from(register), 1)
            .map_or(0xff, |value| value as u8);
        if register == offsets::DATA as u8
            && let Some(early) = &mut self.early
        {
            early.push(value);
        }
        value
    }

    unsafe fn write(&mut self, register: u8, value: u8) {
        let keeps_input = self.early.is_some() && register == offsets::FCR as u8;
        let value = match keeps_input {
            true => value & !FCR::RX_FIFO_RESET.bits(),
            false => value,
        };
        // The kernel refuses only ports outside the capability, which `Uart::new` has checked.
        let _ = self
            .ports
            .write(self.base + u16::from(register), 1, u32::from(value));
    }
}

/// A 16550 with its FIFOs on, interrupting for input, and for output while there is some.
pub struct Uart {
    chip: Uart16550<Ports>,
    output_interrupts: bool,
}

impl Uart {
    /// Sets up the chip behind these ports: 115,200 baud, 8N1.
    ///
    /// Returns the input, too, that arrived before: a console that is started (anew) loses nothing.
    ///
    /// # Errors
    /// Why there is none.
    pub fn new(slot: Slot, base: u16, count: u16) -> Result<(Self, Vec<u8>), &'static str> {
        if count < 8 {
            return Err("a 16550 has 8 ports");
        }
        // SAFETY: the capability covers the chip's 8 ports, and the kernel checks every access.
        let mut chip = unsafe {
            Uart16550::new_with_backend(Ports {
                ports: IoPorts(slot),
                base,
                early: Some(Vec::new()),
            })
        };
        let config = Config {
            interrupts: IER::DATA_READY,
            fifo_trigger_level: Some(FifoTriggerLevel::One),
            baud_rate: BaudRate::Baud115200,
            ..Config::DEFAULT
        };
        chip.init(config)
            .map_err(|_| "no 16550 answers at its ports")?;
        let early = chip.backend_mut().early.take().unwrap_or_default();
        let uart = Self {
            chip,
            output_interrupts: false,
        };
        Ok((uart, early))
    }

    /// One received byte.
    pub fn receive(&mut self) -> Option<u8> {
        self.chip.try_receive_byte().ok()
    }

    /// Hands `bytes` (a FIFO full at most) to the chip if it has sent what it had. Returns how many it took.
    pub fn send(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(if self.chip.fifo_enabled() {
            FIFO_SIZE
        } else {
            1
        });
        if count == 0 || self.chip.ready_to_send().is_err() {
            return 0;
        }
        let Ports { ports, base, .. } = *self.chip.backend();
        match ports.write_block(base, &bytes[..count]) {
            Ok(()) => count,
            Err(_) => 0,
        }
    }

    /// Whether to interrupt when there is room for output.
    pub fn interrupt_for_output(&mut self, wanted: bool) {
        if wanted == self.output_interrupts {
            return;
        }
        self.output_interrupts = wanted;
        match wanted {
            true => self.chip.enable_interrupts(IER::THR_EMPTY),
            false => self.chip.disable_interrupts(IER::THR_EMPTY),
        }
    }

    /// Whether it still asks for service: its line is edge-triggered, so leaving now would miss the next edge.
    pub fn wants_service(&mut self) -> bool {
        self.chip.isr().has_pending_interrupt()
    }

    /// Whether a received byte was lost in the chip since the last question.
    pub fn overran(&mut self) -> bool {
        self.chip.lsr().contains(LSR::OVERRUN_ERROR)
    }

    /// Waits for the last characters to leave the chip.
    pub fn drain(&mut self) {
        for _ in 0..PATIENCE {
            if self.chip.lsr().contains(LSR::TRANSMITTER_EMPTY) {
                return;
            }
        }
    }
}

//! Ports: what an access that is not the instance's own comes to, and the control of instances.

use bootinfo::shim;
use microkernel::arch::port;

use super::{Flow, Machine};
use crate::exits::Access;
use crate::hardware::pci::Ports;
use crate::instance::SERIAL_LINE;
use crate::ports::{Port, ones, resets};
use crate::vcpu::{RAX, RCX, RDI, RSI, Vcpu};
use crate::{decode, hardware};

/// Most bytes of one OUTS that are looked at before the guest goes on with the rest.
const BLOCK: u64 = 256;

impl<V: Vcpu> Machine<'_, V> {
    pub(super) fn port(&mut self, access: Access) -> Flow {
        if access.string {
            return self.string(access);
        }
        let Access { port, width, .. } = access;
        let instance = &mut self.instances[self.current];
        if access.input {
            let value = self.input(port, width);
            let registers = self.instances[self.current].vcpu.registers();
            // IN to AL or AX leaves the rest; to EAX it clears the upper half.
            let kept = if width == 4 { 0 } else { !u64::from(ones(width)) };
            registers[RAX] = registers[RAX] & kept | u64::from(value & ones(width));
            self.instances[self.current].vcpu.skip();
            return Flow::On;
        }
        let value = instance.vcpu.registers()[RAX] as u32 & ones(width);
        instance.vcpu.skip();
        self.output(port, width, value)
    }

    /// INS and OUTS: bytes for the serial line are sent; everything else is dropped, and memory stays as it is.
    pub(super) fn string(&mut self, access: Access) -> Flow {
        let instance = &mut self.instances[self.current];
        let state = instance.vcpu.state();
        let registers = instance.vcpu.registers();
        let count = if access.repeat { registers[RCX] } else { 1 };
        let (from, pointer) = (registers[RSI], if access.input { RDI } else { RSI });
        let serial = matches!(Port::of(access.port, access.width), Port::Serial(0));
        let now = if serial { count.min(BLOCK) } else { count };
        registers[pointer] = registers[pointer].wrapping_add(now.wrapping_mul(access.width.into()));
        if access.repeat {
            registers[RCX] -= now;
        }
        if now == count {
            instance.vcpu.skip();
        }
        if !serial || access.input {
            self.instances[self.current].foreign += 1;
            return Flow::On;
        }
        for index in 0..now {
            let memory = self.pool.memory.only(self.instances[self.current].partition);
            let mut byte = [0];
            let linear = from.wrapping_add(index);
            if decode::read(&memory, state.cr3, linear, &mut byte) == 0 {
                return self.stop(format_args!("OUTS from {linear:#x}, which is not its memory"));
            }
            self.output(access.port, 1, byte[0].into());
        }
        Flow::On
    }

    pub(super) fn input(&mut self, port: u16, width: u8) -> u32 {
        let instance = &mut self.instances[self.current];
        match Port::of(port, width) {
            Port::Serial(register) => instance.board.uart.read(register).into(),
            Port::Clock => instance.board.rtc.read(hardware::clock).into(),
            Port::PciAddress => instance.pci.address,
            Port::PciData(byte) => instance.pci.read(&mut Ports) >> (8 * byte),
            Port::Keyboard if instance.keyboard => port::read(port, 1) as u32,
            Port::Control => instance.control.unwrap_or(shim::NO_ANSWER) as u32,
            Port::ControlUpper => (instance.control.unwrap_or(shim::NO_ANSWER) >> 32) as u32,
            Port::Bell(channel) => self.who_is_there(channel),
            _ => {
                instance.foreign += 1;
                u32::MAX
            }
        }
    }

    pub(super) fn output(&mut self, port: u16, width: u8, value: u32) -> Flow {
        let number = self.current;
        let instance = &mut self.instances[number];
        match Port::of(port, width) {
            Port::Serial(register) => {
                if let Some(byte) = instance.board.uart.write(register, value as u8) {
                    self.console.send(b'0' + number as u8, byte);
                }
                if instance.board.uart.interrupting() {
                    instance.fire(SERIAL_LINE);
                }
                if self.console.wire.has_more() {
                    self.read_serial();
                    return self.wake();
                }
            }
            Port::ClockIndex => instance.board.rtc.select(value as u8),
            Port::PciAddress => instance.pci.address = value,
            Port::PciData(byte) => {
                let shift = 8 * u32::from(byte);
                let mask = ones(width) << shift;
                if let Some(function) = instance.pci.write(&mut Ports, value << shift, mask) {
                    self.route_messages(function);
                    let instance = &self.instances[number];
                    instance.pci.switch_msix(&mut Ports, function, value << shift, mask);
                }
            }
            Port::Line => self.write_line(value),
            Port::Control if instance.control.is_some() => return self.control(value),
            Port::Bell(channel) => return self.ring(channel),
            Port::Exit => return self.leave(value as u8),
            Port::Keyboard if resets(value as u8) => {
                return self.stop(format_args!("it reset the machine (port {port:#x})"));
            }
            Port::Keyboard if instance.keyboard => port::write(port, 1, value.into()),
            Port::Reset => {
                return self.stop(format_args!("it reset the machine (port {port:#x})"));
            }
            _ => instance.foreign += 1,
        }
        Flow::On
    }

    /// The instance asks about others, or wants them stopped or started anew.
    pub(super) fn control(&mut self, value: u32) -> Flow {
        let (operation, index) = (value >> 24, (value >> 16 & 0xff) as usize);
        let other = self.instances.get(index);
        let may = index != self.primary && other.is_some();
        let answer = match operation {
            shim::READ => other.and_then(|other| other.read(value & 0xffff)),
            shim::KILL if may => {
                self.retire(index);
                Some(0)
            }
            shim::RESTART if may => self.restart(index).ok().map(|()| 0),
            _ => None,
        };
        self.instances[self.current].control = Some(answer.unwrap_or(shim::NO_ANSWER));
        // It may have stopped itself.
        match self.instances[self.current].board.stopped {
            true => Flow::Choose,
            false => self.wake(),
        }
    }
}

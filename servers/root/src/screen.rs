//! Where the screen is if it is one of pixels.

use abi::PAGE;
use alloc::string::ToString;
use bootinfo::pixels::Pixels;
use manifest::{Device, MemoryKind, Program};

/// Most bytes of it that a program gets, from its first line on: 80 by 25 characters need less.
const MOST: u64 = 4 << 20;

/// A program with the screen's text gets the pixels instead, and is told by its last argument what they are.
pub fn place(program: &mut Program, pixels: Pixels) {
    for device in &mut program.devices {
        if let Device::Memory {
            kind: MemoryKind::Screen,
            base,
            size,
        } = device
            && pixels.address.is_multiple_of(PAGE)
        {
            let bytes = u64::from(pixels.pitch) * u64::from(pixels.height);
            (*base, *size) = (pixels.address, bytes.next_multiple_of(PAGE).min(MOST));
            program.args.push(pixels.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use alloc::vec::Vec;

    fn program(device: Device) -> Program {
        Program {
            name: "console".into(),
            binary: String::new(),
            rank: 1,
            priority: 1,
            memory: PAGE,
            args: Vec::new(),
            needs: Vec::new(),
            exports: Vec::new(),
            facets: Vec::new(),
            devices: [device].into(),
            replies: 0,
            sessions: 0,
            untyped: 0,
            shared: 0,
            restart: false,
            children: None,
        }
    }

    fn memory(kind: MemoryKind, base: u64, size: u64) -> Device {
        Device::Memory { kind, base, size }
    }

    #[test]
    fn pixels_replace_text() {
        let pixels = |address, height| Pixels {
            address,
            pitch: 5120,
            width: 1280,
            height,
            shifts: [16, 8, 0],
        };
        let placed = |device, pixels| {
            let mut program = program(device);
            place(&mut program, pixels);
            (program.devices.remove(0), program.args)
        };
        let text = memory(MemoryKind::Screen, 0xb8000, PAGE);
        let small = pixels(0x8000_0000, 401);
        let whole = memory(MemoryKind::Screen, 0x8000_0000, 502 * PAGE);
        let args = [small.to_string()].into();
        assert_eq!(placed(text.clone(), small), (whole, args));
        let large = placed(text.clone(), pixels(PAGE, 4000)).0;
        assert_eq!(large, memory(MemoryKind::Screen, PAGE, MOST));
        // It does not begin with a page; and flash is no screen.
        assert_eq!(placed(text.clone(), pixels(100, 1)), (text, [].into()));
        let flash = memory(MemoryKind::Flash, 0xff00_0000, PAGE);
        assert_eq!(placed(flash.clone(), small), (flash, [].into()));
    }
}

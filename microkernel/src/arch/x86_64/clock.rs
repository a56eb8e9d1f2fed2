//! How fast does the TSC run? Measured against channel 2 of the 8254 timer.

use super::{cpu, port};

/// Frequency of the 8254's input, in Hz.
const PIT_HZ: u64 = 1_193_182;
/// How long to measure at a time: 1/200 s.
const COUNT: u64 = PIT_HZ / 200;

const CHANNEL_2: u16 = 0x42;
const MODE: u16 = 0x43;
/// Gate (bit 0), speaker (bit 1) and output (bit 5) of channel 2.
const CONTROL: u16 = 0x61;
const OUTPUT: u64 = 1 << 5;

/// How often to measure. A machine whose emulator gets no CPU at the end of a measurement sees too many ticks, by any
/// factor, so the least counts.
const TIMES: usize = 4;

/// TSC ticks per second.
pub fn measure() -> u64 {
    let ticks = (0..TIMES).map(|_| measure_once()).min().unwrap_or(0);
    ticks * PIT_HZ / COUNT
}

/// Counts TSC ticks over a fixed time.
fn measure_once() -> u64 {
    let control = port::read(CONTROL, 1) & !3;
    port::write(CONTROL, 1, control);
    // Channel 2, low and high byte, mode 0: the output rises when the count reaches 0.
    port::write(MODE, 1, 0xb0);
    port::write(CHANNEL_2, 1, COUNT & 0xff);
    port::write(CHANNEL_2, 1, COUNT >> 8);
    port::write(CONTROL, 1, control | 1);
    let start = cpu::now();
    while port::read(CONTROL, 1) & OUTPUT == 0 {}
    let ticks = cpu::now() - start;
    port::write(CONTROL, 1, control);
    ticks
}

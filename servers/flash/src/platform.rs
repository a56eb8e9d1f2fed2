//! What the driver needs from whoever links it.

/// The chip's place in memory, and a clock. Offsets lie inside; every call of [`Platform::read`] and [`Platform::write`] is
/// one access of the bus.
pub trait Platform {
    /// Bytes mapped.
    fn size(&self) -> usize;
    /// Reads a byte.
    fn read(&self, offset: usize) -> u8;
    /// Writes a byte: a command, or data to a command.
    fn write(&mut self, offset: usize, value: u8);
    /// Reads many bytes, while the chip shows its array.
    fn copy_out(&self, offset: usize, bytes: &mut [u8]);
    /// Microseconds since some moment.
    fn now(&self) -> u64;
}

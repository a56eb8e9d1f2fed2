//! Access to the memory of the machine that is to be started.

/// The memory of the machine that is to be started, by physical address.
///
/// On the bare machine that is its own memory; for the hypervisor shim, a guest's; in tests, a byte vector.
pub trait Physical {
    /// Fills `buffer` from `address` on. False if any of it is out of reach; `buffer` may then hold anything.
    fn read(&self, address: u64, buffer: &mut [u8]) -> bool;

    /// Writes `bytes` at `address`, which lies in memory that was taken from the [`Map`](crate::Map).
    fn write(&mut self, address: u64, bytes: &[u8]);

    /// Zeroes `size` bytes at `address`, which lie in memory that was taken from the [`Map`](crate::Map).
    fn clear(&mut self, address: u64, size: u64);

    /// Reads a little-endian u64.
    fn read_u64(&self, address: u64) -> Option<u64> {
        let mut bytes = [0; 8];
        self.read(address, &mut bytes)
            .then(|| u64::from_le_bytes(bytes))
    }
}

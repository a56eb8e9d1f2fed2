//! Tests of the driver, and of the whole stack: two of them on a cable.

mod connections;
mod driver;
mod others;
mod waiting;

/// Small numbers without a pattern that matters (xorshift; the seed is fixed).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 as usize % end
    }
}

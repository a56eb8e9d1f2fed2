//! A counter of core cycles, where a processor has one and somebody wants to measure with it.
//!
//! On a command line with [`WORD`] the loader starts the counter and lets programs read it (RDPMC, CR4.PCE): ordinary systems do
//! without, because it tells programs about each other. Whether it runs a program sees in IA32_TSC_AUX, which RDTSCP reads in every
//! ring: there is [`INDEX`] if it does.

/// The word of a command line that asks for it.
pub const WORD: &str = "cycles=1";

/// What RDPMC reads it by: fixed-function counter 1, CPU_CLK_UNHALTED.CORE (SDM 2B "RDPMC", SDM 3B 20.2.2).
pub const INDEX: u32 = 1 << 30 | 1;

/// Whether a command line asks for it.
pub fn is_wanted(command_line: &str) -> bool {
    command_line.split_whitespace().any(|word| word == WORD)
}

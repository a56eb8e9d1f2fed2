//! The clock: RDTSC, which counts instructions under `-icount shift=0`, or a counter of core cycles; and what reading it costs.

use crate::Failure;
use alloc::vec::Vec;
use bootinfo::cycles::INDEX;
use core::arch::x86_64::{__cpuid, __rdtscp, _rdtsc};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Most rounds before the first sample (never more than samples): tables, caches and the emulator's translations are warm.
const WARM_UP: usize = 64;

/// Samples of one id.
pub struct Samples {
    /// Ticks of each sample, with the cost of the clock subtracted, for one operation.
    pub ticks: Vec<u64>,
    /// Operations in each sample.
    pub batch: u64,
    /// Ticks from one reading of the clock to the next.
    pub overhead: u64,
}

/// Whether the clock is the counter of core cycles.
static CYCLES: AtomicBool = AtomicBool::new(false);

/// Takes the counter of core cycles for the clock, if the loader has started it (`bootinfo::cycles`). Says whether.
pub fn take_cycles() -> bool {
    const EXTENDED: u32 = 0x8000_0001;
    let has_rdtscp = __cpuid(EXTENDED - 1).eax >= EXTENDED && __cpuid(EXTENDED).edx & 1 << 27 != 0;
    let mut told = 0;
    if has_rdtscp {
        // SAFETY: RDTSCP exists, and only reads a counter and IA32_TSC_AUX, in every ring (CR4.TSD is clear).
        unsafe { __rdtscp(&mut told) };
    }
    CYCLES.store(told == INDEX, Relaxed);
    told == INDEX
}

/// Reads the clock. Never inlined: the instructions around the counter are then the same everywhere, and
/// [`overhead`] is what they cost.
#[inline(never)]
pub fn now() -> u64 {
    if CYCLES.load(Relaxed) {
        return core_cycles();
    }
    // SAFETY: RDTSC only reads a counter, in every ring (CR4.TSD is clear).
    unsafe { _rdtsc() }
}

/// Reads the counter of core cycles, which runs (SDM 2B, "RDPMC").
#[inline(always)]
fn core_cycles() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: it only reads a counter. The loader has let every ring do so before it told that the counter runs.
    unsafe {
        core::arch::asm!(
            "rdpmc",
            in("ecx") INDEX,
            out("eax") low,
            out("edx") high,
            options(nomem, nostack, preserves_flags),
        );
    }
    u64::from(high) << 32 | u64::from(low)
}

/// The least ticks between two readings with nothing in between.
pub fn overhead() -> u64 {
    let between = |_| {
        let start = now();
        now() - start
    };
    (0..64).map(between).min().unwrap_or(0)
}

/// Collects samples of one operation.
pub struct Meter {
    samples: Samples,
}

impl Meter {
    /// For samples of `batch` operations each.
    pub fn new(count: usize, batch: u64) -> Self {
        Self {
            samples: Samples {
                ticks: Vec::with_capacity(count),
                batch,
                overhead: overhead(),
            },
        }
    }

    /// Adds a sample that began and ended at these readings.
    pub fn add(&mut self, start: u64, end: u64) {
        let Samples {
            ticks,
            batch,
            overhead,
        } = &mut self.samples;
        let all = (end - start).saturating_sub(*overhead);
        ticks.push((all + *batch / 2) / *batch);
    }

    /// All of them.
    pub fn finish(self) -> Samples {
        self.samples
    }
}

/// Measures `operation` in batches: a plain loop of `batch` rounds between two readings, so that the loop's own
/// instructions are part of the figure and those of the clock are not.
#[inline(always)]
pub fn loops(
    count: usize,
    batch: u64,
    mut operation: impl FnMut() -> Result<(), Failure>,
) -> Result<Samples, Failure> {
    for _ in 0..WARM_UP.min(count) {
        operation()?;
    }
    let mut meter = Meter::new(count, batch);
    for _ in 0..count {
        let start = now();
        for _ in 0..batch {
            operation()?;
        }
        meter.add(start, now());
    }
    Ok(meter.finish())
}

/// Measures `operation` once in each sample, with `before` outside of it.
#[inline(always)]
pub fn singles(
    count: usize,
    mut before: impl FnMut() -> Result<(), Failure>,
    mut operation: impl FnMut() -> Result<(), Failure>,
) -> Result<Samples, Failure> {
    for _ in 0..WARM_UP.min(count) {
        before()?;
        operation()?;
    }
    let mut meter = Meter::new(count, 1);
    for _ in 0..count {
        before()?;
        let start = now();
        operation()?;
        meter.add(start, now());
    }
    Ok(meter.finish())
}

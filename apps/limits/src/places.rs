//! The places of the assembly, and which of them make a measurement.

/// What the function of each measured call returns, and the sum of the four arguments.
const FUNCTION: u64 = 103;
pub const SUM: u64 = 10;

/// A place in the code.
pub type Place = unsafe extern "C" fn();
/// Code that ring 0 measures by itself.
pub type Kernel = unsafe extern "C" fn(u64, u64, u64, u64);

unsafe extern "C" {
    pub fn limits_run(user: u64, buffer: u64, samples: u64) -> u64;
    pub fn limits_done();
    pub fn limits_fault();
    pub fn limits_int80();
    pub static limits_vectors: [u64; 8];
    pub fn limits_enter_bare();
    pub fn limits_enter_same();
    pub fn limits_enter_cross();
    pub fn limits_enter_cross_8();
    pub fn limits_enter_cross_32();
    pub fn limits_enter_cross_120();
    pub fn limits_enter_resume();
    pub fn limits_enter_map();
    pub fn limits_enter_mint();
    pub fn limits_enter_revoke();
    pub fn limits_enter_acknowledge();
    pub fn limits_enter_life();
    pub fn limits_enter_interrupted();
    pub fn limits_enter_number();
    pub fn limits_enter_registers();
    pub fn limits_enter_known();
    pub fn limits_enter_walked();
    pub fn limits_enter_direct();
    pub fn limits_user();
    pub fn limits_user_server();
    pub fn limits_user_clock();
    pub fn limits_user_syscall();
    pub fn limits_user_fault();
    pub fn limits_user_pair();
    pub fn limits_user_make();
    pub fn limits_user_once();
    pub fn limits_user_interrupt();
    pub fn limits_user_handler();
    pub fn limits_user_number();
    pub fn limits_user_int80();
    pub fn limits_user_vector();
    pub fn limits_user_registers();
    pub fn limits_user_known();
    pub fn limits_user_pointed();
    pub fn limits_kernel_clock(ticks: u64, samples: u64, one: u64, other: u64);
    pub fn limits_kernel_copy(ticks: u64, samples: u64, one: u64, other: u64);
    pub fn limits_kernel_cr3(ticks: u64, samples: u64, one: u64, other: u64);
    pub fn limits_kernel_warm(ticks: u64, samples: u64, one: u64, other: u64);
    pub fn limits_kernel_refill(ticks: u64, samples: u64, one: u64, other: u64);
}

/// Id, where SYSCALL enters, the user's loop, and what must be in its RAX at the end.
pub type Crossing = (&'static str, Place, Place, Option<u64>);

/// What user code measures, in this order.
pub const CROSSINGS: [Crossing; 18] = [
    (
        "limit.crossing",
        limits_enter_bare,
        limits_user_syscall,
        None,
    ),
    (
        "limit.roundtrip.same",
        limits_enter_same,
        limits_user_syscall,
        None,
    ),
    (
        "limit.roundtrip.cross",
        limits_enter_cross,
        limits_user_syscall,
        None,
    ),
    (
        "limit.roundtrip.cross.8",
        limits_enter_cross_8,
        limits_user_syscall,
        None,
    ),
    (
        "limit.roundtrip.cross.32",
        limits_enter_cross_32,
        limits_user_syscall,
        None,
    ),
    (
        "limit.roundtrip.cross.120",
        limits_enter_cross_120,
        limits_user_syscall,
        None,
    ),
    ("limit.fault", limits_enter_resume, limits_user_fault, None),
    (
        "limit.acknowledge",
        limits_enter_acknowledge,
        limits_user_syscall,
        None,
    ),
    (
        "limit.mint_delete",
        limits_enter_mint,
        limits_user_pair,
        None,
    ),
    (
        "limit.revoke.100",
        limits_enter_revoke,
        limits_user_syscall,
        None,
    ),
    ("limit.map_unmap", limits_enter_map, limits_user_pair, None),
    ("limit.thread", limits_enter_life, limits_user_make, None),
    (
        "trap.syscall",
        limits_enter_number,
        limits_user_number,
        Some(FUNCTION),
    ),
    (
        "trap.int80",
        limits_enter_bare,
        limits_user_int80,
        Some(FUNCTION),
    ),
    (
        "trap.int_per_function",
        limits_enter_bare,
        limits_user_vector,
        Some(FUNCTION),
    ),
    (
        "trap.args.registers",
        limits_enter_registers,
        limits_user_registers,
        Some(SUM),
    ),
    (
        "trap.args.known",
        limits_enter_known,
        limits_user_known,
        Some(SUM),
    ),
    (
        "trap.args.walked",
        limits_enter_walked,
        limits_user_pointed,
        Some(SUM),
    ),
];

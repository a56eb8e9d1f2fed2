//! The floating-point registers: patterns to fill them with, and what they hold. The compiler never touches them (the
//! target is soft-float), so between two calls of these functions only the kernel can change them.

use core::arch::{asm, global_asm};
use core::mem::offset_of;

/// x87, SSE and AVX registers. Without AVX the upper halves are 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Vectors {
    /// YMM0 to YMM15.
    pub ymm: [[u64; 4]; 16],
    /// ST0 to ST7: significand, then sign and exponent. 0 if the stack is empty.
    pub st: [[u64; 2]; 8],
    /// SSE control and status.
    pub mxcsr: u32,
    /// What FNSTENV stores: control, status and tag words, then where the last instruction and its operand lay.
    pub environment: [u32; 7],
}

/// Control and tag words of the initial state ([`Vectors::environment`]), as FNINIT leaves them.
const CONTROL: u32 = 0x037f;
const EMPTY: u32 = 0xffff;
/// SSE control word of the initial state.
pub const MXCSR: u32 = 0x1f80;

global_asm!(
    r#"
    .pushsection .text.ktest, "ax"
    .macro FOR_ALL what
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
    \what \n
    .endr
    .endm
    .macro LOAD_YMM n
    vmovdqu ymm\n, [rdi + 32 * \n]
    .endm
    .macro LOAD_XMM n
    movdqu xmm\n, [rdi + 32 * \n]
    .endm
    .macro STORE_YMM n
    vmovdqu [rdi + 32 * \n], ymm\n
    .endm
    .macro STORE_XMM n
    movdqu [rdi + 32 * \n], xmm\n
    .endm

    // RDI = Vectors, ESI = there is AVX.
vectors_load:
    test esi, esi
    jz 2f
    FOR_ALL LOAD_YMM
    jmp 3f
2:  FOR_ALL LOAD_XMM
3:  ldmxcsr [rdi + {mxcsr}]
    fninit
    .irp n, 7,6,5,4,3,2,1,0
    fld tbyte ptr [rdi + {st} + 16 * \n]
    .endr
    // After the loads, which may not trap; its precision and rounding are part of the pattern.
    fldcw [rdi + {environment}]
    ret

vectors_store:
    test esi, esi
    jz 2f
    FOR_ALL STORE_YMM
    jmp 3f
2:  FOR_ALL STORE_XMM
3:  stmxcsr [rdi + {mxcsr}]
    fnstenv [rdi + {environment}]
    cmp word ptr [rdi + {environment} + 8], -1
    je 4f
    .irp n, 0,1,2,3,4,5,6,7
    fstp tbyte ptr [rdi + {st} + 16 * \n]
    .endr
4:  ret
    .popsection
    "#,
    mxcsr = const offset_of!(Vectors, mxcsr),
    st = const offset_of!(Vectors, st),
    environment = const offset_of!(Vectors, environment),
);

unsafe extern "C" {
    fn vectors_load(vectors: *const Vectors, avx: bool);
    fn vectors_store(vectors: *mut Vectors, avx: bool);
}

impl Vectors {
    /// Different in every register and for every `seed`.
    pub fn pattern(seed: u64) -> Self {
        let mut vectors = Self::initial();
        let word = |index: usize| seed << 32 | 0xa5a5_0000 | index as u64;
        for (index, lane) in vectors.ymm.as_flattened_mut().iter_mut().enumerate() {
            *lane = if index % 4 < 2 || avx() {
                word(index)
            } else {
                0
            };
        }
        for (index, [significand, exponent]) in vectors.st.iter_mut().enumerate() {
            // Normal numbers: the top bit of the significand is set.
            *significand = 1 << 63 | word(64 + index);
            *exponent = 0x3fff + index as u64;
        }
        // Rounding (bits 13 and 14 of MXCSR, 10 and 11 of the control word) differs, too.
        vectors.mxcsr = MXCSR | (seed as u32 & 3) << 13;
        vectors.environment[0] = CONTROL | (seed as u32 & 3) << 10;
        vectors.environment[2] = 0;
        vectors
    }

    /// What a new thread finds.
    pub fn initial() -> Self {
        let mut vectors = Self {
            mxcsr: MXCSR,
            ..Self::default()
        };
        (vectors.environment[0], vectors.environment[2]) = (CONTROL, EMPTY);
        vectors
    }

    /// Fills the registers.
    pub fn load(&self) {
        // SAFETY: reads this structure; no code of the compiler uses the registers.
        unsafe { vectors_load(self, avx()) };
    }

    /// What the registers hold. The x87 stack is empty afterwards.
    pub fn read() -> Self {
        let mut vectors = Self::default();
        // SAFETY: writes this structure; as in `load`.
        unsafe { vectors_store(&mut vectors, avx()) };
        // The words' upper halves are reserved; status, and where the last instruction lay, say nothing after `load`.
        vectors.environment = vectors.environment.map(|word| word & 0xffff);
        if vectors.environment[2] != EMPTY {
            for [_, exponent] in &mut vectors.st {
                *exponent &= 0xffff;
            }
            let [control, _, tags, ..] = vectors.environment;
            vectors.environment = [control, 0, tags, 0, 0, 0, 0];
        }
        vectors
    }
}

/// The kernel lets programs use AVX.
pub fn avx() -> bool {
    let features = raw_cpuid::CpuId::new().get_feature_info();
    if !features.is_some_and(|features| features.has_oxsave() && features.has_avx()) {
        return false;
    }
    let components: u32;
    // SAFETY: CPUID says that the kernel has turned XGETBV on.
    unsafe {
        asm!("xgetbv", in("ecx") 0, out("eax") components, out("edx") _, options(nomem, nostack))
    };
    components & 6 == 6
}

/// 0 / 0 on the x87 stack, with the exception let through.
pub fn divide_zero_by_zero() {
    let control = CONTROL as u16 & !1;
    // SAFETY: no code of the compiler uses the registers; whoever handles the exception ends the thread.
    unsafe {
        asm!("fninit", "fldcw [{}]", "fldz", "fldz", "fdivp", "fwait", in(reg) &control, options(nostack));
    }
}

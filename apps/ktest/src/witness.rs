//! Programs that work beside the fuzzer and must not notice it.

use crate::random::Random;
use libsys::handle::Handle;
use libsys::rt;
use libsys::syscall::{self, Answer, Words};

/// Bytes of a block of the disk.
const BLOCK: usize = 512;
/// Blocks of the disk that the host made: word `j` of block `i` is `i * 64 + j`.
const BLOCKS: u64 = 512;
/// Echoes between two blocks, and blocks between two reports.
const ROUNDS: u64 = 20;

fn mixed(words: Words, extra: u64) -> Words {
    words.map(|word| word.rotate_left(7) ^ extra)
}

/// A server: answers with its words, mixed, and as many further words as it got, inverted.
pub fn echo() {
    let mut m = syscall::recv(rt::ENDPOINT);
    loop {
        let extra = m.tag.extra();
        let mut sum = 0u64;
        for i in 4..4 + extra {
            sum = sum.wrapping_add(syscall::word(i));
            syscall::set_word(i, !syscall::word(i));
        }
        let answer = Answer {
            extra,
            ..Answer::new(m.tag.label(), mixed(m.words, sum))
        };
        m = syscall::reply_recv_with(rt::ENDPOINT, answer, None);
    }
}

/// Its client, and the disk's: checks every answer and tells the fuzzer how many, until that says stop.
///
/// # Panics
/// The manifest lacks what it needs, or the disk cannot be opened.
pub fn run() {
    let (Some(echo), Some(fuzz)) = (rt::endpoint("echo"), rt::endpoint("fuzz")) else {
        panic!("the manifest gives no `echo` or no `fuzz`")
    };
    let disk = match Handle::open("disk:0") {
        Ok(disk) => disk,
        Err(error) => panic!("disk:0: {error}"),
    };
    let mut random = Random::new(7);
    let (mut echoes, mut blocks, mut wrong) = (0, 0, 0);
    loop {
        for _ in 0..ROUNDS {
            for _ in 0..ROUNDS {
                wrong += !is_echoed(echo, &mut random) as u64;
                echoes += 1;
            }
            wrong += !is_right(&disk, random.below(BLOCKS)) as u64;
            blocks += 1;
        }
        let report = syscall::call(fuzz, 0, [echoes, blocks, wrong, 0]);
        if report.check().is_err() || report.tag.label() != 0 {
            return;
        }
    }
}

fn is_echoed(echo: syscall::Slot, random: &mut Random) -> bool {
    let words = [random.next(), random.next(), random.next(), random.next()];
    let extra = random.of(&[0, 0, 1, 16, 116]);
    let label = random.next() as u32;
    let first = random.next();
    for i in 0..extra {
        syscall::set_word(4 + i, first.wrapping_mul(i as u64 + 1));
    }
    let sum = (0..extra as u64).fold(0u64, |sum, i| sum.wrapping_add(first.wrapping_mul(i + 1)));
    let m = syscall::call_extra(echo, label, words, extra);
    m.check().is_ok()
        && m.tag.label() == label
        && m.tag.extra() == extra
        && m.words == mixed(words, sum)
        && (0..extra).all(|i| syscall::word(4 + i) == !first.wrapping_mul(i as u64 + 1))
}

fn is_right(disk: &Handle, block: u64) -> bool {
    let mut bytes = [0; BLOCK];
    let words = |bytes: &[u8; BLOCK]| {
        let (words, _) = bytes.as_chunks::<8>();
        let mut words = words.iter().zip(block * 64..);
        words.all(|(word, expected)| u64::from_le_bytes(*word) == expected)
    };
    disk.read_at(block * BLOCK as u64, &mut bytes) == Ok(BLOCK) && words(&bytes)
}

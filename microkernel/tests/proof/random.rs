//! Random operations on the kernel and its model; after every one of them both are the same, and every invariant holds.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::thread;

use proptest::collection::vec;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use crate::{
    generate::{self, Action},
    pair::Pair,
};

/// Operations in one world.
const LENGTH: usize = 400;

/// What a run has seen.
#[derive(Default)]
pub struct Seen {
    pub operations: u64,
    pub results: BTreeMap<u8, u64>,
    pub states: BTreeMap<&'static str, u64>,
}

/// Runs one world.
fn case(pair: &mut Pair, actions: &[Action], seen: &mut Seen) -> Result<(), TestCaseError> {
    pair.reboot();
    pair.populate();
    let fail = |text: String| TestCaseError::fail(text);
    pair.compare().map_err(|text| fail(format!("at the start: {text}")))?;
    for (step, action) in actions.iter().enumerate() {
        pair.pass(action.ticks as u64);
        let Some(event) = generate::resolve(&pair.model, action) else {
            break;
        };
        let before = pair.world.current();
        pair.step(&event);
        let state = pair.compare();
        let memory = match step % 16 {
            15 => pair.compare_memory(),
            _ => Ok(()),
        };
        state.and(memory).map_err(|text| {
            let status = before.map(|thread| thread.frame().rax.get());
            fail(format!("step {step}, {before:x?} did {event:x?} ({status:x?}): {text}"))
        })?;
        seen.operations += 1;
        if let crate::world::Event::Call(_) = event
            && let (Some(before), Some(now)) = (before, pair.world.current())
            && before == now
        {
            *seen.results.entry(now.frame().rax.get() as u8).or_default() += 1;
        }
        for state in generate::describe(&pair.model) {
            *seen.states.entry(state).or_default() += 1;
        }
    }
    pair.compare_memory().map_err(|text| fail(format!("at the end: {text}")))
}

/// One case; a seed says which.
pub fn config() -> Config {
    Config { cases: 1, failure_persistence: None, max_shrink_iters: 20_000, ..Config::default() }
}

/// Runs random worlds until `operations` were done. A seed decides one world.
fn run(seeds: impl Iterator<Item = u64>, operations: u64) -> Seen {
    let seen = RefCell::new(Seen::default());
    let pair = RefCell::new(Pair::boot());
    for seed in seeds {
        if seen.borrow().operations >= operations {
            break;
        }
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let mut runner = TestRunner::new_with_rng(config(), rng);
        let outcome = runner.run(&vec(generate::action(), 1..=LENGTH), |actions| {
            case(&mut pair.borrow_mut(), &actions, &mut seen.borrow_mut())
        });
        match outcome {
            Ok(()) => {}
            Err(TestError::Fail(why, actions)) => panic!(
                "POSTERN_SEED={seed} fails: {why}\nafter {} actions: {actions:?}",
                actions.len()
            ),
            Err(error) => panic!("POSTERN_SEED={seed}: {error}"),
        }
    }
    seen.into_inner()
}

#[test]
fn the_kernel_does_what_the_model_does() {
    let seed = crate::seed();
    let total = if crate::long() { 10_000_000 } else { 200_000 };
    println!("seed {seed} (POSTERN_SEED), {total} operations");
    let runs: Vec<_> = (0..2)
        .map(|part| thread::spawn(move || run((seed + part..).step_by(2), total / 2)))
        .collect();
    let mut all = Seen::default();
    for run in runs {
        let seen = run.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        all.operations += seen.operations;
        for (result, count) in seen.results {
            *all.results.entry(result).or_default() += count;
        }
        for (state, count) in seen.states {
            *all.states.entry(state).or_default() += count;
        }
    }
    println!("{} operations; statuses {:x?}; states {:?}", all.operations, all.results, all.states);
    assert!(all.operations >= total);
}

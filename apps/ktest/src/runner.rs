//! Runs the tests and says how each ended.

use crate::lab::Lab;
use crate::outcome::{Outcome, describe};
use crate::tests::{TESTS, Test};
use libsys::proto::control;
use libsys::{print, println, rt, syscall};

/// Runs all tests (those whose names begin with one of the further arguments, if there are any) and powers off.
pub fn run() {
    let wanted = rt::info().args.get(1..).unwrap_or_default();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|w| name.starts_with(w));
    let mut failed = 0;
    let Some(mut lab) = Lab::new() else {
        panic!("the manifest gives no `untyped`")
    };
    println!("ktest begins");
    for (name, test) in TESTS.iter().filter(|(name, _)| is_wanted(name)) {
        let outcome = one(&mut lab, *test);
        failed += outcome.is_err() as u32;
        println!("test {name} ... {}", describe(&outcome));
    }
    println!("ktest ends, {failed} failed");
    power_off(failed == 0)
}

fn one(lab: &mut Lab, test: Test) -> Outcome {
    lab.begin()?;
    let outcome = test(lab);
    let clean = lab.end();
    outcome.and(clean)
}

/// Turns the machine off, with a status that says whether all went well.
pub fn power_off(well: bool) {
    let _ = print::flush();
    let status = if well {
        bootinfo::exit::SUCCESS
    } else {
        bootinfo::exit::COMMAND_FAILED
    };
    if let Some(control) = rt::endpoint("root.control") {
        let _ = syscall::call(control, control::POWER_OFF, [status as u64, 0, 0, 0]);
    }
}

//! The kernel's tests from inside (`apps/ktest`): every one of them must run and succeed, on the fast path and without it;
//! and random system calls beside programs that must not notice.
//!
//! `POSTERN_LONG=1` makes 5 million random calls instead of 200,000; `POSTERN_SEED` chooses the first seed.

use std::ffi::OsString;
use std::io::Write;

use postern::qemu::Options;
use postern::run::Outcome;
use postern::status::Status;
use postern::system::System;

/// What `apps/ktest` must run, a line for each module.
const TESTS: &[(&str, &str)] = &[
    (
        "objects",
        "every_kind counts sizes exhaustion occupied untyped_rights space_ids zeroed",
    ),
    (
        "capabilities",
        "fewer_rights rights_are_needed not_derivable badges messages moving too_deep descendants many \
         nested_tables tables_that_contain_each_other bounds wrong_kinds",
    ),
    (
        "mapping",
        "map_and_unmap write_or_execute addresses tables_run_out large_pages outlives_its_space \
         deleted_frame physical_address",
    ),
    (
        "threads",
        "configure register_limits reading ceilings states suspend_and_restart ends_itself \
         loses_its_table loses_its_space lives",
    ),
    (
        "ipc",
        "words extra_words tags owing first_come_first_served parked reply_via_and_receive chain \
         active_priority kinds_of_message two_servers",
    ),
    (
        "transfer",
        "with_a_call with_a_reply refusals nowhere_to_go revoked_on_the_way to_another_program",
    ),
    (
        "timeouts",
        "not_taken taken answered receiving many_sleepers cancelling",
    ),
    (
        "deaths",
        "endpoint revoked_capability server reply_object caller_goes kills_its_caller_and_itself pager \
         queued_fault whole_program",
    ),
    (
        "leases",
        "four one descriptors missing_pages sizes payload payload_via",
    ),
    (
        "traps",
        "instructions privileged without_rights addresses no_alignment_check no_execute all_registers \
         refused_answers stopping handled_at_home while_owing",
    ),
    ("pager", "on_demand"),
    (
        "irqs",
        "coalescing order waking rebinding raised_without_end ports edge_line level_line bell",
    ),
    (
        "registers",
        "call_and_reply other_system_calls new_thread fault preemption",
    ),
    (
        "schedule",
        "round_robin strict_priority at_once yielding reply_to_a_lower_caller no_inversion paid_time \
         timer_accuracy fair_server",
    ),
    (
        "pointers",
        "every_register every_operation straddling half_destroyed revoked_in_use unconfigured",
    ),
    (
        "tlb",
        "another_space fewer_rights large_pages deleted_frame ids_are_clean",
    ),
    (
        "fpu",
        "without_the_right giving_and_taking call_and_reply across_faults across_interrupts preemption \
         arithmetic_error",
    ),
    (
        "hostile",
        "floods never_replies revokes_in_use exhausts_itself",
    ),
];

/// Boots `ktest` on a processor, with a kernel command line, and expects every test to say `ok`.
#[track_caller]
fn all_succeed(cpu: &str, command_line: &str) {
    let options = Options {
        cpu: Some(cpu.into()),
        icount: true,
        // Several machines may have the generated disk at once.
        read_only: true,
        ..Options::default()
    };
    let system = System::load("ktest").expect("it is there");
    let more = [OsString::from("-append"), command_line.into()];
    let outcome = tests::follow(&options, &system, &more);
    let mut printed = outcome.log.lines().filter(|line| line.starts_with("test "));
    for (module, names) in TESTS {
        for name in names.split_whitespace() {
            let expected = format!("test {module}::{name} ... ok");
            assert_eq!(printed.next(), Some(expected.as_str()));
        }
    }
    assert_eq!(printed.next(), None);
    assert_eq!(outcome.status, Status::Success, "{:?}", outcome.explanation);
}

#[test]
fn every_kernel_test_succeeds() {
    all_succeed("max", "");
}

/// Also on a processor without the newer protections, timers and tags.
#[test]
fn every_kernel_test_succeeds_without_the_fast_path() {
    all_succeed("qemu64", "fastpath=off");
}

/// A kernel that makes every call which the fast path takes by the slow path too, and panics at the first difference.
fn checking(mut system: System) -> System {
    system.manifest.name += "-checking";
    system.manifest.kernel_features = vec!["check-fast-path".into()];
    system
}

#[test]
fn both_paths_do_the_same_in_the_guest() {
    // The tests of scheduling say how long things take: here they take longer.
    let modules = TESTS.iter().filter(|(module, _)| *module != "schedule");
    let mut ktest = checking(System::load("ktest").expect("it is there"));
    let program = ktest.program("ktest").expect("it has that program");
    program.args = std::iter::once("tests")
        .chain(modules.clone().map(|(module, _)| *module))
        .map(str::to_string)
        .collect();
    let options = Options {
        icount: true,
        read_only: true,
        ..Options::default()
    };
    let outcome = tests::follow(&options, &ktest, &[]);
    let wanted: usize = modules
        .map(|(_, names)| names.split_whitespace().count())
        .sum();
    let well = |line: &&str| line.starts_with("test ") && line.ends_with(" ... ok");
    assert_eq!(outcome.log.lines().filter(well).count(), wanted);
    assert_eq!(outcome.status, Status::Success, "{:?}", outcome.explanation);

    // The kernel says how many calls it has checked, each time it is twice as many.
    let options = Options {
        exec: ["read disk:0 --sha256", "dmesg"].map(str::to_string).into(),
        ..options
    };
    let outcome = tests::execute_system(&options, &checking(tests::default_system()));
    assert_eq!(outcome.status, Status::Success, "{:?}", outcome.explanation);
    let line = "fast path: 64 calls by both paths, no difference";
    assert!(outcome.log.contains(line));
}

#[test]
fn random_system_calls_hurt_nobody() {
    let long = std::env::var_os("POSTERN_LONG").is_some();
    let calls = if long { 5_000_000 } else { 200_000 };
    let seed = std::env::var("POSTERN_SEED").map_or(1, |seed| seed.parse().expect("a number"));
    let outcome = fuzz(calls, seed, long);
    let line = |start: &str| {
        let found = outcome.log.lines().find(|line| line.starts_with(start));
        found.unwrap_or_else(|| panic!("no line begins with `{start}`"))
    };
    assert!(line("fuzz ends: ").ends_with(" calls, ok"));
    assert!(line("witness: ").ends_with(" 0 wrong"));
    assert_eq!(outcome.status, Status::Success, "{:?}", outcome.explanation);
    // The calls got far: most of the kernel's answers were among them.
    let answers = outcome
        .log
        .lines()
        .filter(|line| line.starts_with("answers: "));
    assert!(answers.count() >= 20);
}

/// Boots `kfuzz` with a disk whose every word the witness knows.
fn fuzz(calls: u64, seed: u64, long: bool) -> Outcome {
    let mut disk = tempfile::NamedTempFile::new().expect("a temporary file");
    let words: Vec<u8> = (0..512 * 64u64).flat_map(u64::to_le_bytes).collect();
    disk.write_all(&words).expect("it can be written");
    let mut system = System::load("kfuzz").expect("it is there");
    let program = system.program("fuzz").expect("it has a fuzzer");
    program.args = vec!["fuzz".into(), calls.to_string(), seed.to_string()];
    let options = Options {
        disks: vec![disk.path().into()],
        icount: true,
        timeout: long.then_some(tests::LIMIT * 10),
        ..Options::default()
    };
    tests::follow(&options, &system, &[])
}

//! The tests, a file for each part of the kernel's specification. The list below is the order they run in; the host
//! (`tests/tests/kernel.rs`) keeps the same list, so that none is lost.

mod capabilities;
mod deaths;
mod fpu;
mod hostile;
mod ipc;
mod irqs;
mod leases;
mod mapping;
mod objects;
mod pager;
mod pointers;
mod registers;
mod schedule;
mod threads;
mod timeouts;
mod tlb;
mod transfer;
mod traps;

pub use pointers::NASTY;

use crate::lab::Lab;
use crate::outcome::Outcome;

/// A test.
pub type Test = fn(&mut Lab) -> Outcome;

macro_rules! tests {
    ($($module:ident: $($name:ident)*;)*) => {
        /// Every test with its name.
        pub const TESTS: &[(&str, Test)] =
            &[$($((concat!(stringify!($module), "::", stringify!($name)), $module::$name)),*),*];
    };
}

tests! {
    objects: every_kind counts sizes exhaustion occupied untyped_rights space_ids zeroed;
    capabilities: fewer_rights rights_are_needed not_derivable badges messages moving too_deep descendants many
        nested_tables tables_that_contain_each_other bounds wrong_kinds;
    mapping: map_and_unmap write_or_execute addresses tables_run_out large_pages outlives_its_space deleted_frame
        physical_address;
    threads: configure register_limits reading ceilings states suspend_and_restart ends_itself
        loses_its_table loses_its_space lives;
    ipc: words extra_words tags owing first_come_first_served parked reply_via_and_receive chain active_priority
        kinds_of_message two_servers;
    transfer: with_a_call with_a_reply refusals nowhere_to_go revoked_on_the_way to_another_program;
    timeouts: not_taken taken answered receiving many_sleepers cancelling;
    deaths: endpoint revoked_capability server reply_object caller_goes kills_its_caller_and_itself pager queued_fault
        whole_program;
    leases: four one descriptors missing_pages sizes payload payload_via;
    traps: instructions privileged without_rights addresses no_alignment_check no_execute all_registers refused_answers
        stopping handled_at_home while_owing;
    pager: on_demand;
    irqs: coalescing order waking rebinding raised_without_end ports edge_line level_line bell;
    registers: call_and_reply other_system_calls new_thread fault preemption;
    schedule: round_robin strict_priority at_once yielding reply_to_a_lower_caller no_inversion paid_time timer_accuracy
        fair_server;
    pointers: every_register every_operation straddling half_destroyed revoked_in_use unconfigured;
    tlb: another_space fewer_rights large_pages deleted_frame ids_are_clean;
    fpu: without_the_right giving_and_taking call_and_reply across_faults across_interrupts preemption arithmetic_error;
    hostile: floods never_replies revokes_in_use exhausts_itself;
}

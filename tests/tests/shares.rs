//! How the shim divides time, on the machine: what instances get whose kernels (`apps/hostile`, word `roles=`) count, sleep, or
//! try to get more than their share.

use postern::qemu::{Emulator, Options};
use postern::system::System;
use tests::instances::Instances;

/// What each may have more or less than its share, of the whole: two turns of 2 ms, one at each end of the 200 ms that are
/// looked at, are 2 %; what the shim, the machine's interrupts and the loop's own looking at the clock take is less than 1 % more.
const TOLERANCE: f64 = 0.03;

/// The part of the time that each instance got that counts; `None`: it does something else.
fn divided(emulator: Emulator, instances: &[(&str, u8)]) -> Vec<Option<f64>> {
    let mut system = System::load("vms2").expect("it is there");
    let mut pattern = system.manifest.instances.remove(1);
    pattern.memory = 16 << 20;
    system.manifest.instances.clear();
    system.manifest.channels.clear();
    system.instances.clear();
    for (_, share) in instances {
        pattern.share = *share;
        system.manifest.instances.push(pattern.clone());
        system
            .instances
            .push(System::load("hostile").expect("it is there"));
    }
    let roles: Vec<&str> = instances.iter().map(|(role, _)| *role).collect();
    let options = Options {
        emulator,
        icount: emulator == Emulator::Qemu,
        append: format!("roles={}", roles.join(",")),
        ..Options::default()
    };
    let mut machine = Instances::boot(&options, &system);
    let mut windows = Vec::new();
    let counted = (0..).zip(instances).map(|(number, (role, _))| {
        (*role == "count").then(|| {
            let line = machine.expect(number, "share: ") + &machine.expect(number, "\n");
            let numbers: Vec<u64> = line
                .split_whitespace()
                .filter_map(|w| w.parse().ok())
                .collect();
            let [start, window, had] = numbers[..] else {
                panic!("{line}")
            };
            windows.push((start, window));
            had as f64 / window as f64
        })
    });
    let counted: Vec<Option<f64>> = counted.collect();
    windows.dedup();
    assert_eq!(windows.len(), 1, "all look at the same time: {windows:?}");
    println!("{emulator:?}: {instances:?}: {counted:.4?}");
    counted
}

fn near(had: Option<f64>, expected: f64) {
    let had = had.expect("it counts");
    assert!(
        (had - expected).abs() <= TOLERANCE,
        "{had} instead of {expected}"
    );
}

/// All want all of it: each gets its share. One sleeps: the others divide what it leaves.
fn is_divided_by_shares(emulator: Emulator) {
    let had = divided(emulator, &[("count", 2), ("count", 1), ("count", 1)]);
    for (had, expected) in had.into_iter().zip([0.5, 0.25, 0.25]) {
        near(had, expected);
    }
    let had = divided(emulator, &[("count", 2), ("sleep", 5), ("count", 1)]);
    near(had[0], 2.0 / 3.0);
    near(had[2], 1.0 / 3.0);
}

/// Whatever a neighbour does, it gets no more than its share.
fn cannot_be_taken(emulator: Emulator) {
    for attack in ["spin", "exits", "ticks", "output"] {
        let had = divided(emulator, &[("count", 1), (attack, 1)]);
        let least = 0.5 - TOLERANCE;
        assert!(had[0].is_some_and(|had| had >= least), "{attack}: {had:?}");
    }
}

#[test]
fn time_is_divided_by_shares() {
    is_divided_by_shares(Emulator::Qemu);
}

/// By VT-x.
#[test]
fn time_is_divided_by_shares_by_vt_x_too() {
    is_divided_by_shares(Emulator::Bochs);
}

#[test]
fn a_share_cannot_be_taken() {
    cannot_be_taken(Emulator::Qemu);
}

/// By VT-x.
#[test]
fn a_share_cannot_be_taken_by_vt_x_either() {
    cannot_be_taken(Emulator::Bochs);
}

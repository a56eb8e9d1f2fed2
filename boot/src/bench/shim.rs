//! What is measured above the hypervisor shim.

use anyhow::{Context, Result, ensure};

use super::stats::Counts;
use crate::qemu::Options;
use crate::run;
use crate::status::Status;
use crate::system::System;

/// The system with two instances.
const TWO: &str = "vms2";
/// How often the shim is asked for its latest switches, one to each instance.
const ASKED: usize = 20;

/// A system as the only instance above the shim: another would have turns of its own.
///
/// # Errors
/// As [`System::load`].
pub fn alone(system: System) -> Result<System> {
    let mut above = System::load(TWO)?;
    above.manifest.instances.truncate(1);
    above.instances = vec![system];
    Ok(above)
}

/// What switches from one instance to another took: `vm list` at the shell of the one that may ask.
///
/// # Errors
/// The system does not boot, or its shell does not say it.
pub fn switches(options: &Options) -> Result<Counts> {
    let mut options = options.clone();
    // Time for turns of both.
    let asked = ["sleep 0.05".to_string(), "vm list".to_string()];
    options.exec = std::iter::repeat_n(asked, ASKED).flatten().collect();
    let (outcome, symbols) =
        run::execute(&options, &System::load(TWO)?, |_| Ok(()), &mut |_| Ok(()))?;
    if outcome.status != Status::Success {
        eprintln!("--- the log\n{}---", symbols.annotate(&outcome.log));
    }
    ensure!(
        outcome.status == Status::Success,
        "two instances do not boot; results so far are kept"
    );
    last_columns(&outcome.output).context("`vm list` does not say what a switch took")
}

/// The last columns of `vm list`'s tables. `None`: one is no number of ticks.
fn last_columns(tables: &str) -> Option<Counts> {
    let mut counts = Counts::default();
    for line in tables.lines() {
        match line.split_whitespace().last()? {
            "SWITCH" => {}
            ticks => counts.add(ticks.parse().ok().filter(|ticks| *ticks > 0)?, 1),
        }
    }
    Some(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_column_is_read() {
        let table = "VM STATE      MiB  RESTARTS        EXITS   SWITCH\n 0 running      96         0         4711      402\n";
        let twice = table.repeat(2) + " 1 running      64         0          815      404\n";
        let summary = last_columns(&twice).and_then(|counts| counts.summary());
        let summary = summary.map(|summary| (summary.n, summary.min, summary.max));
        assert_eq!(summary, Some((3, 402, 404)));
        assert!(last_columns("vm: this shell may not control instances\n").is_none());
        assert!(last_columns(&table.replace("402", "0")).is_none());
    }
}

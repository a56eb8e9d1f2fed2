//! Telling the person why a run ended badly.

use super::Outcome;
use crate::progress::note;
use crate::status::Status;
use crate::symbols::Symbols;

/// Lines of the log that are shown when a run ends badly; before a kernel's report, if there is one.
const LAST_LINES: usize = 40;
/// How a kernel's report begins.
const PANIC: &str = "KERNEL PANIC:";
/// The end of a log: a kernel's report whole, and [`LAST_LINES`] lines before it.
fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    let report = lines.iter().position(|line| line.contains(PANIC));
    let start = report.unwrap_or(lines.len()).saturating_sub(LAST_LINES);
    lines[start..].join("\n")
}

/// Tells the person why a run ended badly.
pub fn report(outcome: &Outcome, symbols: &Symbols, log_seen: bool) {
    if matches!(
        outcome.status,
        Status::Success | Status::CommandFailed | Status::Interrupted(_)
    ) {
        return;
    }
    let last = tail(&outcome.log);
    let annotated = symbols.annotate(&last);
    // A person at the terminal has seen the log, but not what its addresses mean.
    if !last.is_empty()
        && (!log_seen
            || outcome.status == Status::Timeout
            || annotated.trim_end() != last.trim_end())
    {
        eprint!("--- the last lines of the log\n{annotated}---\n");
    }
    if let Some(explanation) = &outcome.explanation {
        note(explanation);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_log() {
        let lines = |from: usize, to: usize| -> Vec<String> {
            (from..to).map(|line| format!("line {line}")).collect()
        };
        assert_eq!(tail(""), "");
        assert_eq!(tail(&lines(0, 3).join("\n")), lines(0, 3).join("\n"));
        assert_eq!(
            tail(&lines(0, 100).join("\n")),
            lines(100 - LAST_LINES, 100).join("\n")
        );
        let report = [lines(0, 50), vec![format!("{PANIC} x")], lines(50, 200)].concat();
        assert_eq!(
            tail(&report.join("\n")),
            report[50 - LAST_LINES..].join("\n")
        );
    }
}

//! What a person at the prompt wants to know of the kernel's log: which programs crashed, and where.

use alloc::string::String;

/// The lines of `log` that report a crash: what happened, and the addresses of its backtrace.
pub fn reports(log: &str) -> String {
    let mut reports = String::new();
    let mut inside = false;
    for line in log.lines() {
        let happened = line.starts_with("root: program ")
            && (line.contains(" faulted: ") || line.contains(" panicked: "));
        let backtrace = line.starts_with("program ") && line.ends_with(" backtrace:");
        inside = happened || inside && (backtrace || line.starts_with("  0x"));
        if inside {
            reports.push_str(line);
            reports.push('\n');
        }
    }
    reports
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_crashes_are_reported() {
        let crash = "root: program a faulted: page fault at 0x0, rip 0x1\nprogram a backtrace:\n  0x1\n  0x2\n";
        let panicked = "root: program b panicked: panicked at c:1:2\n";
        let log = alloc::format!(
            "Postern 0.1.0\n  0x7\nroot: system default: 1 of 1\n{crash}root: program a is started anew\n  0x9\n{panicked}b: words\n"
        );
        assert_eq!(reports(&log), alloc::format!("{crash}{panicked}"));
        // A program cannot speak for root: its lines begin with its name.
        assert_eq!(reports("x: root: program a faulted: no\n"), "");
    }
}

//! The system boots to its shell, on every processor model and machine that is promised.

use postern::qemu::{Machine, Options};
use postern::status::Status;
use tests::{all_started, default_system, execute};

fn boot(options: Options, commands: &[&str]) -> String {
    let outcome = execute(&Options {
        exec: commands.iter().map(|command| command.to_string()).collect(),
        ..options
    });
    assert_eq!(outcome.status, Status::Success, "{:?}", outcome.explanation);
    outcome.output
}

#[test]
fn every_processor_and_machine_reads_the_disk() {
    const BYTES: &str = "\
00000200  54 68 69 73 20 69 73 20  73 65 63 74 6f 72 20 31  |This is sector 1|\n";
    for cpu in ["max", "qemu64", "Haswell", "EPYC"] {
        for machine in [Machine::Pc, Machine::Q35] {
            let options = Options {
                cpu: Some(cpu.into()),
                machine,
                ..Options::default()
            };
            let output = boot(options, &["read disk:0 --offset 512 --size 16"]);
            assert_eq!(output, BYTES, "{cpu} on {machine:?}");
        }
    }
}

/// `boot.prompt` of the benchmark suite: instructions from reset to the first prompt.
#[test]
fn the_prompt_is_early() {
    const MOST: u64 = 500_000_000;
    let options = Options {
        icount: true,
        ..Options::default()
    };
    let output = boot(options, &["uptime --boot"]);
    let instructions: u64 = output.trim().parse().expect("a number");
    assert!((1..=MOST).contains(&instructions), "{instructions}");
}

#[test]
fn the_shell_tells_about_the_system() {
    let output = boot(
        Options::default(),
        &["help", "ps", "mem", "uptime", "echo 'one  two'", "dmesg"],
    );
    for command in [
        "help", "read", "write", "ps", "mem", "uptime", "echo", "dmesg", "poweroff",
    ] {
        let usage = |line: &str| line.split(' ').next() == Some(command);
        assert!(output.lines().any(usage), "{command} in {output}");
    }
    let programs = default_system().manifest.programs;
    let after = |title: &str| {
        let mut lines = output
            .lines()
            .skip_while(|line| !line.trim_start().starts_with(title));
        lines.next().expect("the table has a title");
        lines
            .take(programs.len())
            .map(String::from)
            .collect::<Vec<_>>()
    };
    for title in ["ID NAME", "PROGRAM"] {
        let rows = after(title);
        assert_eq!(rows.len(), programs.len());
        for (row, program) in rows.iter().zip(&programs) {
            let mut words = row.split_whitespace();
            assert!(words.any(|word| word == program.name), "{rows:?}");
        }
    }
    assert!(output.contains("s since reset"), "{output}");
    assert!(output.contains("one  two\n"), "{output}");
    assert!(output.contains(&all_started(&default_system())), "{output}");
}

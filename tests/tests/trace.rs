//! A read becomes messages, and one can watch it: `trace` at the shell, for a trace viewer, and as a picture.

use std::collections::HashMap;
use std::path::Path;

use postern::qemu::Options;
use postern::status::Status;
use postern::trace::{Kind, Trace, json, svg};
use serde_json::Value;
use tests::browser::picture;
use tests::tool;
use tests::{execute, seat};

/// The command of the README's picture.
const READ: &str = "trace read disk:0 --size 512";

/// What a read of one sector is: who says what to whom.
const MESSAGES: [(Kind, &str, &str, &str); 15] = [
    (Kind::Call, "trace", "names", "translate"),
    (Kind::Reply, "names", "trace", "ok"),
    (Kind::Call, "trace", "disk", "open"),
    (Kind::Reply, "disk", "trace", "ok"),
    (Kind::Call, "trace", "disk", "read"),
    (Kind::Interrupt, "kernel", "disk", "interrupt"),
    (Kind::Reply, "disk", "trace", "ok"),
    (Kind::Call, "trace", "console", "open"),
    (Kind::Reply, "console", "trace", "ok"),
    (Kind::Call, "trace", "console", "write"),
    (Kind::Reply, "console", "trace", "ok"),
    (Kind::Call, "trace", "disk", "close"),
    (Kind::Reply, "disk", "trace", "ok"),
    (Kind::Call, "trace", "console", "sync"),
    (Kind::Reply, "console", "trace", "ok"),
];

fn traced(commands: &[&str]) -> (Status, String, Vec<String>) {
    let outcome = execute(&Options {
        icount: true,
        // Only asks for the lines: this way of running writes no file.
        trace_json: Some("trace.json".into()),
        exec: commands.iter().map(|command| command.to_string()).collect(),
        ..Options::default()
    });
    (outcome.status, outcome.output, outcome.traced)
}

/// The numbers of a line of text.
fn numbers(line: &str) -> Vec<usize> {
    let words = line.split(|c: char| !c.is_ascii_digit());
    words.filter_map(|word| word.parse().ok()).collect()
}

#[test]
fn a_read_is_shown_as_messages() {
    let (status, output, lines) = traced(&[READ]);
    assert_eq!(status, Status::Success);
    let trace = Trace::parse(&lines).expect("it is a trace");
    let steps = trace.steps.iter();
    let steps: Vec<_> = steps
        .map(|step| (step.kind, &*step.from, &*step.to, &*step.text))
        .collect();
    assert_eq!(steps, MESSAGES);
    assert!(trace.steps.is_sorted_by_key(|step| step.time));

    // The diagram has a line for each, with its arrow from the sender's column to the receiver's.
    let (_, diagram) = output.split_once("    ticks ").expect("a diagram");
    let mut lines = diagram.lines();
    let header = lines.next().expect("its columns");
    let column = |name: &str| header.find(name).expect("the program has a column");
    for step in &trace.steps {
        let line = lines.next().expect("a line for each message");
        let (time, line) = line.split_at("    ticks ".len());
        assert_eq!(time.trim(), step.time.to_string());
        let (from, to) = (column(&step.from), column(&step.to));
        let arrow = &line[from.min(to) + 1..from.max(to)];
        assert_eq!(arrow.starts_with('<'), to < from, "{line}");
        assert_eq!(arrow.ends_with('>'), from < to, "{line}");
        assert!(arrow.contains(&step.text) && !arrow.contains('|'), "{line}");
    }
    // The kernel counts its events: of each call it records the system call and its arrival, of each reply the system
    // call and its arrival, of each interrupt that it came and whom it woke; the rest are calls that it answered.
    let count = |kind| trace.steps.iter().filter(|step| step.kind == kind).count();
    let [calls, replies, interrupts, faults, invocations, events] =
        numbers(lines.next().expect("a summary"))[..]
    else {
        panic!("{output}")
    };
    assert_eq!([calls, replies, interrupts, faults], Kind::ALL.map(count));
    assert!(
        events >= 2 * (calls + replies + interrupts) + invocations,
        "{output}"
    );
    let [traced, counted] = numbers(lines.next().expect("the counters"))[..] else {
        panic!("{output}")
    };
    assert_eq!(traced, counted, "{output}");
    assert!(traced >= calls, "{output}");
}

/// The messages of a command of which it is known how many there must be.
#[test]
fn no_message_is_missing() {
    const PIECE: u64 = 64 << 10;
    let (status, _, lines) = traced(&["trace read disk:0 --sha256"]);
    assert_eq!(status, Status::Success);
    let trace = Trace::parse(&lines).expect("it is a trace");
    let disk = postern::disk::default().expect("it is made");
    let size = disk.path().metadata().expect("it is there").len();
    let reads = trace.steps.iter();
    let reads =
        reads.filter(|step| (step.kind, &*step.to, &*step.text) == (Kind::Call, "disk", "read"));
    // The last one finds the end.
    assert_eq!(reads.count() as u64, size / PIECE + 1);
    let answers = trace.steps.iter().filter(|step| step.kind == Kind::Reply);
    let calls = trace.steps.iter().filter(|step| step.kind == Kind::Call);
    assert_eq!(answers.count(), calls.count());
}

#[test]
fn what_cannot_be_traced_is_said() {
    let (status, output, lines) = traced(&[
        "trace",
        "trace trace help",
        "trace nonsense",
        "trace read disk:9",
        "echo still here",
    ]);
    assert_eq!(status, Status::CommandFailed);
    for said in [
        "trace: give a command",
        "trace: a trace cannot be traced",
        "nonsense: no such command",
        "read: disk:9: no such device",
        "still here",
    ] {
        assert!(output.contains(said), "{said}: {output}");
    }
    // The failed open is an answer like any other; two commands were traced.
    let told = |text: &str| lines.iter().any(|line| line.ends_with(text));
    assert!(told("disk\ttrace\tno such device"), "{lines:?}");
    assert!(
        Trace::parse(&lines)
            .unwrap_err()
            .to_string()
            .contains("several")
    );
}

#[test]
fn a_long_trace_says_what_is_missing() {
    let (status, output, lines) = traced(&["trace read disk:0 --size 4K"]);
    assert_eq!(status, Status::Success);
    let lost = output.lines().find(|line| line.contains("events are lost"));
    assert!(numbers(lost.expect("more events than the ring holds"))[0] > 0);
    let trace = Trace::parse(&lines).expect("it is a trace");
    assert!(trace.steps.iter().any(|step| step.text == "close"));
}

#[test]
fn the_json_is_what_trace_viewers_read() {
    let (_, _, lines) = traced(&[READ]);
    let trace = Trace::parse(&lines).expect("it is a trace");
    let document: Value = serde_json::from_str(&json::json(&trace)).expect("it is JSON");
    let events = document["traceEvents"].as_array().expect("a list");
    // "Trace Event Format", Google 2016: the fields that each phase must have.
    let mut slices: HashMap<(u64, u64), Vec<(f64, f64)>> = HashMap::new();
    let mut flows: HashMap<u64, Vec<(&str, u64, u64, f64)>> = HashMap::new();
    let mut named = Vec::new();
    for event in events {
        let number = |field: &str| event[field].as_f64().expect("a number");
        let id = |field: &str| event[field].as_u64().expect("an id");
        assert!(event["name"].is_string(), "{event}");
        let phase = event["ph"].as_str().expect("a phase");
        if phase == "M" {
            assert_eq!(event["name"], "process_name");
            assert!(event["args"]["name"].is_string());
            named.push(id("pid"));
            continue;
        }
        assert!(event["cat"].is_string(), "{event}");
        let (place, time) = ((id("pid"), id("tid")), number("ts"));
        assert!(time >= 0.0);
        match phase {
            "X" => slices
                .entry(place)
                .or_default()
                .push((time, time + number("dur"))),
            "s" | "f" => flows
                .entry(id("id"))
                .or_default()
                .push((phase, place.0, place.1, time)),
            "i" => assert!(["g", "p", "t"].contains(&event["s"].as_str().expect("a scope"))),
            other => panic!("a phase nobody asked for: {other}"),
        }
    }
    // Slices of one thread lie one behind the other: none of these programs calls while it answers.
    for slices in slices.values_mut() {
        slices.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert!(
            slices.windows(2).all(|pair| pair[0].1 <= pair[1].0 + 1e-6),
            "{slices:?}"
        );
    }
    // A flow has one beginning and one end, each in a slice.
    for ends in flows.values() {
        assert!(matches!(ends[..], [("s", ..), ("f", ..)]), "{ends:?}");
        for &(_, process, thread, time) in ends {
            let around = |slice: &&(f64, f64)| slice.0 <= time && time <= slice.1;
            assert!(
                slices[&(process, thread)]
                    .iter()
                    .any(|slice| around(&slice))
            );
        }
    }
    let calls = MESSAGES
        .iter()
        .filter(|message| message.0 == Kind::Call)
        .count();
    assert_eq!(flows.len(), calls);
    assert_eq!(slices.values().map(Vec::len).sum::<usize>(), 2 * calls);
    let instants = events.iter().filter(|event| event["ph"] == "i").count();
    assert_eq!(instants, MESSAGES.len() - 2 * calls);
    assert!(slices.keys().all(|(process, _)| named.contains(process)));
}

/// The texts of a picture but its times, and the ends of its arrows.
fn drawn(picture: &str) -> (Vec<&str>, Vec<[usize; 4]>) {
    let texts = picture.split("<text class=\"").skip(1);
    let texts = texts.filter(|text| !text.starts_with("time"));
    let texts = texts.filter_map(|text| text.split_once('>')?.1.split_once("</text>"));
    let arrows = picture
        .lines()
        .filter_map(|line| line.split_once("<line class=\""));
    let arrows = arrows.filter(|(_, line)| line.contains("marker-end"));
    let ends = arrows.map(|(_, line)| {
        let (class_and_ends, _) = line.split_once("marker-end").expect("it has a head");
        let ends = class_and_ends
            .split('"')
            .filter_map(|word| word.parse().ok());
        let ends: Vec<usize> = ends.collect();
        ends.try_into().expect("two ends")
    });
    (texts.map(|text| text.0).collect(), ends.collect())
}

#[test]
fn a_browser_draws_every_arrow() {
    let (_, _, lines) = traced(&[READ]);
    let drawing = svg::svg(&Trace::parse(&lines).expect("it is a trace"));
    let (_, arrows) = drawn(&drawing);
    assert_eq!(arrows.len(), MESSAGES.len());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("read.svg");
    std::fs::write(&file, &drawing).expect("it can be written");
    let height = arrows.iter().map(|arrow| arrow[1]).max().expect("some") + 40;
    let picture = picture(&file, 900, height);
    let is_dark = |x: usize, y: usize| {
        let around = (y - 2..=y + 2).map(|y| picture.brightness(x, y));
        around.min().is_some_and(|least| least < 140)
    };
    for [from, y, to, _] in arrows {
        // A dashed line has gaps: some of it is dark. Its head is dark all through.
        let line = from.min(to) + 10..from.max(to) - 10;
        assert!(line.clone().filter(|&x| is_dark(x, y)).count() > line.len() / 3);
        let head = if from < to { to - 6 } else { to + 6 };
        assert!(is_dark(head, y), "no head at {head}, {y}");
        assert!(!is_dark(from.min(to) + 20, y + 9), "it is all dark");
    }
}

#[test]
fn the_pictures_of_the_readme_are_what_the_command_draws() {
    let readme = std::fs::read_to_string(postern::paths::root().join("README.md"));
    let readme = readme.expect("there is a README");
    let command =
        format!("cargo run -- run --icount --exec '{READ}' --trace-svg docs/pictures/read.svg");
    assert!(readme.contains(&command) && readme.contains("](docs/pictures/read.svg)"));
    let shown = postern::paths::root().join("docs/pictures/read.svg");
    let shown = std::fs::read_to_string(shown).expect("the picture is there");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("read.svg");
    let _seat = seat();
    let words = ["run", "--icount", "--exec", READ, "--trace-svg"];
    let run = tool::run(tool::command(&words).arg(&file));
    assert_eq!(run.status, 0);
    assert!(
        run.output.contains("--translate--"),
        "no command's output is lost"
    );
    assert!(!run.output.contains('\x1e'));
    let fresh = std::fs::read_to_string(&file).expect("it is written");
    assert_eq!(
        drawn(&shown),
        drawn(&fresh),
        "times aside, in the repository and really"
    );
}

#[test]
fn files_that_cannot_be_written_are_refused_before_the_machine_boots() {
    let refused = |words: &[&str]| tool::run(&mut tool::command(words));
    let nowhere = Path::new("no such folder/x.svg").display().to_string();
    let run = refused(&["run", "--exec", READ, "--trace-svg", &nowhere]);
    assert_eq!(run.status, 2);
    assert!(run.messages.contains("cannot write"), "{}", run.messages);
    let run = refused(&["run", "--trace-json", "x.json"]);
    assert_eq!(run.status, 2, "it needs --exec");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("x.json");
    let _seat = seat();
    let words = ["run", "--exec", "echo no trace", "--trace-json"];
    let run = tool::run(tool::command(&words).arg(&file));
    assert_eq!(run.status, 2);
    assert!(
        run.messages.contains("nothing was traced"),
        "{}",
        run.messages
    );
    assert!(!file.exists());
}

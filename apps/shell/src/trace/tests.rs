use super::*;
use abi::tag::Flags;
use libsys::proto::{io, names};

const SHELL: u64 = 1;
const NAMES: u64 = 2;
const DISK: u64 = 3;
const CONSOLE: u64 = 4;
const ROOT: u64 = 5;
const TIMER: u64 = 6;

fn known() -> BTreeMap<u64, String> {
    let names = ["shell", "names", "disk", "console", "root", "timer"];
    (1..).zip(names.map(String::from)).collect()
}

fn call(thread: u64, label: u32) -> (Event, u64, u64) {
    (
        Event::Call,
        thread,
        Tag::new(Op::Call, label, 0, Flags::empty()).0,
    )
}

fn answer(thread: u64, label: u32) -> (Event, u64, u64) {
    (
        Event::Call,
        thread,
        Tag::new(Op::ReplyRecv, label, 0, Flags::empty()).0,
    )
}

/// A tick passes from each event to the next.
fn records(events: &[(Event, u64, u64)]) -> Vec<Record> {
    let timed = (100..).zip(events);
    timed
        .map(|(time, &(event, first, second))| Record {
            event,
            time,
            first,
            second,
        })
        .collect()
}

fn a_read() -> Vec<Record> {
    records(&[
        answer(ROOT, 0),
        (Event::Reply, ROOT, SHELL),
        call(SHELL, names::TRANSLATE),
        (Event::Deliver, SHELL, NAMES),
        answer(NAMES, 0),
        (Event::Reply, NAMES, SHELL),
        // The kernel answers this one.
        call(SHELL, 2),
        call(SHELL, io::READ),
        (Event::Deliver, SHELL, DISK),
        // Nothing to do with it.
        call(TIMER, io::WRITE),
        (Event::Deliver, TIMER, CONSOLE),
        (Event::Switch, TIMER, 0x1000),
        (Event::Interrupt, 50, TIMER),
        (Event::Wake, 7, DISK),
        answer(DISK, io::IoError::DeviceError.code()),
        (Event::Reply, DISK, SHELL),
        call(SHELL, TRACE_SWITCH),
        (Event::Deliver, SHELL, ROOT),
    ])
}

#[test]
fn only_what_a_command_caused_is_found() {
    let trace = Trace::new(&a_read(), true, SHELL, &known());
    let steps = trace.steps.iter();
    let steps: Vec<_> = steps
        .map(|step| {
            (
                step.kind,
                step.from.as_str(),
                step.to.as_str(),
                step.text.as_str(),
            )
        })
        .collect();
    let expected = [
        (Kind::Call, "shell", "names", "translate"),
        (Kind::Reply, "names", "shell", "ok"),
        (Kind::Call, "shell", "disk", "read"),
        (Kind::Interrupt, "kernel", "disk", "interrupt"),
        (Kind::Reply, "disk", "shell", "device error"),
    ];
    assert_eq!(steps, expected);
    assert_eq!((trace.events, trace.invocations), (14, 1));
    assert_eq!((trace.steps[0].sent, trace.steps[0].time), (0, 1));
    assert_eq!(trace.count(Kind::Call), 2);
    // Without its beginning: the first answer is one of the command's.
    let rest = Trace::new(&a_read()[5..], false, SHELL, &known());
    assert_eq!((rest.steps.len(), rest.events), (4, 11));
}

#[test]
fn a_diagram_has_a_column_for_each_program() {
    let trace = Trace::new(&a_read(), true, SHELL, &known());
    let diagram = trace.diagram();
    let lines: Vec<_> = diagram.lines().collect();
    let expected = [
        "    ticks shell            names            disk             kernel",
        "        1 |--translate---->|                |                |",
        "        3 |<-ok------------|                |                |",
        "        6 |--read-------------------------->|                |",
        "       11 |                |                |<-interrupt-----|",
    ];
    assert_eq!(lines[..4], expected[..4], "{diagram}");
    assert_eq!((lines.len(), lines[4]), (6, expected[4]), "{diagram}");
    assert!(lines.iter().all(|line| line.len() <= COLUMNS));
}

#[test]
fn a_trap_is_a_message_to_its_handler() {
    let events = records(&[
        (Event::Trap, SHELL, 14),
        (Event::Deliver, SHELL, ROOT),
        answer(ROOT, 0),
        (Event::Reply, ROOT, SHELL),
        (Event::Trap, SHELL, 6),
        (Event::Deliver, SHELL, ROOT),
    ]);
    let trace = Trace::new(&events, true, SHELL, &known());
    // What comes before the first answer counts as the switching on.
    let texts: Vec<_> = trace.steps.iter().map(|step| step.text.as_str()).collect();
    assert_eq!(texts, ["exception 6"]);
    assert_eq!(trace.steps[0].kind, Kind::Fault);
}

#[test]
fn nothing_is_a_trace_too() {
    let trace = Trace::new(&[], true, SHELL, &known());
    assert_eq!(trace, Trace::default());
    assert_eq!(trace.diagram(), "    ticks\n");
    let strangers = records(&[call(77, io::READ), (Event::Deliver, 77, 78)]);
    let trace = Trace::new(&strangers, true, 77, &known());
    assert_eq!(trace.lanes(), ["4d", "4e"]);
}

//! The trace event format, which Perfetto and Chrome read ("Trace Event Format", Google, 2016: JSON object format).
//!
//! A program is a process. A call is a slice at its sender, from its sending to the answer, and one at its server, from its
//! arrival to the answer; a flow connects them. A server that has taken several requests has a thread for each.

use serde_json::{Value, json};

use super::{Kind, Step, Trace};

/// As JSON.
pub fn json(trace: &Trace) -> String {
    let lanes = trace.lanes();
    let mut writer = Writer {
        trace,
        lanes: &lanes,
        busy: vec![Vec::new(); lanes.len()],
        events: Vec::new(),
    };
    for (index, step) in trace.steps.iter().enumerate() {
        match step.kind {
            Kind::Call | Kind::Fault => writer.request(index, step),
            Kind::Interrupt => writer.interrupt(step),
            Kind::Reply => {}
        }
    }
    writer.names();
    let document = json!({
        "traceEvents": writer.events,
        "displayTimeUnit": "ns",
        "otherData": { "command": trace.command },
    });
    format!("{document:#}\n")
}

struct Writer<'a> {
    trace: &'a Trace,
    lanes: &'a [&'a str],
    /// Until when each thread of a program is busy.
    busy: Vec<Vec<u64>>,
    events: Vec<Value>,
}

impl Writer<'_> {
    /// A program's process: its place, from 1 on.
    fn process(&self, name: &str) -> usize {
        let place = self.lanes.iter().position(|lane| *lane == name);
        place.map_or(0, |place| place + 1)
    }

    /// The format's unit is the microsecond.
    fn microseconds(&self, ticks: u64) -> f64 {
        ticks as f64 * 1e6 / self.trace.hz as f64
    }

    fn request(&mut self, index: usize, step: &Step) {
        let answered = self.trace.steps[index..].iter().find(|later| {
            later.kind == Kind::Reply && later.from == step.to && later.to == step.from
        });
        // What was never answered lasts until the end.
        let last = self.trace.steps.last().map_or(step.time, |last| last.time);
        let (end, answer) = match answered {
            Some(answer) => (answer.time, answer.text.as_str()),
            None => (last, "none"),
        };
        let arguments = json!({ "answer": answer });
        let sent = format!("{} {}", step.to, step.text);
        let sender = self.slice(&step.from, &sent, step.sent, end, &arguments);
        let server = self.slice(&step.to, &step.text, step.time, end, &arguments);
        for (phase, ticks, (process, thread)) in
            [("s", step.sent, sender), ("f", step.time, server)]
        {
            self.events.push(json!({
                "name": step.text, "cat": "message", "ph": phase, "bp": "e", "id": index,
                "ts": self.microseconds(ticks), "pid": process, "tid": thread,
            }));
        }
    }

    /// Adds a slice and says where: process and thread.
    fn slice(
        &mut self,
        name: &str,
        title: &str,
        from: u64,
        to: u64,
        arguments: &Value,
    ) -> (usize, usize) {
        let process = self.process(name);
        let busy = &mut self.busy[process - 1];
        let free = busy.iter().position(|until| *until <= from);
        let thread = free.unwrap_or_else(|| {
            busy.push(0);
            busy.len() - 1
        });
        busy[thread] = to;
        self.events.push(json!({
            "name": title, "cat": "message", "ph": "X", "args": arguments,
            "ts": self.microseconds(from), "dur": self.microseconds(to - from),
            "pid": process, "tid": thread + 1,
        }));
        (process, thread + 1)
    }

    fn interrupt(&mut self, step: &Step) {
        self.events.push(json!({
            "name": step.text, "cat": "interrupt", "ph": "i", "s": "p",
            "ts": self.microseconds(step.time), "pid": self.process(&step.to), "tid": 1,
        }));
    }

    fn names(&mut self) {
        for (index, name) in self.lanes.iter().enumerate() {
            self.events.push(json!({
                "name": "process_name", "ph": "M", "pid": index + 1, "args": { "name": name },
            }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(trace: &Trace) -> Vec<Value> {
        let document: Value = serde_json::from_str(&json(trace)).expect("it is JSON");
        document["traceEvents"].as_array().expect("a list").clone()
    }

    #[test]
    fn a_call_is_two_slices_and_a_flow() {
        let events = events(&super::super::tests::example());
        let named = |name: &str| -> Vec<&Value> {
            events
                .iter()
                .filter(|event| event["name"] == name)
                .collect()
        };
        let [sender] = named("disk read")[..] else {
            panic!("{events:#?}")
        };
        assert_eq!(
            (&sender["ts"], &sender["dur"]),
            (&json!(0.0), &json!(600.0))
        );
        let [server, begin, end] = named("read")[..] else {
            panic!("{events:#?}")
        };
        assert_eq!(
            (&server["ts"], &server["dur"]),
            (&json!(10.0), &json!(590.0))
        );
        assert_eq!(server["args"]["answer"], "ok");
        assert_eq!((&begin["ph"], &end["ph"]), (&json!("s"), &json!("f")));
        assert_eq!(begin["pid"], sender["pid"]);
        assert_eq!(end["pid"], server["pid"]);
        assert_eq!(named("exception 14")[0]["args"]["answer"], "none");
    }

    #[test]
    fn requests_at_the_same_time_do_not_overlap() {
        let events = events(&super::super::tests::example());
        let threads = |name: &str| {
            let slice = events
                .iter()
                .find(|event| event["name"] == name && event["ph"] == "X");
            slice.map(|slice| slice["tid"].clone())
        };
        assert_eq!(
            (threads("read"), threads("write")),
            (Some(json!(1)), Some(json!(2)))
        );
    }
}

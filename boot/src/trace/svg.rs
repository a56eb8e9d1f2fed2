//! A sequence diagram: a line down for each program, an arrow for each message, time running downwards (not to scale).

use std::fmt::Write;

use super::Trace;

/// From one program's line to the next.
const WIDTH: usize = 150;
/// From one arrow to the next.
const HEIGHT: usize = 26;
/// Room for the times, left of the first line.
const LEFT: usize = 130;
/// Room for the title and the programs' names, above the first arrow.
const TOP: usize = 84;

const STYLE: &str = "text{font:13px sans-serif;fill:#222}.title{font-size:15px}.name{font-weight:bold;text-anchor:middle}\
.time{font:11px monospace;fill:#777;text-anchor:end}.what{text-anchor:middle}\
line{stroke:#222;stroke-width:1.4}line.lane{stroke:#bbb;stroke-width:1}\
line.reply{stroke-dasharray:6 4}line.interrupt,line.fault{stroke:#c0392b}";

/// As SVG.
pub fn svg(trace: &Trace) -> String {
    let lanes = trace.lanes();
    let place = |name: &str| {
        let index = lanes.iter().position(|lane| *lane == name);
        LEFT + index.unwrap_or(0) * WIDTH
    };
    let width = LEFT + lanes.len().max(1) * WIDTH;
    let height = TOP + (trace.steps.len() + 1) * HEIGHT;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\">\n\
         <style>{STYLE}</style>\n\
         <defs><marker id=\"head\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"8\" markerHeight=\"8\" orient=\"auto\">\
         <path d=\"M0 0L10 5L0 10z\"/></marker></defs>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text class=\"title\" x=\"12\" y=\"24\">trace {}</text>\n\
         <text class=\"time\" x=\"{}\" y=\"56\">ticks</text>\n",
        escape(&trace.command),
        LEFT - 50,
    );
    for name in &lanes {
        let x = place(name);
        // Writing to a String does not fail.
        let _ = write!(
            out,
            "<line class=\"lane\" x1=\"{x}\" y1=\"64\" x2=\"{x}\" y2=\"{}\"/>\n\
             <text class=\"name\" x=\"{x}\" y=\"56\">{}</text>\n",
            height - HEIGHT / 2,
            escape(name),
        );
    }
    for (index, step) in trace.steps.iter().enumerate() {
        let y = TOP + index * HEIGHT + HEIGHT / 2;
        let (from, to) = (place(&step.from), place(&step.to));
        let class = step.kind.name();
        let _ = writeln!(
            out,
            "<text class=\"time\" x=\"{}\" y=\"{}\">{}</text>\
             <line class=\"{class}\" x1=\"{from}\" y1=\"{y}\" x2=\"{to}\" y2=\"{y}\" marker-end=\"url(#head)\"/>\
             <text class=\"what\" x=\"{}\" y=\"{}\">{}</text>",
            LEFT - 50,
            y + 4,
            step.time,
            (from + to) / 2,
            y - 5,
            escape(&step.text),
        );
    }
    out + "</svg>\n"
}

fn escape(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_is_an_arrow() {
        let trace = super::super::tests::example();
        let picture = svg(&trace);
        let count = |text: &str| picture.matches(text).count();
        assert_eq!(count("marker-end"), trace.steps.len());
        assert_eq!(count("class=\"lane\""), trace.lanes().len());
        assert_eq!(count("class=\"reply\""), 2);
        assert!(picture.contains("trace read &lt;disk:0&gt; &amp; more</text>"));
        // From the shell's line to the disk's, which is the next.
        let arrow = format!(
            "x1=\"{LEFT}\" y1=\"{}\" x2=\"{}\"",
            TOP + HEIGHT / 2,
            LEFT + WIDTH
        );
        assert!(picture.contains(&arrow), "{picture}");
    }
}

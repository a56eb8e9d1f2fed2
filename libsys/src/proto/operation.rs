//! What the numbers in messages are called, for a trace.

use super::{children, console, control, file, io, memory, names, net, timer};
use alloc::format;
use alloc::string::{String, ToString};

/// The operation that `label` asks the program `server` (its name in the manifest) for.
pub fn request(server: &str, label: u32) -> String {
    let name = match server {
        "root" => root(label),
        _ => every_server(label).or_else(|| own(server, label)),
    };
    name.map_or_else(|| format!("operation {label:#x}"), str::to_string)
}

/// What the label of the answer says.
pub fn answer(server: &str, label: u32) -> String {
    match label {
        0 => "ok".into(),
        _ if server == "root" => format!("refused {label}"),
        _ => io::IoError::from_code(label).to_string(),
    }
}

fn every_server(label: u32) -> Option<&'static str> {
    Some(match label {
        io::OPEN => "open",
        io::READ => "read",
        io::WRITE => "write",
        io::STAT => "stat",
        io::SYNC => "sync",
        io::CLOSE => "close",
        io::WAIT => "wait",
        io::SHARE => "share",
        io::READ_SHARED => "read shared",
        io::WRITE_SHARED => "write shared",
        _ => return None,
    })
}

fn own(server: &str, label: u32) -> Option<&'static str> {
    Some(match (server, label) {
        ("names", names::TRANSLATE) => "translate",
        ("console", console::INPUT) => "input",
        ("timer", timer::SLEEP) => "sleep",
        ("timer", timer::CLOCK) => "clock",
        ("net", net::STATUS) => "status",
        ("net", net::PING) => "ping",
        ("net", net::SUBSCRIBE) => "subscribe",
        ("net", net::EVENTS) => "events",
        ("net", net::FINISH) => "finish",
        (_, file::REMOVE) => "remove",
        (_, file::RENAME) => "rename",
        (_, file::MAKE_DIRECTORY) => "make directory",
        (_, file::LIST) => "list",
        (_, file::SET_SIZE) => "set size",
        _ => return None,
    })
}

fn root(label: u32) -> Option<&'static str> {
    Some(match label {
        memory::HEAP => "heap",
        memory::MAP_DMA => "map dma",
        memory::INFO => "memory info",
        memory::IS_ALIVE => "is alive",
        control::EXIT => "exit",
        control::PANIC => "panic",
        control::PS => "ps",
        control::MEM => "mem",
        control::POWER_OFF => "power off",
        control::LOG => "log",
        control::SAY => "say",
        control::KILL => "kill",
        control::SECTION => "section",
        control::CAPS => "caps",
        children::SPAWN => "spawn",
        children::WAIT => "wait",
        children::END => "end",
        control::TRACE_SWITCH => "trace switch",
        control::TRACE => "trace",
        control::THREADS => "threads",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_number_means_what_its_server_says() {
        assert_eq!(request("disk", io::READ), "read");
        assert_eq!(request("names", names::TRANSLATE), "translate");
        assert_eq!(request("root", memory::HEAP), "heap");
        assert_eq!(request("root", control::PS), "ps");
        assert_eq!(request("disk", 0x999), "operation 0x999");
        assert_eq!(
            answer("disk", io::IoError::BeyondEnd.code()),
            "beyond the end"
        );
        assert_eq!(
            (answer("disk", 0), answer("root", 2)),
            ("ok".into(), "refused 2".into())
        );
    }
}

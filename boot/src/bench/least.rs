//! Which limit stands beside an id: the least that any system could do in its place.

use super::curves::{Read, Way};

/// The limit's id. It may be one that a run does not measure.
pub fn of(id: &str) -> Option<String> {
    if let Some(read) = Read::parse(id) {
        // What the driver and its device cost by themselves.
        let direct = format!("read.call.{}.{}", read.device, read.size);
        return (read.way != Way::Call).then_some(direct);
    }
    let limit = match id {
        "ipc.roundtrip.cross.8" | "ipc.roundtrip.cross.32" | "ipc.roundtrip.cross.120" => {
            return Some(format!("limit.{}", id.strip_prefix("ipc.")?));
        }
        "ipc.roundtrip.same.0" => "limit.roundtrip.same",
        "fault.roundtrip" => "limit.fault",
        "vm.ipc.roundtrip.cross.0" => "ipc.roundtrip.cross.0",
        _ if id.starts_with("trap.") => "limit.crossing",
        _ if id.starts_with("ipc.roundtrip.") || id.starts_with("ipc.slowpath.cross.") => {
            "limit.roundtrip.cross"
        }
        _ => return None,
    };
    Some(limit.into())
}

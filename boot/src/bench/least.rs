//! Which limit stands beside an id: the least that any system could do in its place. `docs/benchmarks.md` says what each is.

use super::curves::{Read, Way};

/// The limit's id, which may be one that a run does not measure, and how many times it must be done.
///
/// # Errors
/// There is none, and why.
pub fn of(id: &str) -> Result<(String, u64), &'static str> {
    // A file lies in memory: however it is asked for, its bytes are copied.
    if id == "read.ipc.file.4096" {
        return Ok(("limit.copy.4096".into(), 1));
    }
    if let Some(read) = Read::parse(id) {
        // What the driver and its device cost by themselves.
        return match read.way {
            Way::Call => Err("is one"),
            _ => Ok((read.by_call(), 1)),
        };
    }
    let family = id.split('.').next().unwrap_or_default();
    let limit = match id {
        "ipc.roundtrip.cross.8" | "ipc.roundtrip.cross.32" | "ipc.roundtrip.cross.120" => {
            return Ok((id.replacen("ipc", "limit", 1), 1));
        }
        "ipc.roundtrip.same.0" => "limit.roundtrip.same",
        "vm.ipc.roundtrip.cross.0" => "limit.roundtrip.cross",
        "fault.roundtrip" => "limit.fault",
        "irq.to_server" | "fault.to_handler" => "limit.vector",
        "irq.acknowledge" => "limit.acknowledge",
        "cap.mint_delete" => "limit.mint_delete",
        "cap.revoke.100" => "limit.revoke.100",
        "space.map_unmap" => "limit.map_unmap",
        "thread.life" => "limit.thread",
        _ => match family {
            "limit" => return Err("is one"),
            "switch" | "tlb" => return Err("one instruction"),
            "kernel" | "boot" => return Err("none: no crossing"),
            "vm" => return Err("none: the processor's part cannot be told apart"),
            "trap" => "limit.crossing",
            "ipc" => return of_message(id),
            _ => return Err("none is known"),
        },
    };
    Ok((limit.into(), 1))
}

/// The same for an id of messages.
fn of_message(id: &str) -> Result<(String, u64), &'static str> {
    let mut words = id.split('.').skip(1);
    let times = match words.next() {
        Some("oneway" | "stage" | "loop") => return Err("a part"),
        // As many servers in a row.
        Some("chain") => words.next().and_then(|word| word.parse().ok()).unwrap_or(1),
        _ => 1,
    };
    Ok(("limit.roundtrip.cross".into(), times))
}

#[cfg(test)]
mod tests {
    use super::super::ids;
    use super::*;

    #[test]
    fn every_id_has_a_limit_that_is_measured_or_a_reason_for_none() {
        for id in ids::ALL.iter() {
            match of(id.name) {
                Ok((limit, times)) => {
                    assert!(ids::find(&limit).is_some(), "{}: {limit}", id.name);
                    assert!(times > 0 && of(&limit).is_err(), "{}", id.name);
                }
                Err(why) => assert_ne!(why, "none is known", "{}", id.name),
            }
        }
        let chain = Ok(("limit.roundtrip.cross".into(), 3));
        assert_eq!(of("ipc.chain.3"), chain);
        let copied = of("write.ipc.disk.512.copy");
        assert_eq!(copied, Ok(("write.call.disk.512".into(), 1)));
    }
}

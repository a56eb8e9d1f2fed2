//! Instances above the hypervisor shim (`bootinfo::shim`), by the capability to the shim's control port.

use alloc::format;
use alloc::string::String;
use bootinfo::shim;
use libsys::object::IoPorts;
use libsys::proto::program::Device;
use libsys::syscall::Slot;
use libsys::{println, rt};

/// The control port.
struct Control(IoPorts);

impl Control {
    /// The capability, if this shell has it and there is a shim.
    fn new() -> Result<Control, String> {
        let slot = rt::info().devices.iter().find_map(|device| match device {
            Device::Ports { slot, base, .. } if *base == shim::CONTROL_PORT => Some(*slot),
            _ => None,
        });
        let slot = slot.ok_or("this shell may not control instances")?;
        let control = Control(IoPorts(Slot(slot)));
        match control.ask(shim::READ, 0, shim::STOPPED) {
            Ok(_) => Ok(control),
            Err(_) => {
                Err("there is no hypervisor shim, or this instance does not control it".into())
            }
        }
    }

    fn ask(&self, operation: u32, instance: u32, argument: u32) -> Result<u64, String> {
        let Control(ports) = self;
        let read = |port| ports.read(port, 4).map(u64::from);
        let word = operation << 24 | instance << 16 | argument;
        let answer = ports
            .write(shim::CONTROL_PORT, 4, word)
            .and_then(|()| Ok(read(shim::CONTROL_PORT)? | read(shim::CONTROL_PORT + 4)? << 32))
            .map_err(|error| format!("{error:?}"))?;
        match answer {
            shim::NO_ANSWER => Err(format!("{instance}: it cannot be done")),
            answer => Ok(answer),
        }
    }
}

/// Lists, shows, stops or restarts instances.
pub fn vm(words: &[String]) -> Result<(), String> {
    let words: alloc::vec::Vec<&str> = words.iter().map(String::as_str).collect();
    let control = Control::new()?;
    let number = |text: &str| -> Result<u32, String> {
        let number = text
            .parse()
            .ok()
            .filter(|number| *number < shim::INSTANCES as u32);
        number.ok_or_else(|| format!("`{text}` is not the number of an instance"))
    };
    match words[..] {
        ["list"] => list(&control),
        ["exits", instance] => exits(&control, number(instance)?),
        ["kill", instance] => control.ask(shim::KILL, number(instance)?, 0).map(drop),
        ["restart", instance] => control.ask(shim::RESTART, number(instance)?, 0).map(drop),
        _ => Err(
            "it takes `list`, or `exits`, `kill` or `restart` and the number of an instance".into(),
        ),
    }
}

fn list(control: &Control) -> Result<(), String> {
    println!(
        "{:>2} {:<8} {:>6} {:>9} {:>12} {:>8}",
        "VM", "STATE", "MiB", "RESTARTS", "EXITS", "SWITCH"
    );
    for instance in 0..shim::INSTANCES as u32 {
        let Ok(stopped) = control.ask(shim::READ, instance, shim::STOPPED) else {
            break;
        };
        let read = |argument| control.ask(shim::READ, instance, argument);
        let mut exits = 0;
        for index in 0..shim::EXITS.len() {
            exits += read(index as u32)?;
        }
        println!(
            "{instance:>2} {:<8} {:>6} {:>9} {exits:>12} {:>8}",
            ["running", "stopped"][usize::from(stopped != 0)],
            read(shim::MEMORY)? >> 20,
            read(shim::RESTARTS)?,
            read(shim::SWITCH_TICKS)?,
        );
    }
    Ok(())
}

/// Why an instance stopped running, and how often.
fn exits(control: &Control, instance: u32) -> Result<(), String> {
    for (index, name) in shim::EXITS.iter().enumerate() {
        let count = control.ask(shim::READ, instance, index as u32)?;
        if count > 0 {
            println!("{name:<12} {count:>12}");
        }
    }
    let foreign = control.ask(shim::READ, instance, shim::FOREIGN)?;
    println!("{:<12} {foreign:>12}", "foreign port");
    Ok(())
}

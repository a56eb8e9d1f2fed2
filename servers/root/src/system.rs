//! The system: built from the manifest, program by program.

use crate::budget::{self, Machine};
use crate::death::tear_down;
use crate::problem::{Problem, Step};
use crate::program::{OWN_TABLE, Program, State};
use crate::slots::{ENDPOINT, MAX_PROGRAMS, OWN_MEMORY, PCI_PORTS, SYSTEM, TABLE};
use crate::{
    archive, children, device, elf, layout, load, log, power, relayed, screen, shared, window,
};
use abi::Kind;
use abi::object::{endpoint, space, thread, untyped};
use abi::root::RootInfo;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use bootinfo::Acpi;
use bootinfo::pixels::Pixels;
use bootinfo::relay::Relay;
use core::cmp::Reverse;
use libsys::proto::program::{self, FIRST, LAST_FACET, Own, ProgramInfo};
use libsys::syscall::Slot;

/// Lower half of a badge on root's endpoint: what its holder may ask for.
pub mod facet {
    /// `root.memory`.
    pub const MEMORY: u32 = 1;
    /// `root.control`.
    pub const CONTROL: u32 = 2;
    /// The kernel, with a fault.
    pub const FAULT: u32 = 3;
}

/// First port of the line that the kernel logs to until a program owns it.
const SERIAL: u16 = 0x3f8;
/// PCI's configuration ports.
const PCI: (u16, u16) = (0xcf8, 8);

/// Everything root knows.
pub struct System {
    /// In the order of the manifest.
    pub programs: Vec<Program>,
    /// The machine's memory.
    pub machine: Machine,
    /// Interrupt wiring and power.
    pub acpi: Acpi,
    archive: &'static [u8],
    /// TSC ticks per second.
    pub tsc_hz: u64,
    last_id: u32,
}

impl System {
    /// Builds and starts the whole system. What cannot be built is left out, and the log says why.
    ///
    /// # Errors
    /// Why nothing at all could be started.
    pub fn build() -> Result<Self, String> {
        let (info, _) = postcard::take_from_bytes::<RootInfo>(window::info_page())
            .map_err(|error| format!("the kernel's information: {error}"))?;
        power::prepare(&info.acpi);
        let archive = window::archive(info.archive_size);
        let manifest = archive::file(archive, bootinfo::archive::MANIFEST)
            .ok_or("the archive has no manifest")?;
        let manifest: manifest::Manifest =
            postcard::from_bytes(manifest).map_err(|error| format!("the manifest: {error}"))?;
        let count: usize = manifest.programs.iter().map(|p| p.instances()).sum();
        if count > MAX_PROGRAMS {
            return Err(format!(
                "the manifest has more than {MAX_PROGRAMS} programs"
            ));
        }
        let pixels = Pixels::of(info.command_line);
        let machine = Machine::new(&info.untyped);
        own_objects(&machine).map_err(|problem| problem.to_string())?;
        let mut entries = manifest.programs;
        if let Some(pixels) = pixels {
            entries
                .iter_mut()
                .for_each(|entry| screen::place(entry, pixels));
        }
        if let Some(relay) = Relay::of(info.command_line) {
            entries
                .iter_mut()
                .for_each(|entry| relayed::place(entry, relay));
        }
        let programs = children::all_programs(entries);
        let mut system = Self {
            programs,
            machine,
            acpi: info.acpi,
            archive,
            tsc_hz: info.tsc_hz,
            last_id: 0,
        };
        children::make_waiters(&system.programs).map_err(|error| format!("{error:?}"))?;
        system.start_all();
        let count = |what: fn(&&Program) -> bool| system.programs.iter().filter(what).count();
        let (running, wanted) = (
            count(|p| p.state == State::Running),
            count(|p| p.parent.is_none()),
        );
        if running == 0 {
            return Err("no program could be started".into());
        }
        log!(
            "system {}: {running} of {wanted} programs started",
            manifest.name
        );
        system.leave_serial_line();
        Ok(system)
    }

    fn start_all(&mut self) {
        // Largest first: pieces of a power of two then fit without gaps.
        let mut order: Vec<usize> = (0..self.programs.len()).collect();
        // What may be started later comes last: it is missed least.
        order.sort_by_key(|i| {
            let program = &self.programs[*i];
            (program.parent.is_some(), Reverse(program.manifest.memory))
        });
        for index in order {
            let program = &mut self.programs[index];
            let (bits, into) = (
                budget::bits(program.manifest.memory),
                program.slots.budget(),
            );
            program.budget = bits.filter(|bits| self.machine.split(*bits, into).is_ok());
            let shared = program.manifest.shared;
            if shared != 0 {
                let bits = shared.trailing_zeros() as u8;
                if let Err(error) = self.machine.split(bits, program.slots.pool()) {
                    log!("program {} can share no memory: {error:?}", program.name());
                }
            }
        }
        // All endpoints first, so that programs may need each other in any order.
        let first = |index: &usize| self.programs[*index].parent.is_none();
        let wanted: Vec<_> = (0..self.programs.len()).filter(first).collect();
        let objects: Vec<_> = wanted
            .iter()
            .map(|index| self.make_objects(*index))
            .collect();
        for (index, made) in wanted.into_iter().zip(objects) {
            let built = made.and_then(|()| self.finish(index));
            self.settle(index, built);
        }
    }

    /// When the next program is to be started anew.
    pub fn next_restart(&self) -> Option<u64> {
        let dues = self.programs.iter().filter_map(|p| p.restarts.due());
        dues.min()
    }

    /// Starts the programs anew whose time has come.
    pub fn restart_due(&mut self, now: u64) {
        for index in 0..self.programs.len() {
            if self.programs[index].restarts.take_due(now) {
                self.restart(index);
            }
        }
    }

    /// Tells the servers that the program at `index` could call that it is no more.
    pub fn tell_servers(&self, index: usize) {
        let dead = &self.programs[index].manifest;
        let servers = self.programs.iter().filter(|p| p.parent.is_none());
        for server in servers.filter(|p| p.state == State::Running) {
            if dead.calls(server.name())
                && let Err(error) = server.slots.gone().raise()
            {
                log!("program {} is not told who died: {error:?}", server.name());
            }
        }
    }

    /// Builds a program that was torn down, and gives its clients the new endpoint.
    fn restart(&mut self, index: usize) {
        if self.start(index) {
            self.refill_clients(index);
        }
    }

    /// Builds a program that was torn down or never built. Says whether it runs.
    pub fn start(&mut self, index: usize) -> bool {
        let built = self.make_objects(index).and_then(|()| self.finish(index));
        self.settle(index, built)
    }

    /// Takes back what a failed attempt has made. Says whether the program runs.
    fn settle(&mut self, index: usize, built: Result<(), Problem>) -> bool {
        let Err(problem) = built else { return true };
        let program = &mut self.programs[index];
        log!(
            "program {} does not start: {problem}; the system goes on without it",
            program.name()
        );
        tear_down(program, State::Absent);
        false
    }

    fn make_objects(&mut self, index: usize) -> Result<(), Problem> {
        self.last_id += 1;
        let shared = shared::address_space(&self.programs, index);
        self.programs[index].make_objects(self.last_id, shared)
    }

    /// Fills a program's table and space, and starts it.
    fn finish(&mut self, index: usize) -> Result<(), Problem> {
        let file = archive::file(self.archive, self.programs[index].manifest.file())
            .ok_or(Problem::NoFile)?;
        let elf = elf::parse(file).map_err(Problem::BadElf)?;
        let endpoints = self.give_endpoints(index)?;
        let clients = self.clients(index);
        let program = &mut self.programs[index];
        if clients > 0 {
            program.make_gone().step("make its `gone` interrupt")?;
        }
        let mut next = endpoints
            .last()
            .map_or(FIRST, |(_, slot)| slot + 1)
            .max(FIRST);
        let replies = give_replies(program, &mut next)?;
        let own = give_own(program, &mut next)?;
        let devices = device::give_all(program, &self.acpi, &mut next)?;
        program.free_slot = next;
        load::segments(program, &elf)?;
        load::stack(program)?;
        let info = ProgramInfo {
            id: program.id,
            name: program.name().into(),
            file: program.manifest.file().into(),
            args: program.manifest.args.clone(),
            env: program.env.clone(),
            tsc_hz: self.tsc_hz,
            endpoints,
            replies,
            clients,
            sessions: program.manifest.sessions,
            own,
            devices,
            binaries: program
                .manifest
                .children
                .as_ref()
                .map_or_else(Vec::new, |children| children.binaries.clone()),
            free_slots: (next, 1 << layout::TABLE_BITS),
        };
        load::info(program, &info)?;
        load::thread(program, elf.entry)?;
        program.start()
    }

    /// Gives a program its own table and endpoint, and the endpoints it may call.
    fn give_endpoints(&self, index: usize) -> Result<Vec<(String, u32)>, Problem> {
        let program = &self.programs[index];
        let slots = program.slots;
        program
            .give(program::TABLE, slots.table().0, OWN_TABLE, 0)
            .step("give it its table")?;
        program
            .give(program::ENDPOINT, slots.endpoint(), endpoint::ALL, 0)
            .step("give it its endpoint")?;
        let badge = program.badge(facet::FAULT);
        TABLE
            .derive(slots.fault(), ENDPOINT, endpoint::CALL, badge)
            .step("make its fault endpoint")?;
        let endpoints = layout::endpoints(&program.manifest.needs);
        if endpoints.len() > 1 << (layout::TABLE_BITS - 1) {
            return Err(Problem::BadManifest("it needs too many programs"));
        }
        for (name, slot) in &endpoints {
            self.give_endpoint(program, name, *slot)?;
        }
        Ok(endpoints)
    }

    fn give_endpoint(&self, program: &Program, name: &str, slot: u32) -> Result<(), Problem> {
        let (source, facet) = match name {
            layout::MEMORY => (ENDPOINT, facet::MEMORY),
            layout::CONTROL => (ENDPOINT, facet::CONTROL),
            _ => self.server(name)?,
        };
        match program.give(slot, source, endpoint::CALL, program.badge(facet)) {
            // The server could not be built: its clients find an empty slot.
            Err(abi::Error::NoCapability) => Ok(()),
            given => given.step("give it an endpoint it needs"),
        }
    }

    /// The endpoint that an entry of `needs` names, and the number of its facet.
    fn server(&self, need: &str) -> Result<(Slot, u32), Problem> {
        let (name, facet) = manifest::Program::need(need);
        let mut servers = self.programs.iter().filter(|p| p.parent.is_none());
        let server = servers.find(|p| p.name() == name);
        let server = server.ok_or(Problem::BadManifest(
            "it needs a program that does not exist",
        ))?;
        let number = match facet {
            None => Some(0),
            Some(facet) => {
                let mut facets = server.manifest.facets.iter();
                facets.position(|f| f == facet).map(|i| i as u32 + 1)
            }
        };
        let number = number.filter(|number| *number <= LAST_FACET);
        let number = number.ok_or(Problem::BadManifest("it needs a facet that does not exist"))?;
        Ok((server.slots.endpoint(), number))
    }

    /// How many programs may call the one at `index` at a time.
    fn clients(&self, index: usize) -> u32 {
        let server = self.programs[index].name();
        let clients = self.programs.iter().filter(|p| p.parent.is_none());
        let clients = clients.filter(|p| p.manifest.calls(server));
        clients.map(|p| p.manifest.instances() as u32).sum()
    }

    fn refill_clients(&self, index: usize) {
        let server = self.programs[index].name();
        for client in self.programs.iter().filter(|p| p.state == State::Running) {
            for (name, slot) in layout::endpoints(&client.manifest.needs)
                .iter()
                .filter(|(need, _)| manifest::Program::need(need).0 == server)
            {
                if let Err(problem) = self.give_endpoint(client, name, *slot) {
                    log!("program {} lost {name}: {problem}", client.name());
                }
            }
        }
    }

    /// The running program with this id.
    pub fn find(&self, id: u32) -> Option<usize> {
        self.programs
            .iter()
            .position(|p| p.id == id && p.state == State::Running)
    }

    /// The kernel stops writing to the serial line once a program owns it.
    fn leave_serial_line(&self) {
        let owns = |device: &manifest::Device| match device {
            manifest::Device::Ports { base, count } => {
                (*base..base.saturating_add(*count)).contains(&SERIAL)
            }
            _ => false,
        };
        let mut running = self.programs.iter().filter(|p| p.state == State::Running);
        if running.any(|p| p.manifest.devices.iter().any(owns)) {
            let _ = SYSTEM.log_quiet();
        }
    }
}

/// Root's own few objects.
fn own_objects(machine: &Machine) -> Result<(), Problem> {
    machine
        .split(12, OWN_MEMORY)
        .step("give root memory of its own")?;
    OWN_MEMORY
        .retype(Kind::Endpoint, 0, 1, TABLE, ENDPOINT, untyped::ALL)
        .step("make root's endpoint")?;
    SYSTEM
        .io_ports(PCI.0, PCI.1, PCI_PORTS.0)
        .step("make the PCI ports")
}

/// Gives a program its Untyped, and capabilities to its own Space and Thread, if the manifest says so. (The Untyped was
/// made with its other objects: largest first.)
fn give_own(program: &Program, next: &mut u32) -> Result<Option<Own>, Problem> {
    if program.manifest.untyped == 0 {
        return Ok(None);
    }
    let own = Own {
        untyped: *next,
        space: *next + 1,
        thread: *next + 2,
        fault: *next + 3,
        priority: program.manifest.priority,
    };
    let (slots, table) = (program.slots, program.slots.table());
    table
        .move_from(Slot(own.untyped), slots.untyped().0)
        .and_then(|()| table.derive(Slot(own.space), slots.space().0, space::ALL, 0))
        .and_then(|()| table.derive(Slot(own.thread), slots.thread().0, thread::ALL, 0))
        .and_then(|()| table.derive(Slot(own.fault), slots.fault(), endpoint::CALL, 0))
        .step("give it an Untyped")?;
    *next += 4;
    Ok(Some(own))
}

/// Makes a program's Reply objects in its own table.
fn give_replies(program: &Program, next: &mut u32) -> Result<Vec<u32>, Problem> {
    let count = program.manifest.replies as u32;
    if *next + count > 1 << layout::TABLE_BITS {
        return Err(Problem::BadManifest("it wants too many Reply objects"));
    }
    let replies = *next..*next + count;
    for first in replies.clone().step_by(64) {
        let count = (replies.end - first).min(64);
        let slots = program.slots;
        let made = slots.budget().retype(
            Kind::Reply,
            0,
            count as u16,
            slots.table(),
            Slot(first),
            untyped::ALL,
        );
        made.step("make its Reply objects")?;
    }
    *next += count;
    Ok(replies.collect())
}

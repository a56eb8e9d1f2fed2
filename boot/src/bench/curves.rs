//! Reads and writes over their size: the rows `{read,write}.{call,trap,ipc}.{device}.{bytes}[.copy|.shared|.regs]` as curves, and
//! where one becomes cheaper than another.

use std::collections::BTreeSet;

use super::results::Results;

/// How a caller reaches the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// A function of its own binary.
    Call,
    /// A system call of a monolithic kernel.
    Trap,
    /// A message to a server.
    Message,
}

impl Way {
    /// All, cheapest structure first.
    pub const ALL: [Way; 3] = [Way::Call, Way::Trap, Way::Message];

    /// As in the text of a report.
    pub fn name(self) -> &'static str {
        match self {
            Way::Call => "function call",
            Way::Trap => "trap",
            Way::Message => "message",
        }
    }

    /// As in an id.
    pub fn word(self) -> &'static str {
        match self {
            Way::Call => "call",
            Way::Trap => "trap",
            Way::Message => "ipc",
        }
    }
}

/// How the data travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Path {
    /// Whatever is best for the size: an id without a suffix.
    Best,
    /// In registers.
    Registers,
    /// Copied once, between the caller's memory and the driver's.
    Copy,
    /// In memory that both sides see.
    Shared,
}

impl Path {
    /// As in the text of a report.
    pub fn name(self) -> &'static str {
        match self {
            Path::Best => "",
            Path::Registers => ", in registers",
            Path::Copy => ", copied",
            Path::Shared => ", shared memory",
        }
    }
}

/// The direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// Bytes come.
    Read,
    /// Bytes go.
    Write,
}

impl Verb {
    /// Both.
    pub const ALL: [Verb; 2] = [Verb::Read, Verb::Write];

    /// As in an id.
    pub fn word(self) -> &'static str {
        match self {
            Verb::Read => "read",
            Verb::Write => "write",
        }
    }

    /// As in the text of a report.
    pub fn name(self) -> &'static str {
        match self {
            Verb::Read => "Reading",
            Verb::Write => "Writing",
        }
    }
}

/// What an id of a read or a write says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read<'a> {
    /// The direction.
    pub verb: Verb,
    /// How the driver is reached.
    pub way: Way,
    /// The device.
    pub device: &'a str,
    /// Bytes asked for.
    pub size: u64,
    /// How they travel.
    pub path: Path,
}

impl<'a> Read<'a> {
    /// `None`: it is neither's.
    pub fn parse(id: &'a str) -> Option<Read<'a>> {
        let mut words = id.split('.');
        let verb = words.next()?;
        let verb = Verb::ALL.into_iter().find(|known| known.word() == verb)?;
        let way = words.next()?;
        let way = Way::ALL.into_iter().find(|known| known.word() == way)?;
        let device = words.next()?;
        let size = words.next()?.parse().ok()?;
        let path = match words.next() {
            None => Path::Best,
            Some("regs") => Path::Registers,
            Some("copy") => Path::Copy,
            Some("shared") => Path::Shared,
            Some(_) => return None,
        };
        let read = Read {
            verb,
            way,
            device,
            size,
            path,
        };
        words.next().is_none().then_some(read)
    }

    /// The id of the same by function call, on the best path.
    pub fn by_call(&self) -> String {
        let (verb, call) = (self.verb.word(), Way::Call.word());
        format!("{verb}.{call}.{}.{}", self.device, self.size)
    }

    /// Bytes that the processor copies through memory. Without a suffix, a device that reads by itself moves the caller's pages
    /// for a call or a trap, and `null` brings nothing; all else is copied once.
    pub fn copied(&self) -> u64 {
        let whole = self.way != Way::Message && self.device == "disk";
        match self.path {
            Path::Shared | Path::Registers => 0,
            Path::Best if whole || self.device == "null" => 0,
            Path::Best | Path::Copy => self.size,
        }
    }
}

/// Medians of one way and path over sizes, which ascend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Curve {
    /// How the driver is reached.
    pub way: Way,
    /// How the data travels.
    pub path: Path,
    /// Size, median, bytes copied.
    pub points: Vec<(u64, u64, u64)>,
}

impl Curve {
    /// For a legend.
    pub fn name(&self) -> String {
        format!("{}{}", self.way.name(), self.path.name())
    }

    fn at(&self, size: u64) -> Option<f64> {
        let point = self.points.iter().find(|point| point.0 == size)?;
        Some(point.1 as f64)
    }

    fn copies(&self) -> bool {
        self.points.last().is_some_and(|point| point.2 > 0)
    }
}

/// The devices that were read, or written.
pub fn devices(results: &Results, verb: Verb) -> Vec<String> {
    let rows = results.results.iter();
    let reads = rows.filter_map(|row| Read::parse(&row.id).filter(|read| read.verb == verb));
    let names: BTreeSet<&str> = reads.map(|read| read.device).collect();
    names.into_iter().map(String::from).collect()
}

/// The curves of a device; those of `.copy` and so on beside that without a suffix.
pub fn curves(results: &Results, verb: Verb, device: &str) -> Vec<Curve> {
    let mut curves: Vec<Curve> = Vec::new();
    for row in &results.results {
        let read = Read::parse(&row.id);
        let wanted = |read: &Read| (read.verb, read.device) == (verb, device);
        let Some(read) = read.filter(wanted) else {
            continue;
        };
        let point = (read.size, row.summary.median, read.copied());
        let same = |curve: &&mut Curve| (curve.way, curve.path) == (read.way, read.path);
        match curves.iter_mut().find(same) {
            Some(curve) => curve.points.push(point),
            None => curves.push(Curve {
                way: read.way,
                path: read.path,
                points: vec![point],
            }),
        }
    }
    curves.iter_mut().for_each(|curve| curve.points.sort());
    curves.sort_by_key(|curve| (curve.way, curve.path));
    curves
}

/// Where of two curves the one that was cheaper becomes the dearer.
#[derive(Debug, Clone, PartialEq)]
pub struct Crossover {
    /// Bytes, between two sizes that were measured.
    pub size: f64,
    /// What both cost there.
    pub cost: f64,
    /// Cheaper up to there.
    pub below: String,
    /// Cheaper from there on.
    pub above: String,
}

/// The crossovers of a device's curves, of which at least one copies. A curve without a suffix is one of the others at
/// each size, and is left out where there are others.
pub fn crossovers(curves: &[Curve]) -> Vec<Crossover> {
    let plain = |curve: &&Curve| {
        let variant = |other: &Curve| other.way == curve.way && other.path != Path::Best;
        curve.path != Path::Best || !curves.iter().any(variant)
    };
    let curves: Vec<&Curve> = curves.iter().filter(plain).collect();
    let mut found: Vec<Crossover> = Vec::new();
    for (index, one) in curves.iter().enumerate() {
        for other in &curves[index + 1..] {
            if one.copies() || other.copies() {
                found.extend(crossover(one, other));
            }
        }
    }
    found.sort_by(|one, other| one.size.total_cmp(&other.size));
    found
}

/// The one place where two curves cross. A copy's cost is a line over the size, and so it is taken between two sizes.
fn crossover(one: &Curve, other: &Curve) -> Option<Crossover> {
    let both: Vec<(f64, f64, f64)> = one
        .points
        .iter()
        .filter_map(|(size, cost, _)| Some((*size as f64, *cost as f64, other.at(*size)?)))
        .collect();
    let ahead = |point: &(f64, f64, f64)| point.1 < point.2;
    let mut turns = both
        .windows(2)
        .filter(|pair| ahead(&pair[0]) != ahead(&pair[1]));
    let pair = turns.next()?;
    if turns.next().is_some() {
        return None;
    }
    let gap = |point: &(f64, f64, f64)| point.1 - point.2;
    let share = gap(&pair[0]) / (gap(&pair[0]) - gap(&pair[1]));
    let between = |a: f64, b: f64| a + share * (b - a);
    let names = (one.name(), other.name());
    let (below, above) = match ahead(&pair[0]) {
        true => names,
        false => (names.1, names.0),
    };
    Some(Crossover {
        size: between(pair[0].0, pair[1].0),
        cost: between(pair[0].1, pair[1].1),
        below,
        above,
    })
}

#[cfg(test)]
mod tests {
    use super::super::results::tests::results;
    use super::*;

    #[test]
    fn ids_are_understood() {
        let read = Read::parse("read.trap.disk.4096.copy").expect("it is a read");
        assert_eq!(
            (read.way, read.device, read.size),
            (Way::Trap, "disk", 4096)
        );
        assert_eq!((read.path, read.copied()), (Path::Copy, 4096));
        let write = Read::parse("write.ipc.disk.512.copy").expect("it is a write");
        assert_eq!(write.by_call(), "write.call.disk.512");
        let copied = |id| Read::parse(id).map(|read| read.copied());
        assert_eq!(copied("read.call.disk.4096"), Some(0));
        assert_eq!(copied("read.ipc.disk.4096"), Some(4096));
        assert_eq!(copied("read.ipc.disk.4096.shared"), Some(0));
        for other in [
            "trap.null",
            "read.ipc",
            "read.ipc.disk.x",
            "read.ipc.disk.1.x",
            "read.ipc.disk.1.copy.y",
        ] {
            assert_eq!(Read::parse(other), None, "{other}");
        }
    }

    /// A copy of one instruction for 8 bytes behind a trap, against a message without a copy.
    #[test]
    fn the_crossover_is_where_the_curves_meet() {
        let sizes = [64, 1024, 4096, 65536];
        let copied = sizes.map(|size| (format!("read.trap.zero.{size}.copy"), 100 + size / 8));
        let shared = sizes.map(|size| (format!("read.ipc.zero.{size}.shared"), 300));
        let rows = results(
            copied
                .iter()
                .chain(&shared)
                .map(|(id, cost)| (id.as_str(), *cost)),
        );
        assert_eq!(devices(&rows, Verb::Read), ["zero"]);
        let found = crossovers(&curves(&rows, Verb::Read, "zero"));
        let [crossover] = found.as_slice() else {
            panic!("{found:?}")
        };
        assert_eq!((crossover.size, crossover.cost), (1600.0, 300.0));
        assert_eq!(crossover.below, "trap, copied");
        assert_eq!(crossover.above, "message, shared memory");
        // Neither of two curves copies, or they do not cross.
        let flat = [
            ("read.ipc.a.1.shared", 5),
            ("read.ipc.a.2.shared", 5),
            ("read.trap.a.1.shared", 4),
            ("read.trap.a.2.shared", 6),
        ];
        assert_eq!(crossovers(&curves(&results(flat), Verb::Read, "a")), []);
        let apart = [
            ("read.ipc.a.1.copy", 5),
            ("read.ipc.a.2.copy", 6),
            ("read.trap.a.1.copy", 4),
            ("read.trap.a.2.copy", 5),
        ];
        assert_eq!(crossovers(&curves(&results(apart), Verb::Read, "a")), []);
    }
}

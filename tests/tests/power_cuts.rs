//! The file system under power cuts: a workload is cut after every single sector write. At the next mount, every file must
//! be as it was before or after the interrupted operation, and the host's `fsck.fat -n` must find nothing.

use std::collections::BTreeSet;

use fs::disk::SECTOR;
use fs::repair::Report;
use fs::volume::Volume;
use libsys::proto::io::IoError;
use tests::medium::{Bus, Host, Medium};
use tests::workload::{Step, Tree, act, content, expect, under, workload};

/// A run of the workload: how far it came, and the disk then.
struct Run {
    /// The step that was interrupted.
    step: usize,
    medium: Medium,
}

fn run(host: &Host, power: u64) -> Run {
    let mut medium = host.medium();
    medium.power = power;
    let bus = Bus::to(medium);
    let (mut volume, report) = Volume::mount(bus.clone()).expect("a fresh volume");
    assert_eq!(report, None, "a fresh volume needs no repair");
    let steps = workload();
    let mut step = 0;
    while step < steps.len() {
        match act(&mut volume, &steps[step], step) {
            Ok(()) => step += 1,
            Err(error) => {
                let medium = bus.0.borrow();
                assert_eq!(medium.writes, medium.power, "step {step}: {error:?}");
                break;
            }
        }
    }
    let medium = bus.0.borrow().clone();
    Run { step, medium }
}

/// The trees before each step, and at the end.
fn trees() -> Vec<Tree> {
    let mut trees = vec![Tree::new()];
    for (number, step) in workload().iter().enumerate() {
        let mut tree = trees[number].clone();
        expect(&mut tree, step, number);
        trees.push(tree);
    }
    trees
}

/// Mounts a disk after a power cut; the repair may be cut, too.
fn mount(medium: Medium, power: u64) -> Result<(Tree, Option<Report>, Medium), Medium> {
    let bus = Bus::to(Medium { power, ..medium });
    let mounted = Volume::mount(bus.clone());
    let result = mounted.map(|(mut volume, report)| (content(&mut volume), report));
    let medium = bus.0.borrow().clone().restarted(|| true);
    match result {
        Ok((tree, report)) => Ok((tree, report, medium)),
        Err(_) => Err(medium),
    }
}

/// A file that is being overwritten may hold both.
fn mixed(found: &Tree, before: &Tree, after: &Tree) -> bool {
    let same_names = found.keys().eq(before.keys()) && before.keys().eq(after.keys());
    same_names
        && found.iter().all(
            |(name, content)| match (content, &before[name], &after[name]) {
                (None, None, None) => true,
                (Some(content), Some(old), Some(new)) => {
                    content.len() == old.len()
                        && old.len() == new.len()
                        && content
                            .iter()
                            .zip(old.iter().zip(new))
                            .all(|(byte, (old, new))| byte == old || byte == new)
                }
                _ => false,
            },
        )
}

fn every_cut(bits: u8, size: u64) {
    let host = Host::new(bits, size);
    let (steps, trees) = (workload(), trees());
    let whole = run(&host, u64::MAX);
    assert_eq!(whole.step, steps.len());
    let writes = whole.medium.writes;
    let (tree, report, medium) = mount(whole.medium.restarted(|| true), u64::MAX)
        .unwrap_or_else(|_| panic!("the workload's end can be mounted"));
    assert_eq!((&tree, report), (trees.last().expect("an end"), None));
    host.check(&medium).expect("the workload's end is in order");

    let mut repaired = Report::default();
    for cut in 0..writes {
        let Run { step, medium } = run(&host, cut);
        let at = format!("FAT{bits}, cut {cut} in step {step}, {:?}", steps[step]);
        let medium = medium.restarted(|| true);
        let Ok((found, report, after)) = mount(medium.clone(), u64::MAX) else {
            panic!("{at}: it cannot be mounted")
        };
        let fine = |found: &Tree| {
            let (old, new) = (&trees[step], &trees[step + 1]);
            found == old || found == new || mixed(found, old, new)
        };
        assert!(fine(&found), "{at}: {}", differences(&found, &trees[step]));
        host.check(&after)
            .unwrap_or_else(|said| panic!("{at}: {report:?}\n{said}"));
        if let Some(report) = report {
            add(&mut repaired, &report);
        }
        // The power may fail again during the repair.
        if cut % 16 == 3 {
            for again in 0.. {
                let Err(medium) = mount(medium.clone(), again) else {
                    break;
                };
                let Ok((found, report, after)) = mount(medium, u64::MAX) else {
                    panic!("{at}, again at {again}: it cannot be mounted")
                };
                assert!(fine(&found), "{at}, again at {again}");
                host.check(&after)
                    .unwrap_or_else(|said| panic!("{at}, again at {again}: {report:?}\n{said}"));
            }
        }
    }
    println!("FAT{bits}: {writes} cuts; {repaired}");
    assert!(repaired.lost > 0 && repaired.entries > 0 && repaired.names > 0);
}

fn add(sum: &mut Report, report: &Report) {
    sum.copies += report.copies;
    sum.lost += report.lost;
    sum.cut += report.cut;
    sum.entries += report.entries;
    sum.names += report.names;
    sum.corrected += report.corrected;
}

fn differences(found: &Tree, wanted: &Tree) -> String {
    let names: BTreeSet<_> = found.keys().chain(wanted.keys()).collect();
    let line = |tree: &Tree, name: &str| match tree.get(name) {
        None => "nothing".to_string(),
        Some(None) => "a directory".to_string(),
        Some(Some(bytes)) => format!("{} bytes", bytes.len()),
    };
    names
        .into_iter()
        .filter(|name| found.get(*name) != wanted.get(*name))
        .map(|name| {
            format!(
                "{name}: {}, was {}\n",
                line(found, name),
                line(wanted, name)
            )
        })
        .collect()
}

#[test]
fn every_write_of_fat12_can_be_the_last() {
    every_cut(12, 1 << 20);
}

#[test]
fn every_write_of_fat16_can_be_the_last() {
    every_cut(16, 4 << 20);
}

#[test]
fn every_write_of_fat32_can_be_the_last() {
    every_cut(32, 34 << 20);
}

/// A disk may keep writes back until the next flush, and lose any of them.
#[test]
fn writes_that_were_not_flushed_may_be_lost_in_any_order() {
    let host = Host::new(16, 4 << 20);
    let (steps, trees) = (workload(), trees());
    let writes = run(&host, u64::MAX).medium.writes;
    let mut random = 0x1234_5678_9abc_def1_u64;
    let mut survives = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        !random.is_multiple_of(3)
    };
    for cut in (0..writes).chain(0..writes) {
        let Run { step, medium } = run(&host, cut);
        let at = format!("cut {cut} in step {step}, {:?}", steps[step]);
        let lost = medium.restarted(&mut survives);
        let Ok((found, report, after)) = mount(lost, u64::MAX) else {
            panic!("{at}: it cannot be mounted")
        };
        host.check(&after)
            .unwrap_or_else(|said| panic!("{at}: {report:?}\n{said}"));
        // Whatever nobody has touched since everything was flushed is as it was then.
        let durable = |step: &&Step| matches!(step, Step::Sync | Step::Rename(..));
        let done = &steps[..step];
        let since = done
            .iter()
            .rposition(|step| durable(&step))
            .map_or(0, |last| last + 1);
        for (name, content) in &trees[since] {
            let mut known = trees[since..=step].iter().map(|tree| tree.get(name));
            if known.any(|known| known != Some(content)) {
                continue;
            }
            let as_it_was = |name: &str| {
                let mut found = found.iter();
                found.any(|(known, found)| known.eq_ignore_ascii_case(name) && found == content)
            };
            let there = match &steps[step] {
                Step::Rename(from, to) if under(name, from) => {
                    as_it_was(name) || as_it_was(&format!("{to}{}", &name[from.len()..]))
                }
                // This step may have changed it.
                _ if trees[step + 1].get(name) != Some(content) => true,
                _ => as_it_was(name),
            };
            assert!(there, "{at}: {name} is lost");
        }
    }
}

/// Damage of any kind is repaired somehow: no panic, no endless loop, and what is left can be read.
#[test]
fn any_damage_can_be_mounted_or_is_refused() {
    for (bits, size) in [(12, 1 << 20), (16, 4 << 20)] {
        let host = Host::new(bits, size);
        let whole = run(&host, u64::MAX).medium.restarted(|| true);
        // All that is not data: the damage shall hit tables and directories.
        let sectors: Vec<u64> = whole.written.keys().copied().chain(0..4).collect();
        let (mut random, mut refused) = (0x0f1e_2d3c_4b5a_6978_u64, 0);
        let mut next = move |below: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random >> 11) as usize % below
        };
        for round in 0..400 {
            let mut medium = whole.clone();
            for _ in 0..1 + next(40) {
                let number = sectors[next(sectors.len())];
                let mut sector = medium.sector(number);
                let (at, byte) = (next(SECTOR), next(256) as u8);
                sector[at] = byte;
                if next(4) == 0 {
                    let length = next(SECTOR - at) + 1;
                    sector[at..at + length].fill(byte);
                }
                medium.written.insert(number, sector);
            }
            // The marks that say so: without them the volume would count as in order.
            let mut boot = medium.sector(0);
            boot[0x25] |= 1;
            medium.written.insert(0, boot);
            match mount_only(medium) {
                Ok(()) => {}
                Err(IoError::NoFileSystem | IoError::Corrupt) => refused += 1,
                Err(error) => panic!("FAT{bits}, round {round}: {error:?}"),
            }
        }
        assert!(refused < 300, "FAT{bits}: {refused} of 400 refused");
    }
}

/// Mounts a damaged volume, looks at everything and changes something.
fn mount_only(medium: Medium) -> Result<(), IoError> {
    let bus = Bus::to(medium);
    let (volume, first) = Volume::mount(bus.clone())?;
    drop(volume);
    let (mut volume, again) = Volume::mount(bus.clone())?;
    assert_eq!(again, None, "after {first:?}");
    let looked = look(&mut volume, "", 0);
    if let Err(error) = looked {
        assert_ne!(error, IoError::DeviceError);
    }
    let made = volume.open("made after the damage", true, true);
    if let Ok(mut open) = made {
        // A full volume refuses; nothing may panic.
        let _ = volume.write(&mut open, None, &[7; 2000]);
        volume.close(open)?;
    }
    volume.sync()?;
    // What was repaired once needs no repair again.
    drop(volume);
    let clean = bus.0.borrow().clone().restarted(|| true);
    let (_, again) = Volume::mount(Bus::to(clean))?;
    assert_eq!(again, None);
    Ok(())
}

fn look(volume: &mut Volume<Bus>, directory: &str, depth: usize) -> Result<(), IoError> {
    assert!(depth < 20, "directories in a circle");
    let open = volume.open(directory, false, false)?;
    let listed = volume.list(&open, 0, 10_000);
    volume.close(open)?;
    for entry in listed?.0 {
        let path = format!("{directory}/{}", entry.name);
        if entry.directory {
            look(volume, &path, depth + 1)?;
        } else if let Ok(mut open) = volume.open(&path, false, false) {
            let read = volume.read(&mut open, 0, usize::MAX, |_, _| Ok(()));
            volume.close(open)?;
            read?;
        }
    }
    Ok(())
}

use super::*;

/// A server and its client, both as they should be.
fn good() -> Manifest {
    toml::from_str(
        r#"
        name = "test"
        [[program]]
        name = "server"
        rank = 20
        priority = 100
        memory = 0x10000
        needs = ["root.memory"]
        exports = ["thing:"]
        devices = [{ ports = { base = 0x3f8, count = 8 } }, { irq = { isa = 4 } },
                   { pci = { vendor = 0x1af4, device = [0x1001, 0x1042] } }]
        [[program]]
        name = "client"
        rank = 10
        priority = 50
        memory = 0x1000
        needs = ["root.memory", "root.control", "server"]
        "#,
    )
    .expect("the manifest of this test is TOML")
}

/// [`good`], whose client may start programs.
fn parent() -> Manifest {
    let mut manifest = good();
    manifest.programs[1].children = Some(manifest::Children {
        count: 3,
        memory: 0x10000,
        untyped: 0x8000,
        binaries: vec!["tool".into(), "other".into()],
    });
    manifest
}

/// Exactly one complaint, with these words in it.
#[track_caller]
fn wrong(words: &str, change: impl FnOnce(&mut Manifest)) {
    refused(words, good(), change);
}

/// [`wrong`], for a manifest of [`parent`].
#[track_caller]
fn wrong_children(words: &str, change: impl FnOnce(&mut Program, &mut manifest::Children)) {
    refused(words, parent(), |m| {
        let client = &mut m.programs[1];
        let mut children = client.children.take().expect("it has some");
        change(client, &mut children);
        client.children = Some(children);
    });
}

#[track_caller]
fn refused(words: &str, mut manifest: Manifest, change: impl FnOnce(&mut Manifest)) {
    change(&mut manifest);
    let found = complaints(&manifest);
    assert!(
        found.len() == 1 && found[0].contains(words),
        "wanted `{words}`, got {found:?}"
    );
}

#[test]
fn a_good_manifest_passes() {
    assert_eq!(complaints(&good()), Vec::<String>::new());
}

#[test]
fn each_rule_is_kept() {
    wrong("no program of this system", |m| {
        m.programs[1].needs.push("nobody".into())
    });
    wrong("twice", |m| m.programs[1].needs.push("server".into()));
    wrong("needs lacks `root.memory`", |m| m.programs[0].needs.clear());
    wrong("only higher ranks", |m| m.programs[0].rank = 10);
    wrong("above priority 49", |m| m.programs[0].priority = 49);
    wrong("priority 0 is not", |m| m.programs[1].priority = 0);
    wrong("priority 251 is not", |m| m.programs[0].priority = 251);
    wrong("memory 0x0 ", |m| m.programs[0].memory = 0);
    wrong("memory 0x1001 ", |m| m.programs[0].memory = 0x1001);
    for untyped in [0x800, 0x1800, 0x10000] {
        wrong(&format!("untyped {untyped:#x} is not"), |m| {
            m.programs[0].untyped = untyped
        });
    }
    wrong("`thing:`, which `server` exports already", |m| {
        m.programs[1].exports.push("thing:".into())
    });
    wrong("`thing:`, which `server` exports already", |m| {
        m.programs[0].exports.push("thing:".into())
    });
    wrong("not a name with `:`", |m| {
        m.programs[0].exports.push("other".into())
    });
    wrong("two programs of this name", |m| {
        m.programs[1].needs.pop();
        m.programs[1].name = "server".into();
    });
    wrong("taken by the system", |m| {
        m.programs[1].binary = "kernel".into()
    });
    wrong("lower-case", |m| m.programs[1].name = "Client".into());
    wrong("`server` has no such facet", |m| {
        m.programs[1].needs[2] = "server.back-door".into()
    });
    wrong("`In` cannot be a facet", |m| {
        m.programs[0].facets = vec!["In".into()]
    });
    wrong("`in` cannot be a facet", |m| {
        m.programs[0].facets = vec!["in".into(), "in".into()]
    });
    wrong("4097 sessions for each of the 1 programs", |m| {
        m.programs[0].sessions = 4097;
    });
    wrong("replies 1 are fewer than the 2 programs", |m| {
        m.programs[0].replies = 1;
        let mut second = m.programs[1].clone();
        second.name = "second".into();
        m.programs.push(second);
    });
}

#[test]
fn children_keep_rules() {
    assert_eq!(complaints(&parent()), Vec::<String>::new());
    wrong_children("children: memory 0x0 ", |_, c| {
        (c.memory, c.untyped) = (0, 0);
    });
    wrong_children("children: memory 0x10001 ", |_, c| c.memory = 0x10001);
    for untyped in [0x800, 0x1800, 0x10000] {
        let words = format!("children: untyped {untyped:#x} is not");
        wrong_children(&words, |_, c| c.untyped = untyped);
    }
    wrong_children("children: there can be none", |_, c| c.count = 0);
    wrong_children("children: there can be none", |_, c| c.binaries.clear());
    wrong_children("`Tool` is not a name", |_, c| c.binaries[0] = "Tool".into());
    wrong_children("`root` is taken by the system", |_, c| {
        c.binaries[1] = "root".into();
    });
    wrong_children("children: their priority would be 0", |p, _| p.priority = 1);
}

/// Each of them is a caller of its own.
#[test]
fn children_have_shares() {
    refused("replies 3 are fewer than the 4 programs", parent(), |m| {
        m.programs[0].replies = 3;
    });
    refused("1025 sessions for each of the 4", parent(), |m| {
        m.programs[0].sessions = 1025;
    });
    let mut manifest = parent();
    (manifest.programs[0].replies, manifest.programs[0].sessions) = (4, 1024);
    assert_eq!(complaints(&manifest), Vec::<String>::new());
}

/// A child holds no more than its parent, no hardware, and answers for nothing.
#[test]
fn a_child_is_less_than_its_parent() {
    let mut parent = parent().programs.remove(1);
    parent.exports = vec!["own:".into()];
    parent.devices = vec![Device::Irq { isa: 3 }];
    (parent.replies, parent.shared, parent.restart) = (8, 0x10000, true);
    let child = parent.child().expect("it may have some");
    assert_eq!(child.priority, parent.priority - 1);
    assert_eq!((child.memory, child.untyped), (0x10000, 0x8000));
    assert_eq!(child.needs, parent.needs);
    assert!(child.exports.is_empty() && child.devices.is_empty() && child.children.is_none());
    assert_eq!((child.replies, child.shared, child.restart), (0, 0, false));
    parent.children = None;
    assert_eq!(parent.child(), None);
}

#[test]
fn a_cycle_of_calls_is_refused() {
    let mut manifest = good();
    let mut third = manifest.programs[1].clone();
    third.name = "third".into();
    third.needs = vec!["root.memory".into(), "client".into()];
    (third.rank, third.priority) = (5, 40);
    manifest.programs.push(third);
    assert_eq!(complaints(&manifest), Vec::<String>::new());
    // server -> third -> client -> server: whatever the ranks, one call goes down.
    for ranks in [[20, 10, 5], [5, 10, 20], [10, 10, 10], [30, 10, 20]] {
        let mut cycle = manifest.clone();
        cycle.programs[0].needs.push("third".into());
        for (program, rank) in cycle.programs.iter_mut().zip(ranks) {
            (program.rank, program.priority) = (rank, 50);
        }
        let found = complaints(&cycle);
        assert!(
            found.iter().any(|c| c.contains("only higher ranks")),
            "{found:?}"
        );
    }
}

#[test]
fn a_facet_is_a_way_in() {
    let mut manifest = good();
    manifest.programs[0].facets = vec!["in".into()];
    manifest.programs[1].needs.push("server.in".into());
    assert_eq!(complaints(&manifest), Vec::<String>::new());
    assert!(manifest.programs[1].calls("server") && !manifest.programs[0].calls("server"));
}

#[test]
fn a_device_has_one_owner() {
    let give = |device| move |m: &mut Manifest| m.programs[1].devices.push(device);
    wrong(
        "port range 0x3ff",
        give(Device::Ports {
            base: 0x3ff,
            count: 2,
        }),
    );
    wrong("line 4 belongs to `server`", give(Device::Irq { isa: 4 }));
    wrong(
        "belongs to `server`",
        give(Device::Pci {
            vendor: 0x1af4,
            device: vec![0x1042],
            index: 0,
        }),
    );
    wrong("can be no interrupt line 16", give(Device::Irq { isa: 16 }));
    wrong(
        "can be no port range",
        give(Device::Ports {
            base: 0xffff,
            count: 2,
        }),
    );
    let mut manifest = good();
    give(Device::Pci {
        vendor: 0x1af4,
        device: vec![0x1042],
        index: 1,
    })(&mut manifest);
    give(Device::Ports {
        base: 0x400,
        count: 1,
    })(&mut manifest);
    assert_eq!(complaints(&manifest), Vec::<String>::new());
}

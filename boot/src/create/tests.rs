use super::*;
use crate::system::System;

/// A workspace with nothing but what `new` looks at.
fn workspace() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let put = |name: &str| {
        let to = folder.path().join(name);
        fs::create_dir_all(to.parent().expect("a folder")).expect("it can be made");
        fs::copy(paths::root().join(name), to).expect("it can be copied");
    };
    put("Cargo.lock");
    put("boot/systems/default.toml");
    put("boot/systems/limits.toml");
    put("servers/example/Cargo.toml");
    fs::create_dir(folder.path().join("apps")).expect("it can be made");
    folder
}

/// All files and what is in them.
fn files(root: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => folders.push(path),
                false => found.push((path.clone(), fs::read(path).expect("it can be read"))),
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_server_is_made_whole() {
    let folder = workspace();
    let root = folder.path();
    let program = server("my-server").expect("a good name");
    add(root, &program, "default").expect("it can be added");
    let main = fs::read_to_string(root.join("servers/my-server/src/main.rs")).expect("it is there");
    assert!(main.starts_with("//! `my-server:`, a text"), "{main}");
    assert!(main.contains("impl Server for MyServer {"), "{main}");
    let package = fs::read_to_string(root.join("servers/my-server/Cargo.toml"));
    assert_eq!(
        package
            .expect("it is there")
            .matches("\"my-server\"")
            .count(),
        2
    );

    let file = root.join("boot/systems/default.toml");
    let system = System::load(&file.display().to_string()).expect("it is sound");
    let known = |name: &str| {
        let mut programs = system.manifest.programs.iter();
        programs
            .find(|program| program.name == name)
            .expect("it is there")
            .clone()
    };
    assert_eq!(known("my-server").exports, ["my-server:"]);
    assert_eq!(known("my-server").memory, 0x40000);
    assert!(known("shell").calls("my-server"));
    // All the rest is as it was, comments included.
    let before = fs::read_to_string(paths::systems().join("default.toml")).expect("it is there");
    let after = fs::read_to_string(file).expect("it is there");
    let (kept, gone): (Vec<_>, Vec<_>) = before
        .lines()
        .partition(|line| after.lines().any(|new| new == *line));
    assert!(gone.len() <= 1 && !kept.is_empty(), "{gone:?}");
}

#[test]
fn an_app_is_made_whole() {
    let folder = workspace();
    let program = app("greeter").expect("a good name");
    add(folder.path(), &program, "default").expect("it can be added");
    assert!(folder.path().join("apps/greeter/src/main.rs").is_file());
    let again = add(folder.path(), &program, "default").unwrap_err();
    assert_eq!(again.to_string(), "apps/greeter is there already");
}

#[test]
fn what_cannot_be_made_leaves_nothing() {
    for name in [
        "",
        "Upper",
        "a b",
        "9lives",
        "a--b",
        "end-",
        "../up",
        "äh",
        &"x".repeat(33),
    ] {
        let error = server(name).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("is not a name"), "{name}: {error}");
        assert!(app(name).is_err(), "{name}");
    }
    let folder = workspace();
    let before = files(folder.path());
    let refused = |name: &str, system: &str| {
        let program = server(name).expect("a good name");
        let error = add(folder.path(), &program, system).unwrap_err();
        assert_eq!(files(folder.path()), before, "{name}");
        error.to_string()
    };
    assert!(refused("example", "default").contains("servers/example is there already"));
    assert!(refused("serde", "default").contains("there is a package `serde` already"));
    assert!(refused("core", "default").contains("there is a package `core` already"));
    // A program of another package has this name.
    assert!(refused("zero", "default").contains("zero"));
    assert!(refused("upper", "nonsense").contains("there is no system `nonsense`"));
    assert!(refused("upper", "limits").contains("limits.toml"));
    // A folder that nobody can write: root can, so it is a file in its place.
    fs::remove_dir(folder.path().join("apps")).expect("it is empty");
    fs::write(folder.path().join("apps"), "").expect("it can be written");
    let before = files(folder.path());
    let program = app("greeter").expect("a good name");
    let error = add(folder.path(), &program, "default")
        .unwrap_err()
        .to_string();
    assert!(error.contains("cannot make"), "{error}");
    assert_eq!(files(folder.path()), before);
}

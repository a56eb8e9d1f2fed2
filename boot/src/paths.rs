//! Where things lie in the workspace.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Names another workspace than the one that the tool was built in: a copy, for tests.
pub const ROOT: &str = "POSTERN_ROOT";

/// The workspace's root folder.
pub fn root() -> PathBuf {
    if let Some(root) = std::env::var_os(ROOT) {
        return root.into();
    }
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_path_buf()
}

/// What the inner, bare-metal builds produce: apart from `target/`, which belongs to the host's compiler.
pub fn bare_target() -> PathBuf {
    root().join("target/bare")
}

/// The same for a kernel, which is compiled with other flags, and has files of the same names for each set of features.
pub fn kernel_target(features: &[String]) -> PathBuf {
    let mut name = "bare-kernel".to_string();
    for feature in features {
        name.push('-');
        name.push_str(feature);
    }
    root().join("target").join(name)
}

/// What the host tool keeps: images, symbols, generated disks, remembered answers. Created if missing.
pub fn state() -> Result<PathBuf> {
    folder(root().join("target/postern"))
}

/// The manifests that come with Postern.
pub fn systems() -> PathBuf {
    root().join("boot/systems")
}

/// `path`, created if missing.
pub fn folder(path: PathBuf) -> Result<PathBuf> {
    std::fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
    Ok(path)
}

/// Makes `path` hold `bytes`, in one step: a process that reads it meanwhile sees the old content or the new.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if std::fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    let describe = || format!("cannot write {}", path.display());
    let parent = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(parent).with_context(describe)?;
    file.write_all(bytes).with_context(describe)?;
    file.persist(path).with_context(describe)?;
    Ok(())
}

/// The first folder of `PATH` that holds the program `name`.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

//! Where the workspace and the lab's own files are.

use std::path::{Path, PathBuf};

/// The workspace's directory.
#[must_use]
pub fn workspace() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).unwrap_or(own).to_owned()
}

/// The directory of everything that the lab keeps: `target/lab`.
#[must_use]
pub fn lab() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    workspace().join(target).join("lab")
}

//! Agents: which architectures there are, how one is built, and whether a built one is still good.

mod build;
mod fingerprint;
mod toolchain;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

pub use build::build_for_target;
pub use fingerprint::fingerprint;

/// An architecture that an agent can be built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Architecture {
    /// As `uname -m` gives it, in its most usual form.
    pub name: &'static str,
    /// Rust's name of a target without a libc's start files.
    pub triple: &'static str,
    /// Rust's name of the architecture.
    rust: &'static str,
}

impl Architecture {
    /// Whether Rust calls it so.
    pub fn is_rust(&self, architecture: &str) -> bool {
        self.rust == architecture
    }

    /// Where `cargo xtask agents` puts its agent.
    pub fn prebuilt(&self, root: &Path) -> PathBuf {
        root.join("agent/prebuilt").join(self.name)
    }

    /// The agent that `cargo xtask agents` built, if it did: `Err` says why that must not be used.
    pub fn read_prebuilt(&self, root: &Path) -> Result<Option<Vec<u8>>> {
        let path = self.prebuilt(root);
        if !path.exists() {
            return Ok(None);
        }
        let stamp = fs::read_to_string(stamp_of(&path)).context("its stamp is missing")?;
        anyhow::ensure!(stamp == fingerprint(root)?, "it is older than its sources");
        Ok(Some(fs::read(&path)?))
    }
}

/// All of them. The ones for arm differ: `arm` runs from ARMv5 on and without a floating point unit.
pub const ARCHITECTURES: [Architecture; 8] = [
    Architecture { name: "x86_64", triple: "x86_64-unknown-linux-musl", rust: "x86_64" },
    Architecture { name: "aarch64", triple: "aarch64-unknown-linux-musl", rust: "aarch64" },
    Architecture { name: "armv7", triple: "armv7-unknown-linux-musleabi", rust: "armv7" },
    Architecture { name: "arm", triple: "armv5te-unknown-linux-musleabi", rust: "arm" },
    Architecture { name: "i686", triple: "i686-unknown-linux-musl", rust: "x86" },
    Architecture { name: "riscv64", triple: "riscv64gc-unknown-linux-musl", rust: "riscv64" },
    Architecture { name: "mipsel", triple: "mipsel-unknown-linux-musl", rust: "mips" },
    Architecture { name: "ppc64le", triple: "powerpc64le-unknown-linux-musl", rust: "powerpc64" },
];

/// Builds one for another machine; its size in bytes.
pub fn prebuild(root: &Path, architecture: &Architecture) -> Result<u64> {
    let stamp = fingerprint(root)?;
    let built = build::build_for_other(root, architecture)?;
    let target = architecture.prebuilt(root);
    let size = fs::copy(&built, &target).with_context(|| format!("cannot write {}", target.display()))?;
    fs::write(stamp_of(&target), stamp)?;
    Ok(size)
}

/// The file that says what an agent was built from.
fn stamp_of(agent: &Path) -> PathBuf {
    agent.with_extension("sources")
}

//! What the installed Rust toolchain can do for another architecture, and what it lacks.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::Architecture;

/// The compiler that builds, and what lies beside it.
pub(super) struct Toolchain {
    sysroot: PathBuf,
    host: String,
}

impl Toolchain {
    /// The one that builds this program too.
    pub(super) fn current() -> Result<Self> {
        let rustc = env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"));
        let ask = |arguments: &[&str]| -> Result<String> {
            let output = Command::new(&rustc).args(arguments).output().context("cannot run rustc")?;
            ensure!(output.status.success(), "rustc {} failed", arguments.join(" "));
            Ok(String::from_utf8(output.stdout)?)
        };
        let version = ask(&["-vV"])?;
        let host =
            version.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc names no host")?;
        Ok(Self { sysroot: PathBuf::from(ask(&["--print", "sysroot"])?.trim()), host: host.to_owned() })
    }

    pub(super) fn sysroot(&self) -> &Path {
        &self.sysroot
    }

    /// Whether `core` can be built.
    pub(super) fn has_core_sources(&self) -> bool {
        self.sysroot.join("lib/rustlib/src/rust/library/Cargo.lock").is_file()
    }

    /// Fails with what to install when there is no ready `core` either.
    pub(super) fn need_core(&self, architecture: &Architecture) -> Result<()> {
        ensure!(
            self.sysroot.join("lib/rustlib").join(architecture.triple).join("lib").is_dir(),
            "the toolchain has no core library for {triple} and no sources to build it from; \
             run `rustup component add rust-src` (or `rustup target add {triple}`, where there is one; \
             with Debian's packages: `apt-get install rust-web-src`)",
            triple = architecture.triple
        );
        Ok(())
    }

    /// A linker for any architecture: Rust's own, or LLVM's.
    pub(super) fn linker(&self) -> Result<&'static str> {
        if self.sysroot.join("lib/rustlib").join(&self.host).join("bin/rust-lld").is_file() {
            return Ok("rust-lld");
        }
        let path = env::var_os("PATH").unwrap_or_default();
        if env::split_paths(&path).any(|folder| folder.join("ld.lld").is_file()) {
            return Ok("ld.lld");
        }
        bail!("this toolchain has no rust-lld and there is no ld.lld; run `apt-get install lld`")
    }
}

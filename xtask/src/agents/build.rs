//! Runs cargo on the agent's own manifest, with flags that leave nothing of this machine in the bytes.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::Architecture;
use super::toolchain::Toolchain;

/// What cargo and rustc read from the environment and the agent's build must not inherit: flags,
/// profiles and wrappers are meant for the build that this one is a part of (clippy's would even leave
/// no program behind).
const INHERITED: [&str; 4] = ["RUSTFLAGS", "RUSTC_WORKSPACE_WRAPPER", "RUSTDOCFLAGS", "RUSTC_BOOTSTRAP"];
/// Of cargo's own variables these are about the machine, and stay.
const KEPT: [&str; 6] =
    ["CARGO_HOME", "CARGO_MAKEFLAGS", "CARGO_NET_", "CARGO_HTTP_", "CARGO_REGISTR", "CARGO_SOURCE_"];

/// Builds the agent for the very target that shuttle is built for, with its C linker: needs nothing
/// that building shuttle does not need. The path of the program.
pub fn build_for_target(root: &Path, triple: &str, target_dir: &Path) -> Result<PathBuf> {
    let toolchain = Toolchain::current()?;
    let mut flags = common_flags(root, &toolchain);
    if triple.starts_with("aarch64") {
        // Else the compiler calls a routine that wants a libc to tell it about the processor.
        flags.push("-Ctarget-feature=-outline-atomics".into());
    }
    let mut cargo = cargo(root, triple, target_dir);
    if triple.starts_with("mips") || triple.starts_with("powerpc") {
        allow_experimental_assembly(&mut cargo, &mut flags);
    }
    run(cargo, &flags, triple, target_dir)
}

/// Builds the agent for another architecture, without a C compiler for it.
pub(super) fn build_for_other(root: &Path, architecture: &Architecture) -> Result<PathBuf> {
    let toolchain = Toolchain::current()?;
    let target_dir = root.join("agent/target");
    let mut flags = common_flags(root, &toolchain);
    flags.push(format!("-Clinker={}", toolchain.linker()?));
    flags.push("-Clinker-flavor=ld.lld".into());
    flags.push("-Clink-self-contained=no".into());
    let mut cargo = cargo(root, architecture.triple, &target_dir);
    // Built along it becomes smaller than the ready one, which is optimised for speed.
    if toolchain.has_core_sources() {
        cargo.arg("-Zbuild-std=core,alloc").env("RUSTC_BOOTSTRAP", "1");
    } else {
        toolchain.need_core(architecture)?;
    }
    if ["mips", "powerpc64"].contains(&architecture.rust) {
        allow_experimental_assembly(&mut cargo, &mut flags);
    }
    run(cargo, &flags, architecture.triple, &target_dir)
}

/// Rust calls inline assembly for these architectures an experiment, and rustix wants to be told.
fn allow_experimental_assembly(cargo: &mut Command, flags: &mut Vec<String>) {
    cargo.env("RUSTC_BOOTSTRAP", "1");
    flags.push("--cfg=rustix_use_experimental_asm".into());
}

fn common_flags(root: &Path, toolchain: &Toolchain) -> Vec<String> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")));
    let mut flags = vec!["-Crelocation-model=static".to_owned(), "-Cforce-unwind-tables=no".to_owned()];
    let mut hide = |path: &Path, name: &str| {
        flags.push(format!("--remap-path-prefix={}={name}", path.display()));
    };
    hide(root, "shuttle");
    hide(toolchain.sysroot(), "rust");
    if let Some(home) = home {
        hide(&home, "cargo");
    }
    flags
}

fn cargo(root: &Path, triple: &str, target_dir: &Path) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        let kept = KEPT.iter().any(|kept| name.starts_with(kept));
        if INHERITED.contains(&name.as_str()) || (name.starts_with("CARGO_") && !kept) {
            cargo.env_remove(name);
        }
    }
    cargo.args(["build", "--quiet", "--release", "--locked", "--bin", "shuttle-agent"]);
    cargo.arg("--target").arg(triple).arg("--target-dir").arg(target_dir);
    cargo.arg("--manifest-path").arg(root.join("agent/Cargo.toml"));
    cargo
}

fn run(mut cargo: Command, flags: &[String], triple: &str, target_dir: &Path) -> Result<PathBuf> {
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    let output = cargo.output().context("cannot run cargo")?;
    let words = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "cargo could not build the agent for {triple}:\n{words}");
    Ok(target_dir.join(triple).join("release/shuttle-agent"))
}

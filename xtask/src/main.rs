//! Release and CI chores: `cargo xtask`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};
use xtask::agents::{ARCHITECTURES, Architecture};

const USAGE: &str = "\
cargo xtask agents [ARCHITECTURE…]

  Builds agents for other architectures (all but this machine's, or those that are named) into
  agent/prebuilt, from where the next build of shuttle embeds them.";

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((verb, names)) if verb == "agents" => build_agents(names),
        _ => {
            let names: Vec<_> = ARCHITECTURES.iter().map(|architecture| architecture.name).collect();
            eprintln!("{USAGE}\n\n  Known: {}", names.join(" "));
            Ok(ExitCode::from(2))
        }
    }
}

/// Goes on after a failure, so that one run tells everything that is missing.
fn build_agents(names: &[String]) -> Result<ExitCode> {
    let Some(root) = Path::new(env!("CARGO_MANIFEST_DIR")).parent() else {
        bail!("xtask has no parent folder")
    };
    let mut failed = false;
    for architecture in chosen(names)? {
        match xtask::agents::prebuild(root, architecture) {
            Ok(size) => println!("{:8} {size} bytes", architecture.name),
            Err(error) => {
                failed = true;
                eprintln!("{:8} not built: {error:#}", architecture.name);
            }
        }
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn chosen(names: &[String]) -> Result<Vec<&'static Architecture>> {
    if names.is_empty() {
        let here = std::env::consts::ARCH;
        return Ok(ARCHITECTURES.iter().filter(|architecture| !architecture.is_rust(here)).collect());
    }
    let mut chosen = Vec::new();
    for name in names {
        match ARCHITECTURES.iter().find(|architecture| architecture.name == name) {
            Some(architecture) => chosen.push(architecture),
            None => {
                bail!("there is no agent for {name:?}; known: {}", ARCHITECTURES.map(|a| a.name).join(" "))
            }
        }
    }
    Ok(chosen)
}

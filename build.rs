//! Embeds agents: this machine's, built here, and those that `cargo xtask agents` has built.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder};
use sha2::{Digest, Sha256};
use xtask::agents::{ARCHITECTURES, Architecture, build_for_target};

fn main() -> Result<()> {
    for path in ["build.rs", "agent", "proto", "xtask/src"] {
        watch(Path::new(path))?;
    }
    let variable = |name| env::var(name).with_context(|| format!("cargo does not set {name}"));
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(variable("OUT_DIR")?);
    let triple = variable("TARGET")?;
    let here = architecture_of(&triple);
    if here.is_none() {
        println!("cargo::warning=there is no agent for {triple}: shuttle without -r will not work");
    }

    let mut list = String::from("&[\n");
    for architecture in &ARCHITECTURES {
        let agent = if here == Some(architecture) {
            // A target folder of its own, so that it does not wait for the lock of the build that waits for it.
            Some(fs::read(build_for_target(&root, &triple, &out.join("agent"))?)?)
        } else {
            architecture.read_prebuilt(&root).unwrap_or_else(|why| {
                let name = architecture.name;
                println!("cargo::warning=agent/prebuilt/{name} is not embedded: {why}; run `cargo xtask agents {name}`");
                None
            })
        };
        if let Some(agent) = agent {
            list.push_str(&embed(architecture, &agent, &out)?);
        }
    }
    list.push(']');
    fs::write(out.join("agents.rs"), list)?;
    Ok(())
}

/// The architecture of a target, by the most specific name that begins its triple.
fn architecture_of(triple: &str) -> Option<&'static Architecture> {
    let machine = triple.split('-').next()?;
    let exact = |architecture: &&Architecture| architecture.triple.split('-').next() == Some(machine);
    ARCHITECTURES.iter().find(exact).or_else(|| match machine {
        "i586" => ARCHITECTURES.iter().find(|architecture| architecture.name == "i686"),
        "thumbv7neon" => ARCHITECTURES.iter().find(|architecture| architecture.name == "armv7"),
        _ if machine.starts_with("arm") => {
            ARCHITECTURES.iter().find(|architecture| architecture.name == "arm")
        }
        _ => None,
    })
}

/// Compresses an agent and writes its entry of the list.
fn embed(architecture: &Architecture, agent: &[u8], out: &Path) -> Result<String> {
    let path = out.join(format!("{}.gz", architecture.name));
    // No name and no time in it: the same agent gives the same bytes.
    let mut writer = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    std::io::Write::write_all(&mut writer, agent)?;
    fs::write(&path, writer.finish()?)?;
    let hash = Sha256::digest(agent).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    Ok(format!(
        "    Agent {{ architecture: {:?}, size: {}, sha256: {hash:?}, gzipped: include_bytes!({path:?}) }},\n",
        architecture.name,
        agent.len(),
    ))
}

/// Has cargo run this again when a source changes; build output and tests are none.
fn watch(path: &Path) -> Result<()> {
    let whole = path.is_file() || path.ends_with("src") || path.ends_with("prebuilt");
    if whole {
        println!("cargo::rerun-if-changed={}", path.display());
    } else if !path.ends_with("target") && !path.ends_with("tests") {
        for entry in fs::read_dir(path)? {
            watch(&entry?.path())?;
        }
    }
    Ok(())
}

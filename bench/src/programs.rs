//! The programs to compare: shuttle's release build and sshuttle from PyPI.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::peer::Peer;

const SSHUTTLE: &str = "sshuttle==2.0.0";

/// Where the programs are.
pub(crate) struct Programs {
    pub shuttle: PathBuf,
    pub sshuttle: PathBuf,
}

impl Programs {
    /// Builds what is missing; sshuttle goes to a virtual environment under `target/`.
    pub fn prepare(shuttle: Option<PathBuf>, peers: &[Peer]) -> Result<Self> {
        let workspace =
            Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the bench is in a workspace")?;
        // This program is in target/release or target/debug itself.
        let target = std::env::current_exe()?.ancestors().nth(2).context("no target directory")?.to_owned();
        let shuttle = match shuttle {
            Some(path) => path.canonicalize().with_context(|| path.display().to_string())?,
            None if !peers.contains(&Peer::Shuttle) => PathBuf::new(),
            None => {
                let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
                run(Command::new(cargo).current_dir(workspace).args([
                    "build",
                    "--release",
                    "--package",
                    "shuttle",
                ]))?;
                target.join("release/shuttle")
            }
        };
        let environment = target.join("sshuttle");
        let sshuttle = environment.join("bin/sshuttle");
        if peers.contains(&Peer::Sshuttle) && !sshuttle.exists() {
            // Not a Python of some user's own: the far side would not have it.
            run(Command::new("/usr/bin/python3").args(["-m", "venv"]).arg(&environment))?;
            run(Command::new(environment.join("bin/pip")).args(["install", "--quiet", SSHUTTLE]))?;
        }
        Ok(Self { shuttle, sshuttle })
    }
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("{command:?}"))?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}

//! Names of agents to start: an agent removes the file that it was started from.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// One name, removed at the latest with this.
pub struct Program {
    folder: PathBuf,
    emulator: Option<String>,
}

impl Program {
    /// The agent that cargo has built for this test.
    pub fn here() -> Self {
        Self::link(Path::new(env!("CARGO_BIN_EXE_shuttle-agent")), None)
    }

    /// An agent for another architecture, run by qemu.
    pub fn emulated(agent: &Path, emulator: String) -> Self {
        Self::link(agent, Some(emulator))
    }

    fn link(agent: &Path, emulator: Option<String>) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("shuttle-agent-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir(&folder).unwrap();
        // Another name and no copy: a file that any process has open for writing cannot be started.
        fs::hard_link(agent, folder.join("agent")).unwrap();
        Self { folder, emulator }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.join("agent")
    }

    /// Starts it, without arguments.
    pub fn command(&self) -> Command {
        match &self.emulator {
            None => Command::new(self.path()),
            Some(emulator) => {
                let mut command = Command::new(emulator);
                command.arg(self.path());
                command
            }
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

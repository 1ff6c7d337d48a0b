//! How much memory a peer's processes hold on each end.

use std::collections::HashSet;

use lab::{Host, Lab, Process};

/// Resident kilobytes, without ssh and sshd, which everybody has alike.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    pub client: f64,
    pub server: f64,
}

/// What ran before a peer was started.
#[derive(Debug)]
pub(crate) struct Before {
    client: HashSet<Process>,
    server: HashSet<Process>,
}

impl Before {
    pub fn look(lab: &Lab) -> Self {
        let set = |host: &Host| host.processes().into_iter().collect();
        Self { client: set(lab.client()), server: set(lab.server()) }
    }

    /// The memory of what runs in addition now.
    pub fn memory(&self, lab: &Lab) -> Memory {
        Memory { client: held(lab.client(), &self.client), server: held(lab.server(), &self.server) }
    }
}

fn held(host: &Host, before: &HashSet<Process>) -> f64 {
    let new = host.processes().into_iter().filter(|process| !before.contains(process));
    new.filter(|process| !process.name.starts_with("ssh") || process.name.starts_with("sshuttle"))
        .filter_map(|process| resident(process.pid))
        .sum()
}

fn resident(pid: u32) -> Option<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

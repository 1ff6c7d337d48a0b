//! What the tests ask of processes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::unistd::Pid;

/// Whether a process runs still; one that nobody has waited for does not.
pub fn is_alive(process: Pid) -> bool {
    let state = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    state.rsplit(") ").next().is_some_and(|state| !state.is_empty() && !state.starts_with('Z'))
}

/// The process that a process is a child of.
pub fn parent(process: Pid) -> Pid {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("it lives");
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).expect("a parent");
    Pid::from_raw(parent.trim().parse().expect("a number"))
}

/// The user that a process acts as.
pub fn user(process: Pid) -> u32 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("it lives");
    let users = status.lines().find_map(|line| line.strip_prefix("Uid:")).expect("a user");
    users.split_whitespace().nth(1).expect("the effective one").parse().expect("a number")
}

/// Where cgroup v2 is mounted.
pub fn cgroup_mount() -> PathBuf {
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("proc is mounted");
    let mount = mounts.lines().find(|mount| mount.contains(" - cgroup2 ")).expect("cgroup v2 is mounted");
    mount.split(' ').nth(4).expect("a place").into()
}

/// The directory of the cgroup v2 that a process is in.
pub fn cgroup_of(process: Pid) -> PathBuf {
    let cgroups = fs::read_to_string(format!("/proc/{process}/cgroup")).expect("it lives");
    let path = cgroups.lines().find_map(|line| line.strip_prefix("0::/")).expect("a cgroup v2");
    cgroup_mount().join(Path::new(path))
}

/// A process that does nothing, as long as this value lives.
pub struct Sleeper(Child);

impl Sleeper {
    pub fn start() -> Sleeper {
        let mut command = Command::new("sleep");
        command.arg("60").stdout(Stdio::null()).stderr(Stdio::null());
        Sleeper(command.spawn().expect("sleep is installed"))
    }

    pub fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

//! The process that keeps a lab's namespaces alive and ends them, whatever becomes of the owner.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::error::{Doing, Error};
use crate::topology::HostPlan;

/// How the directories of labs begin, under the system's directory for temporary files.
pub(crate) const PREFIX: &str = "shuttle-lab-";

/// A lab's keeper; dropping it ends every process of the lab and removes its directory.
#[derive(Debug)]
pub(crate) struct Keeper {
    process: Child,
}

impl Keeper {
    /// Starts one holder per host; gives the process numbers of the holders by host name.
    pub fn start(directory: &Path, hosts: &[HostPlan]) -> Result<(Self, HashMap<String, u32>), Error> {
        fs::write(directory.join("keeper.sh"), include_str!("keeper.sh")).doing("write keeper.sh")?;
        fs::write(directory.join("holder.sh"), include_str!("holder.sh")).doing("write holder.sh")?;
        let plans = hosts
            .iter()
            .map(|host| format!("{}:{}", host.name, if host.own_files { "own" } else { "shared" }));
        let said = directory.join("keeper.log");
        let log = File::create(&said).doing("create keeper.log")?;
        let mut process = Command::new("sh")
            .arg(directory.join("keeper.sh"))
            .arg(directory)
            .args(plans)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .current_dir("/")
            // A Ctrl-C in the owner's terminal is the owner's to handle.
            .process_group(0)
            .spawn()
            .doing("start the lab's keeper")?;
        let output = process.stdout.take().expect("it is piped");
        let keeper = Self { process };

        let mut holders = HashMap::new();
        for line in BufReader::new(output).lines() {
            let line = line.doing("read from the lab's keeper")?;
            if let Some((host, pid)) = line.split_once(' ')
                && let Ok(pid) = pid.parse()
            {
                holders.insert(host.to_owned(), pid);
            }
            if holders.len() == hosts.len() {
                return Ok((keeper, holders));
            }
        }
        Err(Error::Program {
            program: "the lab's keeper".into(),
            status: "a host did not come up".into(),
            words: fs::read_to_string(said).unwrap_or_default().trim().to_owned(),
        })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        // Its work is bounded, and there is nobody to tell if it failed.
        let _ = self.process.wait();
    }
}

/// Clears away labs whose keeper was killed together with its owner: their processes and their directories.
pub(crate) fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(PREFIX) && is_abandoned(&entry.path()) {
            for pid in processes(&entry.path()) {
                // It may have ended meanwhile.
                let _ = kill(pid, Signal::SIGKILL);
            }
            // Somebody else may be sweeping too.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// The processes on the hosts of a lab: those that see the lab's name in `/run/lab`.
pub(crate) fn processes(directory: &Path) -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let here = |pid: &i32| {
        let marker = fs::read_to_string(format!("/proc/{pid}/root/run/lab/directory"));
        marker.is_ok_and(|named| Path::new(named.trim_end()) == directory)
    };
    numbers.filter(here).map(Pid::from_raw).collect()
}

/// A keeper locks its directory; the age leaves a lab that just begins the time to do so.
fn is_abandoned(directory: &Path) -> bool {
    let Ok(file) = File::open(directory) else { return false };
    let begun = file.metadata().and_then(|data| data.modified()).unwrap_or(SystemTime::now());
    let old = begun.elapsed().is_ok_and(|age| age > Duration::from_secs(60));
    old && Flock::lock(file, FlockArg::LockExclusiveNonblock).is_ok()
}

//! A cgroup of its own for the caller, by which nftables tells our connections from everybody else's.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::ruleset::Cgroup;

/// A process that is just ending keeps its cgroup for a moment.
const ATTEMPTS: u32 = 20;
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(50);

/// Where a process was and where it was put: enough to undo it, by us or by the next run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Refuge {
    /// The cgroup that we made.
    directory: PathBuf,
    /// The one that it is in, to which the processes return.
    home: PathBuf,
    /// The new one's path in the hierarchy.
    path: String,
}

impl Refuge {
    /// Plans a cgroup called `name` below the one that `process` is in. Touches nothing yet.
    pub(super) fn plan(name: &str, process: Pid) -> Result<Refuge, String> {
        let current = current(process)?;
        let home = hierarchy()?.directory_of(&current)?;
        let path = format!("{}/{name}", current.trim_matches('/'));
        Ok(Refuge { directory: home.join(name), home, path: path.trim_matches('/').to_owned() })
    }

    /// Makes the cgroup and moves the process there.
    pub(super) fn enter(&self, process: Pid) -> Result<Cgroup, String> {
        let failed = |what: &str, error: io::Error| {
            format!("cannot {what} the cgroup {} ({error})", self.directory.display())
        };
        match fs::create_dir(&self.directory) {
            // Its name has our number in it: a dead run left it, without a note.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made.map_err(|error| failed("make", error))?,
        }
        let entered = fs::write(self.directory.join("cgroup.procs"), process.to_string())
            .and_then(|()| fs::metadata(&self.directory));
        match entered {
            Ok(directory) => {
                let level = self.path.split('/').count() as u32;
                Ok(Cgroup { path: self.path.clone(), level, id: directory.ino() })
            }
            Err(error) => {
                // Whatever happened, an empty directory is all there is; what is left of it is reported.
                let undone = self.leave().err().map(|left| format!("; {left}")).unwrap_or_default();
                Err(failed("enter", error) + &undone)
            }
        }
    }

    /// Moves everyone back and removes the cgroup. It is no fault if it is gone.
    pub(super) fn leave(&self) -> Result<(), String> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let left = self.move_back().and_then(|()| fs::remove_dir(&self.directory));
            match left {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(error) if attempt == ATTEMPTS => {
                    return Err(format!("the cgroup {} is still there ({error})", self.directory.display()));
                }
                Err(_) => sleep(BETWEEN_ATTEMPTS),
            }
        }
    }

    /// The cgroup's path in the hierarchy.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    fn move_back(&self) -> io::Result<()> {
        // A session that ended meanwhile may have taken its cgroup along.
        let home = self.home.ancestors().find(|home| home.join("cgroup.procs").exists());
        let home = home.ok_or_else(|| io::Error::other("its parent is gone"))?.join("cgroup.procs");
        for process in fs::read_to_string(self.directory.join("cgroup.procs"))?.lines() {
            match fs::write(&home, process) {
                Err(error) if error.raw_os_error() == Some(nix::libc::ESRCH) => {}
                moved => moved?,
            }
        }
        Ok(())
    }
}

/// Why there is no use in trying to exempt anyone here, if so.
pub(super) fn unusable() -> Option<String> {
    hierarchy().and_then(|hierarchy| hierarchy.directory_of(&current(Pid::this())?)).err()
}

/// Removes cgroups beside us that nobody is in and whose names are `abandoned`; returns their names. What is
/// in use, or has just gone, is left.
pub(super) fn remove_empty(abandoned: impl Fn(&str) -> bool) -> Vec<String> {
    let here = hierarchy().and_then(|hierarchy| hierarchy.directory_of(&current(Pid::this())?));
    // Where there are no cgroups, or none to be seen, there is nothing to remove.
    let Some(entries) = here.ok().and_then(|here| fs::read_dir(here).ok()) else { return Vec::new() };
    let removed = entries.filter_map(|entry| {
        let directory = entry.ok()?.path();
        let name = directory.file_name()?.to_str()?.to_owned();
        // The kernel removes no cgroup that has processes.
        (abandoned(&name) && fs::remove_dir(&directory).is_ok()).then_some(name)
    });
    removed.collect()
}

/// Where cgroup v2 is mounted.
struct Hierarchy {
    mount: PathBuf,
    /// The cgroup that the mount shows as its root.
    root: String,
}

impl Hierarchy {
    fn is_visible(&self) -> bool {
        // Every cgroup v2 directory has this file, and no other file system does.
        self.mount.join("cgroup.controllers").exists()
    }

    fn directory_of(&self, cgroup: &str) -> Result<PathBuf, String> {
        let below = Path::new(cgroup).strip_prefix(&self.root);
        match below {
            // A namespace shows what is outside of it as `/..`.
            Ok(below) if !cgroup.contains("..") => Ok(self.mount.join(below)),
            _ => Err(format!("the cgroup {cgroup} lies outside of {}", self.mount.display())),
        }
    }
}

fn hierarchy() -> Result<Hierarchy, String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")
        .map_err(|error| format!("/proc/self/mountinfo cannot be read: {error}"))?;
    // A mount that another hides is listed all the same, and before it.
    let mut all = mounts.lines().rev().filter_map(as_hierarchy);
    all.find(Hierarchy::is_visible).ok_or_else(|| "cgroup v2 is not mounted".to_owned())
}

/// `36 35 98:0 ROOT MOUNT options [optional fields] - TYPE source options`
fn as_hierarchy(mount: &str) -> Option<Hierarchy> {
    let (place, kind) = mount.split_once(" - ")?;
    let mut place = place.split(' ').skip(3);
    let (root, mount) = (place.next()?, place.next()?);
    (kind.split(' ').next() == Some("cgroup2"))
        .then(|| Hierarchy { mount: mount.into(), root: root.to_owned() })
}

/// The cgroup v2 that a process is in, from its line `0::/path`.
fn current(process: Pid) -> Result<String, String> {
    let file = format!("/proc/{process}/cgroup");
    let cgroups = fs::read_to_string(&file).map_err(|error| format!("{file} cannot be read: {error}"))?;
    let path = cgroups.lines().find_map(|line| line.strip_prefix("0::"));
    path.map(str::to_owned).ok_or_else(|| "this kernel has no cgroup v2".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_hierarchy_is_found_among_other_mounts() {
        let other = "30 24 0:26 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory";
        let mount = "31 24 0:27 / /sys/fs/cgroup/unified rw,relatime shared:10 - cgroup2 cgroup2 rw";
        assert!(as_hierarchy(other).is_none());
        let found = as_hierarchy(mount).unwrap();
        assert_eq!((found.mount.to_str(), found.root.as_str()), (Some("/sys/fs/cgroup/unified"), "/"));
    }

    #[test]
    fn a_mount_of_a_part_shows_what_is_below_it_only() {
        let part = Hierarchy { mount: "/cg".into(), root: "/box".into() };
        assert_eq!(part.directory_of("/box/inner"), Ok("/cg/inner".into()));
        assert!(part.directory_of("/other").is_err());
        let whole = Hierarchy { mount: "/cg".into(), root: "/".into() };
        assert_eq!(whole.directory_of("/"), Ok("/cg/".into()));
        assert!(whole.directory_of("/../other").is_err());
    }
}

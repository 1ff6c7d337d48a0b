//! Who called the helper: found in the process tree, not believed from a message.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

use nix::unistd::Pid;

/// Between the caller and us stand at most sudo and its monitor.
const MOST_BETWEEN: usize = 4;

/// The nearest process above `keeper` that runs our own program: sudo, doas and the like may stand between.
/// Nothing else is ever found, so nobody can have a process of another kind moved.
pub(super) fn find(keeper: Pid) -> Result<Pid, String> {
    let unreadable = |error: io::Error| format!("the process tree in /proc cannot be read: {error}");
    let own = program(Pid::this()).map_err(unreadable)?;
    let mut candidate = parent(keeper).map_err(unreadable)?;
    for _ in 0..=MOST_BETWEEN {
        if candidate.as_raw() <= 1 {
            break;
        }
        if program(candidate).map_err(unreadable)? == own {
            return Ok(candidate);
        }
        candidate = parent(candidate).map_err(unreadable)?;
    }
    Err("no running shuttle called this helper".to_owned())
}

/// The file that a process runs, as device and inode: true even if it was replaced or removed since.
fn program(process: Pid) -> io::Result<(u64, u64)> {
    let file = fs::metadata(format!("/proc/{process}/exe"))?;
    Ok((file.dev(), file.ino()))
}

fn parent(process: Pid) -> io::Result<Pid> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse().ok());
    parent.map(Pid::from_raw).ok_or_else(|| io::Error::other("no PPid in /proc"))
}

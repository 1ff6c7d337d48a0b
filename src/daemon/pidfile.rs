//! The pidfile: claimed before anything starts, written when all works, removed at the end.
//!
//! The claim is a lock on the file, which the kernel ends with the process: a file without one is stale,
//! whoever has the process id in it by now.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

/// Longer than any process id with its newline.
const LONGEST: u64 = 32;

/// A claimed pidfile; dropping it removes the file.
#[derive(Debug)]
pub struct Pidfile {
    path: PathBuf,
    file: Flock<File>,
}

/// Why the pidfile cannot be ours.
#[derive(Debug, thiserror::Error)]
pub enum PidfileError {
    /// No way to write there.
    #[error("cannot write the pidfile {}: {source}", path.display())]
    Unwritable {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another one has it.
    #[error("already running as process {pid}, whose pidfile is {}; 'shuttle stop {pid}' ends it", path.display())]
    Running {
        /// Where.
        path: PathBuf,
        /// Whose it is.
        pid: String,
    },
    /// Another one has it, and has not written it yet.
    #[error("another shuttle is starting with the pidfile {}", path.display())]
    Starting {
        /// Where.
        path: PathBuf,
    },
    /// Most likely a slip of the pen: it is not ours to overwrite.
    #[error("{} is no pidfile: there is something else in it", path.display())]
    NotAPidfile {
        /// Where.
        path: PathBuf,
    },
}

impl Pidfile {
    /// Takes `path` for this process, without writing to it yet.
    pub fn claim(path: &Path) -> Result<Self, PidfileError> {
        let unwritable = |source| PidfileError::Unwritable { path: path.to_owned(), source };
        loop {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o644)
                .open(path)
                .map_err(unwritable)?;
            let mut file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(file) => file,
                Err((mut file, Errno::EWOULDBLOCK)) => return Err(taken(path, &mut file)),
                Err((_, errno)) => return Err(unwritable(errno.into())),
            };
            // Its last owner may have removed it after we opened it: then the lock is on nothing.
            if !is_still_there(path, &file) {
                continue;
            }
            let text = read(&mut file).map_err(unwritable)?;
            if !text.trim().bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(PidfileError::NotAPidfile { path: path.to_owned() });
            }
            if !text.is_empty() {
                tracing::debug!("the pidfile {} was left by a dead process {}", path.display(), text.trim());
            }
            return Ok(Self { path: path.to_owned(), file });
        }
    }

    /// Writes this process's id.
    pub fn write(&mut self) -> Result<(), PidfileError> {
        let text = format!("{}\n", std::process::id());
        self.file
            .set_len(0)
            .and_then(|()| self.file.rewind())
            .and_then(|()| self.file.write_all(text.as_bytes()))
            .map_err(|source| PidfileError::Unwritable { path: self.path.clone(), source })
    }
}

impl Drop for Pidfile {
    fn drop(&mut self) {
        // Somebody may have removed it and another shuttle have made its own.
        if !is_still_there(&self.path, &self.file) {
            return;
        }
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!("cannot remove the pidfile {}: {error}", self.path.display());
        }
    }
}

fn taken(path: &Path, file: &mut File) -> PidfileError {
    let path = path.to_owned();
    match read(file) {
        Ok(text) if !text.trim().is_empty() => PidfileError::Running { path, pid: text.trim().to_owned() },
        _ => PidfileError::Starting { path },
    }
}

fn read(file: &mut File) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.take(LONGEST).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn is_still_there(path: &Path, file: &File) -> bool {
    let (Ok(there), Ok(ours)) = (std::fs::metadata(path), file.metadata()) else { return false };
    (there.dev(), there.ino()) == (ours.dev(), ours.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_id_is_there_while_it_runs_and_not_before_or_after() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pid");
        let mut pidfile = Pidfile::claim(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "");
        pidfile.write().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        drop(pidfile);
        assert!(!path.exists());
    }

    #[test]
    fn a_second_one_is_told_who_runs() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pid");
        let mut pidfile = Pidfile::claim(&path).unwrap();
        assert!(matches!(Pidfile::claim(&path), Err(PidfileError::Starting { .. })));
        pidfile.write().unwrap();
        let error = Pidfile::claim(&path).unwrap_err().to_string();
        assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
        assert!(path.exists(), "the second one must not remove the file of the first");
    }

    /// sshuttle#140, #598. Process 1 lives, but has no lock: the id was given anew.
    #[test]
    fn a_stale_file_is_taken_over() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pid");
        for stale in ["", "4194303\n", "1\n", "  12  "] {
            std::fs::write(&path, stale).unwrap();
            Pidfile::claim(&path).unwrap().write().unwrap();
            assert!(!path.exists());
        }
    }

    #[test]
    fn a_file_that_is_no_pidfile_is_left_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pid");
        std::fs::write(&path, "export PATH\n").unwrap();
        let error = Pidfile::claim(&path).unwrap_err().to_string();
        assert!(error.contains("something else"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "export PATH\n");
    }

    #[test]
    fn an_unwritable_place_is_named() {
        let error = Pidfile::claim(Path::new("/no/such/directory/pid")).unwrap_err().to_string();
        assert!(error.contains("/no/such/directory/pid") && error.contains("No such file"), "{error}");
    }

    #[test]
    fn the_file_of_another_that_came_in_between_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pid");
        let first = Pidfile::claim(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let second = Pidfile::claim(&path).unwrap();
        drop(first);
        assert!(path.exists());
        drop(second);
        assert!(!path.exists());
    }
}

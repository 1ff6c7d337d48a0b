//! What the kernel will not undo by itself, written down before it is done, so that the next start can
//! repair what a dead run left. The file is locked as long as its writer lives.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use super::cgroup::Refuge;

/// Where the files are; gone after a restart of the machine, as is everything that they speak of.
pub(super) const DIRECTORY: &str = "/run/shuttle";

/// Something that outlives us unless we undo it. (Tables are not among them: they bear our name.)
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Leftover {
    /// A cgroup that we made.
    Cgroup(Refuge),
}

/// The file of one running helper.
pub(super) struct StateFile {
    path: PathBuf,
    locked: Option<Flock<File>>,
}

impl StateFile {
    pub(super) fn new(directory: &Path, name: &str) -> StateFile {
        StateFile { path: directory.join(format!("{name}.json")), locked: None }
    }

    /// Writes down all that will have to be undone; nothing means that no file is needed.
    pub(super) fn record(&mut self, leftovers: &[Leftover]) -> io::Result<()> {
        if leftovers.is_empty() {
            return self.clear();
        }
        let unfinished = self.path.with_extension("new");
        if let Some(directory) = self.path.parent() {
            DirBuilder::new().recursive(true).mode(0o755).create(directory)?;
        }
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        file.write_all(&serde_json::to_vec(leftovers)?)?;
        // Locked before it has its name: whoever sees it unlocked may take its writer for dead.
        let locked = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| errno)?;
        fs::rename(&unfinished, &self.path)?;
        self.locked = Some(locked);
        Ok(())
    }

    /// Nothing is left to undo.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        if self.locked.take().is_some() {
            fs::remove_file(&self.path)?;
        }
        Ok(())
    }
}

/// What a dead run left, and the file that says so.
pub(super) struct Abandoned {
    path: PathBuf,
    _locked: Flock<File>,
    /// What it left, unless the file cannot be read.
    pub(super) leftovers: Result<Vec<Leftover>, serde_json::Error>,
}

impl Abandoned {
    /// Everything of it is undone.
    pub(super) fn forget(self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }
}

/// The files of helpers that no longer live.
pub(super) fn abandoned(directory: &Path) -> io::Result<Vec<Abandoned>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            found.extend(open_abandoned(path)?);
        }
    }
    Ok(found)
}

fn open_abandoned(path: PathBuf) -> io::Result<Option<Abandoned>> {
    let file = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut locked = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Err((_, nix::Error::EWOULDBLOCK)) => return Ok(None),
        locked => locked.map_err(|(_, errno)| errno)?,
    };
    // Its writer may have replaced or removed it between our opening and our locking.
    let opened = locked.metadata()?;
    match fs::metadata(&path) {
        Ok(named) if (named.dev(), named.ino()) == (opened.dev(), opened.ino()) => {}
        _ => return Ok(None),
    }
    let mut text = Vec::new();
    locked.read_to_end(&mut text)?;
    Ok(Some(Abandoned { path, leftovers: serde_json::from_slice(&text), _locked: locked }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(name: &str) -> Leftover {
        Leftover::Cgroup(Refuge::plan(name, nix::unistd::Pid::this()).unwrap())
    }

    #[test]
    fn a_file_is_abandoned_once_its_writer_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let mut state = StateFile::new(directory.path(), "one");
        state.record(&[left("one")]).unwrap();
        state.record(&[left("one"), left("two")]).unwrap();
        assert_eq!(abandoned(directory.path()).unwrap().len(), 0);
        drop(state);
        let mut found = abandoned(directory.path()).unwrap();
        let abandoned_one = found.remove(0);
        assert_eq!(*abandoned_one.leftovers.as_ref().unwrap(), [left("one"), left("two")]);
        assert_eq!(abandoned(directory.path()).unwrap().len(), 0, "locked by whoever repairs it");
        abandoned_one.forget().unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn nothing_to_undo_leaves_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let mut state = StateFile::new(directory.path(), "one");
        state.record(&[left("one")]).unwrap();
        state.record(&[]).unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}

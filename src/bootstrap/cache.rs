//! What was learned of a remote, for the next time: its machine, whether it has gzip, a place that works.
//!
//! Only a better guess: the stage checks it over there, and a file that is missing, odd or unwritable costs
//! nothing but the round trip that it would have saved.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::stage::Form;
use crate::cli::remote_in_full;
use crate::transport::Remote;

/// What is known of a remote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    /// The remote in full, since different ones may share a file name.
    pub(super) remote: String,
    /// What `uname -m` says.
    pub(super) machine: String,
    /// The form in which it takes the agent.
    pub(super) form: Form,
    /// The directory that took it.
    pub(super) place: String,
}

/// One remote's file.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    remote: String,
    file: PathBuf,
}

/// `$XDG_CACHE_HOME/shuttle`, or what stands for it; `None` without a home.
pub fn directory() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(base.join("shuttle"))
}

impl Entry {
    /// The file for `remote` below the cache directory.
    pub(super) fn new(directory: &Path, remote: &Remote) -> Self {
        let remote = remote_in_full(remote);
        let mut hasher = DefaultHasher::new();
        remote.hash(&mut hasher);
        let plain = |c: char| if c.is_ascii_alphanumeric() || "@.-_".contains(c) { c } else { '_' };
        let readable: String = remote.chars().map(plain).take(80).collect();
        // Named for a person who looks; the hash keeps those apart that would read the same.
        let name = format!("{}-{:016x}.json", readable.trim_start_matches('.'), hasher.finish());
        Self { remote, file: directory.join("hosts").join(name) }
    }

    /// What was learned last time.
    pub(super) fn load(&self) -> Option<Known> {
        let text = match fs::read(&self.file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::debug!(file = %self.file.display(), %error, "cannot read what is known of the remote");
                return None;
            }
        };
        match serde_json::from_slice::<Known>(&text) {
            Ok(known) if known.remote == self.remote && known.is_sound() => Some(known),
            _ => {
                tracing::debug!(file = %self.file.display(), "not what is known of this remote");
                None
            }
        }
    }

    /// Remembers for the next time.
    pub(super) fn store(&self, machine: &str, form: Form, place: &str) {
        let known = Known { remote: self.remote.clone(), machine: machine.into(), form, place: place.into() };
        if let Err(error) = self.write(&known) {
            tracing::debug!(file = %self.file.display(), %error, "cannot remember what is known of the remote");
        }
    }

    fn write(&self, known: &Known) -> io::Result<()> {
        if let Some(directory) = self.file.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        }
        // Whole or not at all, also with several shuttles at once.
        let partial = self.file.with_extension(format!("{}.partial", std::process::id()));
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&partial)?;
        let written = file.write_all(&serde_json::to_vec_pretty(known)?);
        written.and_then(|()| fs::rename(&partial, &self.file)).inspect_err(|_| {
            fs::remove_file(&partial).ok(); // the first error is the one to tell
        })
    }
}

impl Known {
    /// It goes into a line of words: no control character may be in it, and no blank in the machine.
    fn is_sound(&self) -> bool {
        let word = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        let place_is_path = self.place == "." || self.place.starts_with('/');
        !self.machine.is_empty()
            && self.machine.chars().all(word)
            && place_is_path
            && !self.place.chars().any(char::is_control)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_found_again_by_the_same_remote_only() {
        let directory = tempfile::tempdir().unwrap();
        let one = Entry::new(directory.path(), &Remote::Exec("docker exec -i box sh".into()));
        assert_eq!(one.load(), None);
        one.store("riscv64", Form::Raw, "/var/my tmp");
        let known = one.load().unwrap();
        assert_eq!(
            (known.machine.as_str(), known.form, known.place.as_str()),
            ("riscv64", Form::Raw, "/var/my tmp")
        );
        let other = Entry::new(directory.path(), &Remote::Exec("docker exec_-i box sh".into()));
        assert_eq!(other.load(), None);
        // A collision of names would not deceive it either.
        fs::copy(&one.file, &other.file).unwrap();
        assert_eq!(other.load(), None);
    }

    #[test]
    fn a_spoilt_file_is_as_good_as_none() {
        let directory = tempfile::tempdir().unwrap();
        let entry = Entry::new(directory.path(), &Remote::Local);
        for (machine, place) in
            [("x86_64\n", "/tmp"), ("x86_64", "/tmp\nrm"), ("", "/tmp"), ("x86_64", "tmp")]
        {
            entry.store(machine, Form::Gzip, place);
            assert_eq!(entry.load(), None, "{machine:?} {place:?}");
        }
        fs::write(&entry.file, "{").unwrap();
        assert_eq!(entry.load(), None);
    }

    #[test]
    fn a_cache_that_cannot_be_written_is_no_failure() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let entry = Entry::new(file.path(), &Remote::Local);
        entry.store("x86_64", Form::Gzip, "/tmp");
        assert_eq!(entry.load(), None);
    }
}

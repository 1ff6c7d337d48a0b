//! What a process does once: removes its own file, raises its limits.

use core::ffi::CStr;

use rustix::fs::{readlink, unlink};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Removes the file that this process was started from, so that nothing stays on the far machine.
///
/// It may be gone already, or not be ours to remove: neither stops the agent from doing its work.
pub fn remove_own_file(name: Option<&CStr>) {
    if let Ok(path) = readlink(c"/proc/self/exe", alloc::vec::Vec::new()) {
        let _ = unlink(path.as_c_str());
    } else if let Some(name) = name {
        let _ = unlink(name);
    }
}

/// Each stream is an open file: asks for as many as this user may have. With fewer, streams beyond are
/// refused one by one.
pub fn allow_many_files() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

//! The directory of the control sockets: `PID.sock` in a place that only its user can enter.

use std::io::{Error, ErrorKind, Result};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::Uid;

/// Overrides every other place, for tests and for who wants his shuttles apart.
pub const VARIABLE: &str = "SHUTTLE_RUNTIME_DIR";

/// Where sockets of this user may be, the best place first. All of them are searched: a shuttle that systemd
/// started does not see the variables of a login.
pub fn candidates() -> Vec<PathBuf> {
    if let Some(directory) = std::env::var_os(VARIABLE).filter(|value| !value.is_empty()) {
        return vec![directory.into()];
    }
    let user = Uid::effective();
    let mut places = Vec::new();
    // sudo may leave the variable of the user who called it.
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    places
        .extend(runtime.filter(|path| path.is_absolute() && is_ours(path)).map(|path| path.join("shuttle")));
    let of_login = PathBuf::from(format!("/run/user/{user}"));
    if is_ours(&of_login) {
        places.push(of_login.join("shuttle"));
    }
    if user.is_root() {
        places.push("/run/shuttle".into());
    }
    places.push(format!("/tmp/shuttle-{user}").into());
    let mut seen = std::collections::HashSet::new();
    places.retain(|place| seen.insert(place.clone()));
    places
}

/// The first candidate that can be used, made if need be.
pub(super) fn create() -> Result<PathBuf> {
    let mut failures = Vec::new();
    for candidate in candidates() {
        match create_private(&candidate) {
            Ok(()) => return Ok(candidate),
            Err(error) => failures.push(format!("{}: {error}", candidate.display())),
        }
    }
    Err(Error::other(format!("there is no place for the control socket: {}", failures.join("; "))))
}

/// Makes `directory`, or takes it if it is ours; either way nobody else can enter it afterwards.
pub(super) fn create_private(directory: &Path) -> Result<()> {
    match std::fs::DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => check_private(directory)?,
    }
    // Ours by now; a mask or an older version may have left other bits.
    std::fs::set_permissions(directory, PermissionsExt::from_mode(0o700))
}

/// In /tmp, somebody else may have been there before us.
pub(super) fn check_private(directory: &Path) -> Result<()> {
    let metadata = std::fs::symlink_metadata(directory)?;
    if !metadata.is_dir() {
        return Err(Error::other("not a directory"));
    }
    if metadata.uid() != Uid::effective().as_raw() {
        return Err(Error::other(format!("belongs to user {}, not to you", metadata.uid())));
    }
    Ok(())
}

fn is_ours(directory: &Path) -> bool {
    check_private(directory).is_ok()
}

/// The process that a socket's name tells.
pub(super) fn pid_of(socket: &Path) -> Option<u32> {
    socket.file_name()?.to_str()?.strip_suffix(".sock")?.parse().ok()
}

//! The exit statuses that the manual promises.

/// `status` or `stop` found no shuttle.
pub const NO_SHUTTLE: u8 = 1;
/// The command line is wrong: trying again will not help.
pub const USAGE: u8 = 2;
/// It did not work or broke off, as sshuttle tells it.
pub const FATAL: u8 = 99;

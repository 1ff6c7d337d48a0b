//! The socket over which `shuttle status` and `shuttle stop` speak to a running shuttle.
//!
//! One line of JSON asks, one answers. A connection may ask many times; after `stop` it stays open until the
//! process is about to end, which is how the asker knows.
//!
//! | module | its job |
//! |---|---|
//! | [`place`] | the directory of the sockets |
//! | [`server`] | the running shuttle's side |
//! | [`client`] | finds the running ones and asks them |
//! | [`verbs`] | `shuttle status` and `shuttle stop` |

pub mod client;
pub mod place;
pub mod server;
mod text;
pub mod verbs;

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

pub use server::{Call, Server};

/// A longer question is refused.
const LONGEST_REQUEST: u64 = 4 * 1024;
/// A longer answer is refused.
const LONGEST_RESPONSE: u64 = 1024 * 1024;

/// What can be asked of a running shuttle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "lowercase")]
pub enum Request {
    /// How it is doing.
    Status,
    /// To end cleanly.
    Stop,
}

/// A running shuttle's answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "response", rename_all = "lowercase")]
pub enum Response {
    /// How it is doing.
    Status(Box<Status>),
    /// It is ending; the connection closes when it has.
    Stopping,
    /// It cannot do that.
    Error {
        /// Why, for the user.
        message: String,
    },
}

/// How a running shuttle is doing. A field that one side does not know is left out or takes its default, so
/// that the program may be updated while one runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// Its name.
    pub name: String,
    /// Its remote, in full.
    pub remote: String,
    /// Its process.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// When it was started, in seconds since 1970.
    pub since: u64,
    /// Whether the remote is reached.
    pub link: LinkState,
    /// The smoothed round trip to the remote, in microseconds.
    pub round_trip_us: Option<u64>,
    /// What is measured to go up, in bytes a second.
    pub rate_up: u64,
    /// What is measured to come down, in bytes a second.
    pub rate_down: u64,
    /// Streams open now.
    pub streams_open: u64,
    /// Streams opened so far.
    pub streams_opened: u64,
    /// Payload sent up so far.
    pub bytes_up: u64,
    /// Payload received so far.
    pub bytes_down: u64,
    /// Where intercepted connections are accepted.
    pub listeners: Vec<SocketAddr>,
    /// How they are intercepted.
    pub method: String,
    /// How many includes and excludes.
    pub rules: usize,
    /// The remote end.
    pub agent: Option<AgentStatus>,
}

/// Whether the remote is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkState {
    /// Not yet.
    #[default]
    Connecting,
    /// Yes.
    Up,
    /// Not any more.
    Down,
}

/// The remote end, as it introduced itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AgentStatus {
    /// Its architecture.
    pub arch: String,
    /// Its version.
    pub version: String,
}

#[cfg(test)]
mod tests;

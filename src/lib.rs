//! shuttle: reach everything that a host you can log in to can reach.
//!
//! The way of a byte, and of this crate's modules:
//!
//! | module | its job |
//! |---|---|
//! | [`cli`] | what the user typed, resolved into [`cli::Settings`] |
//! | [`daemon`] | one run from start to end: helper, link, session, rules; pidfile, background, log |
//! | [`intercept`] | accepts redirected connections and finds their original destination |
//! | [`session`] | the relation to one remote: opens streams, relays sockets, counts |
//! | [`tunnel`] | moves bytes between the protocol and a link |
//! | [`bootstrap`] | finds out the far platform, uploads the agent, starts it |
//! | [`transport`] | a byte pipe to a shell over there: ssh, any command, this machine |
//! | [`agents`] | the agents that this program carries, one an architecture |
//! | [`control`] | the socket over which `shuttle status` and `shuttle stop` speak to a running one |
#![warn(unreachable_pub)]

pub mod agents;
pub mod bootstrap;
pub mod cli;
pub mod control;
pub mod daemon;
pub mod intercept;
pub mod session;
pub mod transport;
pub mod tunnel;

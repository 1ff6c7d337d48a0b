//! What the user typed, resolved into settings.
//!
//! The way of a word: `expand` adds the environment and `@file`s, [`arguments`] takes the words as they
//! are, `resolve` makes [`Settings`] of them with the help of `subnet`, `remote` and `listen`.

pub mod arguments;
pub mod exit;
mod expand;
mod listen;
mod remote;
mod resolve;
mod sshuttle;
mod subnet;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{CommandFactory, Parser};
use firewall::policy::{Action, Rule};
use ipnet::IpNet;

use crate::transport::Remote;
use arguments::{Arguments, Verb};

pub use remote::{parse_remote, remote_in_full};

/// How connections are intercepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The best that works here.
    Auto,
    /// nftables over netlink.
    Nft,
}

/// All that one run needs to know, resolved and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What `shuttle status` and messages call this run.
    pub name: String,
    /// Where the other side is.
    pub remote: Remote,
    /// The program that plays ssh, and its first arguments; never empty.
    pub ssh_command: Vec<String>,
    /// Includes and excludes, host names replaced by their addresses; at least one include.
    pub rules: Vec<Rule>,
    /// Where redirected IPv4 connections are accepted; port 0: the first free one from 12300 downwards.
    /// `None`: IPv4 is not intercepted.
    pub listen_v4: Option<SocketAddr>,
    /// The same for IPv6.
    pub listen_v6: Option<SocketAddr>,
    /// Whether IPv6 is intercepted at all.
    pub ipv6: bool,
    /// How connections are intercepted.
    pub method: Method,
    /// How many `-v` were given.
    pub verbose: u8,
    /// Go to the background once everything works.
    pub daemonize: bool,
    /// Where to write the process id; absolute.
    pub pidfile: Option<PathBuf>,
    /// Log to syslog instead of stderr.
    pub syslog: bool,
    /// What the user should hear about these settings as soon as the log works.
    pub notices: Vec<Notice>,
}

impl Settings {
    /// Whether an include has a destination of this kind.
    pub fn includes(&self, kind: impl Fn(&IpNet) -> bool) -> bool {
        self.rules.iter().any(|rule| rule.action == Action::Include && kind(&rule.net))
    }
}

/// A remark on the settings that is no error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Something does not do what the user may expect.
    Warning(String),
    /// Good to know for who asked with `-v`.
    Remark(String),
}

/// What the user wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invocation {
    /// The main job.
    Run(Box<Settings>),
    /// One of the verbs.
    Verb(Verb),
    /// `-V`; with `-v` in detail.
    Version {
        /// Whether to list the embedded agents as well.
        detailed: bool,
    },
}

/// Why there is nothing to run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// clap's own words; help is among them.
    #[error("{0}")]
    Clap(#[from] clap::Error),
    /// The words are wrong.
    #[error("{0}")]
    Usage(String),
    /// The words are right, but this machine cannot follow them now.
    #[error("{0}")]
    Environment(String),
}

impl Error {
    fn usage(text: impl Into<String>) -> Self {
        Self::Usage(text.into())
    }
}

/// The command line as clap sees it; the man page and the completions are made of it.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Reads the command line and the environment of this process.
pub fn from_process() -> Result<Invocation, Error> {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    parse(words, |name| std::env::var_os(name))
}

/// Reads `words`, the program's name left out; `environment` looks a variable up.
pub fn parse(
    words: Vec<OsString>,
    environment: impl Fn(&str) -> Option<OsString>,
) -> Result<Invocation, Error> {
    let first_is_verb = words.first().is_some_and(is_verb);
    let words = if first_is_verb { words } else { expand::expand(words, environment)? };
    let arguments = Arguments::try_parse_from(std::iter::once(OsString::from("shuttle")).chain(words))?;
    if arguments.version {
        return Ok(Invocation::Version { detailed: arguments.verbose > 0 });
    }
    match arguments.verb {
        Some(verb) => Ok(Invocation::Verb(verb)),
        None => resolve::resolve(arguments).map(|settings| Invocation::Run(Box::new(settings))),
    }
}

fn is_verb(word: &OsString) -> bool {
    command().get_subcommands().any(|verb| word == verb.get_name())
}

#[cfg(test)]
mod tests;

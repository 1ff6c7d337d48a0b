//! Where the agents that are sent come from.

use crate::agents;

/// An agent to send.
#[derive(Clone, Copy, Debug)]
pub struct Parcel<'a> {
    /// The program, compressed by gzip.
    pub gzipped: &'a [u8],
    /// Bytes of the program.
    pub size: usize,
}

/// Where agents come from.
pub trait Catalogue {
    /// The agent for what `uname -m` says.
    fn find(&self, machine: &str) -> Option<Parcel<'_>>;

    /// The architectures that there are agents for.
    fn architectures(&self) -> Vec<String>;
}

/// The agents that this program carries.
#[derive(Clone, Copy, Debug)]
pub struct Embedded;

impl Catalogue for Embedded {
    fn find(&self, machine: &str) -> Option<Parcel<'_>> {
        agents::find(machine).map(|agent| Parcel { gzipped: agent.gzipped, size: agent.size })
    }

    fn architectures(&self) -> Vec<String> {
        agents::AGENTS.iter().map(|agent| agent.architecture.to_owned()).collect()
    }
}

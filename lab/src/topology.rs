//! Which hosts a lab has and how they are joined: plain values, nothing is built here.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::error::Error;
use crate::wan::Wan;

/// One computer of the lab.
#[derive(Clone, Debug)]
pub struct HostPlan {
    pub(crate) name: String,
    pub(crate) sshd: Option<Vec<String>>,
    pub(crate) services: bool,
    pub(crate) own_files: bool,
    pub(crate) jump: Option<String>,
}

impl HostPlan {
    /// A host with its own /tmp, /root and /run, and nothing that listens.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), sshd: None, services: false, own_files: true, jump: None }
    }

    /// Runs a real sshd on port 22.
    pub fn sshd(self) -> Self {
        self.sshd_with(&[])
    }

    /// Runs a real sshd with extra configuration lines, which win over the lab's own.
    pub fn sshd_with(mut self, lines: &[&str]) -> Self {
        self.sshd.get_or_insert_default().extend(lines.iter().map(|line| line.to_string()));
        self
    }

    /// Runs the services of [`crate::port`].
    pub fn services(mut self) -> Self {
        self.services = true;
        self
    }

    /// Sees the machine's own /tmp and home directories, as a host on which a test's programs run must.
    pub fn shared_files(mut self) -> Self {
        self.own_files = false;
        self
    }

    /// Is logged in to by way of another host of the lab (`ProxyJump`).
    pub fn jump(mut self, through: &str) -> Self {
        self.jump = Some(through.to_owned());
        self
    }
}

/// A cable between two hosts: a /24 and a /64, the first end is `.1`, the second `.2`.
#[derive(Clone, Debug)]
pub struct LinkPlan {
    pub(crate) ends: [String; 2],
    pub(crate) v4: Ipv4Addr,
    pub(crate) v6: Ipv6Addr,
    pub(crate) default_route: bool,
    pub(crate) wan: Option<[Wan; 2]>,
}

impl LinkPlan {
    /// Joins two hosts by a network given by its first (all-zero) addresses.
    pub fn new(first: &str, second: &str, v4: Ipv4Addr, v6: Ipv6Addr) -> Self {
        Self { ends: [first.to_owned(), second.to_owned()], v4, v6, default_route: false, wan: None }
    }

    /// The first end sends everything it has no other route for to the second end.
    pub fn default_route(mut self) -> Self {
        self.default_route = true;
        self
    }

    /// Makes it a wide-area line, whose conditions are given for the way from the first end to the second and back.
    pub fn wan(mut self, up: Wan, down: Wan) -> Self {
        self.wan = Some([up, down]);
        self
    }

    pub(crate) fn address_v4(&self, end: usize) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.v4.to_bits() + 1 + end as u32)
    }

    pub(crate) fn address_v6(&self, end: usize) -> Ipv6Addr {
        Ipv6Addr::from_bits(self.v6.to_bits() + 1 + end as u128)
    }

    /// The interface's name in one end says where it leads.
    pub(crate) fn interface(&self, end: usize) -> String {
        format!("to-{}", self.ends[1 - end])
    }
}

/// An address behind a host that is never answered, or refused as unreachable.
#[derive(Clone, Debug)]
pub(crate) struct OddAddresses {
    /// The host whose routing table holds them.
    pub at: String,
    /// Dropped without a word: routed to this host, which does not forward.
    pub via: String,
}

/// The hosts and cables of a lab.
#[derive(Clone, Debug, Default)]
pub(crate) struct Topology {
    pub hosts: Vec<HostPlan>,
    pub links: Vec<LinkPlan>,
    pub odd: Option<OddAddresses>,
}

impl Topology {
    /// client — server — inner.
    pub fn site() -> Self {
        Self {
            hosts: vec![
                HostPlan::new("client").shared_files(),
                HostPlan::new("server").sshd(),
                HostPlan::new("inner").services(),
            ],
            links: vec![
                LinkPlan::new("client", "server", Ipv4Addr::new(203, 0, 113, 0), v6([0x2001, 0xdb8, 0x113]))
                    .default_route(),
                LinkPlan::new("server", "inner", Ipv4Addr::new(10, 20, 0, 0), v6([0xfd20, 0, 0])),
            ],
            odd: Some(OddAddresses { at: "server".into(), via: "inner".into() }),
        }
    }

    /// client — jump — server — inner: the server can be reached through the jump host only.
    pub fn behind_jump() -> Self {
        let mut topology = Self::site();
        topology.hosts.insert(1, HostPlan::new("jump").sshd());
        topology.hosts[2].jump = Some("jump".into());
        topology.links[0] =
            LinkPlan::new("client", "jump", Ipv4Addr::new(203, 0, 113, 0), v6([0x2001, 0xdb8, 0x113]))
                .default_route();
        topology.links.insert(
            1,
            LinkPlan::new("jump", "server", Ipv4Addr::new(172, 20, 0, 0), v6([0x2001, 0xdb8, 0x172])),
        );
        topology
    }

    /// client — server — inner and client — server2 — inner2.
    pub fn two_sites() -> Self {
        let mut topology = Self::site();
        topology.hosts.push(HostPlan::new("server2").sshd());
        topology.hosts.push(HostPlan::new("inner2").services());
        topology.links.push(LinkPlan::new(
            "client",
            "server2",
            Ipv4Addr::new(198, 51, 100, 0),
            v6([0x2001, 0xdb8, 0x198]),
        ));
        topology.links.push(LinkPlan::new(
            "server2",
            "inner2",
            Ipv4Addr::new(10, 30, 0, 0),
            v6([0xfd30, 0, 0]),
        ));
        topology
    }

    /// Refuses what could not be built, before anything is.
    pub fn check(&self) -> Result<(), Error> {
        for (index, host) in self.hosts.iter().enumerate() {
            let plain = host.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
            if !plain || host.name.is_empty() || host.name.len() > 12 {
                return Err(Error::Topology(format!(
                    "{:?} is no host name: 1 to 12 lower-case letters and digits",
                    host.name
                )));
            }
            if self.hosts[..index].iter().any(|other| other.name == host.name) {
                return Err(Error::Topology(format!("two hosts are called {}", host.name)));
            }
        }
        let unknown = |name: &String| !self.hosts.iter().any(|host| host.name == *name);
        let mentioned = self.links.iter().flat_map(|link| link.ends.iter());
        if let Some(name) =
            mentioned.chain(self.hosts.iter().filter_map(|h| h.jump.as_ref())).find(|n| unknown(n))
        {
            return Err(Error::Topology(format!("there is no host {name}")));
        }
        match self.hosts.iter().find(|host| self.end_of(&host.name).is_none()) {
            Some(host) => Err(Error::Topology(format!("no link leads to {}", host.name))),
            None => Ok(()),
        }
    }

    /// A host's first link and which end of it the host is.
    pub fn end_of(&self, host: &str) -> Option<(&LinkPlan, usize)> {
        self.links.iter().find_map(|link| Some((link, link.ends.iter().position(|end| end == host)?)))
    }
}

fn v6(prefix: [u16; 3]) -> Ipv6Addr {
    Ipv6Addr::new(prefix[0], prefix[1], prefix[2], 0, 0, 0, 0, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_topologies_are_sound() {
        for topology in [Topology::site(), Topology::behind_jump(), Topology::two_sites()] {
            topology.check().unwrap();
        }
    }

    #[test]
    fn a_link_to_nowhere_and_a_host_without_a_link_are_refused() {
        let mut topology = Topology::site();
        topology.links.push(LinkPlan::new("client", "moon", Ipv4Addr::new(10, 99, 0, 0), v6([0xfd99, 0, 0])));
        assert!(topology.check().unwrap_err().to_string().contains("no host moon"));

        let mut topology = Topology::site();
        topology.hosts.push(HostPlan::new("island"));
        assert!(topology.check().unwrap_err().to_string().contains("no link leads to island"));
    }

    #[test]
    fn the_server_is_at_the_second_address_of_its_outside_link() {
        let topology = Topology::site();
        let (link, end) = topology.end_of("server").unwrap();
        assert_eq!(link.address_v4(end), Ipv4Addr::new(203, 0, 113, 2));
        assert_eq!(link.interface(end), "to-client");
    }
}

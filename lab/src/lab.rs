//! The lab itself: builds a topology step by step and takes it down when dropped.

use std::path::{Path, PathBuf};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::Uid;

use crate::error::{Doing, Error};
use crate::host::Host;
use crate::keeper::{self, Keeper};
use crate::services::Services;
use crate::topology::{HostPlan, LinkPlan, Topology};
use crate::wan::{Wan, WanLine};
use crate::{cabling, login};

/// A private internet that lives as long as this value.
///
/// The fields are dropped in their order: the services' sockets go first, the namespaces last.
#[derive(Debug)]
pub struct Lab {
    services: Vec<Services>,
    wans: Vec<WanLine>,
    hosts: Vec<Host>,
    login: String,
    user_login: String,
    ssh_command: String,
    ssh_config: PathBuf,
    directory: PathBuf,
    _keeper: Keeper,
}

/// Says what a lab shall consist of; [`Builder::build`] makes it.
#[derive(Clone, Debug)]
pub struct Builder {
    topology: Topology,
}

impl Lab {
    /// The default lab: client — server — inner.
    pub fn new() -> Result<Self, Error> {
        Self::builder().build()
    }

    /// Starts from the default topology.
    pub fn builder() -> Builder {
        Builder { topology: Topology::site() }
    }

    /// The host on which shuttle runs.
    pub fn client(&self) -> &Host {
        self.host("client")
    }

    /// The host with the sshd.
    pub fn server(&self) -> &Host {
        self.host("server")
    }

    /// The host that only the server reaches, with the services of [`crate::port`].
    pub fn inner(&self) -> &Host {
        self.host("inner")
    }

    /// A host by its name; panics when the topology has none of that name.
    pub fn host(&self, name: &str) -> &Host {
        let found = self.hosts.iter().find(|host| host.name() == name);
        found.unwrap_or_else(|| panic!("the lab has no host {name}"))
    }

    /// All hosts, in the topology's order.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// The line between the client and its first hop; panics when the lab was built without one.
    pub fn wan(&self) -> &WanLine {
        self.wans.first().expect("the lab was built without a WAN line")
    }

    /// All wide-area lines, in the order of the topology's links.
    pub fn wans(&self) -> &[WanLine] {
        &self.wans
    }

    /// `root@` the server's IPv4 address.
    pub fn login(&self) -> &str {
        &self.login
    }

    /// `alice@` the server's IPv4 address: a user without any privilege.
    pub fn user_login(&self) -> &str {
        &self.user_login
    }

    /// The file for `ssh -F`. It knows the servers' names, too: `root@server`.
    pub fn ssh_config(&self) -> &Path {
        &self.ssh_config
    }

    /// `ssh -F <configuration>`, for shuttle's `-e`.
    pub fn ssh_command(&self) -> String {
        self.ssh_command.clone()
    }

    /// The lab's directory; the client sees it, the other hosts do not.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

impl Builder {
    /// client — jump — server — inner, where ssh reaches the server through the jump host only.
    pub fn behind_jump(self) -> Self {
        Self { topology: Topology::behind_jump() }
    }

    /// Two servers, each with an inner network of its own: `server2` (198.51.100.2) and `inner2` (10.30.0.2, fd30::2).
    pub fn two_sites(self) -> Self {
        Self { topology: Topology::two_sites() }
    }

    /// Adds a host, or replaces the one of the same name.
    pub fn host(mut self, plan: HostPlan) -> Self {
        match self.topology.hosts.iter_mut().find(|host| host.name == plan.name) {
            Some(host) => *host = plan,
            None => self.topology.hosts.push(plan),
        }
        self
    }

    /// Adds a cable.
    pub fn link(mut self, plan: LinkPlan) -> Self {
        self.topology.links.push(plan);
        self
    }

    /// Makes the client's line a wide-area line, alike in both directions.
    pub fn wan(self, wan: Wan) -> Self {
        self.wan_with(wan, wan)
    }

    /// Makes the client's line a wide-area line with conditions for each direction.
    pub fn wan_with(mut self, up: Wan, down: Wan) -> Self {
        self.topology.links[0].wan = Some([up, down]);
        self
    }

    /// Builds the lab; everything listens when this returns.
    pub fn build(self) -> Result<Lab, Error> {
        let topology = self.topology;
        topology.check()?;
        if !Uid::effective().is_root() {
            return Err(Error::NotRoot);
        }
        allow_many_open_files();

        let directory = new_directory()?;
        login::prepare(&directory, &topology)?;
        let (keeper, holders) = Keeper::start(&directory, &topology.hosts)?;
        let mut hosts = Vec::new();
        for plan in &topology.hosts {
            let (link, end) = topology.end_of(&plan.name).expect("checked above");
            hosts.push(Host::new(
                &plan.name,
                link.address_v4(end),
                link.address_v6(end),
                holders[&plan.name],
            )?);
        }
        for host in &hosts {
            cabling::carry_out(host, &cabling::cables(host.name(), &topology.links, &holders))?;
        }
        let find = |name: &String| hosts.iter().find(|host| host.name() == name).expect("checked above");
        let mut wans = Vec::new();
        for link in &topology.links {
            if let Some(conditions) = link.wan {
                wans.push(WanLine::lay(link, conditions, [find(&link.ends[0]), find(&link.ends[1])])?);
            }
        }
        for host in &hosts {
            cabling::carry_out(host, &cabling::addresses(host.name(), &topology))?;
        }
        let mut services = Vec::new();
        for (host, plan) in hosts.iter().zip(&topology.hosts) {
            if plan.sshd.is_some() {
                login::serve(host)?;
            }
            if plan.services {
                services.push(Services::start(host)?);
            }
        }

        let server = hosts.iter().find(|host| host.name() == "server");
        let server = server.map(|host| host.address_v4().to_string()).unwrap_or_default();
        let ssh_config = directory.join("ssh_config");
        Ok(Lab {
            login: format!("root@{server}"),
            user_login: format!("alice@{server}"),
            ssh_command: format!("ssh -F {}", ssh_config.display()),
            ssh_config,
            services,
            wans,
            hosts,
            directory,
            _keeper: keeper,
        })
    }
}

impl Lab {
    /// The services of the inner hosts, in the topology's order.
    pub fn services(&self) -> &[Services] {
        &self.services
    }
}

/// The directory is the keeper's to remove from the moment that it runs.
fn new_directory() -> Result<PathBuf, Error> {
    let parent = std::env::temp_dir();
    keeper::sweep(&parent);
    let directory = tempfile::Builder::new()
        .prefix(keeper::PREFIX)
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .tempdir_in(&parent)
        .doing("create the lab's directory")?;
    Ok(directory.keep())
}

/// Services and load generators hold both ends of thousands of connections in this process.
fn allow_many_open_files() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // With less the lab works, for fewer connections.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

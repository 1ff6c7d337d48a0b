//! Who is compared: how each peer is started, where an application connects to, how it is stopped.

use std::fs::File;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use lab::{INNER_V4, Lab, port};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::memory::{Before, Memory};
use crate::{Plan, load};

/// One way from the client to the inner network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Peer {
    /// The workspace's own
    Shuttle,
    /// Release 2.0.0 from PyPI, method nft
    Sshuttle,
    /// `ssh -L`: not transparent, but what ssh itself can do.
    Forward,
}

/// `ssh -L` forwards the port `n` of the inner host from this plus `n`.
const FORWARDED: u16 = 10_000;
const FORWARDED_PORTS: [u16; 4] = [port::HTTP, port::SOURCE, port::DISCARD, port::ECHO];

/// A peer that carries connections; ended when dropped.
#[derive(Debug)]
pub(crate) struct Running<'a> {
    peer: Peer,
    lab: &'a Lab,
    child: Child,
    before: Before,
}

impl Peer {
    pub fn name(self) -> &'static str {
        match self {
            Self::Shuttle => "**shuttle**",
            Self::Sshuttle => "sshuttle 2.0",
            Self::Forward => "ssh -L",
        }
    }

    /// Starts the peer without waiting for it to work.
    pub fn launch<'a>(self, lab: &'a Lab, plan: &Plan) -> Result<Running<'a>> {
        let before = Before::look(lab);
        let log = lab.directory().join(format!("{self:?}.log"));
        let said = File::create(&log).context("create a log")?;
        let mut command = self.command(lab, plan);
        let command = command.stdin(Stdio::null()).stdout(said.try_clone()?).stderr(said);
        let child = command.spawn().with_context(|| format!("start {}", self.name()))?;
        Ok(Running { peer: self, lab, child, before })
    }

    /// Starts the peer and waits until a page came through it.
    pub fn start<'a>(self, lab: &'a Lab, plan: &Plan) -> Result<Running<'a>> {
        let mut running = self.launch(lab, plan)?;
        let address = running.address(port::HTTP);
        let patience = Instant::now() + Duration::from_secs(20);
        while lab.client().inside(|| load::fetch(address, Duration::from_secs(1))).is_err() {
            if let Some(status) = running.child.try_wait()? {
                bail!("{} ended: {status}\n{}", self.name(), running.log());
            }
            if Instant::now() > patience {
                bail!("no page came through {} in 20 s\n{}", self.name(), running.log());
            }
        }
        Ok(running)
    }

    fn command(self, lab: &Lab, plan: &Plan) -> Command {
        let (client, ssh, login) = (lab.client(), lab.ssh_command(), lab.login());
        match self {
            Self::Shuttle => {
                let mut command = client.command(&plan.programs.shuttle);
                command.args(["-e", &ssh, "-r", login, INNER_V4]);
                command
            }
            Self::Sshuttle => {
                let mut command = client.command(&plan.programs.sshuttle);
                command.args(["-e", &ssh, "-r", login, "--method", "nft", "--disable-ipv6"]);
                command.args(["--python", "/usr/bin/python3", INNER_V4]);
                command
            }
            Self::Forward => {
                let mut command = client.command("ssh");
                command.arg("-F").arg(lab.ssh_config()).args(["-N", login]);
                for port in FORWARDED_PORTS {
                    command.arg("-L");
                    command.arg(format!("{}:{}:{port}", FORWARDED + port, lab.inner().address_v4()));
                }
                command
            }
        }
    }
}

impl Running<'_> {
    /// Where an application on the client connects to for a port of the inner host.
    pub fn address(&self, port: u16) -> SocketAddr {
        match self.peer {
            Peer::Forward => ([127, 0, 0, 1], FORWARDED + port).into(),
            Peer::Shuttle | Peer::Sshuttle => (self.lab.inner().address_v4(), port).into(),
        }
    }

    /// What the peer's processes hold on both ends.
    pub fn memory(&self) -> Memory {
        self.before.memory(self.lab)
    }

    /// Whether it has not ended by itself.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// What it printed.
    pub fn log(&self) -> String {
        let log = self.lab.directory().join(format!("{:?}.log", self.peer));
        std::fs::read_to_string(log).unwrap_or_default()
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        // It may have ended already, which some figures are about.
        let _ = kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM);
        let patience = Instant::now() + Duration::from_secs(5);
        while self.is_alive() && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

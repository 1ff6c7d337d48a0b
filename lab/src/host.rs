//! One host of a lab, and the ways into it.

use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};
use std::sync::Arc;

use nix::sched::{CloneFlags, setns};
use nix::unistd::{Gid, Uid, chdir, setgid, setgroups, setuid};

use crate::error::{Doing, Error};

/// The user and group id of alice, the lab's plain user.
pub const ALICE: u32 = 4711;

/// One host of a lab: its namespaces and addresses. Cheap to clone; of no use after its lab was dropped.
#[derive(Clone, Debug)]
pub struct Host {
    shared: Arc<Shared>,
}

/// A process on a host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Process {
    /// As the machine numbers it.
    pub pid: u32,
    /// The kernel's short name for it.
    pub name: String,
}

#[derive(Debug)]
struct Shared {
    name: String,
    v4: Ipv4Addr,
    v6: Ipv6Addr,
    /// The process that keeps the namespaces alive.
    holder: u32,
    net: File,
    mount: File,
    uts: File,
}

impl Host {
    pub(crate) fn new(name: &str, v4: Ipv4Addr, v6: Ipv6Addr, holder: u32) -> Result<Self, Error> {
        let open = |kind: &str| {
            let path = format!("/proc/{holder}/ns/{kind}");
            File::open(&path).doing(format!("open {path}"))
        };
        let (net, mount, uts) = (open("net")?, open("mnt")?, open("uts")?);
        Ok(Self { shared: Arc::new(Shared { name: name.to_owned(), v4, v6, holder, net, mount, uts }) })
    }

    /// The host's name in the topology.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// The host's IPv4 address on its first link.
    pub fn address_v4(&self) -> Ipv4Addr {
        self.shared.v4
    }

    /// The host's IPv6 address on its first link.
    pub fn address_v6(&self) -> Ipv6Addr {
        self.shared.v6
    }

    /// The process that keeps the host's namespaces alive; `/proc/<holder>/root` shows the host's files.
    pub fn holder(&self) -> u32 {
        self.shared.holder
    }

    /// A command that will run on this host as root: in its network, with its files, in the caller's directory.
    ///
    /// It is an ordinary child of the caller. Whatever of it still runs when the lab ends is killed.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        self.command_for(program, 0, "root")
    }

    /// A command that will run on this host as alice, a user without any privilege.
    pub fn command_as_alice(&self, program: impl AsRef<OsStr>) -> Command {
        self.command_for(program, ALICE, "alice")
    }

    fn command_for(&self, program: impl AsRef<OsStr>, id: u32, user: &str) -> Command {
        let shared = Arc::clone(&self.shared);
        let mut command = Command::new(program);
        command
            .env("HOME", format!("/run/home/{user}"))
            .env("USER", user)
            .env("LOGNAME", user)
            .env("XDG_RUNTIME_DIR", format!("/run/user/{id}"))
            .env_remove("XDG_CACHE_HOME")
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("XDG_STATE_HOME")
            .env_remove("SSH_AUTH_SOCK");
        // SAFETY: between fork and exec only system calls are made, nothing is allocated and no lock is taken.
        unsafe { command.pre_exec(move || enter(&shared, id)) };
        command
    }

    /// Runs a shell command line as root and waits for its end.
    pub fn run(&self, line: &str) -> Result<Output, Error> {
        self.command("sh").arg("-c").arg(line).output().doing(format!("run `{line}` on {}", self.name()))
    }

    /// Runs a shell command line as root; anything but exit status 0 is an error. Gives what it printed.
    pub fn check(&self, line: &str) -> Result<String, Error> {
        let output = self.run(line)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(Error::Program {
            program: format!("`{line}` on {}", self.name()),
            status: output.status.to_string(),
            words: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        })
    }

    /// Runs a closure in a thread inside this host's network: sockets that it opens belong to the host, and stay so.
    ///
    /// Only the network is entered, not the host's files. A panic of the closure is passed on.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let entered = scope.spawn(|| {
                setns(self.shared.net.as_fd(), CloneFlags::CLONE_NEWNET)
                    .expect("the lab's network still exists");
                work()
            });
            entered.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// The living processes on this host but the one that holds it: of sshd, of commands, of whatever they started.
    pub fn processes(&self) -> Vec<Process> {
        let network = self.shared.net.metadata().map(|data| data.ino()).ok();
        let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let here = |pid: &u32| {
            // The link cannot be followed once the process has ended, also when nobody has waited for it yet.
            let theirs = std::fs::metadata(format!("/proc/{pid}/ns/net")).map(|data| data.ino()).ok();
            theirs.is_some() && theirs == network && *pid != self.shared.holder
        };
        let name = |pid| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        numbers.filter(here).map(|pid| Process { pid, name: name(pid).trim_end().to_owned() }).collect()
    }

    /// Adds a user with a login shell of choice; the lab's key logs in as everyone. The home is `/run/home/<name>`.
    pub fn add_user(&self, name: &str, shell: &str) -> Result<(), Error> {
        self.check(&format!(
            "id=$((4712 + $(grep -c /run/home/ /etc/passwd))) && mkdir -p /run/home/{name} && \
             echo {name}:x:$id:$id::/run/home/{name}:{shell} >>/etc/passwd && \
             echo '{name}:*:19000:0:99999:7:::' >>/etc/shadow && echo {name}:x:$id: >>/etc/group && \
             grep -qx {shell} /etc/shells || echo {shell} >>/etc/shells; \
             chown $id:$id /run/home/{name} && chmod 700 /run/home/{name}"
        ))
        .map(drop)
    }
}

/// Enters a host between fork and exec. The caller's directory is kept where the host has it too.
fn enter(host: &Shared, id: u32) -> io::Result<()> {
    let mut place = [0; libc::PATH_MAX as usize];
    // SAFETY: the buffer is as long as said; on success it holds a string with its final zero.
    let known = unsafe { !libc::getcwd(place.as_mut_ptr(), place.len()).is_null() };
    setns(host.net.as_fd(), CloneFlags::CLONE_NEWNET)?;
    setns(host.uts.as_fd(), CloneFlags::CLONE_NEWUTS)?;
    setns(host.mount.as_fd(), CloneFlags::CLONE_NEWNS)?;
    if known {
        // SAFETY: as above.
        let place = unsafe { CStr::from_ptr(place.as_ptr()) };
        // The new mount namespace has put us to its root, which is right when it lacks the directory.
        let _ = chdir(place);
    }
    if id != 0 {
        setgroups(&[Gid::from_raw(id)])?;
        setgid(Gid::from_raw(id))?;
        setuid(Uid::from_raw(id))?;
    }
    Ok(())
}

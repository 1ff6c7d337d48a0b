//! What the tests share: an agent that echoes, and a start with it.

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use shuttle::bootstrap::{self, BootstrapError, Catalogue, Options, Parcel, Started};
use shuttle::transport::Remote;

/// Says hello, removes itself, and sends back what it is sent.
pub const ECHO: &str = "#!/bin/sh\nrm -f \"$0\"\n\
    printf '\\0shuttl\\376\\0\\1\\0\\0\\0\\0\\0\\1\\0\\0\\0\\0\\0\\144'\nexec cat\n";

/// A hang guard, not a measure.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Agents for some machines.
pub struct Agents {
    machines: Vec<&'static str>,
    gzipped: Vec<u8>,
    size: usize,
}

impl Agents {
    /// The echoing agent for these machines.
    pub fn echo(machines: &[&'static str]) -> Self {
        Self::of(machines, ECHO.as_bytes())
    }

    /// A program of choice.
    pub fn of(machines: &[&'static str], program: &[u8]) -> Self {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(program).unwrap();
        Self { machines: machines.to_vec(), gzipped: encoder.finish().unwrap(), size: program.len() }
    }
}

impl Catalogue for Agents {
    fn find(&self, machine: &str) -> Option<Parcel<'_>> {
        self.machines.contains(&machine).then_some(Parcel { gzipped: &self.gzipped, size: self.size })
    }

    fn architectures(&self) -> Vec<String> {
        self.machines.iter().map(|&machine| machine.to_owned()).collect()
    }
}

/// Words for [`Options::ssh_command`].
pub fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

pub fn exec(command: impl Into<String>) -> Remote {
    Remote::Exec(command.into())
}

/// One start, on a runtime of its own.
pub struct Trial<'a> {
    pub agents: &'a dyn Catalogue,
    pub ssh_command: Vec<String>,
    pub cache: Option<&'a Path>,
    pub patience: Duration,
}

impl<'a> Trial<'a> {
    pub fn new(agents: &'a dyn Catalogue) -> Self {
        Self { agents, ssh_command: words("ssh"), cache: None, patience: PATIENCE }
    }

    /// Starts an agent and gives it to `then`, on the same runtime.
    pub fn start_then<T>(
        &self,
        remote: &Remote,
        then: impl AsyncFnOnce(Result<Started, BootstrapError>) -> T,
    ) -> T {
        let options = Options {
            ssh_command: &self.ssh_command,
            agents: self.agents,
            cache: self.cache.map(Path::to_owned),
            login_patience: self.patience,
            stage_patience: self.patience,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { then(bootstrap::start(remote, &options).await).await })
    }

    /// Starts an agent that must answer; gives how many turns it took and where it runs.
    pub fn talks(&self, remote: &Remote) -> (u32, String) {
        self.start_then(remote, async |started| {
            let started = started.unwrap_or_else(|error| panic!("{remote}: {error}"));
            let platform = started.platform.clone();
            echoes(started).await;
            (platform.turns, platform.place)
        })
    }

    /// A start that must fail.
    pub fn fails(&self, remote: &Remote) -> BootstrapError {
        self.start_then(remote, async |started| started.map(|_| ()).expect_err("a start that fails"))
    }
}

/// The echoing agent has a clean byte pipe both ways, and ends when the pipe does.
pub async fn echoes(started: Started) {
    assert_eq!((started.hello.version, started.hello.window), (1, 65536));
    let Started { link, leftover, .. } = started;
    assert_eq!(leftover, b"");
    let sent: Vec<u8> = (0..=255u8).cycle().take(100_000).collect();
    let mut input = blocking(link.input);
    let mut output = blocking(link.output);
    let echo = std::thread::spawn({
        let mut back = vec![0; sent.len()];
        move || {
            input.read_exact(&mut back).unwrap();
            (back, input)
        }
    });
    output.write_all(&sent).unwrap();
    let (back, mut input) = echo.join().unwrap();
    assert!(back == sent, "the echo differs");
    drop(output);
    let mut rest = Vec::new();
    input.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"");
    let mut process = link.process;
    let exit = tokio::time::timeout(PATIENCE, process.wait()).await.expect("the child ends").unwrap();
    assert_eq!(exit.code, Some(0), "{exit:?}");
}

fn blocking(fd: OwnedFd) -> std::fs::File {
    fcntl(fd.as_fd(), FcntlArg::F_SETFL(OFlag::empty())).unwrap();
    fd.into()
}

/// Which files of ours lie in this directory.
pub fn litter(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
    let names = entries.map(|name| name.to_string_lossy().into_owned());
    names.filter(|name| name.starts_with(".shuttle-")).collect()
}

/// A remote whose shell runs in mounts of its own, after `setup` changed them.
pub fn in_own_mounts(setup: &str) -> Remote {
    assert!(!setup.contains('\''));
    exec(format!("exec unshare -m --propagation private sh -c '{setup}\nexec sh'"))
}

/// Waits until a condition holds; the deadline is a hang guard.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Bytes that no compression makes smaller.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// This machine's name as `uname -m` gives it.
pub fn machine() -> &'static str {
    let output = Command::new("uname").arg("-m").output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), std::env::consts::ARCH);
    std::env::consts::ARCH
}

//! The child process that carries a link: its pipes, its signals, its end and its last words.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::prctl;
use nix::sys::signal::{self, SigHandler, Signal};
use nix::unistd::{Pid, getppid};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, Command};
use tokio::task::JoinHandle;

use super::{Link, TransportError};

/// What the child's standard input and output are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "one is chosen below, by measurement")]
enum Plumbing {
    Pipe,
    Socket,
}

/// The choice.
const PLUMBING: Plumbing = Plumbing::Pipe;
/// A pipe's size: fewer and larger reads than with the kernel's 64 KiB, and few enough bytes to wait behind.
const PIPE_BYTES: i32 = 256 * 1024;
/// How much of what the child said is kept for an error report.
const WORDS_KEPT: usize = 4096;
/// From the polite signal to the other one: ssh needs the time to give the terminal its echo back.
const GRACE: Duration = Duration::from_millis(500);
/// How long what the child said may arrive after its end; a background ssh (ControlPersist) holds the pipe.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// A running child; it is told to end when this is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    pid: u32,
    words: Arc<Mutex<Vec<u8>>>,
    listening: Option<JoinHandle<()>>,
}

/// How a child ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Its exit status; `None` when a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// The last lines that it wrote to standard error.
    pub words: String,
}

/// Starts `argv` with its standard input and output on a new link.
pub(super) fn spawn(argv: &[String]) -> Result<Link, TransportError> {
    let (program, arguments) = argv.split_first().ok_or(TransportError::NoCommand)?;
    let (input, child_output) = pair(PLUMBING, true).map_err(TransportError::Pipe)?;
    let (output, child_input) = pair(PLUMBING, false).map_err(TransportError::Pipe)?;

    let mut command = Command::new(program);
    command.args(arguments).stdin(child_input).stdout(child_output).stderr(Stdio::piped());
    let parent = Pid::this();
    // SAFETY: between fork and exec only async-signal-safe system calls are made, and nothing is allocated.
    unsafe {
        command.pre_exec(move || follow_parent(parent));
    }
    let mut child =
        command.spawn().map_err(|source| TransportError::Spawn { program: program.clone(), source })?;
    let pid = child.id().unwrap_or_default();
    let words = Arc::new(Mutex::new(Vec::new()));
    let listening = child.stderr.take().map(|stderr| tokio::spawn(pass_on(stderr, words.clone())));
    Ok(Link { input, output, process: Process { child, pid, words, listening } })
}

/// What a child of ours does before it becomes ssh.
///
/// It stays in our process group, so that it may ask for a password on the terminal. A Ctrl-C there, or the
/// terminal's end, is for the daemon alone, which still has connections to reset: ssh leaves an ignored
/// signal ignored. When the daemon is gone, however that came, so is the child.
fn follow_parent(parent: Pid) -> io::Result<()> {
    for ignored in [Signal::SIGINT, Signal::SIGHUP] {
        // SAFETY: ignoring a signal installs no code.
        unsafe { signal::signal(ignored, SigHandler::SigIgn) }?;
    }
    prctl::set_pdeathsig(Signal::SIGTERM)?;
    if getppid() != parent {
        return Err(io::Error::from(nix::errno::Errno::ESRCH)); // it died before the line above
    }
    Ok(())
}

/// Our nonblocking end, and the child's end.
fn pair(plumbing: Plumbing, we_read: bool) -> io::Result<(OwnedFd, OwnedFd)> {
    let (ours, theirs): (OwnedFd, OwnedFd) = match plumbing {
        Plumbing::Pipe => {
            let (reader, writer) = io::pipe()?;
            // Refused when the user's share of pipe memory is used up: then it is as large as it was.
            if let Err(error) = fcntl(reader.as_fd(), FcntlArg::F_SETPIPE_SZ(PIPE_BYTES)) {
                tracing::debug!(%error, "the pipe keeps its size");
            }
            if we_read { (reader.into(), writer.into()) } else { (writer.into(), reader.into()) }
        }
        Plumbing::Socket => {
            let (ours, theirs) = UnixStream::pair()?;
            (ours.into(), theirs.into())
        }
    };
    fcntl(ours.as_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok((ours, theirs))
}

/// Shows the user what the child says, as it says it, and keeps the end of it.
async fn pass_on(mut stderr: ChildStderr, words: Arc<Mutex<Vec<u8>>>) {
    let mut buffer = [0; 1024];
    let mut terminal = tokio::io::stderr();
    while let Ok(length @ 1..) = stderr.read(&mut buffer).await {
        {
            let mut words = words.lock().unwrap_or_else(PoisonError::into_inner);
            words.extend_from_slice(&buffer[..length]);
            let excess = words.len().saturating_sub(WORDS_KEPT);
            words.drain(..excess);
        }
        // Nobody may be listening any more (a closed terminal); the words are kept all the same.
        if terminal.write_all(&buffer[..length]).await.is_ok() {
            terminal.flush().await.ok();
        }
    }
}

impl Process {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits for its end.
    pub async fn wait(&mut self) -> io::Result<Exit> {
        let status = self.child.wait().await?;
        if let Some(listening) = self.listening.take() {
            tokio::time::timeout(LAST_WORDS, listening).await.ok();
        }
        Ok(Exit::new(status, self.last_words()))
    }

    /// Ends it: politely, then not. Close the link's two ends before: their end is ssh's own reason to go.
    pub async fn end(mut self) -> io::Result<Exit> {
        self.terminate();
        if let Ok(exit) = tokio::time::timeout(GRACE, self.wait()).await {
            return exit;
        }
        self.child.start_kill()?;
        self.wait().await
    }

    /// The last lines that it wrote to standard error so far.
    pub fn last_words(&self) -> String {
        let words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&words).trim().to_owned()
    }

    /// With all that it started: a ProxyJump's ssh, which inherited our deafness to SIGHUP, would otherwise stay
    /// for as long as its connection hangs.
    fn terminate(&self) {
        // The id is there for as long as the child was not waited for, so it is nobody else's.
        let Some(pid) = self.child.id() else { return };
        for pid in family(pid) {
            // Fails only when it ended a moment ago.
            signal::kill(pid, Signal::SIGTERM).ok();
        }
    }
}

/// A process and all that descend from it, elders first; those that left the family are not ours to end.
fn family(pid: u32) -> Vec<Pid> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let youngers = children.split_whitespace().filter_map(|child| child.parse().ok()).flat_map(family);
    i32::try_from(pid).map(Pid::from_raw).into_iter().chain(youngers).collect()
}

impl Drop for Process {
    fn drop(&mut self) {
        self.terminate();
    }
}

impl Exit {
    fn new(status: ExitStatus, words: String) -> Self {
        Self { code: status.code(), signal: status.signal(), words }
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::signal::kill;

    use super::*;

    fn sh(line: &str) -> Link {
        spawn(&["sh", "-c", line].map(str::to_owned)).unwrap()
    }

    #[tokio::test]
    async fn an_end_tells_how_it_came_and_the_last_words() {
        let mut link = sh("echo one >&2; echo two >&2; exit 7");
        let exit = link.process.wait().await.unwrap();
        assert_eq!(exit, Exit { code: Some(7), signal: None, words: "one\ntwo".into() });
        let mut link = sh("seq -s, 1 2000 >&2; echo end >&2; kill -9 $$");
        let exit = link.process.wait().await.unwrap();
        assert_eq!((exit.code, exit.signal), (None, Some(9)));
        assert!(exit.words.len() < WORDS_KEPT && exit.words.ends_with("2000\nend"), "{}", exit.words);
    }

    #[tokio::test]
    async fn ending_a_child_ends_what_it_started() {
        let link = sh("sleep 1000 & echo $! >&2; wait");
        let grandchild = loop {
            match link.process.last_words().parse() {
                Ok(pid) => break Pid::from_raw(pid),
                Err(_) => tokio::task::yield_now().await,
            }
        };
        link.process.end().await.unwrap();
        // It is init's to wait for, which may take a moment.
        while kill(grandchild, None).is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    #[tokio::test]
    async fn a_child_that_does_not_listen_is_killed() {
        let link = sh("trap '' TERM; echo ready >&2; while :; do sleep 1; done");
        while link.process.last_words().is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(link.process.end().await.unwrap().signal, Some(9));
    }
}

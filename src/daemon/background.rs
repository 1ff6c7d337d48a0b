//! `-D`: to the background, but only once everything works.
//!
//! The process forks before it has threads. The parent stays in the foreground and waits; the child keeps the
//! terminal, so that ssh and sudo can ask for passwords and errors are seen, until [`Ready::announce`]. If it
//! ends before, the parent ends with its exit status.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;

use anyhow::Context;
use nix::fcntl::OFlag;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{
    ForkResult, Pid, dup2_stderr, dup2_stdin, dup2_stdout, fork, getpid, getppid, pipe2, setsid,
};

use super::log;
use super::pidfile::Pidfile;
use crate::cli::{Settings, exit};

/// What is left to do when everything works; to be kept until the end of the run, as it owns the pidfile.
#[derive(Debug)]
pub struct Ready {
    pidfile: Option<Pidfile>,
    waiting_parent: Option<File>,
}

impl Ready {
    /// Forks if the settings say so and claims the pidfile. With a fork, only the child returns. The process
    /// must have one thread.
    pub fn prepare(settings: &Settings) -> anyhow::Result<Self> {
        let waiting_parent = if settings.daemonize { Some(leave_parent_waiting()?) } else { None };
        let pidfile = settings.pidfile.as_deref().map(Pidfile::claim).transpose()?;
        Ok(Self { pidfile, waiting_parent })
    }

    /// Everything works: writes the pidfile, leaves the terminal and lets the command return. Call it once,
    /// when the rules are in place.
    pub fn announce(&mut self) -> anyhow::Result<()> {
        if let Some(pidfile) = &mut self.pidfile {
            pidfile.write()?;
        }
        let Some(mut parent) = self.waiting_parent.take() else { return Ok(()) };
        log::to_syslog();
        leave_terminal().context("cannot go to the background")?;
        parent.write_all(b"!").context("the command that started this shuttle is gone")
    }
}

/// Returns in the child, with the pipe to its parent.
fn leave_parent_waiting() -> anyhow::Result<File> {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC).context("cannot make a pipe")?;
    let parent = getpid();
    // SAFETY: the process has one thread, as `prepare` demands, so the child may go on as if nothing happened.
    match unsafe { fork() }.context("cannot fork")? {
        ForkResult::Parent { child } => {
            drop(writer);
            wait_in_foreground(reader, child)
        }
        ForkResult::Child => {
            // Until it is ready, killing the command must kill the run.
            set_pdeathsig(Signal::SIGTERM).context("cannot follow the parent's death")?;
            anyhow::ensure!(getppid() == parent, "the command that started this shuttle is gone");
            Ok(File::from(writer))
        }
    }
}

/// The parent's part: never returns.
fn wait_in_foreground(reader: OwnedFd, child: Pid) -> ! {
    // Ctrl-C reaches the child as well, which ends cleanly; we tell how.
    // SAFETY: ignoring a signal installs no code.
    if let Err(errno) = unsafe { signal(Signal::SIGINT, SigHandler::SigIgn) } {
        eprintln!("shuttle: cannot ignore Ctrl-C: {errno}");
    }
    let mut word = [0; 1];
    let ready = File::from(reader).read_exact(&mut word).is_ok();
    std::process::exit(if ready { 0 } else { exit_status(child) })
}

fn exit_status(child: Pid) -> i32 {
    match waitpid(child, None) {
        // Ended as asked, but who waits for the command wants it running.
        Ok(WaitStatus::Exited(_, 0)) => {
            eprintln!("shuttle: stopped before it was ready");
            exit::FATAL.into()
        }
        Ok(WaitStatus::Exited(_, status)) => status,
        Ok(WaitStatus::Signaled(_, signal, _)) => {
            eprintln!("shuttle: killed by {signal} before it was ready");
            128 + signal as i32
        }
        other => {
            eprintln!("shuttle: lost sight of the background process: {other:?}");
            exit::FATAL.into()
        }
    }
}

/// The directory is kept: a relative name in ssh's arguments must still be right when the link is made anew.
fn leave_terminal() -> anyhow::Result<()> {
    set_pdeathsig(None)?;
    setsid()?;
    let null = File::options().read(true).write(true).open("/dev/null")?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    dup2_stderr(&null)?;
    Ok(())
}

//! The root process that holds what only root may hold. It takes typed requests on stdin, answers on
//! stdout, and undoes everything when its stdin ends: whoever dies, and however, that is what comes of it.
//!
//! It is two processes: one serves, the other only waits for it and repairs what it leaves if it is
//! killed. Neither runs any command.
//!
//! | module | its job |
//! |---|---|
//! | [`protocol`] | requests and answers, a JSON object a line |
//! | `serve` | holds rules and cgroup, obeys requests, undoes everything at the end |
//! | `caller` | finds the process that called us |
//! | `cgroup` | gives it a cgroup of its own, and takes it away again |
//! | `state` | writes down what the kernel will not undo |
//! | `sweep` | undoes what dead runs left |

mod caller;
mod cgroup;
pub mod protocol;
mod serve;
mod state;
mod sweep;

use std::io;
use std::path::Path;
use std::process::ExitCode;

use nix::sys::signal::{SigHandler, SigSet, Signal, kill, signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};

use crate::nft::Nft;

/// The argument by which a program that embeds the helper starts it.
pub const SUBCOMMAND: &str = "helper";

/// What the names of our tables and cgroups begin with; the number of their helper follows.
const NAME_PREFIX: &str = "shuttle-";

/// The terminal's signals go to the caller too, who first ends its connections and then our stdin.
const THE_TERMINALS: [Signal; 4] = [Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGTSTP];

/// Runs the helper on stdin and stdout until stdin ends or SIGTERM comes. Call it before any thread is
/// started.
pub fn main() -> ExitCode {
    match keep() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("shuttle helper: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Starts the serving process and waits for it.
fn keep() -> io::Result<ExitCode> {
    for terminals in THE_TERMINALS {
        // SAFETY: to ignore a signal runs no code in its context.
        unsafe { signal(terminals, SigHandler::SigIgn) }?;
    }
    // SAFETY: the default disposition runs no code either. An inherited "ignore" would lose the end.
    unsafe { signal(Signal::SIGCHLD, SigHandler::SigDfl) }?;
    let awaited = SigSet::from_iter([Signal::SIGTERM, Signal::SIGCHLD]);
    awaited.thread_block()?;
    let keeper = Pid::this();
    // SAFETY: no thread has been started.
    match unsafe { fork() }? {
        ForkResult::Child => Ok(serve::serve(keeper, Path::new(state::DIRECTORY))),
        ForkResult::Parent { child } => await_end(child, &awaited),
    }
}

/// Passes SIGTERM on, and repairs what a killed child left.
fn await_end(child: Pid, awaited: &SigSet) -> io::Result<ExitCode> {
    loop {
        match awaited.wait()? {
            Signal::SIGTERM => kill(child, Signal::SIGTERM)?,
            _ => match waitpid(child, Some(WaitPidFlag::WNOHANG))? {
                // It has undone everything, or said what it could not.
                WaitStatus::Exited(_, code @ (0 | 1)) => return Ok(ExitCode::from(code as u8)),
                ended @ (WaitStatus::Exited(..) | WaitStatus::Signaled(..)) => {
                    eprintln!("shuttle helper: {}; undoing what it held", words(ended));
                    repair();
                    return Ok(ExitCode::FAILURE);
                }
                _ => {}
            },
        }
    }
}

/// How the serving process came to its end.
fn words(ended: WaitStatus) -> String {
    match ended {
        WaitStatus::Signaled(_, signal, _) => format!("killed by {signal}"),
        ended => format!("ended out of order ({ended:?})"),
    }
}

/// Undoes what dead runs left, the child's among it.
fn repair() {
    match Nft::open() {
        Ok(mut nft) => {
            for left in sweep::sweep(&mut nft, Path::new(state::DIRECTORY)).not_repaired {
                eprintln!("shuttle helper: not undone: {left}");
            }
        }
        Err(error) => eprintln!("shuttle helper: {error}"),
    }
}

//! Holds the rules and the caller's cgroup, obeys requests, and undoes everything at the end.

use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::process::ExitCode;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::SignalFd;
use nix::unistd::{Pid, read};

use super::cgroup::{Refuge, unusable};
use super::protocol::{Hello, ProtocolError, Request, Response, Unread, VERSION, to_line};
use super::state::{Leftover, StateFile};
use super::sweep::sweep;
use super::{NAME_PREFIX, caller};
use crate::conntrack::forget_unanswered;
use crate::nft::Nft;
use crate::policy::Policy;
use crate::ruleset::{Cgroup, compile};

/// Says hello, obeys until the end, undoes everything.
pub(super) fn serve(keeper: Pid, state: &Path) -> ExitCode {
    let nft = match Nft::open() {
        Ok(nft) => nft,
        Err(error) => {
            // If nobody reads it any more, stderr still may.
            let _ = answer(&Response::Failed { reason: error.to_string() });
            eprintln!("shuttle helper: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut held = Held::new(nft, keeper, state);
    let served = held.serve(state);
    if let Err(error) = &served {
        eprintln!("shuttle helper: {error}");
    }
    let left = held.undo();
    for left in &left {
        eprintln!("shuttle helper: not undone: {left}");
    }
    if served.is_ok() && left.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Why serving ended before its time.
#[derive(Debug, thiserror::Error)]
enum ServeError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
}

impl From<nix::Error> for ServeError {
    fn from(errno: nix::Error) -> ServeError {
        ServeError::Io(errno.into())
    }
}

/// Everything that is to be undone.
struct Held {
    nft: Nft,
    keeper: Pid,
    /// The table's name, and the cgroup's.
    name: String,
    state: StateFile,
    applied: Option<Policy>,
    refuge: Option<(Refuge, Cgroup)>,
}

impl Held {
    fn new(nft: Nft, keeper: Pid, state: &Path) -> Held {
        let name = format!("{NAME_PREFIX}{}", std::process::id());
        let state = StateFile::new(state, &name);
        Held { nft, keeper, name, state, applied: None, refuge: None }
    }

    fn serve(&mut self, state: &Path) -> Result<(), ServeError> {
        let hello = self.hello(state);
        answer(&Response::Hello(hello))?;
        let ended = SignalFd::new(&SigSet::from(Signal::SIGTERM))?;
        let stdin = io::stdin();
        let mut unread = Unread::default();
        while read_more(stdin.as_fd(), ended.as_fd(), &mut unread)? {
            while let Some(line) = unread.take_line()? {
                answer(&self.obey(Request::parse(&line)?))?;
            }
        }
        Ok(())
    }

    /// Undoes what dead runs left, then says what we are.
    fn hello(&mut self, state: &Path) -> Hello {
        let swept = sweep(&mut self.nft, state);
        let features = self.nft.features();
        let cannot_match =
            || "this kernel's nftables cannot match cgroups: try `modprobe nft_socket`".to_owned();
        Hello {
            version: VERSION,
            process: std::process::id(),
            table: self.name.clone(),
            owned: features.owned_tables,
            cannot_exempt: if features.cgroups { unusable() } else { Some(cannot_match()) },
            repaired: swept.repaired,
            not_repaired: swept.not_repaired,
        }
    }

    fn obey(&mut self, request: Request) -> Response {
        let done = match request {
            Request::Apply { policy } => self.apply(policy).map(|()| self.forget_unanswered()),
            Request::ExemptCaller {} => self.exempt_caller(),
            Request::Remove {} => self.remove().map(|()| Response::Done {}),
        };
        done.unwrap_or_else(|reason| Response::Failed { reason })
    }

    fn apply(&mut self, policy: Policy) -> Result<(), String> {
        policy.validate().map_err(|error| error.to_string())?;
        self.load(&policy)?;
        self.applied = Some(policy);
        Ok(())
    }

    /// Brings what was tried before the rules under them. They hold without it, so it is no fault.
    fn forget_unanswered(&self) -> Response {
        match self.applied.as_ref().map(forget_unanswered) {
            None | Some(Ok(_)) => Response::Done {},
            Some(Err(error)) => Response::DoneBut { remark: error.to_string() },
        }
    }

    fn load(&mut self, policy: &Policy) -> Result<(), String> {
        let exempt = self.refuge.as_ref().map(|(_, cgroup)| cgroup);
        self.nft.apply(&compile(policy, &self.name, exempt)).map_err(|error| error.to_string())
    }

    fn exempt_caller(&mut self) -> Result<Response, String> {
        if let Some((refuge, _)) = &self.refuge {
            return Ok(Response::Exempted { cgroup: refuge.path().to_owned() });
        }
        let caller = caller::find(self.keeper)?;
        let refuge = Refuge::plan(&self.name, caller)?;
        self.state.record(&[Leftover::Cgroup(refuge.clone())]).map_err(|error| {
            format!("cannot write down in {} what to undo: {error}", super::state::DIRECTORY)
        })?;
        let response = Response::Exempted { cgroup: refuge.path().to_owned() };
        let cgroup = refuge.enter(caller)?;
        self.refuge = Some((refuge, cgroup));
        match self.applied.take() {
            Some(policy) => self.apply(policy).map(|()| response),
            None => Ok(response),
        }
    }

    fn remove(&mut self) -> Result<(), String> {
        if self.applied.is_some() {
            self.nft.remove(&self.name).map_err(|error| error.to_string())?;
            self.applied = None;
        }
        Ok(())
    }

    /// Undoes everything that it can, and returns what it could not.
    fn undo(&mut self) -> Vec<String> {
        let mut left = Vec::new();
        left.extend(self.remove().err());
        if let Some((refuge, _)) = self.refuge.take()
            && let Err(reason) = refuge.leave()
        {
            left.push(reason);
            // The state file stays for the next start.
            return left;
        }
        left.extend(self.state.clear().err().map(|error| format!("a state file: {error}")));
        left
    }
}

/// Waits for input and appends it; false when it has ended or SIGTERM has come.
fn read_more(input: BorrowedFd<'_>, ended: BorrowedFd<'_>, unread: &mut Unread) -> nix::Result<bool> {
    let mut ready = [PollFd::new(ended, PollFlags::POLLIN), PollFd::new(input, PollFlags::POLLIN)];
    match poll(&mut ready, PollTimeout::NONE) {
        Err(nix::Error::EINTR) => return Ok(true),
        ready => ready?,
    };
    if ready[0].any() == Some(true) {
        return Ok(false);
    }
    let mut buffer = [0; 64 * 1024];
    match read(input, &mut buffer) {
        Err(nix::Error::EINTR) => Ok(true),
        count => {
            let count = count?;
            unread.push(&buffer[..count]);
            Ok(count > 0)
        }
    }
}

fn answer(response: &Response) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(&to_line(response)?)?;
    output.flush()
}

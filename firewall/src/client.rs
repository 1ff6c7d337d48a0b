//! The caller's side of the helper: starts it, as root if we are not, and speaks with it.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use nix::unistd::{AccessFlags, Uid, access};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::helper::SUBCOMMAND;
use crate::helper::protocol::{Hello, MAX_LINE, Request, Response, VERSION, to_line};
use crate::policy::Policy;

/// A running helper. When it is dropped its stdin ends, and it undoes everything by itself.
#[derive(Debug)]
pub struct Helper {
    process: Child,
    requests: ChildStdin,
    responses: BufReader<ChildStdout>,
    hello: Hello,
}

/// Why the helper does not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum HelperError {
    /// We are not root and nothing can make us so.
    #[error(
        "shuttle needs root once, for the firewall rules, and finds none of sudo, doas and pkexec: install one \
         of them, or run shuttle as root"
    )]
    NoWayToRoot,
    /// The program that makes us root did not.
    #[error(
        "shuttle needs root once, for the firewall rules, and {program} did not grant it ({status}): see its \
         words above; you must be allowed to run `{helper} {SUBCOMMAND}` through {program}, or run shuttle as \
         root"
    )]
    NotGranted {
        /// sudo, doas or pkexec.
        program: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// Our own program.
        helper: String,
    },
    /// The process could not be started at all.
    #[error("cannot start the firewall helper by {program}: {source}")]
    Start {
        /// What was to be run.
        program: String,
        /// Why not.
        source: io::Error,
    },
    /// It is gone, and the rules with it.
    #[error("the firewall helper ended ({0}); its rules are gone")]
    Ended(ExitStatus),
    /// It did not do it, and says why.
    #[error("{0}")]
    Failed(String),
    /// It could not undo everything.
    #[error(
        "the firewall helper could not undo everything ({0}): see its words above; try `shuttle cleanup`"
    )]
    NotUndone(ExitStatus),
    /// The program was replaced by another version while it started.
    #[error("the firewall helper speaks version {0} and not {VERSION}: start shuttle again")]
    Version(u32),
    /// It says what makes no sense.
    #[error("the firewall helper answered nonsense: {0}")]
    Nonsense(String),
    /// The pipe to it failed.
    #[error("cannot speak with the firewall helper: {0}")]
    Pipe(#[from] io::Error),
}

/// A way to run the helper as root.
struct Way {
    /// `None`: we are root already.
    program: Option<&'static str>,
    command: Vec<OsString>,
}

impl Helper {
    /// Starts our own program as the helper and reads its hello. A password may be asked for on the
    /// terminal, so this may take as long as the user does.
    pub async fn start() -> Result<Helper, HelperError> {
        let helper = std::env::current_exe()?;
        let way = way_to_root(&helper)?;
        let mut process = Command::new(&way.command[0])
            .args(&way.command[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|source| HelperError::Start { program: way.command[0].display().to_string(), source })?;
        let requests = process.stdin.take().ok_or_else(|| io::Error::other("no pipe"))?;
        let mut responses = BufReader::new(process.stdout.take().ok_or_else(|| io::Error::other("no pipe"))?);
        let hello = match read_response(&mut responses).await? {
            Some(Response::Hello(hello)) if hello.version == VERSION => hello,
            Some(Response::Hello(hello)) => return Err(HelperError::Version(hello.version)),
            Some(Response::Failed { reason }) => return Err(HelperError::Failed(reason)),
            Some(other) => return Err(nonsense(&other)),
            None => {
                let status = process.wait().await?;
                return Err(match way.program {
                    Some(program) => {
                        HelperError::NotGranted { program, status, helper: helper.display().to_string() }
                    }
                    None => HelperError::Ended(status),
                });
            }
        };
        Ok(Helper { process, requests, responses, hello })
    }

    /// What the helper can do here and what it found.
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// Makes the kernel's rules those of `policy`, in one step: the former ones hold until then.
    pub async fn apply(&mut self, policy: &Policy) -> Result<(), HelperError> {
        match self.ask(&Request::Apply { policy: policy.clone() }).await? {
            Response::Done {} => Ok(()),
            Response::DoneBut { remark } => {
                tracing::debug!("{remark}");
                Ok(())
            }
            other => Err(refusal(other)),
        }
    }

    /// Moves this process into a cgroup of its own, which is returned: its connections, and those of children
    /// that it starts from now on, are left alone. Sockets that exist already are not.
    pub async fn exempt_caller(&mut self) -> Result<String, HelperError> {
        match self.ask(&Request::ExemptCaller {}).await? {
            Response::Exempted { cgroup } => Ok(cgroup),
            other => Err(refusal(other)),
        }
    }

    /// Removes the rules; the helper stays.
    pub async fn remove(&mut self) -> Result<(), HelperError> {
        match self.ask(&Request::Remove {}).await? {
            Response::Done {} => Ok(()),
            other => Err(refusal(other)),
        }
    }

    /// Has everything undone and waits until it is.
    pub async fn stop(self) -> Result<(), HelperError> {
        let Helper { mut process, requests, .. } = self;
        drop(requests);
        match process.wait().await? {
            status if status.success() => Ok(()),
            status => Err(HelperError::NotUndone(status)),
        }
    }

    /// Resolves when the helper has ended on its own, with the words for it. May be dropped and called again.
    pub async fn died(&mut self) -> HelperError {
        match self.process.wait().await {
            Ok(status) => HelperError::Ended(status),
            Err(error) => HelperError::Pipe(error),
        }
    }

    async fn ask(&mut self, request: &Request) -> Result<Response, HelperError> {
        if let Err(error) = self.requests.write_all(&to_line(request)?).await {
            return Err(match error.kind() {
                io::ErrorKind::BrokenPipe => self.died().await,
                _ => HelperError::Pipe(error),
            });
        }
        match read_response(&mut self.responses).await? {
            Some(response) => Ok(response),
            None => Err(self.died().await),
        }
    }
}

/// Reads one line; `None` at the end.
async fn read_response(responses: &mut BufReader<ChildStdout>) -> Result<Option<Response>, HelperError> {
    let mut line = Vec::new();
    responses.take(MAX_LINE as u64).read_until(b'\n', &mut line).await?;
    if !line.ends_with(b"\n") {
        return Ok(None);
    }
    let response = serde_json::from_slice(&line);
    response.map(Some).map_err(|error| HelperError::Nonsense(error.to_string()))
}

fn refusal(response: Response) -> HelperError {
    match response {
        Response::Failed { reason } => HelperError::Failed(reason),
        other => nonsense(&other),
    }
}

fn nonsense(response: &Response) -> HelperError {
    HelperError::Nonsense(format!("{response:?}"))
}

/// Straight as root, else by sudo, doas or pkexec, whichever there is.
fn way_to_root(helper: &Path) -> Result<Way, HelperError> {
    let plain = [helper.as_os_str().to_owned(), SUBCOMMAND.into()];
    if Uid::effective().is_root() {
        return Ok(Way { program: None, command: plain.into() });
    }
    let terminal = std::fs::File::open("/dev/tty").is_ok();
    let ways: [(&'static str, &[&str], &[&str]); 3] = [
        ("sudo", &["-p", "[local sudo] Password: ", "--"], &["-n", "--"]),
        ("doas", &["--"], &["-n", "--"]),
        ("pkexec", &[], &[]),
    ];
    for (program, asking, not_asking) in ways {
        if let Some(path) = in_path(program) {
            let options = if terminal { asking } else { not_asking };
            let options = options.iter().map(OsString::from);
            let command = [path.into_os_string()].into_iter().chain(options).chain(plain).collect();
            return Ok(Way { program: Some(program), command });
        }
    }
    Err(HelperError::NoWayToRoot)
}

fn in_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let candidates = std::env::split_paths(&path).map(|directory| directory.join(program));
    candidates
        .into_iter()
        .find(|candidate| candidate.is_file() && access(candidate, AccessFlags::X_OK).is_ok())
}

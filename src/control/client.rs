//! Finds the running shuttles of this user and asks them.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{LONGEST_RESPONSE, Request, Response, Status, place};

/// A running shuttle answers at once; longer than this it hangs.
const PATIENCE: Duration = Duration::from_secs(5);

/// A conversation with one running shuttle.
#[derive(Debug)]
pub struct Client {
    pid: u32,
    stream: BufReader<UnixStream>,
}

impl Client {
    fn connect(path: &Path) -> Result<Self> {
        let pid = place::pid_of(path).ok_or_else(|| Error::other("not named after a process"))?;
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { pid, stream: BufReader::new(stream) })
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Asks once.
    pub fn ask(&mut self, request: Request) -> Result<Response> {
        let mut line = serde_json::to_vec(&request)?;
        line.push(b'\n');
        self.stream.get_mut().write_all(&line)?;
        line.clear();
        (&mut self.stream).take(LONGEST_RESPONSE).read_until(b'\n', &mut line)?;
        if line.last() != Some(&b'\n') {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(serde_json::from_slice(&line)?)
    }

    /// How it is doing.
    pub fn status(&mut self) -> Result<Status> {
        match self.ask(Request::Status)? {
            Response::Status(status) => Ok(*status),
            other => Err(unexpected(other)),
        }
    }

    /// Ends it and waits until it has ended.
    pub fn stop(mut self, patience: Duration) -> Result<()> {
        let answer = self.ask(Request::Stop);
        let ended = answer.and_then(|response| match response {
            Response::Stopping => self.wait_for_end(patience),
            other => Err(unexpected(other)),
        });
        match ended {
            // It may be gone before it could answer.
            Err(error) if is_hang_up(error.kind()) => Ok(()),
            other => other,
        }
    }

    fn wait_for_end(&mut self, patience: Duration) -> Result<()> {
        self.stream.get_ref().set_read_timeout(Some(patience))?;
        match self.stream.read(&mut [0; 64]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(Error::other("it went on talking")),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                Err(Error::other(format!("it has not ended after {} s", patience.as_secs())))
            }
            Err(error) => Err(error),
        }
    }
}

fn is_hang_up(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}

fn unexpected(response: Response) -> Error {
    match response {
        Response::Error { message } => Error::other(message),
        other => Error::other(format!("unexpected answer {other:?}")),
    }
}

/// The running shuttles of this user, by process id.
pub fn running() -> Vec<Client> {
    let mut clients: Vec<Client> =
        place::candidates().iter().flat_map(|directory| running_in(directory)).collect();
    clients.sort_by_key(|client| client.pid);
    clients
}

/// Connects to every live socket of `directory` and removes the dead ones.
pub(super) fn running_in(directory: &Path) -> Vec<Client> {
    // Whoever can write to the directory could play a shuttle: then it is not asked.
    if place::check_private(directory).is_err() {
        return Vec::new();
    }
    sockets(directory).iter().filter_map(|path| connect_or_remove(path)).collect()
}

/// Removes the sockets that dead shuttles left in `directory`.
pub(super) fn sweep(directory: &Path) {
    drop(running_in(directory));
}

fn sockets(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths.filter(|path| place::pid_of(path).is_some()).collect()
}

fn connect_or_remove(path: &Path) -> Option<Client> {
    match Client::connect(path) {
        Ok(client) => Some(client),
        // Nobody listens any more. The process id may belong to somebody else by now: it is not asked.
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            if let Err(error) = std::fs::remove_file(path) {
                tracing::debug!("{}: {error}", path.display());
            }
            None
        }
        Err(error) => {
            tracing::debug!("{}: {error}", path.display());
            None
        }
    }
}

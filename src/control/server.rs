//! The running shuttle's side of the control socket.

use std::io::Result;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::Uid;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::UCred;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};

use super::{LONGEST_REQUEST, Request, Response, client, place};

/// A question on its way to who can answer it.
#[derive(Debug)]
pub struct Call {
    /// What is asked.
    pub request: Request,
    /// Where the answer goes; dropped, the asker is told that the shuttle is ending.
    pub reply: oneshot::Sender<Response>,
}

/// The listening socket; its file is removed when this is dropped.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    path: PathBuf,
    calls: mpsc::Sender<Call>,
}

impl Server {
    /// Listens in the user's own place, and clears away what dead shuttles left there. Needs a runtime.
    pub fn bind(calls: mpsc::Sender<Call>) -> Result<Self> {
        Self::bind_in(&place::create()?, calls)
    }

    /// Listens in `directory`, which must be this user's own.
    pub fn bind_in(directory: &Path, calls: mpsc::Sender<Call>) -> Result<Self> {
        place::create_private(directory)?;
        client::sweep(directory);
        let path = directory.join(format!("{}.sock", std::process::id()));
        // Under its real name it must not be seen before it listens: it would be taken for a dead one.
        let unborn = directory.join(format!("{}.new", std::process::id()));
        for leftover in [&path, &unborn] {
            match std::fs::remove_file(leftover) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        let listener = UnixListener::bind(&unborn)?;
        std::fs::set_permissions(&unborn, PermissionsExt::from_mode(0o600))?;
        std::fs::rename(&unborn, &path)?;
        Ok(Self { listener, path, calls })
    }

    /// Where it listens.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Answers for ever; dropping the future removes the socket. Open connections live on in tasks of their
    /// own until the runtime ends, so that `shuttle stop` sees the end and not its beginning.
    pub async fn run(self) {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    tokio::spawn(converse(stream, self.calls.clone()));
                }
                // Out of files, most likely: they will come back.
                Err(error) => {
                    tracing::warn!("control socket: {error}");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!("control socket {}: {error}", self.path.display());
        }
    }
}

async fn converse(stream: UnixStream, calls: mpsc::Sender<Call>) {
    if let Err(error) = answer_all(stream, calls).await {
        tracing::debug!("control socket: {error}");
    }
}

async fn answer_all(mut stream: UnixStream, calls: mpsc::Sender<Call>) -> Result<()> {
    if !is_trusted(stream.peer_cred()?) {
        // The directory's mode says so already; this holds even where somebody has changed it.
        return Ok(());
    }
    let (reader, mut writer) = stream.split();
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    loop {
        line.clear();
        (&mut reader).take(LONGEST_REQUEST).read_until(b'\n', &mut line).await?;
        let complete = line.last() == Some(&b'\n');
        if line.is_empty() {
            return Ok(());
        }
        let response = if complete { answer(&line, &calls).await } else { refuse("the request is too long") };
        let mut text = serde_json::to_vec(&response)?;
        text.push(b'\n');
        writer.write_all(&text).await?;
        if !complete {
            return Ok(());
        }
    }
}

async fn answer(line: &[u8], calls: &mpsc::Sender<Call>) -> Response {
    let request = match serde_json::from_slice(line) {
        Ok(request) => request,
        Err(error) => return refuse(&format!("the request is not understood: {error}")),
    };
    let (reply, response) = oneshot::channel();
    let ending = || refuse("this shuttle is ending");
    if calls.send(Call { request, reply }).await.is_err() {
        return ending();
    }
    response.await.unwrap_or_else(|_| ending())
}

fn refuse(message: &str) -> Response {
    Response::Error { message: message.to_owned() }
}

fn is_trusted(peer: UCred) -> bool {
    peer.uid() == 0 || peer.uid() == Uid::effective().as_raw()
}

//! `shuttle status` and `shuttle stop`.

use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Status;
use super::client::{self, Client};
use super::text::Text;
use crate::cli::{self, arguments::Selection};

/// A clean end takes a second; this is for a machine under load.
const PATIENCE: Duration = Duration::from_secs(15);

/// Why a verb could not be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody to ask.
    #[error("no shuttle of yours is running")]
    NoneRuns,
    /// Nobody of that name.
    #[error("no shuttle of yours is called {0}; running: {1}")]
    NoneCalled(String, String),
    /// Who is meant?
    #[error("several shuttles run: {0}; say which by name or process id, or --all")]
    Several(String),
    /// `-r` is wrong.
    #[error("{0}")]
    Remote(String),
    /// It does not answer as it should.
    #[error("the shuttle with process id {pid} does not answer properly: {source}")]
    Silent {
        /// Its process.
        pid: u32,
        /// What happened.
        source: std::io::Error,
    },
    /// It was told, but it is still there.
    #[error("{name} (process {pid}) was told to stop, but: {source}")]
    StillThere {
        /// Its name.
        name: String,
        /// Its process.
        pid: u32,
        /// What happened.
        source: std::io::Error,
    },
    /// The answer could not be shown.
    #[error("cannot write the answer: {0}")]
    Output(#[from] std::io::Error),
}

struct Running {
    client: Client,
    status: Status,
}

/// Shows the selected ones, or all.
pub fn status(which: &Selection, json: bool, output: &mut dyn Write) -> Result<(), Error> {
    let (running, silent) = ask_all(client::running());
    let statuses: Vec<Status> = match select(running, which) {
        Ok(running) => running.into_iter().map(|running| running.status).collect(),
        Err(error) => {
            // A program that reads JSON wants an empty list rather than nothing.
            if json && matches!(error, Error::NoneRuns) {
                writeln!(output, "[]")?;
            }
            return Err(silent.unwrap_or(error));
        }
    };
    if json {
        let text = serde_json::to_string_pretty(&statuses).map_err(std::io::Error::from)?;
        writeln!(output, "{text}")?;
    } else {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        for status in &statuses {
            writeln!(output, "{}", Text { status, now })?;
        }
    }
    silent.map_or(Ok(()), Err)
}

/// Ends the selected one, or all, and waits until they have ended.
pub fn stop(which: &Selection, all: bool) -> Result<(), Error> {
    let (running, silent) = ask_all(client::running());
    let running = match select(running, which) {
        Ok(running) => running,
        Err(error) => return Err(silent.unwrap_or(error)),
    };
    if running.len() > 1 && !all {
        return Err(Error::Several(names(&running)));
    }
    let mut failure = silent.filter(|_| all);
    for Running { client, status } in running {
        let pid = client.pid();
        if let Err(source) = client.stop(PATIENCE) {
            failure = Some(Error::StillThere { name: status.name, pid, source });
        }
    }
    failure.map_or(Ok(()), Err)
}

/// Those that answer, and a word on one that does not.
fn ask_all(clients: Vec<Client>) -> (Vec<Running>, Option<Error>) {
    let (mut running, mut silent) = (Vec::new(), None);
    for mut client in clients {
        match client.status() {
            Ok(status) => running.push(Running { client, status }),
            Err(source) => silent = Some(Error::Silent { pid: client.pid(), source }),
        }
    }
    (running, silent)
}

fn select(running: Vec<Running>, which: &Selection) -> Result<Vec<Running>, Error> {
    if running.is_empty() {
        return Err(Error::NoneRuns);
    }
    let all = names(&running);
    let (wanted, selected): (_, Vec<Running>) = if let Some(word) = &which.selected {
        let is_wanted = |one: &Running| one.status.name == *word || word.parse() == Ok(one.client.pid());
        (word, running.into_iter().filter(is_wanted).collect())
    } else if let Some(remote) = &which.remote {
        // However it was spelled: user@host and user:@host are one.
        let full = cli::remote_in_full(&cli::parse_remote(remote).map_err(Error::Remote)?);
        (remote, running.into_iter().filter(|one| one.status.remote == full).collect())
    } else {
        return Ok(running);
    };
    if selected.is_empty() { Err(Error::NoneCalled(wanted.clone(), all)) } else { Ok(selected) }
}

fn names(running: &[Running]) -> String {
    let names: Vec<String> =
        running.iter().map(|one| format!("{} (process {})", one.status.name, one.client.pid())).collect();
    names.join(", ")
}

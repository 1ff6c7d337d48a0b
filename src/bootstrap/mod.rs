//! From a shell on the other side to a running agent.
//!
//! [`start`] opens a [`Link`], has the shell over there run the first `stage` (a few lines of POSIX sh),
//! and sends with it the agent that most likely fits: what the `cache` knows of the remote, or one for a
//! machine like ours. The stage checks that against what it finds; when it does not fit, the right one goes
//! after it. So most starts cost one way there and one back. docs/bootstrap.md has it line by line.

mod cache;
mod catalogue;
mod diagnose;
mod dialogue;
mod error;
mod scan;
mod stage;

use std::io::{self, Read};
use std::path::PathBuf;
use std::pin::pin;
use std::time::{Duration, Instant};

use proto::greeting::Hello;

use crate::transport::{self, Entry, Link, Remote};
use diagnose::Phase;
use dialogue::{Dialogue, Next};
use scan::{Report, Sign, Topic};
use stage::Order;

pub use cache::directory as cache_directory;
pub use catalogue::{Catalogue, Embedded, Parcel};
pub use error::BootstrapError;
pub use stage::Form;

/// How long a login may take: a password is typed, a key is touched. sshd's own limit.
pub const LOGIN_PATIENCE: Duration = Duration::from_secs(120);
/// How long nothing may come once the stage runs, or once a shell that asks for nothing has its command.
pub const STAGE_PATIENCE: Duration = Duration::from_secs(60);
/// How long the child may take to end after it closed its output.
const FAREWELL: Duration = Duration::from_secs(5);
/// How often somebody who waits is told what for.
const REMINDER: Duration = Duration::from_secs(5);

/// How to start an agent.
#[derive(Clone)]
pub struct Options<'a> {
    /// The program that plays ssh, and its first arguments.
    pub ssh_command: &'a [String],
    /// The agents.
    pub agents: &'a dyn Catalogue,
    /// Where what is learned of remotes is kept ([`cache_directory`]); `None`: nowhere.
    pub cache: Option<PathBuf>,
    /// How long nothing may come before there is a sign of a shell.
    pub login_patience: Duration,
    /// How long nothing may come after.
    pub stage_patience: Duration,
}

impl<'a> Options<'a> {
    /// The agents of this build, the user's cache, and the patience that people need.
    pub fn new(ssh_command: &'a [String]) -> Self {
        Self {
            ssh_command,
            agents: &Embedded,
            cache: cache_directory(),
            login_patience: LOGIN_PATIENCE,
            stage_patience: STAGE_PATIENCE,
        }
    }
}

/// A running agent, which waits for an attach.
#[derive(Debug)]
pub struct Started {
    /// The way there.
    pub link: Link,
    /// Its first words.
    pub hello: Hello,
    /// What came behind them already.
    pub leftover: Vec<u8>,
    /// Where it runs.
    pub platform: Platform,
}

/// What was found over there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    /// What `uname -m` says.
    pub machine: String,
    /// The form in which the agent was sent.
    pub form: Form,
    /// The directory that it was started from.
    pub place: String,
    /// How often something was sent after waiting for an answer; 0 when the first guess was right.
    pub turns: u32,
}

/// Starts the agent at `remote`; on a tokio runtime with io, time and signals.
pub async fn start(remote: &Remote, options: &Options<'_>) -> Result<Started, BootstrapError> {
    let since = Instant::now();
    let (link, entry) = transport::open(remote, options.ssh_command, stage::OPENING)?;
    tracing::debug!(%remote, pid = link.process.pid(), "started the child process");
    let mut visit = Visit {
        remote,
        options,
        dialogue: Dialogue::new(link)?,
        entry,
        phase: Phase::LoggingIn,
        name: random_name()?,
        turns: 0,
    };
    match visit.run().await {
        Ok((hello, mut platform)) => {
            platform.turns = visit.turns;
            let (link, leftover) = visit.dialogue.finish();
            let took = since.elapsed();
            tracing::info!(
                "agent started on {remote} ({}, from {}) in {} ms",
                platform.machine,
                platform.place,
                took.as_millis()
            );
            Ok(Started { link, hello, leftover, platform })
        }
        Err(error) => {
            if let Err(error) = visit.dialogue.abandon().await {
                tracing::debug!(%error, "cannot end the child process");
            }
            Err(error)
        }
    }
}

/// One go at a remote.
struct Visit<'a> {
    remote: &'a Remote,
    options: &'a Options<'a>,
    dialogue: Dialogue,
    entry: Entry,
    phase: Phase,
    /// The random part of the file's name over there.
    name: String,
    turns: u32,
}

impl Visit<'_> {
    async fn run(&mut self) -> Result<(Hello, Platform), BootstrapError> {
        if self.entry == Entry::Typed {
            // Such a shell may read ahead: nothing but the opening is there for it to take.
            self.dialogue.say(stage::OPENING.as_bytes());
            // A shell that refuses would wait for another command for ever.
            self.dialogue.say(b";exit 127\n");
            while self.next_sign().await? != Sign::Ready {}
            self.turns += 1;
        }
        let cache = self.options.cache.as_deref().map(|directory| cache::Entry::new(directory, self.remote));
        self.send_guess(cache.as_ref().and_then(cache::Entry::load));

        let mut found: Option<Report> = None;
        loop {
            match self.next_sign().await? {
                Sign::Ready => self.phase = self.phase.max(Phase::Probing),
                Sign::Hello(hello) => {
                    // An agent without a report before it: then it was not our stage that started it.
                    let Some(Report { system, form, detail: place, .. }) = found else { continue };
                    let machine = machine_of(&system).to_owned();
                    if let Some(cache) = cache {
                        cache.store(&machine, form, &place);
                    }
                    return Ok((hello, Platform { machine, form, place, turns: 0 }));
                }
                Sign::Report(report) => match report.topic {
                    Topic::Need => self.send_needed(&report)?,
                    Topic::At => {
                        self.phase = Phase::Uploading;
                        found = Some(report);
                    }
                    _ => return Err(self.failure(report).await),
                },
            }
        }
    }

    /// Sends the stage, and the agent that most likely fits, before anything is known for certain.
    fn send_guess(&mut self, known: Option<cache::Known>) {
        let machine = known.as_ref().map_or(std::env::consts::ARCH, |known| known.machine.as_str());
        let form = known.as_ref().map_or(Form::Gzip, |known| known.form);
        let place = known.as_ref().map(|known| known.place.as_str());
        self.dialogue.say(stage::line().as_bytes());
        match self.options.agents.find(machine) {
            Some(parcel) => self.send(machine, form, place, parcel),
            None => {
                let order =
                    Order { machine: None, form: Form::Raw, count: 0, size: 0, name: &self.name, place };
                self.dialogue.say(order.to_string().as_bytes());
            }
        }
    }

    /// Sends what the stage asks for.
    fn send_needed(&mut self, report: &Report) -> Result<(), BootstrapError> {
        let Report { system, form, .. } = report;
        tracing::debug!(%system, %form, "the other side needs another agent than the one that was sent");
        let remote = self.remote.to_string();
        self.turns += 1;
        if self.turns > 2 {
            return Err(BootstrapError::Confused { remote, system: system.clone() });
        }
        if system.is_empty() || !system.starts_with("Linux ") {
            return Err(BootstrapError::NotLinux { remote, system: system.clone() });
        }
        let machine = machine_of(system);
        match self.options.agents.find(machine) {
            Some(parcel) => self.send(machine, *form, None, parcel),
            None => {
                let carried = self.options.agents.architectures();
                return Err(BootstrapError::NoAgent { remote, machine: machine.to_owned(), carried });
            }
        }
        Ok(())
    }

    fn send(&mut self, machine: &str, form: Form, place: Option<&str>, parcel: Parcel<'_>) {
        let unpacked;
        let bytes = match form {
            Form::Gzip => parcel.gzipped,
            Form::Raw => {
                unpacked = unpack(parcel.gzipped);
                &unpacked
            }
        };
        tracing::debug!(machine, %form, bytes = bytes.len(), "sending the agent");
        let order = Order {
            machine: Some(machine),
            form,
            count: bytes.len(),
            size: parcel.size,
            name: &self.name,
            place,
        };
        self.dialogue.say(order.to_string().as_bytes());
        // Nothing may follow until the agent speaks: busybox's head reads ahead.
        self.dialogue.say(bytes);
    }

    /// The next thing that the other side says, or why it says nothing more.
    async fn next_sign(&mut self) -> Result<Sign, BootstrapError> {
        let patience = match self.phase {
            Phase::LoggingIn => self.options.login_patience,
            Phase::Probing | Phase::Uploading => self.options.stage_patience,
        };
        match self.listen(patience).await? {
            Next::Sign(sign) => Ok(sign),
            Next::Silence => Err(BootstrapError::Timeout {
                remote: self.remote.to_string(),
                doing: self.phase.doing(),
                after: patience,
                seen: self.seen(),
                typed: self.entry == Entry::Typed && self.phase == Phase::LoggingIn,
            }),
            Next::End => {
                let exit = match tokio::time::timeout(FAREWELL, self.dialogue.process().wait()).await {
                    Ok(exit) => exit?,
                    Err(_) => {
                        let words = self.dialogue.process().last_words();
                        transport::Exit { code: None, signal: None, words }
                    }
                };
                Err(diagnose::diagnose(self.remote, self.phase, &exit, &self.dialogue.noise()))
            }
        }
    }

    /// Listens, and tells who asked for it (-v) that it takes long.
    async fn listen(&mut self, patience: Duration) -> io::Result<Next> {
        let mut listening = pin!(self.dialogue.listen(patience));
        let since = Instant::now();
        loop {
            tokio::select! {
                next = &mut listening => return next,
                () = tokio::time::sleep(REMINDER) => {
                    let seconds = since.elapsed().as_secs();
                    tracing::info!("{}: still {} after {seconds} s", self.remote, self.phase.doing());
                }
            }
        }
    }

    /// What a report of failure means.
    async fn failure(&mut self, report: Report) -> BootstrapError {
        let Report { topic, system, detail, .. } = report;
        let remote = self.remote.to_string();
        // The stage ends after such a report; what it wrote to standard error is complete then.
        if tokio::time::timeout(FAREWELL, self.dialogue.process().wait()).await.is_err() {
            tracing::debug!("the first stage reported a failure and did not end");
        }
        let words = self.seen();
        match topic {
            Topic::Nowhere => BootstrapError::NowhereToExecute { remote, tried: detail },
            Topic::Missing => BootstrapError::MissingTool { remote, tool: detail },
            Topic::Spoilt => BootstrapError::Spoilt { remote, place: detail, words },
            Topic::Unstarted => BootstrapError::Unstarted { remote, place: detail, system, words },
            Topic::At | Topic::Need => BootstrapError::Confused { remote, system },
        }
    }

    /// All that was said besides signs.
    fn seen(&mut self) -> String {
        let words = [self.dialogue.process().last_words(), self.dialogue.noise()];
        words.into_iter().filter(|words| !words.is_empty()).collect::<Vec<_>>().join("\n")
    }
}

/// The machine in `uname -sm`'s words.
fn machine_of(system: &str) -> &str {
    system.rsplit(' ').next().unwrap_or(system)
}

fn unpack(gzipped: &[u8]) -> Vec<u8> {
    let mut program = Vec::new();
    // The bytes are our own; if they were bad, the other side would find the wrong size and say so.
    if let Err(error) = flate2::read::GzDecoder::new(gzipped).read_to_end(&mut program) {
        tracing::error!(%error, "the agent that this program carries is damaged");
    }
    program
}

/// Nobody can guess it, so nobody can have put a file there before.
fn random_name() -> io::Result<String> {
    let mut bytes = [0; 12];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

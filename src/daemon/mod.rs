//! One run from start to end: helper, link, session, rules; and back again in the opposite order.
//!
//! | file | its job |
//! |---|---|
//! | this | the order of things |
//! | [`state`] | what `shuttle status` and `shuttle stop` see of a run |
//! | [`background`], [`pidfile`], [`log`] | what a daemon owes its machine |
//! | [`cleanup`] | undoes what killed runs left |

pub mod background;
pub mod cleanup;
pub mod log;
pub mod pidfile;
mod state;

use std::convert::Infallible;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use firewall::client::Helper;
use firewall::policy::Policy;
use ipnet::IpNet;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::bootstrap::{self, Options};
use crate::cli::Settings;
use crate::control::{Call, Server};
use crate::intercept::tcp::Listeners;
use crate::session::{self, Driver, Session};
use crate::transport::{Process, Remote};
use background::Ready;
use state::State;

/// How long the agent may take to hear that the session is over, before the link is closed anyway.
const FAREWELL: Duration = Duration::from_millis(300);
/// How long the helper may take to undo everything before it is left to do so alone.
const UNDOING: Duration = Duration::from_secs(2);
/// How long the link's process may take to end by itself, and with it to tell why.
const LAST_BREATH: Duration = Duration::from_millis(500);
/// Questions that wait for their answer; more of them wait in their sockets.
const CONTROL_CALLS: usize = 16;

/// How a run ended that ended as asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By a signal or by `shuttle stop`.
    Stopped,
}

/// What has to be undone at the end, in the order in which it came to be.
#[derive(Default)]
struct Run {
    helper: Option<Helper>,
    process: Option<Process>,
    session: Option<(Session, Driver)>,
}

/// Runs until it is told to end or cannot go on.
pub async fn run(settings: Settings, mut ready: Ready) -> anyhow::Result<Ended> {
    let (sender, calls) = mpsc::channel(CONTROL_CALLS);
    let control = Server::bind(sender).context("cannot make the control socket")?;
    let state = State::new(&settings);
    let mut run = Run::default();

    let ended = {
        let mut control = std::pin::pin!(control.run());
        let mut stop = std::pin::pin!(told_to_stop(&state, calls));
        let mut work = std::pin::pin!(run.work(&settings, &state, &mut ready));
        tokio::select! {
            outcome = &mut work => match outcome {
                Ok(never) => match never {},
                Err(error) => Err(error),
            },
            told = &mut stop => told.map(|()| Ended::Stopped),
            () = &mut control => Err(anyhow!("the control socket closed")),
        }
    };
    let undone = run.undo().await;
    let ended = ended?;
    undone?;
    Ok(ended)
}

/// A signal, or `shuttle stop`; answers `shuttle status` meanwhile.
async fn told_to_stop(state: &State, mut calls: mpsc::Receiver<Call>) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot watch for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot watch for SIGINT")?;
    let mut hangup = signal(SignalKind::hangup()).context("cannot watch for SIGHUP")?;
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = hangup.recv() => return Ok(()),
            Some(call) = calls.recv() => if state.answer(call).await { return Ok(()) },
        }
    }
}

impl Run {
    /// The main job; comes back only when it cannot go on.
    async fn work(
        &mut self,
        settings: &Settings,
        state: &State,
        ready: &mut Ready,
    ) -> anyhow::Result<Infallible> {
        raise_descriptor_limit();
        // A family without a destination needs no listener, nor a word when this machine lacks it.
        let listeners = Listeners::bind(
            settings.listen_v4.filter(|_| settings.includes(|net| matches!(net, IpNet::V4(_)))),
            settings.listen_v6.filter(|_| settings.includes(|net| matches!(net, IpNet::V6(_)))),
        )?;

        // First, so that its password prompt comes first, and so that ssh is born exempt from the rules.
        let helper = self.helper.insert(Helper::start().await?);
        let exempt = helper.exempt_caller().await;
        if let Err(error) = &exempt {
            if settings.remote == Remote::Local {
                bail!("without -r, the agent's own connections must be told from all others, and {error}");
            }
            tracing::warn!("connections of ssh itself are told only by their age: {error}");
        }

        let options = Options::new(&settings.ssh_command);
        let started = bootstrap::start(&settings.remote, &options).await?;
        let process = self.process.insert(started.link.process);
        let (session, driver) =
            Driver::start(started.link.input, started.link.output, &started.hello, &started.leftover)?;
        let (session, driver) = self.session.insert((session, driver));

        let policy = policy(settings, &listeners);
        let addresses = listeners.addresses();
        tracing::debug!("redirecting to {addresses:?}");
        let set_up = async {
            helper.apply(&policy).await?;
            state.up(session.clone(), addresses, &started.platform.machine, started.hello.version);
            ready.announce()?;
            tracing::info!("connected to {}: {} rules are in place", settings.remote, policy.rules.len());
            tokio::select! {
                never = listeners.serve(session) => Ok(never),
                error = helper.died() => Err(anyhow::Error::from(error)),
            }
        };
        tokio::select! {
            ended = driver => Err(explain(ended, process, &settings.remote).await),
            outcome = set_up => outcome,
        }
    }

    /// Resets what is relayed, then takes the rules away, then ends the link.
    async fn undo(&mut self) -> anyhow::Result<()> {
        if let Some((session, mut driver)) = self.session.take() {
            let farewell = async { tokio::join!(session.close(), &mut driver).1 };
            // The link may be dead or full: then its end is the message.
            let _ = tokio::time::timeout(FAREWELL, farewell).await;
        }
        let undone = match self.helper.take() {
            Some(helper) => match tokio::time::timeout(UNDOING, helper.stop()).await {
                Ok(undone) => undone.map_err(anyhow::Error::from),
                Err(_) => Err(anyhow!("the firewall helper takes long to undo its rules")),
            },
            None => Ok(()),
        };
        if let Some(process) = self.process.take() {
            process.end().await.context("cannot end the link's process")?;
        }
        undone
    }
}

/// Why the session ended, with what the link's process has to say.
async fn explain(ended: session::Ended, process: &mut Process, remote: &Remote) -> anyhow::Error {
    let error = anyhow::Error::from(ended);
    match tokio::time::timeout(LAST_BREATH, process.wait()).await {
        Ok(Ok(exit)) => {
            let how = match (exit.code, exit.signal) {
                (Some(code), _) => format!("its process exited with status {code}"),
                (None, Some(signal)) => format!("its process was killed by signal {signal}"),
                (None, None) => "its process ended".to_owned(),
            };
            let words = exit.words.lines().last().map(|words| format!(": {words}")).unwrap_or_default();
            error.context(format!("lost {remote}: {how}{words}"))
        }
        _ => error.context(format!("lost {remote}")),
    }
}

fn policy(settings: &Settings, listeners: &Listeners) -> Policy {
    let port = |listener: &Option<tokio::net::TcpListener>| {
        listener.as_ref().and_then(|listener| listener.local_addr().ok()).map(|address| address.port())
    };
    Policy {
        rules: settings.rules.clone(),
        redirect_v4: port(&listeners.v4),
        redirect_v6: port(&listeners.v6),
        ..Policy::default()
    }
}

/// Each connection takes a descriptor, and the usual soft limit is 1,024.
fn raise_descriptor_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(errno) = raised {
        tracing::debug!("the limit of open files stays as it is: {errno}");
    }
}

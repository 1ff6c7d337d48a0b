//! The program: errors become exit codes here.

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use anyhow::Context;
use shuttle::agents;
use shuttle::cli::arguments::Verb;
use shuttle::cli::{self, Invocation, Notice, Settings, exit};
use shuttle::control::verbs;
use shuttle::daemon::{self, background::Ready, cleanup::cleanup, log};
use tokio::runtime::{Builder, Runtime};

fn main() -> ExitCode {
    match cli::from_process() {
        Ok(Invocation::Run(settings)) => run(*settings),
        Ok(Invocation::Verb(verb)) => obey(verb),
        Ok(Invocation::Version { detailed }) => match print_version(detailed) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail_to_print(error),
        },
        Err(error) => refuse(error),
    }
}

/// The main job.
fn run(settings: Settings) -> ExitCode {
    // With -D, stderr until the terminal is left: what goes wrong before is seen.
    let syslog = settings.syslog && !settings.daemonize;
    log::start(settings.verbose, syslog);
    tell(&settings.notices);
    let ended = Ready::prepare(&settings).and_then(|ready| run_to_end(settings, ready));
    let Err(error) = ended else { return ExitCode::SUCCESS };
    let reason = reason_of(&error);
    tracing::error!("{reason}");
    if syslog {
        eprintln!("shuttle: {reason}");
    }
    exit::FATAL.into()
}

/// The whole chain of causes, each told once: some errors tell their cause themselves.
fn reason_of(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |told, cause| match told.as_str() {
        "" => cause,
        _ if told.contains(&cause) => told,
        _ => format!("{told}: {cause}"),
    })
}

fn tell(notices: &[Notice]) {
    for notice in notices {
        match notice {
            Notice::Warning(text) => tracing::warn!("{text}"),
            Notice::Remark(text) => tracing::debug!("{text}"),
        }
    }
}

fn run_to_end(settings: Settings, ready: Ready) -> anyhow::Result<()> {
    let runtime = event_loop()?;
    let ended = runtime.block_on(daemon::run(settings, ready));
    // Only now do the control connections close, and a name being looked up must not hold us.
    runtime.shutdown_background();
    ended.map(|_| ())
}

fn event_loop() -> anyhow::Result<Runtime> {
    Builder::new_current_thread().enable_all().build().context("cannot start the event loop")
}

fn clean_up() -> ExitCode {
    log::start(0, false);
    let cleaned = event_loop().and_then(|runtime| runtime.block_on(cleanup(&mut std::io::stdout())));
    match cleaned {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{}", reason_of(&error));
            exit::FATAL.into()
        }
    }
}

fn obey(verb: Verb) -> ExitCode {
    let done = match verb {
        Verb::Status { which, json } => verbs::status(&which, json, &mut std::io::stdout().lock()),
        Verb::Stop { which, all } => verbs::stop(&which, all),
        Verb::Cleanup => return clean_up(),
        Verb::Helper => return firewall::helper::main(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(verbs::Error::Output(error)) => fail_to_print(error),
        Err(error) => {
            eprintln!("shuttle: {error}");
            let status = match error {
                verbs::Error::NoneRuns | verbs::Error::NoneCalled(..) => exit::NO_SHUTTLE,
                verbs::Error::Several(_) | verbs::Error::Remote(_) => exit::USAGE,
                _ => exit::FATAL,
            };
            status.into()
        }
    }
}

fn print_version(detailed: bool) -> std::io::Result<()> {
    let mut output = std::io::stdout().lock();
    writeln!(output, "shuttle {}", env!("CARGO_PKG_VERSION"))?;
    if detailed {
        writeln!(output, "remotes may be Linux on:")?;
        for agent in agents::AGENTS {
            writeln!(output, "  {agent}")?;
        }
    }
    Ok(())
}

/// A reader that has seen enough (`shuttle status | head -1`) is no failure.
fn fail_to_print(error: std::io::Error) -> ExitCode {
    if error.kind() == ErrorKind::BrokenPipe {
        return ExitCode::SUCCESS;
    }
    eprintln!("shuttle: cannot write: {error}");
    exit::FATAL.into()
}

fn refuse(error: cli::Error) -> ExitCode {
    match error {
        // Help goes to stdout and is no failure.
        cli::Error::Clap(error) if !error.use_stderr() => match error.print() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail_to_print(error),
        },
        cli::Error::Clap(error) => {
            let text = error.render().to_string();
            eprint!("shuttle: {}", text.strip_prefix("error: ").unwrap_or(&text));
            exit::USAGE.into()
        }
        cli::Error::Usage(text) => {
            eprintln!("shuttle: {text}");
            exit::USAGE.into()
        }
        cli::Error::Environment(text) => {
            eprintln!("shuttle: {text}");
            exit::FATAL.into()
        }
    }
}

//! A process of its own that starts an agent and stays, for tests that kill one or give it a terminal.

use std::process::Command;

use lab::Lab;
use shuttle::bootstrap::Embedded;
use shuttle::transport::{Remote, SshRemote};

use crate::kit::{Trial, words};

/// The words that play ssh.
const SSH_COMMAND: &str = "BOOTSTRAP_TEST_SSH_COMMAND";
/// Who logs in.
const USER: &str = "BOOTSTRAP_TEST_USER";
/// What it prints once the agent runs, before ssh's process id.
pub const STARTED: &str = "ssh is ";

/// This program again, on the lab's client; it starts the real agent on the server.
pub fn stand_in(lab: &Lab, launcher: &[&str], ssh_command: &str, user: &str) -> Command {
    let program = std::env::current_exe().unwrap().display().to_string();
    let words = [launcher, &[program.as_str(), "stand_in::stands_in_for_a_daemon"]].concat();
    let mut command = lab.client().command(words[0]);
    command.args(&words[1..]).args(["--exact", "--ignored", "--nocapture"]);
    command.env(SSH_COMMAND, ssh_command).env(USER, user);
    command
}

/// Not a test: the process that [`stand_in`] starts.
#[test]
#[ignore = "started by other tests"]
fn stands_in_for_a_daemon() {
    let Ok(ssh_command) = std::env::var(SSH_COMMAND) else { return };
    let remote = SshRemote { user: std::env::var(USER).ok(), host: "server".into(), port: None };
    let trial = Trial { ssh_command: words(&ssh_command), ..Trial::new(&Embedded) };
    trial.start_then(&Remote::Ssh(remote), async |started| {
        let started = started.unwrap_or_else(|error| panic!("{error}"));
        println!("{STARTED}{}", started.link.process.pid());
        std::future::pending::<()>().await;
    });
}

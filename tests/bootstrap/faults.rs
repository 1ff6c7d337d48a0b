//! The real agent; and ends in the middle: whatever dies, nothing stays, here or there.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lab::{HostPlan, Lab, Wan};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use proto::greeting::{Attach, Attached, VERSION};
use shuttle::bootstrap::{self, BootstrapError, Embedded, Options, Started};
use shuttle::transport::{Link, Remote, SshRemote};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;

use crate::kit::{Agents, PATIENCE, Trial, echoes, eventually, exec, litter, machine, noise, words};
use crate::stand_in::{STARTED, stand_in};

fn server() -> Remote {
    Remote::Ssh(SshRemote { user: Some("root".into()), host: "server".into(), port: None })
}

/// A lab whose server puts the agent where no other test looks.
fn lab_with_own_place() -> lab::Builder {
    Lab::builder().host(HostPlan::new("server").sshd_with(&["SetEnv XDG_RUNTIME_DIR=/run/place"]))
}

fn attach() -> Attach {
    Attach {
        version: VERSION,
        features: 0,
        session: [1; 16],
        secret: [2; 32],
        resume: false,
        received: 0,
        window: 65536,
        streams: 10,
    }
}

/// The agent of this build takes an attach, and ends with its link.
async fn attaches(started: Started) {
    assert_eq!(started.hello.version, VERSION);
    let Link { input, output, mut process } = started.link;
    let mut input = pipe::Receiver::from_owned_fd(input).unwrap();
    let mut output = pipe::Sender::from_owned_fd(output).unwrap();
    output.write_all(&attach().encode()).await.unwrap();
    let mut attached = [0; Attached::LENGTH];
    tokio::time::timeout(PATIENCE, input.read_exact(&mut attached)).await.unwrap().unwrap();
    assert_eq!(Attached::decode(&attached).unwrap().refusal, 0);
    drop((input, output));
    let exit = tokio::time::timeout(PATIENCE, process.wait()).await.unwrap().unwrap();
    assert_eq!(exit.signal, None, "{exit:?}");
}

#[test]
fn the_agent_of_this_build_starts_here_and_over_ssh_and_removes_its_file() {
    let lab = lab_with_own_place().build().unwrap();
    lab.server().check("mkdir -m 700 /run/place").unwrap();
    lab.client().inside(|| {
        for remote in [Remote::Local, exec("sh"), server()] {
            let trial = Trial { ssh_command: words(&lab.ssh_command()), ..Trial::new(&Embedded) };
            trial.start_then(&remote, async |started| {
                let started = started.unwrap_or_else(|error| panic!("{remote}: {error}"));
                if remote == server() {
                    assert_eq!(started.platform.place, "/run/place");
                    assert_eq!(lab.server().check("ls -A /run/place").unwrap(), "");
                }
                attaches(started).await;
            });
        }
    });
}

#[test]
fn ctrl_c_and_a_closed_terminal_leave_ssh_to_the_daemon() {
    let lab = Lab::new().unwrap();
    lab.client().inside(|| {
        let agents = Agents::echo(&[machine()]);
        let trial = Trial { ssh_command: words(&lab.ssh_command()), ..Trial::new(&agents) };
        trial.start_then(&server(), async |started| {
            let started = started.unwrap();
            let ssh = Pid::from_raw(started.link.process.pid() as i32);
            for signal in [Signal::SIGINT, Signal::SIGHUP] {
                kill(ssh, signal).unwrap();
            }
            echoes(started).await;
        });
    });
}

#[test]
fn an_upload_that_ends_in_the_middle_leaves_no_file() {
    let agents = Agents::of(&[machine()], &noise(100_000));
    let folder = tempfile::tempdir().unwrap();
    for shell in ["dash", "bash", "busybox sh"] {
        let place = folder.path().display();
        let error = Trial::new(&agents)
            .fails(&exec(format!("dd bs=1 count=20000 2>/dev/null | XDG_RUNTIME_DIR={place} {shell}")));
        assert!(matches!(error, BootstrapError::Spoilt { .. }), "{shell}: {error}");
        assert_eq!(litter(folder.path()), <[String; 0]>::default(), "{shell}");
    }
}

#[test]
fn giving_up_in_the_middle_of_an_upload_leaves_neither_ssh_nor_a_file() {
    // 4 MB at 4 Mbit/s: still on its way when it is given up.
    let lab = lab_with_own_place().wan(Wan::new(Duration::from_millis(20), 4)).build().unwrap();
    let host = lab.server();
    host.check("mkdir -m 700 /run/place").unwrap();
    let files = || host.check("ls -A /run/place").unwrap();
    lab.client().inside(|| {
        let agents = Agents::of(&[machine()], &noise(4 << 20));
        let ssh_command = words(&lab.ssh_command());
        let options = Options { agents: &agents, cache: None, ..Options::new(&ssh_command) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let remote = server();
            let mut start = std::pin::pin!(bootstrap::start(&remote, &options));
            let since = Instant::now();
            while files().is_empty() {
                assert!(since.elapsed() < PATIENCE, "no upload began");
                let step = tokio::time::timeout(Duration::from_millis(50), start.as_mut()).await;
                assert!(step.is_err(), "the upload was done too soon");
            }
        });
    });
    eventually("the file goes", || files().is_empty());
}

#[test]
fn when_the_daemon_is_killed_ssh_and_the_agent_go_too() {
    let lab = lab_with_own_place().build().unwrap();
    lab.server().check("mkdir -m 700 /run/place").unwrap();
    let command = &mut stand_in(&lab, &[], &lab.ssh_command(), "root");
    let mut stand_in = command.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(stand_in.stdout.take().unwrap()).lines();
    let ssh = lines.map(|line| line.unwrap()).find_map(|line| line.strip_prefix(STARTED).map(str::to_owned));
    let ssh = ssh.expect("the stand-in starts its agent");
    // Its executable is what tells it apart, although the file is gone.
    let agents = "ls -l /proc/[0-9]*/exe 2>/dev/null | grep -c /run/place/.shuttle-";
    let count = || String::from_utf8(lab.server().run(agents).unwrap().stdout).unwrap();
    assert_eq!(count().trim(), "1");

    stand_in.kill().unwrap();
    stand_in.wait().unwrap();
    let alive = || Command::new("kill").args(["-0", &ssh]).stderr(Stdio::null()).status().unwrap().success();
    eventually("ssh ends", || !alive());
    eventually("the agent ends", || count().trim() == "0");
    assert_eq!(lab.server().check("ls -A /run/place").unwrap(), "");
}

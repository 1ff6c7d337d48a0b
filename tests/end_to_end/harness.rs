//! A lab with a shuttle on its client: start it, find its parts, end it, and see that nothing is left.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lab::{Builder, Host, INNER_V4, INNER_V6, Lab};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The program under test.
pub const SHUTTLE: &str = env!("CARGO_BIN_EXE_shuttle");

/// A guard against hanging, not a measure: generous, for a machine that does much else.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What a shuttle says when its rules are in place.
const READY: &str = "in place";

/// A lab, and what was on its client and servers before any shuttle ran.
pub struct Site {
    pub lab: Lab,
    before: Vec<(Host, Traces)>,
}

/// What a shuttle could leave on a host.
#[derive(Debug, Default, PartialEq, Eq)]
struct Traces {
    processes: BTreeSet<String>,
    files: BTreeSet<String>,
}

impl Site {
    /// The default lab.
    pub fn new() -> Self {
        Self::of(Lab::builder())
    }

    pub fn of(builder: Builder) -> Self {
        let lab = builder.build().expect("a lab can be built here");
        let hosts = lab.hosts().iter().filter(|host| !host.name().starts_with("inner"));
        let before = hosts.map(|host| (host.clone(), Traces::of(host))).collect();
        Self { lab, before }
    }

    /// A shuttle with the options for the lab's ssh.
    pub fn command(&self) -> Command {
        let mut command = self.lab.client().command(SHUTTLE);
        command.args(["-e", &self.lab.ssh_command()]);
        command
    }

    /// A shuttle to the lab's server with these arguments, ready to work.
    pub fn start(&self, arguments: &[&str]) -> Shuttle {
        let mut command = self.command();
        command.args(["-r", self.lab.login()]).args(arguments);
        Shuttle::ready(command)
    }

    /// A shuttle to everything behind the lab's server.
    pub fn start_inner(&self) -> Shuttle {
        self.start(&[INNER_V4, INNER_V6])
    }

    /// Waits until nothing is left on any host that was not there before the first shuttle.
    pub fn nothing_is_left(&self) {
        for (host, before) in &self.before {
            let left = || Traces::of(host).without(before);
            eventually(|| left() == Traces::default(), || format!("left on {}: {:?}", host.name(), left()));
        }
        let rules = || self.rules();
        eventually(|| rules().is_empty(), || format!("rules are left:\n{}", rules()));
    }

    /// The client's firewall rules.
    pub fn rules(&self) -> String {
        self.lab.client().check("nft list ruleset").unwrap()
    }

    /// The process that is the agent on the server: its file is gone, sshd's is not.
    pub fn agent(&self) -> Pid {
        let agents = |host: &Host| -> Vec<u32> {
            let pids = host.processes().into_iter().map(|process| process.pid);
            pids.filter(|pid| program(*pid).to_string_lossy().ends_with(" (deleted)")).collect()
        };
        let found = agents(self.lab.server());
        assert_eq!(found.len(), 1, "agents on the server: {found:?}");
        Pid::from_raw(found[0] as i32)
    }
}

impl Traces {
    fn of(host: &Host) -> Self {
        // The process that looks is none of them.
        let processes = host.processes();
        let processes = processes.iter().map(|process| format!("{} {}", process.pid, process.name)).collect();
        // Places that are this host's own. The cache is meant to stay; /etc and sudo are the test's doing.
        let places = if host.name() == "client" { "/run" } else { "/run /tmp /var/tmp /dev/shm /root" };
        let skipped = "-path '*/.cache' -o -path '/run/etc*' -o -path /run/sudo";
        let list = format!("find {places} -xdev \\( {skipped} \\) -prune -o ! -type d -print");
        let files = host.check(&list).unwrap().lines().map(str::to_owned).collect();
        Self { processes, files }
    }

    fn without(&self, before: &Self) -> Self {
        Self { processes: &self.processes - &before.processes, files: &self.files - &before.files }
    }
}

/// A running shuttle; killed when it is dropped.
pub struct Shuttle {
    child: Child,
    words: Arc<Mutex<String>>,
    listening: Option<JoinHandle<()>>,
    /// While it was ready: the root helper's two processes, the one above first.
    pub helpers: Vec<Pid>,
}

/// How a shuttle ended.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub words: String,
}

impl Shuttle {
    /// Starts it, and waits for nothing.
    pub fn spawn(mut command: Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("shuttle can be run");
        let stderr = BufReader::new(child.stderr.take().expect("it is piped"));
        let words = Arc::new(Mutex::new(String::new()));
        let heard = Arc::clone(&words);
        let listening = std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                heard.lock().unwrap().extend([line.as_str(), "\n"]);
            }
        });
        Self { child, words, listening: Some(listening), helpers: Vec::new() }
    }

    /// Starts it and waits until its rules are in place.
    pub fn ready(command: Command) -> Self {
        let mut shuttle = Self::spawn(command);
        let start = Instant::now();
        while !shuttle.words().contains(READY) {
            if let Some(status) = shuttle.child.try_wait().unwrap() {
                panic!("shuttle ended ({status}): {}", shuttle.words());
            }
            assert!(start.elapsed() < PATIENCE, "shuttle does not become ready: {}", shuttle.words());
            std::thread::sleep(Duration::from_millis(5));
        }
        let is_helper = |pid: &Pid| arguments(*pid).get(1).is_some_and(|word| word == "helper");
        shuttle.helpers = descendants(shuttle.pid()).into_iter().filter(is_helper).collect();
        assert_eq!(shuttle.helpers.len(), 2, "the helper is two processes");
        shuttle
    }

    /// The daemon's process.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    /// Its ssh.
    pub fn ssh(&self) -> Pid {
        let is_ssh = |pid: &Pid| program(pid.as_raw() as u32).ends_with("ssh");
        descendants(self.pid()).into_iter().find(is_ssh).expect("it runs an ssh")
    }

    /// What it has said so far.
    pub fn words(&self) -> String {
        self.words.lock().unwrap().clone()
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// Waits for its end, which something else must bring about.
    pub fn wait(&mut self) -> Ended {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(start.elapsed() < PATIENCE, "shuttle does not end: {}", self.words());
            std::thread::sleep(Duration::from_millis(2));
        };
        if let Some(listening) = self.listening.take() {
            listening.join().unwrap();
        }
        Ended { status, words: self.words() }
    }

    /// Ends it as a service would; it must do so cleanly.
    pub fn stop(mut self) {
        self.signal(Signal::SIGTERM);
        let ended = self.wait();
        assert_eq!(ended.status.code(), Some(0), "{ended:?}");
        ended.without_panic();
    }

    /// Kilobytes of memory that it holds.
    pub fn memory(&self) -> u64 {
        resident(self.pid())
    }
}

impl Drop for Shuttle {
    fn drop(&mut self) {
        // Both fail when it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// It broke off, said why, and what it said contains this.
    pub fn failed_with(&self, words: &str) {
        assert_eq!(self.status.code(), Some(99), "{self:?}");
        assert!(self.words.contains(words), "{words:?} is not in: {}", self.words);
        self.without_panic();
    }

    fn without_panic(&self) {
        assert!(!self.words.contains("panicked"), "{}", self.words);
    }
}

/// Runs a shuttle that is not to become ready.
pub fn run_to_end(command: Command) -> Ended {
    Shuttle::spawn(command).wait()
}

/// Waits until something holds; says what does not if it never does.
pub fn eventually(mut holds: impl FnMut() -> bool, otherwise: impl FnOnce() -> String) {
    let start = Instant::now();
    while !holds() {
        if start.elapsed() > PATIENCE {
            panic!("after {PATIENCE:?}: {}", otherwise());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Kilobytes of memory that a process holds.
pub fn resident(pid: Pid) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// The processes that a process has started, and those that they have.
fn descendants(pid: Pid) -> Vec<Pid> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let children = children.split_whitespace().map(|child| Pid::from_raw(child.parse().unwrap()));
    children.flat_map(|child| [vec![child], descendants(child)].concat()).collect()
}

fn arguments(pid: Pid) -> Vec<String> {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

fn program(pid: u32) -> PathBuf {
    std::fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default()
}

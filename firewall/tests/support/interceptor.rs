//! The example `intercept` as the daemon of a test.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::processes::parent;
use shuttle_firewall::helper::protocol::Hello;

/// A running `intercept`, its helper's hello, and the processes behind it.
pub struct Interceptor {
    process: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    pub hello: Hello,
}

impl Interceptor {
    /// Starts it in this thread's namespace and waits until its rules are up.
    pub fn start(arguments: &[&str]) -> Interceptor {
        let mut command = Command::new(program());
        command.args(arguments);
        Interceptor::start_by(command)
    }

    /// The same by a command that may be about to become somebody else.
    pub fn start_by(mut command: Command) -> Interceptor {
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        let stdin = process.stdin.take();
        let mut stdout = BufReader::new(process.stdout.take().expect("a pipe"));
        let hello = serde_json::from_str(&next_line(&mut stdout)).expect("a hello");
        assert_eq!(next_line(&mut stdout), "ready");
        Interceptor { process, stdin, stdout, hello }
    }

    /// The name of the server that a connection of the interceptor itself reaches.
    pub fn who_answers(&mut self, address: &str) -> String {
        writeln!(self.stdin.as_mut().expect("it runs"), "connect {address}").expect("it reads");
        next_line(&mut self.stdout)
    }

    /// The process that our own program is.
    pub fn daemon(&self) -> Pid {
        Pid::from_raw(self.process.id() as i32)
    }

    /// The process that holds the rules.
    pub fn server(&self) -> Pid {
        Pid::from_raw(self.hello.process as i32)
    }

    /// The process between the two, which waits for the server.
    pub fn keeper(&self) -> Pid {
        parent(self.server())
    }

    /// Ends its stdin, and returns how it ended.
    pub fn stop(mut self) -> ExitStatus {
        drop(self.stdin.take());
        self.process.wait().expect("it ends")
    }

    /// Waits until it ends by itself.
    pub fn ended(&mut self) -> ExitStatus {
        self.process.wait().expect("it ends")
    }

    /// Kills these processes at one go: none acts on another's death.
    pub fn kill(&mut self, processes: &[Pid]) {
        for signal in [Signal::SIGSTOP, Signal::SIGKILL] {
            for process in processes {
                kill(*process, signal).expect("it lives");
            }
        }
        if processes.contains(&self.daemon()) {
            assert_eq!(self.ended().signal(), Some(9));
        }
    }
}

/// The built example.
pub fn program() -> PathBuf {
    let mut program = std::env::current_exe().expect("a test has a program");
    program.pop();
    program.set_file_name("examples");
    program.push("intercept");
    assert!(program.exists(), "first run: cargo build -p shuttle-firewall --examples");
    program
}

fn next_line(stdout: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    stdout.read_line(&mut line).expect("it speaks");
    line.trim_end().to_owned()
}

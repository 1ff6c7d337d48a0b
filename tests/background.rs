//! `-D`: what the foreground command tells, and what the background process is.
//!
//! No test harness, because a process with threads must not fork: this program starts itself once more to
//! play a shuttle in the background.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use shuttle::cli::{self, Invocation};
use shuttle::daemon::background::Ready;
use shuttle::daemon::log;

/// What the started process plays.
const ROLE: &str = "BACKGROUND_TEST_ROLE";

type Test = fn(&Path);

fn main() -> ExitCode {
    if let Ok(role) = std::env::var(ROLE) {
        return play(&role);
    }
    let tests: [(&str, Test); 8] = [
        ("the_command_returns_once_it_is_ready", the_command_returns_once_it_is_ready),
        ("the_background_process_has_left_the_terminal", the_background_process_has_left_the_terminal),
        ("until_then_the_terminal_can_be_asked", until_then_the_terminal_can_be_asked),
        ("a_failure_before_that_is_the_commands_own", a_failure_before_that_is_the_commands_own),
        (
            "stopped_before_that_it_does_not_look_like_running",
            stopped_before_that_it_does_not_look_like_running,
        ),
        ("killed_before_that_it_is_gone", killed_before_that_it_is_gone),
        ("ctrl_c_ends_both_and_the_command_says_how", ctrl_c_ends_both_and_the_command_says_how),
        ("a_taken_pidfile_is_told_at_once", a_taken_pidfile_is_told_at_once),
    ];
    for (name, test) in tests {
        let directory = tempfile::tempdir().unwrap();
        test(directory.path());
        println!("test {name} ... ok");
    }
    ExitCode::SUCCESS
}

/// As main.rs does it, with another run between.
fn play(role: &str) -> ExitCode {
    let words = std::env::args_os().skip(1).collect();
    let Ok(Invocation::Run(settings)) = cli::parse(words, |_| None) else { panic!("no run") };
    let mut ready = match Ready::prepare(&settings) {
        Ok(ready) => ready,
        Err(error) => {
            eprintln!("shuttle: {error:#}");
            return ExitCode::from(99);
        }
    };
    log::start(settings.verbose, false);
    match role {
        "ready" => {
            ready.announce().unwrap();
            wait_for_end(&settings.pidfile.unwrap());
            ExitCode::SUCCESS
        }
        "ask" => {
            // As ssh does for a password.
            let terminal = std::fs::File::options().read(true).write(true).open("/dev/tty").unwrap();
            let mut answer = String::new();
            BufReader::new(terminal).read_line(&mut answer).unwrap();
            assert_eq!(answer.trim(), "secret");
            ready.announce().unwrap();
            wait_for_end(&settings.pidfile.unwrap());
            ExitCode::SUCCESS
        }
        "stop" => ExitCode::SUCCESS,
        "fail" => {
            tracing::error!("cannot reach the host");
            ExitCode::from(99)
        }
        "slow" => {
            println!("{}", std::process::id());
            loop {
                std::thread::park();
            }
        }
        _ => panic!("{role}"),
    }
}

/// Until the test removes the file, or is gone itself.
fn wait_for_end(pidfile: &Path) {
    let start = Instant::now();
    while pidfile.exists() && start.elapsed() < Duration::from_secs(120) {
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn command(role: &str, pidfile: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env(ROLE, role).args(["-D", "-r", "host", "10/8", "--pidfile"]).arg(pidfile);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn read_pid(pidfile: &Path) -> Pid {
    Pid::from_raw(std::fs::read_to_string(pidfile).unwrap().trim().parse().unwrap())
}

fn await_end(pid: Pid) {
    let start = Instant::now();
    // Its parent, who would have to bury it, may be slow: a zombie has ended as well.
    let lives = || match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => !stat.rsplit(") ").next().unwrap().starts_with('Z'),
        Err(_) => false,
    };
    while lives() {
        assert!(start.elapsed() < Duration::from_secs(60), "process {pid} does not end");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn the_command_returns_once_it_is_ready(directory: &Path) {
    let pidfile = directory.join("pid");
    let mut command = command("ready", &pidfile).spawn().unwrap();
    let command_pid = command.id();
    assert!(command.wait().unwrap().success());
    let pid = read_pid(&pidfile);
    assert_ne!(pid.as_raw() as u32, command_pid);
    kill(pid, None).expect("the background process lives");
    std::fs::remove_file(&pidfile).unwrap();
    await_end(pid);
}

fn the_background_process_has_left_the_terminal(directory: &Path) {
    let pidfile = directory.join("pid");
    // Reads to the end of stdout and stderr: this would hang if the process had kept them.
    let output = command("ready", &pidfile).output().unwrap();
    assert!(output.status.success());
    let pid = read_pid(&pidfile);
    assert_eq!(nix::unistd::getsid(Some(pid)), Ok(pid), "it leads a session of its own");
    for fd in 0..3 {
        let target = std::fs::read_link(format!("/proc/{pid}/fd/{fd}")).unwrap();
        assert_eq!(target, PathBuf::from("/dev/null"));
    }
    std::fs::remove_file(&pidfile).unwrap();
    await_end(pid);
}

fn a_failure_before_that_is_the_commands_own(directory: &Path) {
    let pidfile = directory.join("pid");
    let output = command("fail", &pidfile).output().unwrap();
    assert_eq!(output.status.code(), Some(99));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("shuttle: cannot reach the host"), "{errors}");
    assert!(!pidfile.exists());
}

fn stopped_before_that_it_does_not_look_like_running(directory: &Path) {
    let output = command("stop", &directory.join("pid")).output().unwrap();
    assert_eq!(output.status.code(), Some(99));
    assert!(String::from_utf8_lossy(&output.stderr).contains("before it was ready"));
}

fn until_then_the_terminal_can_be_asked(directory: &Path) {
    let pidfile = directory.join("pid");
    let program = std::env::current_exe().unwrap();
    let line = format!("{} -D -r host 10/8 --pidfile {}", program.display(), pidfile.display());
    // script(1) makes the terminal.
    let mut script = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .env(ROLE, "ask")
        .env("SHELL", "/bin/sh")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    script.stdin.take().unwrap().write_all(b"secret\n").unwrap();
    assert!(script.wait().unwrap().success());
    // The terminal is gone now, and the process is not.
    let pid = read_pid(&pidfile);
    kill(pid, None).expect("the background process outlives the terminal");
    std::fs::remove_file(&pidfile).unwrap();
    await_end(pid);
}

fn start_slow(pidfile: &Path) -> (Child, Pid) {
    let mut command = command("slow", pidfile).process_group(0).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(command.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (command, Pid::from_raw(line.trim().parse().unwrap()))
}

fn killed_before_that_it_is_gone(directory: &Path) {
    let (mut command, pid) = start_slow(&directory.join("pid"));
    command.kill().unwrap();
    command.wait().unwrap();
    await_end(pid);
}

fn a_taken_pidfile_is_told_at_once(directory: &Path) {
    let pidfile = directory.join("pid");
    assert!(command("ready", &pidfile).status().unwrap().success());
    let pid = read_pid(&pidfile);
    let mut second = command("ready", &pidfile).spawn().unwrap();
    assert_eq!(second.wait().unwrap().code(), Some(99));
    let mut errors = String::new();
    second.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert!(errors.contains(&format!("process {pid}")), "{errors}");
    std::fs::remove_file(&pidfile).unwrap();
    await_end(pid);
}

fn ctrl_c_ends_both_and_the_command_says_how(directory: &Path) {
    let (mut command, pid) = start_slow(&directory.join("pid"));
    // As a terminal does it: to the whole group.
    kill(Pid::from_raw(-(command.id() as i32)), Signal::SIGINT).unwrap();
    await_end(pid);
    assert_eq!(command.wait().unwrap().code(), Some(128 + Signal::SIGINT as i32));
}

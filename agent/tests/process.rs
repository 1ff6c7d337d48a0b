//! The agent as a process: what it leaves behind, and what it says when it cannot work.

mod client;

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};

use client::{Client, Program, attach, spawn};
use nix::libc;
use nix::sys::resource::{Resource, setrlimit};
use proto::frame::{Header, Kind};
use proto::greeting::{Attached, Hello, Refusal};
use proto::{Reason, Violation};

/// Runs the agent with this greeting and what follows, until its end.
fn run_with(greeting: &[u8]) -> Output {
    let program = Program::here();
    let mut agent = spawn(program.command());
    agent.stdin.take().unwrap().write_all(greeting).unwrap();
    agent.wait_with_output().unwrap()
}

fn words(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

fn refusal(output: &Output) -> Option<Refusal> {
    let wire = output.stdout[Hello::LENGTH..].try_into().unwrap();
    Refusal::from_code(Attached::decode(wire).unwrap().refusal)
}

#[test]
fn its_file_is_gone_once_it_runs() {
    let program = Program::here();
    let (path, command) = (program.path(), program.command());
    assert!(path.exists());
    let _client = Client::with(program, command);
    assert!(!path.exists());
}

#[test]
fn a_link_that_ends_at_once_is_no_failure() {
    let output = run_with(b"");
    assert_eq!((output.status.code(), words(&output)), (Some(0), ""));
    assert_eq!(output.stdout.len(), Hello::LENGTH);
}

#[test]
fn another_version_is_refused_with_words_for_both_sides() {
    let mut greeting = attach();
    greeting.version = 999;
    let output = run_with(&greeting.encode());
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(refusal(&output), Some(Refusal::Version));
    assert!(words(&output).contains("version 999"), "{}", words(&output));
}

#[test]
fn a_session_that_does_not_exist_is_refused() {
    let mut greeting = attach();
    greeting.resume = true;
    let output = run_with(&greeting.encode());
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(refusal(&output), Some(Refusal::NoSession));
}

#[test]
fn garbage_instead_of_a_greeting_ends_it_with_words() {
    let output = run_with(&[b'x'; 100]);
    assert_eq!(output.status.code(), Some(2));
    assert!(words(&output).contains("not from a shuttle client"), "{}", words(&output));
}

#[test]
fn garbage_in_a_session_ends_it_with_words_for_both_sides() {
    let mut client = Client::start();
    client.write_raw(&[0xff; 64]);
    client.until("the agent's end", |client| client.ended);
    assert!(matches!(client.closed, Some(Some(_))), "{:?}", client.closed);
    let (status, words) = client.wait();
    assert_eq!(status.code(), Some(3));
    assert!(words.contains("the client broke the protocol"), "{words}");
}

#[test]
fn a_client_that_blames_it_is_quoted() {
    let mut client = Client::start();
    // Something that the agent has no part in: only the code counts.
    let violation = Violation::CreditOverrun;
    client.write_raw(&close_frame(violation.code()));
    client.until("the agent's end", |client| client.ended);
    let (status, words) = client.wait();
    assert_eq!(status.code(), Some(3));
    assert!(words.contains(&violation.to_string()), "{words}");
}

#[test]
fn a_session_closed_on_purpose_is_no_failure() {
    let mut client = Client::start();
    client.connection.close();
    client.until("the agent's end", |client| client.ended);
    let (status, words) = client.wait();
    assert_eq!((status.code(), words.as_str()), (Some(0), ""));
}

#[test]
fn files_instead_of_a_pipe_are_named() {
    let program = Program::here();
    let mut agent = spawn_onto_null(program.command());
    agent.stdin.take().unwrap().write_all(&attach().encode()).unwrap();
    let output = agent.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(words(&output).contains("standard output is a file or /dev/null"), "{}", words(&output));
}

/// The agent, started by a shell that closes some of its files.
fn started_with(program: &Program, redirections: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("exec \"$0\" {redirections}")]).arg(program.path());
    command
}

#[test]
fn a_closed_input_is_named() {
    let program = Program::here();
    let output = spawn(started_with(&program, "<&-")).wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(words(&output).contains("standard input is not open"), "{}", words(&output));
}

#[test]
fn without_a_place_for_its_words_none_of_them_gets_into_a_stream() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let program = Program::here();
    let command = started_with(&program, "2>&-");
    let mut client = Client::with(program, command);
    let stream = client.open(listener.local_addr().unwrap());
    client.until("the connection", |client| client.stream(stream).accepted);
    let mut socket = listener.accept().unwrap().0;
    client.write_raw(&[0xff; 64]);
    client.until("the agent's end", |client| client.ended);
    let mut received = Vec::new();
    assert!(socket.read_to_end(&mut received).is_err(), "the target saw a clean end");
    assert!(received.is_empty());
    assert_eq!(client.wait().0.code(), Some(3));
}

fn spawn_onto_null(mut command: Command) -> std::process::Child {
    let null = File::create("/dev/null").unwrap();
    command.stdin(Stdio::piped()).stdout(null).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn without_files_to_open_it_says_so_for_each_stream_and_goes_on() {
    let program = Program::here();
    let mut command = program.command();
    // SAFETY: a plain system call between fork and exec.
    unsafe {
        command.pre_exec(|| Ok(setrlimit(Resource::RLIMIT_NOFILE, 7, 7)?));
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut client = Client::with(program, command);
    let mut open = Vec::new();
    let refused = loop {
        let stream = client.open(address);
        client.until("an answer", |client| {
            let stream = client.stream(stream);
            stream.accepted || stream.reset.is_some()
        });
        if client.stream(stream).reset.is_some() {
            break stream;
        }
        open.push((stream, listener.accept().unwrap().0));
    };
    assert_eq!(client.stream(refused).reset, Some(Reason::Exhausted));
    assert!(!open.is_empty());

    // One that ends makes room for another.
    let (stream, socket) = open.pop().unwrap();
    client.finish(stream);
    drop(socket);
    client.until("the end", |client| client.stream(stream).finished);
    let mut answered = false;
    while !answered {
        let stream = client.open(address);
        client.until("an answer", |client| {
            client.stream(stream).accepted || client.stream(stream).reset.is_some()
        });
        answered = client.stream(stream).accepted;
    }
}

#[test]
fn it_lives_on_what_linux_3_10_offers() {
    let program = Program::here();
    let mut command = program.command();
    // SAFETY: plain system calls between fork and exec.
    unsafe { command.pre_exec(forbid_newer_system_calls) };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = Client::with(program, command);
    let path_refused = client.open("127.0.0.1:1".parse().unwrap());
    let stream = client.open(listener.local_addr().unwrap());
    let bytes: Vec<u8> = (0..200_000_u32).map(|n| n as u8).collect();
    client.send(stream, &bytes);
    client.finish(stream);
    let target = std::thread::spawn(move || {
        let mut socket = listener.accept().unwrap().0;
        let mut all = Vec::new();
        socket.read_to_end(&mut all).unwrap();
        socket.write_all(&all).unwrap();
    });
    client.until("the echo", |client| client.stream(stream).finished);
    assert!(client.stream(stream).received == bytes);
    client.until("a refusal", |client| client.stream(path_refused).reset.is_some());
    target.join().unwrap();
    client.hang_up();
    let (status, words) = client.wait();
    assert_eq!((status.code(), words.as_str()), (Some(0), ""));
}

/// Kills the process at any system call that came after Linux 3.10: `finit_module`, the last of that
/// time, is number 313 on x86_64, and numbers are given out in order.
#[cfg(target_arch = "x86_64")]
fn forbid_newer_system_calls() -> std::io::Result<()> {
    const LAST: u32 = 313;
    let statement = |code, k, jt, jf| libc::sock_filter { code: code as u16, jt, jf, k };
    let filter = [
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        statement(libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K, LAST, 0, 1),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_KILL_PROCESS, 0, 0),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW, 0, 0),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
    // SAFETY: the program and its filter outlive the calls, which copy them.
    let outcome = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) == 0
    };
    if outcome { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

/// The numbers differ elsewhere; the code does not.
#[cfg(not(target_arch = "x86_64"))]
fn forbid_newer_system_calls() -> std::io::Result<()> {
    Ok(())
}

/// The last frame of a session.
fn close_frame(code: u16) -> Vec<u8> {
    let header = Header { kind: Kind::Close, stream: 0, length: 2 };
    [&header.encode()[..], &code.to_be_bytes()].concat()
}

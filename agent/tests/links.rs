//! The kinds of files that a link may be: pipes are everybody else's, here are sockets and terminals.

mod client;

use std::io::Read;
use std::net::{Shutdown, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::thread;

use client::{Client, Program};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::pty::openpty;
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};

/// Sends through the agent what a target sends back, and ends.
fn echo(client: &mut Client, length: usize) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let bytes: Vec<u8> = (0..length as u32).map(|n| (n.wrapping_mul(0x9e37_79b9) >> 24) as u8).collect();
    let stream = client.open(listener.local_addr().unwrap());
    client.send(stream, &bytes);
    client.finish(stream);
    let target = thread::spawn(move || {
        let mut socket = listener.accept().unwrap().0;
        let mut writing = socket.try_clone().unwrap();
        std::io::copy(&mut socket, &mut writing).unwrap();
        writing.shutdown(Shutdown::Write).unwrap();
    });
    client.until("the echo", |client| client.stream(stream).finished);
    assert!(client.stream(stream).received == bytes);
    target.join().unwrap();
}

fn is_nonblocking(file: impl AsFd) -> bool {
    OFlag::from_bits_truncate(fcntl(file, FcntlArg::F_GETFL).unwrap()).contains(OFlag::O_NONBLOCK)
}

#[test]
fn one_socket_may_be_both_input_and_output() {
    let (here, there) = UnixStream::pair().unwrap();
    let there = OwnedFd::from(there);
    let program = Program::here();
    let mut command = program.command();
    command.stdin(there.try_clone().unwrap()).stdout(there.try_clone().unwrap()).stderr(Stdio::piped());
    let agent = command.spawn().unwrap();
    drop(command);
    let mut client =
        Client::over(program, agent, here.try_clone().unwrap().into(), here.try_clone().unwrap().into());
    echo(&mut client, 5 << 20);
    here.shutdown(Shutdown::Write).unwrap();
    let (status, words) = client.wait();
    assert_eq!((status.code(), words.as_str()), (Some(0), ""));
    assert!(!is_nonblocking(&there), "the open file was not left as it was found");
}

#[test]
fn a_terminal_may_be_both_input_and_output() {
    let ends = openpty(None, None).unwrap();
    let mut settings = tcgetattr(&ends.slave).unwrap();
    cfmakeraw(&mut settings);
    tcsetattr(&ends.slave, SetArg::TCSANOW, &settings).unwrap();
    let program = Program::here();
    let mut command = program.command();
    command.stdin(ends.slave.try_clone().unwrap()).stdout(ends.slave).stderr(Stdio::piped());
    let agent = command.spawn().unwrap();
    drop(command);
    let mut client = Client::over(program, agent, ends.master.try_clone().unwrap(), ends.master);
    echo(&mut client, 200_000);
    client.connection.close();
    client.until("the agent's end", |client| client.ended);
    let (status, words) = client.wait();
    assert_eq!((status.code(), words.as_str()), (Some(0), ""));
}

#[test]
fn a_reader_that_goes_away_ends_it_though_the_writer_stays() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = Client::start();
    let stream = client.open(listener.local_addr().unwrap());
    client.until("the connection", |client| client.stream(stream).accepted);
    let mut socket = listener.accept().unwrap().0;
    client.close_output();
    assert!(socket.read(&mut [0]).is_err(), "the target saw a clean end");
    let status = client.agent.wait().unwrap();
    assert_eq!(status.code(), Some(0));
}

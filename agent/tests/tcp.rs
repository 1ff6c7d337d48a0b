//! What connections through the agent look like at both ends.

mod client;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;

use client::Client;
use nix::libc::linger;
use nix::sys::socket::{setsockopt, sockopt::Linger};
use proto::Reason;

fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Bytes that show when some are lost, doubled or swapped.
fn pattern(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..length)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .collect()
}

#[test]
fn bytes_go_to_the_target_and_back() {
    let (listener, address) = listen();
    let target = thread::spawn(move || {
        let mut socket = listener.accept().unwrap().0;
        let mut request = [0; 5];
        socket.read_exact(&mut request).unwrap();
        assert_eq!(&request, b"hello");
        socket.write_all(b"world").unwrap();
    });
    let mut client = Client::start();
    let stream = client.open(address);
    client.send(stream, b"hello");
    client.until("the end", |client| client.stream(stream).finished);
    assert!(client.stream(stream).accepted);
    assert_eq!(client.stream(stream).received, b"world");
    target.join().unwrap();
}

#[test]
fn ipv6_targets_are_reached() {
    let Ok(listener) = TcpListener::bind("[::1]:0") else {
        println!("skipped: this machine has no IPv6");
        return;
    };
    let address = listener.local_addr().unwrap();
    thread::spawn(move || listener.accept().unwrap().0.write_all(b"six").unwrap());
    let mut client = Client::start();
    let stream = client.open(address);
    client.until("the end", |client| client.stream(stream).finished);
    assert_eq!(client.stream(stream).received, b"six");
}

#[test]
fn a_closed_port_is_a_reset_that_says_refused() {
    let (listener, address) = listen();
    drop(listener);
    let mut client = Client::start();
    let stream = client.open(address);
    client.send(stream, b"anybody there?");
    client.until("a reset", |client| client.stream(stream).reset.is_some());
    assert_eq!(client.stream(stream).reset, Some(Reason::Refused));
    assert!(!client.stream(stream).accepted);
}

#[test]
fn an_unroutable_target_is_a_reset_that_says_unreachable() {
    let mut client = Client::start();
    // The kernel refuses to connect to a broadcast address without sending anything.
    let stream = client.open("255.255.255.255:80".parse().unwrap());
    client.until("a reset", |client| client.stream(stream).reset.is_some());
    let reason = client.stream(stream).reset;
    assert!(matches!(reason, Some(Reason::NetworkUnreachable | Reason::Forbidden)), "{reason:?}");
}

#[test]
fn each_half_ends_by_itself() {
    let (listener, address) = listen();
    let target = thread::spawn(move || {
        let mut socket = listener.accept().unwrap().0;
        let mut request = Vec::new();
        socket.read_to_end(&mut request).unwrap();
        socket.write_all(&request).unwrap();
        socket.write_all(b" and more").unwrap();
        socket.shutdown(Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        assert_eq!(socket.read_to_end(&mut rest).unwrap(), 0);
    });
    let mut client = Client::start();
    let files = client.agent_files();
    let stream = client.open(address);
    client.send(stream, b"everything");
    client.finish(stream);
    client.until("the end", |client| client.stream(stream).finished);
    assert_eq!(client.stream(stream).received, b"everything and more");
    target.join().unwrap();
    client.until("the socket to be closed", |client| client.agent_files() == files);
}

#[test]
fn the_target_may_end_first_and_still_be_sent_to() {
    let (listener, address) = listen();
    let target = thread::spawn(move || {
        let mut socket = listener.accept().unwrap().0;
        socket.write_all(b"that was all").unwrap();
        socket.shutdown(Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        socket.read_to_end(&mut rest).unwrap();
        rest
    });
    let mut client = Client::start();
    let stream = client.open(address);
    client.until("the target's end", |client| client.stream(stream).finished);
    let bytes = pattern(300_000);
    client.send(stream, &bytes);
    client.finish(stream);
    client.until("all to be sent", |client| client.unsent(stream) == 0);
    client.until("the target to have it", |_| target.is_finished());
    assert!(target.join().unwrap() == bytes);
}

#[test]
fn a_reset_by_the_target_is_a_reset_of_the_stream_after_its_data() {
    let (listener, address) = listen();
    let target = thread::spawn(move || {
        let mut socket = listener.accept().unwrap().0;
        let mut request = [0; 4];
        socket.read_exact(&mut request).unwrap();
        socket.write_all(b"last words").unwrap();
        setsockopt(&socket, Linger, &linger { l_onoff: 1, l_linger: 0 }).unwrap();
    });
    let mut client = Client::start();
    let stream = client.open(address);
    client.send(stream, b"ping");
    client.until("a reset", |client| client.stream(stream).reset.is_some());
    assert_eq!(client.stream(stream).reset, Some(Reason::Reset));
    assert_eq!(client.stream(stream).received, b"last words");
    assert!(!client.stream(stream).finished);
    target.join().unwrap();
}

#[test]
fn a_target_that_closes_without_reading_resets_the_stream_and_its_answer_arrives() {
    let (listener, address) = listen();
    thread::spawn(move || {
        let mut socket = listener.accept().unwrap().0;
        let mut some = [0; 10];
        socket.read_exact(&mut some).unwrap();
        socket.write_all(b"413 too large").unwrap();
        // Closing with unread data makes the kernel send a reset.
    });
    let mut client = Client::start();
    let stream = client.open(address);
    client.send(stream, &pattern(2_000_000));
    client.until("the outcome", |client| client.stream(stream).reset.is_some());
    assert_eq!(client.stream(stream).received, b"413 too large");
}

#[test]
fn a_reset_by_the_client_is_a_reset_of_the_target() {
    let (listener, address) = listen();
    let mut client = Client::start();
    let stream = client.open(address);
    client.send(stream, b"x");
    client.until("the connection", |client| client.stream(stream).accepted);
    let mut socket = listener.accept().unwrap().0;
    let mut byte = [0];
    socket.read_exact(&mut byte).unwrap();
    let outcome = thread::spawn(move || socket.read(&mut byte).unwrap_err().kind());
    client.reset(stream);
    client.until("the target to notice", |_| outcome.is_finished());
    assert_eq!(outcome.join().unwrap(), ErrorKind::ConnectionReset);
}

#[test]
fn the_end_of_the_link_resets_every_target_and_ends_the_agent() {
    let (listener, address) = listen();
    let mut client = Client::start();
    let mut sockets = Vec::new();
    for _ in 0..3 {
        let stream = client.open(address);
        client.until("the connection", |client| client.stream(stream).accepted);
        sockets.push(listener.accept().unwrap().0);
    }
    client.hang_up();
    let (status, words) = client.wait();
    assert_eq!((status.code(), words.as_str()), (Some(0), ""));
    for mut socket in sockets {
        assert_eq!(socket.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    }
}

#[test]
fn much_data_arrives_whole_in_both_directions_at_once() {
    const LENGTH: usize = 24 << 20;
    let (listener, address) = listen();
    let target = thread::spawn(move || {
        let socket = listener.accept().unwrap().0;
        let mut writing = socket.try_clone().unwrap();
        let writer = thread::spawn(move || {
            writing.write_all(&pattern(LENGTH)).unwrap();
            writing.shutdown(Shutdown::Write).unwrap();
        });
        let mut received = Vec::new();
        (&socket).read_to_end(&mut received).unwrap();
        writer.join().unwrap();
        received
    });
    let mut client = Client::start();
    let stream = client.open(address);
    let bytes = pattern(LENGTH);
    client.send(stream, &bytes);
    client.finish(stream);
    client.until("everything", |client| client.stream(stream).finished && client.unsent(stream) == 0);
    assert!(client.stream(stream).received == bytes);
    client.until("the target to have it", |_| target.is_finished());
    assert!(target.join().unwrap() == bytes);
}

#[test]
fn data_sent_before_the_connection_is_up_arrives() {
    let (listener, address) = listen();
    let bytes = pattern(50_000);
    let mut client = Client::start();
    let stream = client.open(address);
    client.send(stream, &bytes);
    client.finish(stream);
    let target = thread::spawn(move || {
        let mut received = Vec::new();
        listener.accept().unwrap().0.read_to_end(&mut received).unwrap();
        received
    });
    client.until("the target to have it", |_| target.is_finished());
    assert!(target.join().unwrap() == bytes);
}

#[test]
fn a_thousand_short_connections_leave_nothing_behind() {
    let (listener, address) = listen();
    thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket: TcpStream = socket.unwrap();
            let mut request = [0; 4];
            if socket.read_exact(&mut request).is_ok() {
                let _ = socket.write_all(b"pong");
            }
        }
    });
    let mut client = Client::start();
    let files = client.agent_files();
    for _ in 0..20 {
        let streams: Vec<_> = (0..50).map(|_| client.open(address)).collect();
        for &stream in &streams {
            client.send(stream, b"ping");
            client.finish(stream);
        }
        client.until("the answers", |client| streams.iter().all(|&stream| client.stream(stream).finished));
        assert!(streams.iter().all(|&stream| client.stream(stream).received == b"pong"));
    }
    client.until("the sockets to be closed", |client| client.agent_files() == files);
}

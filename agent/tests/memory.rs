//! What streams cost the agent: little while idle, their window when somebody stalls.

mod client;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use client::Client;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use proto::{Config, Side};

fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Accepts so many connections, answers one byte on each with two, and keeps them.
fn serve(listener: TcpListener, count: usize) -> JoinHandle<Vec<TcpStream>> {
    thread::spawn(move || {
        let answer = |mut socket: TcpStream| {
            socket.read_exact(&mut [0]).unwrap();
            socket.write_all(b"ok").unwrap();
            socket
        };
        (0..count).map(|_| answer(listener.accept().unwrap().0)).collect()
    })
}

/// What the agent's own tables and the two directions' rings may take, whatever streams do.
fn base() -> usize {
    Config::new(Side::Agent).ring + (1 << 20)
}

#[test]
fn two_thousand_idle_streams_cost_less_than_a_kilobyte_each() {
    const STREAMS: usize = 2_000;
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
    let (listener, address) = listen();
    let target = serve(listener, STREAMS);
    let mut client = Client::start();
    let before = client.agent_memory();
    let mut streams = Vec::new();
    for _ in 0..STREAMS / 100 {
        let some: Vec<_> = (0..100).map(|_| client.open(address)).collect();
        for &stream in &some {
            client.send(stream, b"?");
        }
        client.until("answers", |client| some.iter().all(|&stream| client.stream(stream).received == b"ok"));
        streams.extend(some);
    }
    let sockets = target.join().unwrap();
    let grown = client.agent_memory() - before;
    println!("agent: {} KiB at first; {STREAMS} streams: {} bytes each", before >> 10, grown / STREAMS);
    // The ring's and the link buffer's pages that were touched are not the streams', but counted here.
    assert!(grown < STREAMS << 10, "{grown} bytes");

    drop(sockets);
    client.until("the ends", |client| streams.iter().all(|&stream| client.stream(stream).finished));
    for stream in streams {
        client.finish(stream);
    }
    client.until("the sockets to be closed", |client| client.agent_files() < 10);
    let left = client.agent_memory();
    println!("after their end: {} KiB", left >> 10);
    assert!(left < before + (1 << 20), "{left} bytes");
}

#[test]
fn a_target_that_stops_reading_costs_its_window_and_delays_nobody() {
    let (listener, address) = listen();
    let mut client = Client::start();
    let stalled = client.open(address);
    client.until("the connection", |client| client.stream(stalled).accepted);
    let silent = listener.accept().unwrap().0;
    let before = client.agent_memory();
    client.send(stalled, &vec![7; 64 << 20]);
    client.run_for(Duration::from_millis(500));
    let unsent = client.unsent(stalled);
    client.run_for(Duration::from_millis(500));
    assert!(client.unsent(stalled) > 32 << 20, "the target's kernel took it all");
    assert_eq!(client.unsent(stalled), unsent, "it still takes bytes");
    let grown = client.agent_memory().saturating_sub(before);
    println!("a stalled target: {} KiB", grown >> 10);
    let config = Config::new(Side::Agent);
    assert!(grown < config.window_cap as usize + base(), "{grown} bytes");

    // Somebody else.
    let target = serve(listener, 1);
    let other = client.open(address);
    client.send(other, b"?");
    client.until("an answer", |client| client.stream(other).received == b"ok");

    // Everything arrives once it is read.
    let reader = thread::spawn(move || std::io::copy(&mut &silent, &mut std::io::sink()).unwrap());
    client.finish(stalled);
    client.until("the rest", |_| reader.is_finished());
    assert_eq!(reader.join().unwrap(), 64 << 20);
    client.until("memory to be given back", |client| client.agent_memory() < before + base());
    drop(target);
}

#[test]
fn a_client_that_stops_reading_costs_the_agent_nothing_and_delays_nobody() {
    let (listener, address) = listen();
    let mut client = Client::start();
    let stalled = client.open(address);
    client.streams[stalled.index()].paused = true;
    client.until("the connection", |client| client.stream(stalled).accepted);
    let mut busy = listener.accept().unwrap().0;
    let writer = thread::spawn(move || busy.write_all(&vec![7; 64 << 20]).unwrap());
    let before = client.agent_memory();
    client.until("the first window", |client| client.stream(stalled).count > 0);
    client.run_for(Duration::from_millis(500));
    let count = client.stream(stalled).count;
    assert!(count <= Config::new(Side::Client).window as usize, "{count} bytes beyond the window");
    let grown = client.agent_memory().saturating_sub(before);
    println!("a stalled client: {} KiB", grown >> 10);
    assert!(grown < base(), "{grown} bytes");

    let target = serve(listener, 1);
    let other = client.open(address);
    client.send(other, b"?");
    client.until("an answer", |client| client.stream(other).received == b"ok");

    client.resume(stalled);
    client.until("the rest", |client| client.stream(stalled).finished);
    assert_eq!(client.stream(stalled).count, 64 << 20);
    writer.join().unwrap();
    drop(target);
}

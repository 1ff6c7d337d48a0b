//! Any bytes, in any pieces, to both ends of a session in which there is something to break.
//!
//! Checked: no panic, progress on every call, the same verdict however the bytes are cut, bounded memory,
//! and a close that names the violation as the last thing said.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shuttle_proto::frame::{HEADER, Kind};
use shuttle_proto::{Config, Connection, Event, Instant, Peer, Reason, Side, Target, Violation};

const NOW: Instant = Instant::from_micros(1_000_000);
const PEER: Peer = Peer { received: 0, window: 500, streams: 6 };

fn attached(side: Side) -> Connection {
    let config = Config { ring: 1 << 15, window: 500, streams: 6, ..Config::new(side) };
    let mut connection = Connection::new(config);
    connection.attach(NOW, PEER).expect("a first link");
    connection
}

/// Streams in many states: new, sending, finished, reset.
fn client() -> Connection {
    let mut connection = attached(Side::Client);
    let target = Target::Tcp("10.0.0.1:80".parse().expect("an address"));
    for number in 0..4 {
        let stream = connection.open(NOW, &target).expect("a free stream");
        match number {
            1 => connection.ready(stream),
            2 => connection.finish(stream),
            3 => connection.reset(stream, Reason::Reset),
            _ => {}
        }
    }
    while let Some((stream, room)) = connection.reserve(NOW) {
        let count = room.len();
        connection.commit(stream, count);
    }
    drain(&mut connection);
    // One whose open is not written yet.
    connection.open(NOW, &target).expect("a free stream");
    connection
}

fn drain(connection: &mut Connection) -> Vec<u8> {
    let mut wire = Vec::new();
    loop {
        let piece = connection.transmit(NOW).concat();
        if piece.is_empty() {
            return wire;
        }
        connection.transmitted(NOW, piece.len());
        wire.extend(piece);
    }
}

/// Plays a driver that answers, so that more states are reached; stops at the first violation.
fn feed(connection: &mut Connection, bytes: &[u8], chunk: usize) -> Result<u64, Violation> {
    let mut delivered = 0;
    for mut bytes in bytes.chunks(chunk) {
        while !bytes.is_empty() {
            let (taken, event) = connection.handle(NOW, bytes)?;
            assert!(taken > 0 && taken <= bytes.len());
            match event {
                Some(Event::Opened { stream, target: Target::Tcp(address) }) => match address.port() % 4 {
                    0 => connection.reset(stream, Reason::Refused),
                    1 => connection.finish(stream),
                    _ => connection.accept(stream),
                },
                Some(Event::Data { stream, bytes }) => {
                    delivered += bytes.len() as u64;
                    connection.consumed(NOW, stream, bytes.len());
                }
                Some(Event::Finished { stream }) => connection.finish(stream),
                _ => {}
            }
            bytes = &bytes[taken..];
        }
    }
    Ok(delivered)
}

fn check(make: fn() -> Connection, bytes: &[u8], chunk: usize) {
    let mut whole = make();
    let mut pieces = make();
    let verdict = feed(&mut whole, bytes, bytes.len().max(1));
    assert_eq!(verdict, feed(&mut pieces, bytes, chunk));
    for mut connection in [whole, pieces] {
        let bound = Config { ring: 1 << 15, streams: 6, ..Config::new(Side::Client) }.memory_bound();
        assert!(connection.memory() <= bound);
        let said = drain(&mut connection);
        if let Err(violation) = verdict {
            assert_eq!(connection.handle(NOW, &[0]), Err(violation));
            assert!(connection.reserve(NOW).is_none());
            let (_, close) = said.split_at(said.len() - HEADER - 2);
            assert_eq!(
                (close[0], &close[HEADER..]),
                (Kind::Close as u8, &violation.code().to_be_bytes()[..])
            );
            connection.close();
            assert_eq!(drain(&mut connection), []);
        }
    }
}

fuzz_target!(|input: (u8, &[u8])| {
    let (chunk, bytes) = input;
    let chunk = usize::from(chunk % 32) + 1;
    check(client, bytes, chunk);
    check(|| attached(Side::Agent), bytes, chunk);
});

//! Frames made by hand, as a hostile peer would, and what a connection gives to its link.

#![allow(dead_code)] // Each test binary uses its part.

use shuttle_proto::frame::{Header, Kind};
use shuttle_proto::{Config, Connection, Event, Instant, Peer, Reason, Side, StreamId, Target, Violation};

/// What both ends of these tests allow: small, so that limits are easily reached.
pub const STREAMS: u32 = 8;
pub const WINDOW: u32 = 1000;
pub const NOW: Instant = Instant::from_micros(5_000_000);

pub fn frame(kind: Kind, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).expect("a payload that fits");
    let mut wire = Header { kind, stream, length }.encode().to_vec();
    wire.extend_from_slice(payload);
    wire
}

pub fn target() -> Target {
    Target::Tcp("10.0.0.1:80".parse().expect("an address"))
}

pub fn open(stream: u32) -> Vec<u8> {
    frame(Kind::Open, stream, &[1, 10, 0, 0, 1, 0, 80])
}

pub fn data(stream: u32, count: usize) -> Vec<u8> {
    frame(Kind::Data, stream, &vec![7; count])
}

pub fn reset(stream: u32) -> Vec<u8> {
    frame(Kind::Reset, stream, &Reason::Reset.code().to_be_bytes())
}

pub fn credit(stream: u32, count: u32) -> Vec<u8> {
    frame(Kind::Credit, stream, &count.to_be_bytes())
}

pub fn acknowledgement(position: u64) -> Vec<u8> {
    let mut payload = [0; 16];
    payload[..8].copy_from_slice(&position.to_be_bytes());
    frame(Kind::Ack, 0, &payload)
}

/// A connection on its first link.
pub fn connection(side: Side) -> Connection {
    let config = Config { window: WINDOW, streams: STREAMS, ..Config::new(side) };
    let mut connection = Connection::new(config);
    connection.attach(NOW, peer(0)).expect("a first link");
    connection
}

pub fn peer(received: u64) -> Peer {
    Peer { received, window: WINDOW, streams: STREAMS }
}

/// All that the connection gives to its link.
pub fn sent_by(connection: &mut Connection) -> Vec<u8> {
    let mut wire = Vec::new();
    loop {
        let piece = connection.transmit(NOW).concat();
        if piece.is_empty() {
            return wire;
        }
        connection.transmitted(NOW, piece.len());
        wire.extend_from_slice(&piece);
    }
}

/// Puts the streams' bytes into the ring: `count` on each that is ready and may send.
pub fn fill(connection: &mut Connection, count: usize) {
    while let Some((stream, room)) = connection.reserve(NOW) {
        let count = count.min(room.len());
        connection.commit(stream, count);
        connection.unready(stream);
    }
}

/// Hands in `wire` in pieces; what the events say, or the violation.
pub fn feed(connection: &mut Connection, wire: &[u8], chunk: usize) -> Result<Vec<Seen>, Violation> {
    let mut seen = Vec::new();
    for mut bytes in wire.chunks(chunk) {
        while !bytes.is_empty() {
            let (taken, event) = connection.handle(NOW, bytes)?;
            assert!(taken > 0, "nothing was taken of {} bytes", bytes.len());
            seen.extend(event.map(Seen::from));
            bytes = &bytes[taken..];
        }
    }
    Ok(seen)
}

/// An event without the borrowed bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    Opened(StreamId),
    Accepted(StreamId),
    Data(StreamId, usize),
    Finished(StreamId),
    Reset(StreamId, Reason),
    Closed(Option<Violation>),
}

impl From<Event<'_>> for Seen {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Opened { stream, .. } => Self::Opened(stream),
            Event::Accepted { stream } => Self::Accepted(stream),
            Event::Data { stream, bytes } => Self::Data(stream, bytes.len()),
            Event::Finished { stream } => Self::Finished(stream),
            Event::Reset { stream, reason } => Self::Reset(stream, reason),
            Event::Closed { violation } => Self::Closed(violation),
        }
    }
}

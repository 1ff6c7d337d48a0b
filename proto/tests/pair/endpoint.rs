//! One side of a pair: a connection, and applications that send counted bytes and check what they get.

use std::collections::BTreeMap;

use shuttle_proto::{Config, Connection, Event, Instant, OpenError, Reason, StreamId, Target, Violation};

use super::Pipe;

/// Every stream's byte at `position`, as both sides' applications make and check it.
pub fn byte_at(position: u64) -> u8 {
    (position ^ (position >> 8) ^ (position >> 16)) as u8
}

/// What an application does on one stream, and what has happened to it.
#[derive(Clone, Debug, Default)]
pub struct Application {
    /// Bytes that it still wants to send.
    pub to_send: u64,
    /// Finishes once all is sent.
    pub finish: bool,
    /// Does not read what arrives.
    pub stalled: bool,
    pub sent: u64,
    pub received: u64,
    /// Arrived, and not read by a stalled application.
    pub unread: u64,
    pub accepted: bool,
    pub finished: bool,
    pub has_finished: bool,
    /// The peer reset it.
    pub reset: Option<Reason>,
    /// Either end did.
    pub was_reset: bool,
    /// Counts the streams of a session: the same on both ends, while their numbers come back.
    pub serial: u64,
    /// Arrival of the latest data.
    pub last_data: Option<Instant>,
}

pub struct Endpoint {
    pub connection: Connection,
    pub config: Config,
    pub streams: BTreeMap<StreamId, Application>,
    /// Streams that are over, in order.
    pub ended: Vec<Application>,
    /// What the agent's applications do: each opened stream starts as a copy.
    pub template: Application,
    pub closed: bool,
    /// Whether the peer is honest: its bytes are checked, and a violation is a failure of the test.
    pub trusts_peer: bool,
    /// What a dishonest peer did.
    pub violation: Option<Violation>,
    begun: u64,
}

impl Endpoint {
    pub fn new(connection: Connection, config: Config) -> Self {
        Self {
            connection,
            config,
            streams: BTreeMap::new(),
            ended: Vec::new(),
            template: Application::default(),
            closed: false,
            trusts_peer: true,
            violation: None,
            begun: 0,
        }
    }

    /// Opens a stream that behaves like `application`.
    pub fn open(&mut self, now: Instant, application: Application) -> StreamId {
        self.try_open(now, application).expect("a free stream")
    }

    /// The same where the limit may be reached.
    pub fn try_open(&mut self, now: Instant, application: Application) -> Result<StreamId, OpenError> {
        let target = Target::Tcp("10.0.0.1:80".parse().expect("an address"));
        let stream = self.connection.open(now, &target)?;
        self.begin(stream, application);
        Ok(stream)
    }

    fn begin(&mut self, stream: StreamId, application: Application) {
        if application.to_send > 0 {
            self.connection.ready(stream);
        }
        let application = Application { serial: self.begun, ..application };
        self.begun += 1;
        assert!(self.streams.insert(stream, application).is_none(), "{stream:?} was still in use");
        self.finish_if_done(stream);
    }

    fn finish_if_done(&mut self, stream: StreamId) {
        let application = self.streams.get_mut(&stream).expect("known");
        if application.to_send == 0 && application.finish {
            self.finish(stream);
        }
    }

    /// The application sends no more, whatever it still had.
    pub fn finish(&mut self, stream: StreamId) {
        let application = self.streams.get_mut(&stream).expect("known");
        if !application.has_finished {
            application.has_finished = true;
            application.to_send = 0;
            self.connection.finish(stream);
            self.settle(stream);
        }
    }

    /// The application finishes once it has sent what it has.
    pub fn finish_when_sent(&mut self, stream: StreamId) {
        if let Some(application) = self.streams.get_mut(&stream) {
            application.finish = true;
            self.finish_if_done(stream);
        }
    }

    /// The session is over for this end.
    pub fn has_ended(&self) -> bool {
        self.closed || self.violation.is_some()
    }

    pub fn reset(&mut self, stream: StreamId) {
        self.connection.reset(stream, Reason::Reset);
        self.streams.get_mut(&stream).expect("known").was_reset = true;
        self.end(stream);
    }

    /// The application has `count` more bytes to send.
    pub fn offer(&mut self, stream: StreamId, count: u64) {
        let application = self.streams.get_mut(&stream).expect("a known stream");
        application.to_send = application.to_send.saturating_add(count);
        self.connection.ready(stream);
    }

    /// A stalled application reads again.
    pub fn resume_reading(&mut self, now: Instant, stream: StreamId) {
        let application = self.streams.get_mut(&stream).expect("a known stream");
        application.stalled = false;
        let unread = std::mem::take(&mut application.unread);
        self.connection.consumed(now, stream, unread as usize);
        self.settle(stream);
    }

    fn end(&mut self, stream: StreamId) {
        self.ended.extend(self.streams.remove(&stream));
    }

    fn settle(&mut self, stream: StreamId) {
        if self.streams.get(&stream).is_some_and(|a| a.finished && a.has_finished && a.unread == 0) {
            self.end(stream);
        }
    }

    pub fn receive(&mut self, now: Instant, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (taken, event) = match self.connection.handle(now, bytes) {
                Ok(outcome) => outcome,
                Err(violation) if self.trusts_peer => panic!("an honest peer, and yet: {violation}"),
                Err(violation) => {
                    assert_eq!(*self.violation.get_or_insert(violation), violation);
                    return;
                }
            };
            assert!(taken > 0);
            assert!(event.is_none() || !self.has_ended(), "{event:?} after the end");
            if let Some(event) = event {
                self.act(now, event);
            }
            bytes = &bytes[taken..];
        }
    }

    fn act(&mut self, now: Instant, event: Event<'_>) {
        match event {
            Event::Opened { stream, .. } => {
                self.connection.accept(stream);
                self.begin(stream, self.template.clone());
            }
            Event::Accepted { stream } => self.streams.get_mut(&stream).expect("known").accepted = true,
            Event::Data { stream, bytes } => {
                let application = self.streams.get_mut(&stream).expect("known");
                for &byte in bytes {
                    let expected = byte_at(application.received);
                    assert!(byte == expected || !self.trusts_peer, "at {}", application.received);
                    application.received += 1;
                }
                application.last_data = Some(now);
                if application.stalled {
                    application.unread += bytes.len() as u64;
                } else {
                    self.connection.consumed(now, stream, bytes.len());
                }
            }
            Event::Finished { stream } => {
                self.streams.get_mut(&stream).expect("known").finished = true;
                self.settle(stream);
            }
            Event::Reset { stream, reason } => {
                let application = self.streams.get_mut(&stream).expect("known");
                application.reset = Some(reason);
                application.was_reset = true;
                self.end(stream);
            }
            Event::Closed { .. } => self.closed = true,
        }
    }

    /// Does a driver's turn: fills the ring from the applications, and the pipe from the ring.
    pub fn send(&mut self, now: Instant, pipe: &mut Pipe) {
        self.connection.handle_timeout(now);
        loop {
            while let Some((stream, room)) = self.connection.reserve(now) {
                let application = self.streams.get_mut(&stream).expect("known");
                let count = room.len().min(application.to_send as usize);
                for (byte, position) in room[..count].iter_mut().zip(application.sent..) {
                    *byte = byte_at(position);
                }
                application.sent += count as u64;
                application.to_send -= count as u64;
                let is_done = application.to_send == 0;
                self.connection.commit(stream, count);
                if is_done {
                    self.connection.unready(stream);
                    self.finish_if_done(stream);
                }
            }
            let mut wrote = 0;
            for slice in self.connection.transmit(now) {
                let count = pipe.write(now, slice);
                wrote += count;
                if count < slice.len() {
                    break;
                }
            }
            if wrote == 0 {
                return;
            }
            self.connection.transmitted(now, wrote);
        }
    }

    pub fn next(&self, now: Instant) -> Option<Instant> {
        self.connection.timeout().map(|at| at.max(now))
    }
}

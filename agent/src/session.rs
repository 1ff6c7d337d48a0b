//! The epoll loop between the link, the protocol and the sockets.

use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use proto::{Config, Connection, Event, Instant, Peer, Reason, StreamId, Target};
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;

use crate::Failure;
use crate::link::Link;
use crate::stream::{INTEREST, Received, State, Stream};
use crate::tcp;

/// Bytes read from the link at once. Memory that is never read into is never touched.
const READ: usize = 256 << 10;
/// Bytes taken from sockets before the link is given them: what a pipe holds.
const BATCH: usize = 64 << 10;
/// Batches in one turn, so that a fast link does not keep the other direction waiting.
const BATCHES: usize = 8;
/// Events of one turn.
const EVENTS: usize = 128;
/// How long the last words may take.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What an event is about: the link's ends, or else a stream's number.
const INPUT: u64 = u64::MAX;
const OUTPUT: u64 = u64::MAX - 1;

/// One client's session.
pub(crate) struct Session<'link, 'fd> {
    link: &'link mut Link<'fd>,
    connection: Connection,
    /// By the protocol's numbers, which are dense.
    streams: Vec<Option<Stream>>,
    epoll: OwnedFd,
    clock: fn() -> Instant,
    /// The last turn ended before everything was done.
    busy: bool,
}

impl<'link, 'fd> Session<'link, 'fd> {
    /// A session over a link on which the greetings were exchanged.
    pub(crate) fn new(
        link: &'link mut Link<'fd>,
        epoll: OwnedFd,
        config: Config,
        peer: Peer,
        clock: fn() -> Instant,
    ) -> Result<Self, Failure> {
        link.watch(&epoll, epoll::EventData::new_u64(INPUT), epoll::EventData::new_u64(OUTPUT))?;
        let mut connection = Connection::new(config);
        connection.attach(clock(), peer).map_err(Failure::Client)?;
        Ok(Self { link, connection, streams: Vec::new(), epoll, clock, busy: false })
    }

    /// Serves until the link or the session ends; every target then sees a reset.
    pub(crate) fn run(&mut self) -> Failure {
        let mut events = Vec::with_capacity(EVENTS);
        let mut buffer = vec![0; READ];
        let failure = loop {
            if let Err(failure) = self.turn(&mut events, &mut buffer) {
                break failure;
            }
        };
        if let Failure::Client(_) = failure {
            self.say_last_words();
        }
        self.streams.drain(..).flatten().for_each(Stream::abort);
        failure
    }

    fn turn(&mut self, events: &mut Vec<epoll::Event>, buffer: &mut [u8]) -> Result<(), Failure> {
        self.sleep(events)?;
        let now = (self.clock)();
        let mut input = false;
        for event in events.drain(..) {
            let epoll::Event { flags, data, .. } = event;
            match data.u64() {
                INPUT => input = true,
                OUTPUT if flags.contains(epoll::EventFlags::ERR) => return Err(Failure::LinkEnded),
                OUTPUT => self.link.writable = true,
                stream => self.wake(now, stream as usize, flags),
            }
        }
        if input {
            self.take_link(now, buffer)?;
        }
        let now = (self.clock)();
        if self.connection.timeout().is_some_and(|deadline| deadline <= now) {
            self.connection.handle_timeout(now);
        }
        self.feed_link(now)
    }

    /// Waits until there is something to do.
    fn sleep(&mut self, events: &mut Vec<epoll::Event>) -> Result<(), Failure> {
        let limit = if self.busy {
            Some(Duration::ZERO)
        } else {
            self.connection.timeout().map(|deadline| deadline.since((self.clock)()))
        };
        let limit = limit.map(|limit| Timespec {
            // A day is as good as for ever, and fits the old system call.
            tv_sec: limit.as_secs().min(86_400) as _,
            tv_nsec: limit.subsec_nanos() as _,
        });
        match epoll::wait(&self.epoll, spare_capacity(events), limit.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(Failure::Kernel("epoll_wait", errno)),
        }
    }

    /// A socket has changed.
    fn wake(&mut self, now: Instant, index: usize, flags: epoll::EventFlags) {
        let Some(stream) = self.streams.get_mut(index).and_then(Option::as_mut) else { return };
        let id = stream.id;
        match stream.connection_made(flags) {
            Some(Ok(())) => self.connection.accept(id),
            Some(Err(reason)) => return self.reset(id, reason),
            None => {}
        }
        stream.wake(flags);
        let count = stream.flush();
        self.consumed(now, id, count);
        self.settle(id);
    }

    /// Takes what the link brought, and does what it means.
    fn take_link(&mut self, now: Instant, buffer: &mut [u8]) -> Result<(), Failure> {
        let count = self.link.read(buffer)?;
        let mut bytes = &buffer[..count];
        while !bytes.is_empty() {
            let (taken, event) = self.connection.handle(now, bytes).map_err(Failure::Client)?;
            if let Some(event) = event {
                self.act(now, event)?;
            }
            bytes = &bytes[taken..];
        }
        Ok(())
    }

    fn act(&mut self, now: Instant, event: Event<'_>) -> Result<(), Failure> {
        match event {
            Event::Opened { stream, target } => self.open(stream, target),
            Event::Data { stream, bytes } => {
                let count = self.stream(stream).map_or(bytes.len(), |stream| stream.deliver(bytes));
                self.consumed(now, stream, count);
                self.settle(stream);
            }
            Event::Finished { stream } => {
                if let Some(stream) = self.stream(stream) {
                    stream.finish();
                }
                self.settle(stream);
            }
            Event::Reset { stream, .. } => {
                if let Some(stream) = self.remove(stream) {
                    stream.abort();
                }
            }
            Event::Accepted { .. } => {}
            Event::Closed { violation: None } => return Err(Failure::LinkEnded),
            Event::Closed { violation: Some(violation) } => return Err(Failure::Blamed(violation)),
        }
        Ok(())
    }

    fn open(&mut self, id: StreamId, target: Target) {
        let Target::Tcp(address) = target;
        let opened = Stream::connect(id, address).and_then(|stream| {
            let data = epoll::EventData::new_u64(id.index() as u64);
            epoll::add(&self.epoll, &stream, data, INTEREST).map_err(tcp::reason)?;
            Ok(stream)
        });
        match opened {
            Ok(stream) => {
                if self.streams.len() <= id.index() {
                    self.streams.resize_with(id.index() + 1, || None);
                }
                self.streams[id.index()] = Some(stream);
            }
            Err(reason) => self.connection.reset(id, reason),
        }
    }

    /// Gives the link what the protocol and the sockets have, as long as it takes everything.
    fn feed_link(&mut self, now: Instant) -> Result<(), Failure> {
        self.busy = false;
        for _ in 0..BATCHES {
            if !self.link.writable {
                return Ok(());
            }
            self.fill(now);
            let slices = self.connection.transmit(now);
            if slices.iter().all(|slice| slice.is_empty()) {
                return Ok(());
            }
            let count = self.link.write(slices)?;
            self.connection.transmitted(now, count);
        }
        self.busy = true;
        Ok(())
    }

    /// Reads sockets straight into the protocol's ring, one batch.
    fn fill(&mut self, now: Instant) {
        let mut filled = 0;
        while filled < BATCH {
            let Some((id, buffer)) = self.connection.reserve(now) else { return };
            let stream = self.streams.get_mut(id.index()).and_then(Option::as_mut);
            match stream.map_or(Received::Nothing, |stream| stream.receive(buffer)) {
                Received::Bytes { count, more } => {
                    self.connection.commit(id, count);
                    if !more {
                        self.connection.unready(id);
                    }
                    filled += count;
                }
                Received::Nothing => self.connection.commit(id, 0),
                Received::End => {
                    self.connection.finish(id);
                    self.settle(id);
                }
                Received::Over(reason) => self.reset(id, reason),
            }
        }
    }

    /// Draws the consequences of what happened to a stream.
    fn settle(&mut self, id: StreamId) {
        let Some(stream) = self.stream(id) else { return };
        match stream.settle() {
            State::Open { readable: true } => self.connection.ready(id),
            State::Open { readable: false } => {}
            State::Done => drop(self.remove(id)),
            State::Over(reason) => self.reset(id, reason),
        }
    }

    /// The target's side of a stream is over.
    fn reset(&mut self, id: StreamId, reason: Reason) {
        self.connection.reset(id, reason);
        drop(self.remove(id));
    }

    fn consumed(&mut self, now: Instant, id: StreamId, count: usize) {
        if count > 0 {
            self.connection.consumed(now, id, count);
        }
    }

    fn stream(&mut self, id: StreamId) -> Option<&mut Stream> {
        self.streams.get_mut(id.index())?.as_mut()
    }

    fn remove(&mut self, id: StreamId) -> Option<Stream> {
        self.streams.get_mut(id.index())?.take()
    }

    /// Tells the client what it did wrong, if it listens.
    fn say_last_words(&mut self) {
        let end = (self.clock)() + LAST_WORDS;
        loop {
            let now = (self.clock)();
            let slices = self.connection.transmit(now);
            if slices.iter().all(|slice| slice.is_empty()) || now >= end {
                return;
            }
            match self.link.write(slices) {
                Ok(count) => self.connection.transmitted(now, count),
                Err(_) => return,
            }
            if !self.link.writable && self.link.wait_writable(Some(end.since(now))).is_err() {
                return;
            }
        }
    }
}

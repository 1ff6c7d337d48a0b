//! One task that owns the protocol's connection and does its turns: link in, orders, sockets, link out.

use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use proto::greeting::{Attach, Hello, Refusal, VERSION};
use proto::{Config, Connection, Event, Instant, Peer, Reason, Side, StreamId, Target};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::unconstrained;
use tokio::time::Sleep;

use super::meter::Meter;
use super::relay::{Relay, State};
use super::wake::WakeList;
use super::{Ended, Figures, ORDERS, Order, Session};
use crate::tunnel::{Broken, Tunnel};

/// Rounds of one poll before other tasks get their turn.
const ROUNDS: usize = 16;

/// Drives one session; resolves when it ends, and resets all its connections when it is dropped.
#[derive(Debug)]
pub struct Driver {
    connection: Connection,
    tunnel: Tunnel,
    relays: Relays,
    orders: mpsc::Receiver<Order>,
    timer: Pin<Box<Sleep>>,
    started: std::time::Instant,
    /// We closed the session: over as soon as everything is written.
    closing: bool,
}

/// The relays by stream, and what all of them share.
#[derive(Debug, Default)]
struct Relays {
    slots: Vec<Option<Relay>>,
    wakes: Arc<WakeList>,
    /// The wake list's other half.
    woken: Vec<StreamId>,
    up: Meter,
    down: Meter,
}

impl Driver {
    /// Greets the agent that said `hello` over this byte pipe; `leftover` came behind its hello. Must be
    /// called within a runtime.
    pub fn start(
        input: OwnedFd,
        output: OwnedFd,
        hello: &Hello,
        leftover: &[u8],
    ) -> Result<(Session, Self), Ended> {
        if hello.version != VERSION {
            return Err(Ended::Refused(Some(Refusal::Version)));
        }
        let config = Config::new(Side::Client);
        let attach = Attach {
            version: VERSION,
            features: 0,
            session: random().map_err(|error| Ended::LinkLost(Some(error)))?,
            secret: random().map_err(|error| Ended::LinkLost(Some(error)))?,
            resume: false,
            received: 0,
            window: config.window,
            streams: config.streams,
        };
        let (tunnel, frames) = Tunnel::new(input, output, attach.encode().to_vec(), leftover)
            .map_err(|error| Ended::LinkLost(Some(error)))?;
        let (sender, orders) = mpsc::channel(ORDERS);
        let mut driver = Self {
            connection: Connection::new(config),
            tunnel,
            relays: Relays::default(),
            orders,
            timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
            started: std::time::Instant::now(),
            closing: false,
        };
        let now = driver.now();
        let peer = Peer { received: 0, window: hello.window, streams: hello.streams };
        driver.connection.attach(now, peer).map_err(Ended::Violation)?;
        handle(&mut driver.connection, &mut driver.relays, now, &frames)?;
        Ok((Session { orders: sender }, driver))
    }

    fn now(&self) -> Instant {
        Instant::from_micros(u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// Takes what the link brings, once; whether it brought anything.
    fn receive(&mut self, cx: &mut Context<'_>) -> Result<bool, Ended> {
        let now = self.now();
        let (connection, relays) = (&mut self.connection, &mut self.relays);
        let mut outcome = Ok(());
        let read = self.tunnel.poll_read(cx, |bytes| outcome = handle(connection, relays, now, bytes));
        match read {
            Poll::Ready(Ok(())) => outcome.map(|()| true),
            Poll::Ready(Err(broken)) => Err(broken.into()),
            Poll::Pending => Ok(false),
        }
    }

    /// Carries out what others asked for; whether there was anything.
    fn take_orders(&mut self, cx: &mut Context<'_>) -> bool {
        let mut any = false;
        while let Poll::Ready(Some(order)) = self.orders.poll_recv(cx) {
            any = true;
            match order {
                Order::Open { target, socket } => self.open(&target, socket),
                Order::Figures { reply } => {
                    let figures = Figures {
                        protocol: self.connection.stats(),
                        bytes_up: self.relays.up.total(),
                        bytes_down: self.relays.down.total(),
                        rate_up: self.relays.up.rate(self.now()),
                        rate_down: self.relays.down.rate(self.now()),
                    };
                    // Who asked may have left.
                    let _ = reply.send(figures);
                }
                Order::Close => {
                    self.relays.slots.clear();
                    self.connection.close();
                    self.closing = true;
                }
            }
        }
        any
    }

    fn open(&mut self, target: &Target, socket: TcpStream) {
        match self.connection.open(self.now(), target) {
            Ok(stream) => self.relays.begin(&mut self.connection, stream, socket),
            Err(error) => {
                tracing::warn!("{target}: cannot open a stream: {error:?}");
                super::reset(&socket);
            }
        }
    }

    /// Fills the send ring from the sockets and writes it to the link, until either has no more.
    fn transmit(&mut self, cx: &mut Context<'_>) -> Result<bool, Ended> {
        let mut any = false;
        loop {
            let now = self.now();
            self.relays.fill(&mut self.connection, now);
            let transmit = self.connection.transmit(now);
            if transmit.iter().all(|slice| slice.is_empty()) && !self.tunnel.has_greeting() {
                return Ok(any);
            }
            match self.tunnel.poll_write(cx, &transmit) {
                Poll::Ready(Ok(count)) => self.connection.transmitted(now, count),
                Poll::Ready(Err(broken)) => return Err(broken.into()),
                Poll::Pending => return Ok(any),
            }
            any = true;
        }
    }

    /// Sleeps until the protocol wants a turn; true when that is now.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(deadline) = self.connection.timeout() else { return false };
        let deadline = self.started + Duration::from_micros(deadline.micros());
        if self.timer.deadline().into_std() != deadline {
            self.timer.as_mut().reset(deadline.into());
        }
        let due = self.timer.as_mut().poll(cx).is_ready();
        if due {
            self.connection.handle_timeout(self.now());
        }
        due
    }

    /// Does its turns until there is nothing to do, or others should get theirs; an error is the end.
    fn poll_turns(&mut self, cx: &mut Context<'_>) -> Result<(), Ended> {
        self.relays.wakes.register(cx.waker());
        for _ in 0..ROUNDS {
            let received = self.receive(cx)?;
            let ordered = self.take_orders(cx);
            let now = self.now();
            let woken = self.relays.serve(&mut self.connection, now);
            let sent = self.transmit(cx)?;
            if self.closing && self.connection.transmit(now).iter().all(|slice| slice.is_empty()) {
                return Err(Ended::Asked);
            }
            if !(received || ordered || woken || sent || self.poll_timer(cx)) {
                return Ok(());
            }
        }
        cx.waker().wake_by_ref();
        Ok(())
    }
}

impl Future for Driver {
    type Output = Ended;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended> {
        let driver = self.get_mut();
        // Turns end by themselves. tokio's own limit would be used up by asking many sockets whether they
        // are ready, with nothing left to read them by: for ever, from some hundred ready ones.
        let mut turns = unconstrained(std::future::poll_fn(|cx| Poll::Ready(driver.poll_turns(cx))));
        let Poll::Ready(outcome) = Pin::new(&mut turns).poll(cx) else { return Poll::Pending };
        match outcome {
            Ok(()) => Poll::Pending,
            Err(ended) => {
                if matches!(ended, Ended::Violation(_)) {
                    // The agent should hear what it did; it may be past hearing.
                    let _ = driver.transmit(cx);
                }
                Poll::Ready(ended)
            }
        }
    }
}

impl From<Broken> for Ended {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Lost(error) => Self::LinkLost(error),
            Broken::Refused(refusal) => Self::Refused(refusal),
        }
    }
}

/// Gives the link's bytes to the protocol, and acts on what they mean.
fn handle(
    connection: &mut Connection,
    relays: &mut Relays,
    now: Instant,
    mut bytes: &[u8],
) -> Result<(), Ended> {
    while !bytes.is_empty() {
        let (taken, event) = connection.handle(now, bytes).map_err(Ended::Violation)?;
        bytes = &bytes[taken..];
        match event {
            Some(Event::Closed { violation }) => return Err(Ended::PeerClosed(violation)),
            Some(event) => relays.act(connection, now, event),
            None => {}
        }
    }
    Ok(())
}

impl Relays {
    fn begin(&mut self, connection: &mut Connection, stream: StreamId, socket: TcpStream) {
        let index = stream.index();
        if index >= self.slots.len() {
            self.slots.resize_with(index + 1, || None);
        }
        let relay = Relay::new(socket, self.wakes.waker(stream));
        if relay.is_readable() {
            connection.ready(stream);
        }
        self.slots[index] = Some(relay);
    }

    fn find(&mut self, stream: StreamId) -> Option<&mut Relay> {
        self.slots.get_mut(stream.index())?.as_mut()
    }

    fn act(&mut self, connection: &mut Connection, now: Instant, event: Event<'_>) {
        match event {
            Event::Data { stream, bytes } => {
                self.down.add(now, bytes.len());
                let given = self.find(stream).map_or(0, |relay| relay.give(bytes));
                self.settle(connection, now, stream, given);
            }
            Event::Finished { stream } => {
                let given = self.find(stream).map_or(0, Relay::finish);
                self.settle(connection, now, stream, given);
            }
            Event::Reset { stream, reason } => {
                tracing::debug!("stream {} was reset: {reason}", stream.index());
                drop(self.remove(stream));
            }
            Event::Accepted { .. } | Event::Opened { .. } | Event::Closed { .. } => {}
        }
    }

    /// Serves the sockets that became ready; whether any did.
    fn serve(&mut self, connection: &mut Connection, now: Instant) -> bool {
        let mut woken = std::mem::take(&mut self.woken);
        self.wakes.swap(&mut woken);
        let any = !woken.is_empty();
        for stream in woken.drain(..) {
            let Some(relay) = self.find(stream) else { continue };
            if relay.is_readable() {
                connection.ready(stream);
            }
            let given = relay.flush();
            self.settle(connection, now, stream, given);
        }
        self.woken = woken;
        any
    }

    /// Reads sockets into the send ring, in the order that the protocol wants.
    fn fill(&mut self, connection: &mut Connection, now: Instant) {
        while let Some((stream, room)) = connection.reserve(now) {
            let read = match self.slots.get_mut(stream.index()).and_then(Option::as_mut) {
                Some(relay) => relay.read(room),
                None => Poll::Pending,
            };
            match read {
                Poll::Pending => connection.commit(stream, 0),
                Poll::Ready(Ok(0)) => {
                    // An application that takes no more is not merely at its end: settle resets it.
                    if self.find(stream).is_some_and(|relay| relay.state() != State::Gone) {
                        connection.finish(stream);
                    }
                    self.settle(connection, now, stream, 0);
                }
                Poll::Ready(Ok(count)) => {
                    self.up.add(now, count);
                    connection.commit(stream, count);
                }
                Poll::Ready(Err(_)) => {
                    connection.reset(stream, Reason::Reset);
                    drop(self.remove(stream));
                }
            }
        }
    }

    /// Reports what the application took, and lets go of what is over.
    fn settle(&mut self, connection: &mut Connection, now: Instant, stream: StreamId, given: usize) {
        if given > 0 {
            connection.consumed(now, stream, given);
        }
        match self.find(stream).map(|relay| relay.state()) {
            Some(State::Done) => self.remove(stream).into_iter().for_each(Relay::close),
            Some(State::Leaving) => connection.ready(stream),
            Some(State::Gone) => {
                connection.reset(stream, Reason::Reset);
                drop(self.remove(stream));
            }
            Some(State::Open) | None => {}
        }
    }

    fn remove(&mut self, stream: StreamId) -> Option<Relay> {
        self.slots.get_mut(stream.index())?.take()
    }
}

fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut bytes)?;
    Ok(bytes)
}

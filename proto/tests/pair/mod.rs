//! Two connections joined by a virtual link on a virtual clock: the harness of all simulations.

#![allow(dead_code)] // Each test binary uses its part.

pub mod endpoint;
pub mod pipe;
pub mod script;

use std::time::Duration;

use shuttle_proto::{Config, Connection, Instant, Peer, Side};

pub use endpoint::Endpoint;
pub use pipe::{Pipe, Wire};

/// A client and an agent, the link between them, and the time.
pub struct Pair {
    pub client: Endpoint,
    pub agent: Endpoint,
    pub up: Pipe,
    pub down: Pipe,
    pub now: Instant,
    connected: bool,
}

impl Pair {
    pub fn new(wire: Wire) -> Self {
        Self::with(wire, wire, |_| ())
    }

    /// A pair on a link with two different directions, with changed configurations.
    pub fn with(up: Wire, down: Wire, change: impl Fn(&mut Config)) -> Self {
        let endpoint = |side| {
            let mut config = Config::new(side);
            change(&mut config);
            Endpoint::new(Connection::new(config.clone()), config)
        };
        let mut pair = Self {
            client: endpoint(Side::Client),
            agent: endpoint(Side::Agent),
            up: Pipe::new(up),
            down: Pipe::new(down),
            now: Instant::from_micros(1_000_000),
            connected: false,
        };
        pair.connect();
        pair
    }

    /// A new link: both sides say how far they got.
    pub fn connect(&mut self) {
        let peer_of = |endpoint: &Endpoint| Peer {
            received: endpoint.connection.received(),
            window: endpoint.config.window,
            streams: endpoint.config.streams,
        };
        let (client, agent) = (peer_of(&self.client), peer_of(&self.agent));
        self.client.connection.attach(self.now, agent).expect("the agent's position is possible");
        self.agent.connection.attach(self.now, client).expect("the client's position is possible");
        self.connected = true;
    }

    pub const fn is_connected(&self) -> bool {
        self.connected
    }

    /// A new link if there is none.
    pub fn reconnect(&mut self) {
        let ended = self.client.has_ended() || self.agent.has_ended();
        if !self.connected && !ended && (self.client.trusts_peer || self.positions_agree()) {
            self.connect();
        }
    }

    /// Whether what both sides received is what was sent; not so after an injected frame.
    fn positions_agree(&self) -> bool {
        let (client, agent) = (&self.client.connection, &self.agent.connection);
        client.received() <= agent.stats().sent && agent.received() <= client.stats().sent
    }

    /// The link dies, with whatever is on it.
    pub fn cut(&mut self) {
        self.up.cut();
        self.down.cut();
        self.client.connection.detach();
        self.agent.connection.detach();
        self.connected = false;
    }

    /// Lets virtual time pass.
    pub fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.step(end) {}
        self.now = end;
    }

    /// Lets virtual time pass until nothing moves any more; panics when that takes longer than `most`.
    pub fn run_until_quiet(&mut self, most: Duration) {
        let end = self.now + most;
        while self.step(end) {}
        assert!(self.now < end, "still busy after {most:?}");
    }

    /// Does what is due now, then moves the clock to what comes next; false when that is after `end`.
    fn step(&mut self, end: Instant) -> bool {
        if self.connected {
            while let Some(bytes) = self.down.arrived(self.now) {
                self.client.receive(self.now, &bytes);
            }
            while let Some(bytes) = self.up.arrived(self.now) {
                self.agent.receive(self.now, &bytes);
            }
            self.client.send(self.now, &mut self.up);
            self.agent.send(self.now, &mut self.down);
        }
        let next = [
            self.up.next(self.now),
            self.down.next(self.now),
            self.client.next(self.now),
            self.agent.next(self.now),
        ];
        match next.into_iter().flatten().min() {
            Some(next) if next <= end => {
                self.now = next.max(self.now);
                true
            }
            _ => false,
        }
    }
}

//! What `shuttle status` and `shuttle stop` see of a run.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::cli::{Settings, remote_in_full};
use crate::control::{AgentStatus, Call, LinkState, Request, Response, Status};
use crate::session::Session;

/// The parts of the status that change rarely, and the session that knows the others.
pub(super) struct State {
    status: RefCell<Status>,
    session: RefCell<Option<Session>>,
}

impl State {
    pub(super) fn new(settings: &Settings) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let status = Status {
            name: settings.name.clone(),
            remote: remote_in_full(&settings.remote),
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            since,
            link: LinkState::Connecting,
            method: "nft".to_owned(),
            rules: settings.rules.len(),
            ..Status::default()
        };
        Self { status: RefCell::new(status), session: RefCell::new(None) }
    }

    /// The rules are in place.
    pub(super) fn up(&self, session: Session, listeners: Vec<SocketAddr>, machine: &str, version: u16) {
        let mut status = self.status.borrow_mut();
        status.link = LinkState::Up;
        status.listeners = listeners;
        status.agent = Some(AgentStatus { arch: machine.to_owned(), version: version.to_string() });
        *self.session.borrow_mut() = Some(session);
    }

    /// Answers one question; true when it was the order to stop.
    pub(super) async fn answer(&self, call: Call) -> bool {
        let (response, stop) = match call.request {
            Request::Status => (Response::Status(Box::new(self.status().await)), false),
            Request::Stop => (Response::Stopping, true),
        };
        // Who asked may have left.
        let _ = call.reply.send(response);
        stop
    }

    async fn status(&self) -> Status {
        let session = self.session.borrow().clone();
        let figures = match session {
            Some(session) => session.figures().await,
            None => None,
        };
        let mut status = self.status.borrow().clone();
        if let Some(figures) = figures {
            let protocol = figures.protocol;
            status.round_trip_us = (protocol.round_trip > 0).then_some(protocol.round_trip);
            status.rate_up = figures.rate_up;
            status.rate_down = figures.rate_down;
            status.streams_open = protocol.streams.into();
            status.streams_opened = protocol.opened;
            status.bytes_up = figures.bytes_up;
            status.bytes_down = figures.bytes_down;
        }
        status
    }
}

//! The relation to one remote: opens streams, relays sockets, counts.
//!
//! | file | its job |
//! |---|---|
//! | [`driver`] | one task that owns the protocol's connection and does its turns |
//! | [`relay`] | one intercepted connection and its stream |
//! | [`meter`] | how fast something goes just now |
//! | [`wake`] | which relays have something to do |

mod driver;
mod meter;
mod relay;
mod wake;

use proto::greeting::Refusal;
use proto::{Target, Violation};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};

pub use driver::Driver;

/// Orders that wait for the driver; more of them make their senders wait.
const ORDERS: usize = 256;

/// What others ask of the driver.
#[derive(Debug)]
enum Order {
    Open { target: Target, socket: TcpStream },
    Figures { reply: oneshot::Sender<Figures> },
    Close,
}

/// A running session, for those who open streams over it.
#[derive(Clone, Debug)]
pub struct Session {
    orders: mpsc::Sender<Order>,
}

/// Figures for people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// The protocol's own.
    pub protocol: proto::Stats,
    /// Payload read from applications.
    pub bytes_up: u64,
    /// Payload for applications.
    pub bytes_down: u64,
    /// Payload read from applications lately, in bytes per second.
    pub rate_up: u64,
    /// Payload for applications lately, in bytes per second.
    pub rate_down: u64,
}

/// How a session ended.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// We closed it.
    #[error("the session was closed")]
    Asked,
    /// The link was closed or failed.
    #[error("the link to the remote is lost{}", .0.as_ref().map(|error| format!(": {error}")).unwrap_or_default())]
    LinkLost(Option<std::io::Error>),
    /// The agent ended it.
    #[error("the agent ended the session{}", .0.map(|violation| format!(": it saw a {violation} from us")).unwrap_or_default())]
    PeerClosed(Option<Violation>),
    /// The agent, or what stands in for it, broke the protocol.
    #[error("the agent broke the protocol: {0}")]
    Violation(Violation),
    /// The agent did not take the link.
    #[error("the agent refused the link: {}", match .0 {
        Some(Refusal::Version) => "it speaks another version of the protocol",
        Some(Refusal::NoSession) => "it knows no such session",
        Some(Refusal::WrongSecret) => "the session's secret is wrong",
        None => "it did not greet as an agent does",
    })]
    Refused(Option<Refusal>),
}

impl Session {
    /// Relays an accepted connection to `target` over there; resets it when the session is over.
    pub async fn open(&self, target: Target, socket: TcpStream) {
        if let Err(refused) = self.orders.send(Order::Open { target, socket }).await
            && let Order::Open { socket, .. } = refused.0
        {
            reset(&socket);
        }
    }

    /// Figures for people; `None` when the session is over.
    pub async fn figures(&self) -> Option<Figures> {
        let (reply, figures) = oneshot::channel();
        self.orders.send(Order::Figures { reply }).await.ok()?;
        figures.await.ok()
    }

    /// Ends the session: the driver tells the agent, then ends.
    pub async fn close(&self) {
        // An error means that it has ended.
        let _ = self.orders.send(Order::Close).await;
    }
}

/// Makes the application see a reset when `socket` is dropped.
pub(crate) fn reset(socket: &TcpStream) {
    // It can fail only where the connection is gone already.
    let _ = socket2::SockRef::from(socket).set_linger(Some(std::time::Duration::ZERO));
}

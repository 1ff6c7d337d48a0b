//! Redirected TCP connections: accepts them, reads where they were going, and opens a stream there.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use proto::Target;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::session::{Session, reset};

/// Ports to try when the user named none, as sshuttle does: from here downwards.
const FIRST_PORT: u16 = 12_300;
const LAST_PORT: u16 = 9_000;
/// Connections that wait to be accepted; the kernel's net.core.somaxconn may allow fewer. A short queue
/// makes bursts of connections wait for a repeated SYN, a second each.
const BACKLOG: u32 = 4096;

/// Where redirected connections arrive, by family.
#[derive(Debug)]
pub struct Listeners {
    /// For IPv4.
    pub v4: Option<TcpListener>,
    /// For IPv6.
    pub v6: Option<TcpListener>,
}

impl Listeners {
    /// Binds what was asked for; port 0 means the first free one from 12300 downwards. A family that this
    /// machine does not have is left out, as long as the other works.
    pub fn bind(v4: Option<SocketAddr>, v6: Option<SocketAddr>) -> io::Result<Self> {
        let bound_v4 = v4.map(bind).transpose();
        let bound_v6 = v6.map(bind).transpose();
        let listeners = match (bound_v4, bound_v6) {
            (Ok(v4), Ok(v6)) => Self { v4, v6 },
            (Ok(v4), Err(error)) if v4.is_some() && is_family_missing(&error) => {
                tracing::warn!("IPv6 is not intercepted: this machine has none ({error})");
                Self { v4, v6: None }
            }
            (Err(error), Ok(v6)) if v6.is_some() && is_family_missing(&error) => {
                tracing::warn!("IPv4 is not intercepted: this machine has none ({error})");
                Self { v4: None, v6 }
            }
            (Err(error), _) | (_, Err(error)) => return Err(error),
        };
        Ok(listeners)
    }

    /// Their addresses.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.v4.iter().chain(&self.v6).filter_map(|listener| listener.local_addr().ok()).collect()
    }

    /// Accepts for ever, and hands each connection to the session.
    pub async fn serve(&self, session: &Session) -> Infallible {
        tokio::select! {
            never = serve(self.v4.as_ref(), session) => never,
            never = serve(self.v6.as_ref(), session) => never,
        }
    }
}

/// EADDRNOTAVAIL is what a machine with IPv6 switched off says to ::1.
fn is_family_missing(error: &io::Error) -> bool {
    use nix::errno::Errno;
    let missing = [Errno::EAFNOSUPPORT, Errno::EADDRNOTAVAIL, Errno::EPROTONOSUPPORT];
    error.raw_os_error().is_some_and(|code| missing.contains(&Errno::from_raw(code)))
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    if address.port() != 0 {
        return listen(address).map_err(|error| {
            let words = format!("cannot listen on {address} (-l): {error}");
            io::Error::new(error.kind(), words)
        });
    }
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for port in (LAST_PORT..=FIRST_PORT).rev() {
        match listen(SocketAddr::new(address.ip(), port)) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => last = error,
            outcome => return outcome,
        }
    }
    Err(last)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if address.is_ipv6() {
        SockRef::from(&socket).set_only_v6(true)?;
    }
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

async fn serve(listener: Option<&TcpListener>, session: &Session) -> Infallible {
    let Some(listener) = listener else { return std::future::pending().await };
    loop {
        match listener.accept().await {
            Ok((socket, application)) => match original_dst(&socket) {
                Ok(Some(destination)) => {
                    tracing::debug!("{application} to {destination}");
                    // Small writes must not wait for acknowledgements; it fails only on dead sockets.
                    let _ = socket.set_nodelay(true);
                    session.open(Target::Tcp(destination), socket).await;
                }
                Ok(None) => {
                    tracing::warn!(
                        "{application} connected to the redirect port itself: refused, it would loop"
                    );
                    reset(&socket);
                }
                // The peer was gone before we looked: a port scanner, for instance.
                Err(error) => tracing::debug!("{application} left before its destination was read: {error}"),
            },
            Err(error) => {
                tracing::warn!("cannot accept connections for now: {error}");
                // Out of descriptors, most likely: they come back as connections end.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Where the connection was going before it was redirected; `None` when it was not redirected.
fn original_dst(socket: &TcpStream) -> io::Result<Option<SocketAddr>> {
    let local = socket.local_addr()?;
    let reference = SockRef::from(socket);
    let original = match local {
        SocketAddr::V4(_) => reference.original_dst_v4(),
        SocketAddr::V6(_) => reference.original_dst_v6(),
    };
    match original {
        Ok(address) => Ok(address.as_socket().filter(|address| *address != local)),
        // Connection tracking knows nothing of it, so nobody redirected it; unless it is gone already.
        Err(error) if error.raw_os_error() == Some(nix::errno::Errno::ENOENT as i32) => {
            socket.peer_addr().map(|_| None)
        }
        Err(error) => Err(error),
    }
}

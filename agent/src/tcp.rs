//! The socket calls, and what their errors mean on the wire.

use core::net::SocketAddr;
use core::time::Duration;

use proto::Reason;
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, Shutdown, SocketFlags, SocketType, recv, send, shutdown,
    socket_with, sockopt,
};

/// A socket whose connection is under way.
pub(crate) fn connect(address: SocketAddr) -> Result<OwnedFd, Reason> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(family, SocketType::STREAM, flags, None).map_err(reason)?;
    // The client's applications decide what goes together; nothing should wait here for more.
    sockopt::set_tcp_nodelay(&socket, true).map_err(reason)?;
    match rustix::net::connect(&socket, &address) {
        // An interrupted connect goes on by itself.
        Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => Ok(socket),
        Err(errno) => Err(reason(errno)),
    }
}

/// How the connection went, once the socket is ready to say so.
pub(crate) fn outcome(socket: impl AsFd) -> Result<(), Reason> {
    sockopt::socket_error(socket).map_err(reason)?.map_err(reason)
}

/// Reads what is there: zero is the end.
pub(crate) fn receive(socket: impl AsFd, buffer: &mut [u8]) -> Result<usize, Errno> {
    retry_on_intr(|| recv(&socket, &mut *buffer, RecvFlags::empty()).map(|(count, _)| count))
}

/// Writes what the socket takes now.
pub(crate) fn transmit(socket: impl AsFd, bytes: &[u8]) -> Result<usize, Errno> {
    retry_on_intr(|| send(&socket, bytes, SendFlags::NOSIGNAL))
}

/// Tells the target that no more comes.
pub(crate) fn finish(socket: impl AsFd) {
    // It fails when the target reset the connection: then reading says so.
    let _ = shutdown(socket, Shutdown::Write);
}

/// Closes such that the target sees a reset, even of what was sent before.
pub(crate) fn abort(socket: OwnedFd) {
    // Without it the target would see a clean end: still better than keeping the socket.
    let _ = sockopt::set_socket_linger(&socket, Some(Duration::ZERO));
}

/// Errno numbers differ between architectures; the wire has its own.
pub(crate) fn reason(errno: Errno) -> Reason {
    match errno {
        Errno::CONNRESET | Errno::PIPE => Reason::Reset,
        Errno::CONNREFUSED => Reason::Refused,
        Errno::NETUNREACH | Errno::NETDOWN => Reason::NetworkUnreachable,
        Errno::HOSTUNREACH | Errno::HOSTDOWN => Reason::HostUnreachable,
        Errno::TIMEDOUT => Reason::TimedOut,
        Errno::ACCESS | Errno::PERM => Reason::Forbidden,
        Errno::ADDRNOTAVAIL => Reason::AddressNotAvailable,
        Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM | Errno::NOSPC => Reason::Exhausted,
        Errno::AFNOSUPPORT => Reason::FamilyNotSupported,
        _ => Reason::Other,
    }
}

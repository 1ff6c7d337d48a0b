//! What the inner hosts serve: a small web server and services that are awkward on purpose.
//!
//! They run as threads of the lab's owner, on sockets that were opened inside the host.

mod awkward;
mod http;

use std::io;
use std::net::{Ipv6Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread::JoinHandle;

use nix::sys::socket::{Backlog, listen, shutdown};

use crate::error::{Doing, Error};
use crate::host::Host;

pub use http::PAGE;

/// Where the services listen, each on IPv4 and IPv6.
pub mod port {
    /// Sends back what it receives; closes its side when the peer has.
    pub const ECHO: u16 = 7;
    /// Reads to the end, then says `<bytes> <fnv1a-64 in hex>\n`: both directions of a half-close are seen.
    pub const COUNT: u16 = 8;
    /// Reads everything and says nothing.
    pub const DISCARD: u16 = 9;
    /// Sends the endless [`super::pattern`] and never reads.
    pub const SOURCE: u16 = 19;
    /// The web server: `/` is [`super::PAGE`], `/1M`, `/100M`, `/20K` and the like are that much of the pattern.
    pub const HTTP: u16 = 80;
    /// Accepts, then resets at once.
    pub const RESET: u16 = 81;
    /// Accepts and never reads nor writes.
    pub const DEAF: u16 = 82;
    /// Reads 1,024 bytes every 100 ms.
    pub const SLOW: u16 = 83;
    /// Sends 64 KiB of the pattern and its end of stream at once, then answers like [`COUNT`] is not possible: it
    /// reads on until the peer ends, and only then closes.
    pub const HALF_CLOSE: u16 = 84;
    /// Reads one byte, then resets: a reset in the middle of a conversation.
    pub const RESET_LATER: u16 = 85;
    /// Nobody listens here.
    pub const CLOSED: u16 = 444;
}

/// `length` bytes of the pattern that the services send, from its beginning: byte `n` is `n mod 251`.
pub fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n % 251) as u8).collect()
}

/// The running services of one host; dropping them closes every socket.
#[derive(Debug)]
pub struct Services {
    shared: Arc<Shared>,
    acceptors: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    ending: AtomicBool,
    accepted: AtomicU64,
    listeners: Vec<TcpListener>,
    /// Weak, because a duplicate of a socket would keep it from being closed or reset.
    open: Mutex<Vec<Weak<TcpStream>>>,
}

/// What one connection is given to.
type Service = fn(&TcpStream) -> io::Result<()>;

const SERVICES: [(u16, Service); 10] = [
    (port::ECHO, awkward::echo),
    (port::COUNT, awkward::count),
    (port::DISCARD, awkward::discard),
    (port::SOURCE, awkward::source),
    (port::HTTP, http::serve),
    (port::RESET, awkward::reset),
    (port::DEAF, awkward::deaf),
    (port::SLOW, awkward::slow),
    (port::HALF_CLOSE, awkward::half_close),
    (port::RESET_LATER, awkward::reset_later),
];

impl Services {
    /// Opens all ports on the host.
    pub(crate) fn start(host: &Host) -> Result<Self, Error> {
        let listeners = host
            .inside(|| SERVICES.iter().map(|(port, _)| open(*port)).collect::<io::Result<Vec<_>>>())
            .doing(format!("listen on {}", host.name()))?;
        let shared = Arc::new(Shared { listeners, ..Shared::default() });
        let mut acceptors = Vec::new();
        for (index, (port, service)) in SERVICES.iter().enumerate() {
            let shared = Arc::clone(&shared);
            let acceptor = std::thread::Builder::new()
                .name(format!("lab port {port}"))
                .spawn(move || shared.accept(index, *service))
                .doing("start a service")?;
            acceptors.push(acceptor);
        }
        Ok(Self { shared, acceptors })
    }

    /// How many connections were accepted so far, on all ports.
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::Relaxed)
    }

    /// How many connections are being served now, on all ports.
    pub fn open(&self) -> usize {
        let open = self.shared.open.lock().expect("no service panics while it holds this");
        open.iter().filter(|stream| stream.strong_count() > 0).count()
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        self.shared.ending.store(true, Ordering::SeqCst);
        for listener in &self.shared.listeners {
            // On Linux this wakes the thread that accepts.
            let _ = shutdown(std::os::fd::AsRawFd::as_raw_fd(listener), nix::sys::socket::Shutdown::Both);
        }
        for acceptor in self.acceptors.drain(..) {
            let _ = acceptor.join();
        }
        let open =
            std::mem::take(&mut *self.shared.open.lock().expect("no service panics while it holds this"));
        for stream in open.iter().filter_map(Weak::upgrade) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Shared {
    fn accept(self: &Arc<Self>, index: usize, service: Service) {
        loop {
            let accepted = self.listeners[index].accept();
            if self.ending.load(Ordering::SeqCst) {
                return;
            }
            // Out of descriptors or aborted by the peer: the next one may do better.
            let Ok((stream, _)) = accepted else {
                std::thread::sleep(std::time::Duration::from_millis(10));
                continue;
            };
            self.accepted.fetch_add(1, Ordering::Relaxed);
            let stream = Arc::new(stream);
            self.remember(&stream);
            let serving = std::thread::Builder::new().stack_size(128 * 1024).spawn(move || {
                // A peer that goes away in the middle is what these services are for.
                let _ = service(&stream);
            });
            if let Err(error) = serving {
                eprintln!("lab: no thread for a connection: {error}");
            }
        }
    }

    fn remember(&self, stream: &Arc<TcpStream>) {
        let mut open = self.open.lock().expect("no service panics while it holds this");
        if open.len() == open.capacity() {
            open.retain(|stream| stream.strong_count() > 0);
        }
        open.push(Arc::downgrade(stream));
    }
}

fn open(port: u16) -> io::Result<TcpListener> {
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))?;
    // Hundreds of connections may arrive at once.
    listen(&listener, Backlog::new(4096).unwrap_or(Backlog::MAXCONN))?;
    Ok(listener)
}

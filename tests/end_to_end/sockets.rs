//! What an application on a host does with sockets, each call with a time after which it has hung.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};

use lab::{Host, port};

use crate::harness::PATIENCE;

/// Connects from a host.
pub fn connect(host: &Host, address: impl Into<IpAddr>, port: u16) -> io::Result<TcpStream> {
    let address = SocketAddr::new(address.into(), port);
    let stream = host.inside(|| TcpStream::connect_timeout(&address, PATIENCE))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Whether a conversation with the echo service works from a host.
pub fn echoes(host: &Host, address: impl Into<IpAddr>) -> bool {
    connect(host, address, port::ECHO).and_then(|stream| talk(&stream)).is_ok()
}

/// One word to the echo service and back.
pub fn talk(mut stream: &TcpStream) -> io::Result<()> {
    let mut back = [0; 5];
    stream.write_all(b"hello")?;
    stream.read_exact(&mut back)?;
    if &back == b"hello" { Ok(()) } else { Err(io::Error::other("another echo")) }
}

/// The kind of the error with which reading ends; `None` for a clean end.
pub fn end_of(mut stream: &TcpStream) -> Option<ErrorKind> {
    io::copy(&mut stream, &mut io::sink()).err().map(|error| error.kind())
}

/// How a connection ends that the application only opens; a reset may come so early that connecting itself fails.
pub fn end_from(host: &Host, address: impl Into<IpAddr>, port: u16) -> Option<ErrorKind> {
    match connect(host, address, port) {
        Ok(stream) => end_of(&stream),
        Err(error) => Some(error.kind()),
    }
}

/// Sends everything, then the end; gives what came back.
pub fn exchange(stream: &TcpStream, bytes: &[u8]) -> io::Result<Vec<u8>> {
    std::thread::scope(|scope| {
        let (mut input, mut output) = (stream, stream);
        let sending = scope.spawn(move || {
            output.write_all(bytes)?;
            output.shutdown(Shutdown::Write)
        });
        let mut back = Vec::new();
        input.read_to_end(&mut back)?;
        sending.join().unwrap()?;
        Ok(back)
    })
}

/// The next close sends a reset.
pub fn reset(stream: TcpStream) {
    socket2::SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
}

/// The sum that the count service answers with.
pub fn count_of(bytes: &[u8]) -> String {
    let sum = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{} {sum:016x}\n", bytes.len())
}

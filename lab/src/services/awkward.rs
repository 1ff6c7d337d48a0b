//! The services besides the web: one conversation each, most of them at an edge of TCP.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use super::pattern;

const BLOCK: usize = 64 * 1024;

pub(super) fn echo(mut stream: &TcpStream) -> io::Result<()> {
    let mut block = vec![0; BLOCK];
    loop {
        match stream.read(&mut block)? {
            0 => return stream.shutdown(Shutdown::Write),
            read => stream.write_all(&block[..read])?,
        }
    }
}

pub(super) fn count(mut stream: &TcpStream) -> io::Result<()> {
    let mut block = vec![0; BLOCK];
    let (mut bytes, mut hash) = (0, FNV_START);
    loop {
        match stream.read(&mut block)? {
            0 => break,
            read => {
                bytes += read as u64;
                hash = fnv(hash, &block[..read]);
            }
        }
    }
    stream.write_all(format!("{bytes} {hash:016x}\n").as_bytes())
}

pub(super) fn discard(mut stream: &TcpStream) -> io::Result<()> {
    let mut block = vec![0; BLOCK];
    while stream.read(&mut block)? > 0 {}
    Ok(())
}

pub(super) fn source(stream: &TcpStream) -> io::Result<()> {
    send_pattern(stream, u64::MAX)
}

pub(super) fn reset(stream: &TcpStream) -> io::Result<()> {
    socket_closes_with_reset(stream)
}

pub(super) fn reset_later(mut stream: &TcpStream) -> io::Result<()> {
    stream.read_exact(&mut [0])?;
    socket_closes_with_reset(stream)
}

/// Waits for the connection to end without taking a byte from it.
pub(super) fn deaf(stream: &TcpStream) -> io::Result<()> {
    // POLLHUP comes when both directions are closed; a reset or the lab's end gives it too.
    let mut poll = [libc::pollfd { fd: std::os::fd::AsRawFd::as_raw_fd(stream), events: 0, revents: 0 }];
    // SAFETY: one pollfd is passed and said to be one.
    match unsafe { libc::poll(poll.as_mut_ptr(), 1, -1) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

pub(super) fn slow(mut stream: &TcpStream) -> io::Result<()> {
    let mut block = [0; 1024];
    while stream.read(&mut block)? > 0 {
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

pub(super) fn half_close(stream: &TcpStream) -> io::Result<()> {
    send_pattern(stream, BLOCK as u64)?;
    stream.shutdown(Shutdown::Write)?;
    discard(stream)
}

/// Sends the first `length` bytes of the pattern.
pub(super) fn send_pattern(mut stream: &TcpStream, length: u64) -> io::Result<()> {
    // A whole number of periods, so that the blocks join without a seam.
    let block = pattern(BLOCK / 251 * 251);
    let mut left = length;
    while left > 0 {
        let part = left.min(block.len() as u64);
        stream.write_all(&block[..part as usize])?;
        left -= part;
    }
    Ok(())
}

/// With a linger time of zero, close() sends RST instead of FIN.
fn socket_closes_with_reset(stream: &TcpStream) -> io::Result<()> {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    nix::sys::socket::setsockopt(stream, nix::sys::socket::sockopt::Linger, &linger)?;
    Ok(())
}

pub(super) const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a, 64 bits: enough to notice lost, doubled or reordered bytes.
pub(super) fn fnv(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

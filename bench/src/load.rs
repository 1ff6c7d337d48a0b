//! Load generators: what applications do, in threads. Call them inside the client's network.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Nothing that is measured takes longer; a peer that hangs shall not hang us.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

const BLOCK: usize = 256 * 1024;

/// Connects, fetches the small page, closes.
pub(crate) fn fetch(address: SocketAddr, patience: Duration) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&address, patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_nodelay(true)?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut answer = Vec::with_capacity(512);
    stream.read_to_end(&mut answer)?;
    if answer.starts_with(b"HTTP/1.1 200") && answer.ends_with(lab::PAGE.as_bytes()) {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "not the page"))
}

/// Reads from an endless source for a time, after a run-up; gives bits per second.
pub(crate) fn download(address: SocketAddr, time: Duration) -> io::Result<f64> {
    let mut stream = connect(address)?;
    rate_of(time, |block| stream.read(block))
}

/// Reads blocks for a time, after a quarter of it as a run-up; gives bits per second.
pub(crate) fn rate_of(
    time: Duration,
    mut read: impl FnMut(&mut [u8]) -> io::Result<usize>,
) -> io::Result<f64> {
    let mut block = vec![0; BLOCK];
    let run_up = Instant::now();
    while run_up.elapsed() < time / 4 {
        full(read(&mut block)?)?;
    }
    let (begun, mut bytes) = (Instant::now(), 0);
    while begun.elapsed() < time {
        bytes += full(read(&mut block)?)?;
    }
    Ok(bytes as f64 * 8.0 / begun.elapsed().as_secs_f64())
}

fn full(read: usize) -> io::Result<usize> {
    if read == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(read) }
}

/// Writes for a time, after a quarter of it as a run-up, and waits until the far end has read everything; gives bits
/// per second.
pub(crate) fn upload(address: SocketAddr, time: Duration) -> io::Result<f64> {
    let mut stream = connect(address)?;
    let (begun, bytes) = write_for(time, |block| stream.write_all(block))?;
    stream.shutdown(Shutdown::Write)?;
    stream.read_to_end(&mut Vec::new())?;
    Ok(bytes as f64 * 8.0 / begun.elapsed().as_secs_f64())
}

/// Writes blocks for a time, after a quarter of it as a run-up; gives when that was over and the bytes since then.
pub(crate) fn write_for(
    time: Duration,
    mut write: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<(Instant, usize)> {
    let block = vec![0x55; BLOCK];
    let run_up = Instant::now();
    while run_up.elapsed() < time / 4 {
        write(&block)?;
    }
    let (begun, mut bytes) = (Instant::now(), 0);
    while begun.elapsed() < time {
        write(&block)?;
        bytes += block.len();
    }
    Ok((begun, bytes))
}

/// What many at once saw.
#[derive(Debug, Default)]
pub(crate) struct Fetches {
    pub per_second: f64,
    /// Milliseconds, sorted.
    pub times: Vec<f64>,
    pub errors: u64,
}

/// So many workers fetch the small page again and again for a time.
pub(crate) fn fetch_at_once(address: SocketAddr, workers: usize, time: Duration) -> Fetches {
    let times = Mutex::new(Vec::new());
    let errors = AtomicU64::new(0);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                let mut mine = Vec::new();
                while begun.elapsed() < time {
                    let start = Instant::now();
                    match fetch(address, PATIENCE) {
                        Ok(()) => mine.push(start.elapsed().as_secs_f64() * 1e3),
                        Err(_) => {
                            errors.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
                times.lock().expect("no worker panics").extend(mine);
            });
        }
    });
    let mut times = times.into_inner().expect("no worker panics");
    times.sort_by(f64::total_cmp);
    let per_second = times.len() as f64 / begun.elapsed().as_secs_f64();
    Fetches { per_second, times, errors: errors.into_inner() }
}

/// Opens connections to the echo service, each proven by a byte that came back. Ends early at the first that fails.
pub(crate) fn open_echoes(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    let mut open = Vec::new();
    while open.len() < count {
        let proven = connect(address).and_then(|mut stream| {
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            stream.write_all(b"x")?;
            stream.read_exact(&mut [0])?;
            Ok(stream)
        });
        match proven {
            Ok(stream) => open.push(stream),
            Err(_) => break,
        }
    }
    open
}

/// Connects with the usual patience, for reads and writes too.
pub(crate) fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

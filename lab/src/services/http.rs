//! A web server just large enough for curl and load generators: GET, HEAD and uploads, keep-alive.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use super::awkward::{FNV_START, fnv, send_pattern};

/// What the web server answers to `GET /`.
pub const PAGE: &str = "This page comes from the inner network.\n";

struct Request {
    method: String,
    path: String,
    length: u64,
    keep: bool,
}

/// Answers requests until the peer stops or asks for the end.
pub(super) fn serve(stream: &TcpStream) -> io::Result<()> {
    let mut input = BufReader::with_capacity(4096, stream);
    while let Some(request) = read_request(&mut input)? {
        let more = request.keep;
        answer(stream, &mut input, request)?;
        if !more {
            break;
        }
    }
    Ok(())
}

fn read_request(input: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if input.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let (method, path, version) = (words.next(), words.next(), words.next().unwrap_or("HTTP/1.0"));
    let mut request = Request {
        method: method.unwrap_or_default().to_owned(),
        path: path.unwrap_or_default().to_owned(),
        length: 0,
        keep: version == "HTTP/1.1",
    };
    loop {
        let mut line = String::new();
        input.read_line(&mut line)?;
        let line = line.trim().to_ascii_lowercase();
        match line.split_once(':').map(|(name, value)| (name, value.trim())) {
            Some(("content-length", value)) => request.length = value.parse().unwrap_or(0),
            Some(("connection", value)) => request.keep = value == "keep-alive",
            Some(_) => {}
            None => return Ok(Some(request)),
        }
    }
}

fn answer(mut stream: &TcpStream, input: &mut impl Read, request: Request) -> io::Result<()> {
    match (request.method.as_str(), size(&request.path)) {
        ("PUT" | "POST", _) => {
            let body = receive(input, request.length)?;
            stream.write_all(&small(200, &body))
        }
        ("GET", Some(length)) => {
            stream.write_all(&head(200, length))?;
            send_pattern(stream, length)
        }
        ("HEAD", Some(length)) => stream.write_all(&head(200, length)),
        ("GET", None) if request.path == "/" => stream.write_all(&small(200, PAGE)),
        ("GET", None) => stream.write_all(&small(404, "no such page\n")),
        _ => stream.write_all(&small(405, "GET, HEAD, PUT or POST\n")),
    }
}

/// Takes an upload and says, as the count service does, how much and what it was.
fn receive(input: &mut impl Read, length: u64) -> io::Result<String> {
    let mut block = vec![0; 64 * 1024];
    let (mut left, mut hash) = (length, FNV_START);
    while left > 0 {
        let most = left.min(block.len() as u64) as usize;
        match input.read(&mut block[..most])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                hash = fnv(hash, &block[..read]);
                left -= read as u64;
            }
        }
    }
    Ok(format!("{length} {hash:016x}\n"))
}

/// `/20K` is 20 × 1,024 bytes.
fn size(path: &str) -> Option<u64> {
    let text = path.strip_prefix('/')?;
    let digits = text.trim_end_matches(['K', 'M', 'G']);
    let unit = match &text[digits.len()..] {
        "" => 1,
        "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

fn head(status: u16, length: u64) -> Vec<u8> {
    let reason = if status == 200 { "OK" } else { "Error" };
    format!("HTTP/1.1 {status} {reason}\r\nContent-Length: {length}\r\nContent-Type: text/plain\r\n\r\n")
        .into_bytes()
}

/// Head and body in one write, as one segment.
fn small(status: u16, body: &str) -> Vec<u8> {
    let mut bytes = head(status, body.len() as u64);
    bytes.extend_from_slice(body.as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_its_size() {
        assert_eq!(size("/20K"), Some(20_480));
        assert_eq!(size("/1M"), Some(1 << 20));
        assert_eq!(size("/7"), Some(7));
        for path in ["/", "/page", "/1X", "/MK", "/1KK", "/99999999999999999999G"] {
            assert_eq!(size(path), None, "{path}");
        }
    }
}

//! The services of the inner host do what their names say.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use lab::{Lab, PAGE, pattern, port};

fn connect(lab: &Lab, address: IpAddr, port: u16) -> std::io::Result<TcpStream> {
    lab.server().inside(|| TcpStream::connect(SocketAddr::new(address, port)))
}

fn read_all(mut stream: &TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn echo_count_source_and_half_close_move_every_byte_on_both_families() {
    let lab = Lab::new().unwrap();
    for address in [IpAddr::V4(lab.inner().address_v4()), IpAddr::V6(lab.inner().address_v6())] {
        let stream = connect(&lab, address, port::ECHO).unwrap();
        (&stream).write_all(b"once more").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_all(&stream), b"once more");

        let stream = connect(&lab, address, port::COUNT).unwrap();
        (&stream).write_all(b"foobar").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_all(&stream), b"6 85944171f73967e8\n", "the published FNV-1a of foobar");

        let mut stream = connect(&lab, address, port::SOURCE).unwrap();
        let mut bytes = vec![0; 200_000];
        stream.read_exact(&mut bytes).unwrap();
        assert_eq!(bytes, pattern(200_000));

        let mut stream = connect(&lab, address, port::HALF_CLOSE).unwrap();
        assert_eq!(read_all(&stream), pattern(64 * 1024));
        stream.write_all(&pattern(100_000)).unwrap();
    }
}

#[test]
fn resets_refusals_and_unreachable_addresses_are_told_apart() {
    let lab = Lab::new().unwrap();
    let inner = IpAddr::V4(lab.inner().address_v4());
    let kind = |result: std::io::Result<TcpStream>| result.unwrap_err().kind();
    assert_eq!(kind(connect(&lab, inner, port::CLOSED)), ErrorKind::ConnectionRefused);
    assert_eq!(kind(connect(&lab, lab::UNREACHABLE_V4.into(), 80)), ErrorKind::HostUnreachable);
    assert_eq!(kind(connect(&lab, lab::UNREACHABLE_V6.into(), 80)), ErrorKind::HostUnreachable);
    for address in [IpAddr::V4(lab::BLACKHOLE_V4), IpAddr::V6(lab::BLACKHOLE_V6)] {
        let silence = Duration::from_millis(300);
        let swallowed =
            lab.server().inside(|| TcpStream::connect_timeout(&SocketAddr::new(address, 80), silence));
        assert_eq!(kind(swallowed), ErrorKind::TimedOut);
    }

    let mut stream = connect(&lab, inner, port::RESET_LATER).unwrap();
    stream.write_all(b"x").unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    // The reset may win the race against connect() itself.
    let at_once = connect(&lab, inner, port::RESET).and_then(|mut stream| stream.read(&mut [0]));
    assert_eq!(at_once.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn the_deaf_service_takes_no_more_than_its_sockets_hold() {
    let lab = Lab::new().unwrap();
    let mut stream = connect(&lab, lab.inner().address_v4().into(), port::DEAF).unwrap();
    stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let block = pattern(1 << 20);
    let stuck = (0..1000).find_map(|_| stream.write_all(&block).err());
    assert_eq!(stuck.expect("1 GB went to a service that never reads").kind(), ErrorKind::WouldBlock);
}

#[test]
fn the_web_server_keeps_alive_serves_sizes_and_takes_uploads() {
    let lab = Lab::new().unwrap();
    let url = format!("http://{}", lab.inner().address_v4());
    assert_eq!(lab.server().check(&format!("curl -sS {url}/ {url}/")).unwrap(), PAGE.repeat(2));
    assert_eq!(lab.services()[0].accepted(), 1, "two requests, one connection");
    assert_eq!(lab.server().check(&format!("curl -sS {url}/3M | wc -c")).unwrap().trim(), "3145728");
    let upload = format!("printf foobar | curl -sS -T - -H 'Content-Length: 6' -H Transfer-Encoding: {url}/");
    assert_eq!(lab.server().check(&upload).unwrap(), "6 85944171f73967e8\n");
    assert!(!lab.server().run(&format!("curl -sSf {url}/nothing")).unwrap().status.success());
}
